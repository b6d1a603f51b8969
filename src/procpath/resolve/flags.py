"""What open(2) takes: which flags it ignores, and which combinations it refuses."""

from __future__ import annotations

import os
from errno import EINVAL
from functools import lru_cache

# VALID_OPEN_FLAGS (include/linux/fcntl.h). On 64-bit systems O_LARGEFILE is 0 here, and the
# kernel sets its own bit of that name.
_VALID = (
    os.O_RDONLY
    | os.O_WRONLY
    | os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | os.O_NOCTTY
    | os.O_TRUNC
    | os.O_APPEND
    | os.O_NDELAY
    | os.O_NONBLOCK
    | os.O_SYNC
    | os.O_DSYNC
    | os.O_ASYNC
    | os.O_DIRECT
    | os.O_LARGEFILE
    | os.O_DIRECTORY
    | os.O_NOFOLLOW
    | os.O_NOATIME
    | os.O_CLOEXEC
    | os.O_PATH
    | os.O_TMPFILE
)
_VALID_WITH_O_PATH = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_PATH | os.O_CLOEXEC
_TMPFILE_BIT = os.O_TMPFILE & ~os.O_DIRECTORY


def as_openat_reads(flags: int, mode: int) -> tuple[int, int]:
    """Return ``flags`` and ``mode`` without what openat(2) ignores.

    openat2(2) answers ``EINVAL`` to unknown bits, to ``O_PATH`` with flags that it
    overrides and to a mode where nothing is created; openat(2) ignores them all.
    """
    if flags & os.O_PATH:
        return (flags & _VALID_WITH_O_PATH) | os.O_CLOEXEC, 0
    flags = (flags & _VALID) | os.O_CLOEXEC | os.O_NOCTTY
    creates = flags & (os.O_CREAT | _TMPFILE_BIT)
    return flags, mode & 0o7777 if creates else 0


def is_tmpfile(flags: int) -> bool:
    """Return whether ``flags`` ask for an unnamed file; ``O_TMPFILE`` contains ``O_DIRECTORY``."""
    return bool(flags & _TMPFILE_BIT)


def opens_directory_only(flags: int) -> bool:
    """Return whether ``flags`` open an existing directory or nothing."""
    return flags & (os.O_DIRECTORY | os.O_CREAT | _TMPFILE_BIT) == os.O_DIRECTORY


@lru_cache(maxsize=256)
def checked(flags: int, mode: int) -> tuple[int, int] | None:
    """Return :func:`as_openat_reads`, or None if open(2) does not take these flags together."""
    flags, mode = as_openat_reads(flags, mode)
    return (flags, mode) if are_valid(flags) else None


@lru_cache(maxsize=256)
def are_valid(flags: int) -> bool:
    """Return whether open(2) takes these flags together, which it checks before the path."""
    try:
        os.close(os.open(b"", flags))
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != EINVAL:
            raise
    return False
