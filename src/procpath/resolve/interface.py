"""What every resolver is: the one interface behind which the walker and openat2 stand.

A resolver owns the root's descriptor, which so stays open until the last operation by it
has ended, whoever closes the root meanwhile. It keeps no other between two calls.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from errno import EINVAL
from functools import lru_cache
from typing import NamedTuple

from procpath.linux import FIND_DIRECTORY, Descriptor, openat


class Rules(NamedTuple):
    """How a root wants its paths resolved; the options of :class:`procpath.Root` of the same
    names.
    """

    clamp: bool = True
    """``..`` at the root stays there; otherwise it raises ``EscapeError``"""
    symlinks: bool = True
    """symbolic links are followed; otherwise one on the way is ``ELOOP``"""
    cross_mounts: bool = True
    """mount points are entered; otherwise one on the way is ``EXDEV``"""


class Parent(NamedTuple):
    """A held directory and one name in it: what operations that change a directory act on."""

    dirfd: Descriptor
    name: bytes
    """one component; ``b"."`` where the path ends at the directory itself (``/``, ``.``, ``..``)"""
    must_be_directory: bool
    """the path ended in ``/``"""


def require_search(dirfd: int) -> None:
    """The right to search a directory is asked for ``.`` and ``..`` too (path_resolution(7),
    step 2), and before anything is said of a name.
    """
    openat(dirfd, b".", FIND_DIRECTORY).close()


class Resolver(ABC):
    """Turns in-root paths into descriptors, beneath one root and by one set of rules.

    Paths are bytes without NUL; who calls has seen to that. Errors carry the path as
    it was given in ``filename``.
    """

    name: str

    mount_namespace: Descriptor | None = None
    """held so that what is mounted below the root stays (mount_namespaces(7))"""

    def __init__(self, root: Descriptor, rules: Rules) -> None:
        self.root = root
        self.rootfd = root.value
        self.rules = rules

    @abstractmethod
    def open(self, path: bytes, flags: int, mode: int = 0o777) -> Descriptor:
        """open(2) inside the root; always close-on-exec and ``O_NOCTTY``."""

    @abstractmethod
    def open_parent(self, path: bytes) -> Parent:
        """The directory that holds the last component of ``path``, and that component, not
        followed.
        """

    @abstractmethod
    def open_parent_of_target(self, path: bytes) -> Parent:
        """As :meth:`open_parent`, after following the links at the end of ``path``.

        Its name is where ``O_CREAT`` would create; it need not exist. Where the path, or a
        link at its end, ends in ``/``, it goes no further: ``O_CREAT`` makes no directory.
        """

    @abstractmethod
    def locate(self, path: bytes) -> bytes:
        """The in-root path of what ``path`` leads to, without links, ``.`` and ``..``."""

    @abstractmethod
    def find(self, path: bytes) -> Descriptor:
        """An ``O_PATH`` descriptor of what ``path`` leads to."""

    @abstractmethod
    def find_last(self, path: bytes) -> Descriptor:
        """An ``O_PATH`` descriptor of what ``path`` names: the link itself where it is one."""

    @abstractmethod
    def try_find(self, path: bytes) -> Descriptor:
        """:meth:`find`, but failed, ``value`` is the negated ``errno``."""


# VALID_OPEN_FLAGS (include/linux/fcntl.h). On 64-bit systems O_LARGEFILE is 0 here, and the
# kernel sets its own bit of that name.
_VALID_OPEN_FLAGS = (
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
_O_PATH_FLAGS = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_PATH | os.O_CLOEXEC
_O_TMPFILE_BIT = os.O_TMPFILE & ~os.O_DIRECTORY


def as_openat_reads(flags: int, mode: int) -> tuple[int, int]:
    """``flags`` and ``mode`` with what openat(2) ignores taken out.

    openat2(2) answers ``EINVAL`` to unknown bits, to ``O_PATH`` with flags that it
    overrides and to a mode where nothing is created; openat(2) ignores them all.
    """
    if flags & os.O_PATH:
        return (flags & _O_PATH_FLAGS) | os.O_CLOEXEC, 0
    flags = (flags & _VALID_OPEN_FLAGS) | os.O_CLOEXEC | os.O_NOCTTY
    creates = flags & (os.O_CREAT | _O_TMPFILE_BIT)
    return flags, mode & 0o7777 if creates else 0


def is_tmpfile(flags: int) -> bool:
    """Whether ``flags`` ask for an unnamed file (``O_TMPFILE`` shares a bit with
    ``O_DIRECTORY``).
    """
    return bool(flags & _O_TMPFILE_BIT)


@lru_cache(maxsize=256)
def are_valid(flags: int) -> bool:
    """Whether open(2) takes this combination of flags, which it looks at before the path."""
    try:
        os.close(os.open(b"", flags))
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != EINVAL:
            raise
    return False
