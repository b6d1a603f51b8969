"""Extended attributes of what an ``O_PATH`` descriptor holds, which may be a link.

The descriptor itself is refused (EBADF), so the calls take its magic link. Those that take a name
in a directory are new in Linux 6.13: before, files and directories are opened, and the attributes
of links and special files cannot be reached (``EOPNOTSUPP``).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from errno import ENOSYS, EOPNOTSUPP
from typing import TypeVar

from procpath import linux
from procpath.errors import os_error
from procpath.proc import VerifiedProc
from procpath.resolve.reopen import reopen
from procpath.uapi import DENIED

T = TypeVar("T")

Check = Callable[[int, os.stat_result], None]
"""Raises where the object of an ``O_PATH`` descriptor, of this status, is not to be opened."""


def _any(fd: int, status: os.stat_result) -> None:
    return


class HeldAttributes:
    """The attributes of the object of an ``O_PATH`` descriptor."""

    def __init__(self, fd: int, check: Check = _any) -> None:
        """``check`` is called before the object is opened, where it takes that."""
        self._fd = fd
        self._check = check

    def names(self) -> list[str]:
        """Return the names, as os.listxattr() does."""

        def by_name(dirfd: int, link: bytes) -> list[str]:
            return [os.fsdecode(name) for name in linux.listxattrat(dirfd, link, 0)]

        return self._ask(by_name, os.listxattr)

    def get(self, name: bytes) -> bytes:
        """Return the value of one."""
        return self._ask(
            lambda dirfd, link: linux.getxattrat(dirfd, link, 0, name),
            lambda fd: os.getxattr(fd, name),
        )

    def set(self, name: bytes, value: bytes, flags: int = 0) -> None:
        """Set one; ``flags`` as in os.setxattr()."""
        self._ask(
            lambda dirfd, link: linux.setxattrat(dirfd, link, 0, name, value, flags),
            lambda fd: os.setxattr(fd, name, value, flags),
        )

    def remove(self, name: bytes) -> None:
        """Remove one."""
        self._ask(
            lambda dirfd, link: linux.removexattrat(dirfd, link, 0, name),
            lambda fd: os.removexattr(fd, name),
        )

    def _ask(self, by_name: Callable[[int, bytes], T], opened: Callable[[int], T]) -> T:
        self_fd = VerifiedProc.default().self_fd()
        try:
            return by_name(self_fd.fileno(), os.fsencode(self_fd.entry(self._fd)))
        except OSError as error:
            if error.errno not in DENIED:
                raise
            # Not the error itself, whose traceback would keep this frame and what it holds.
            denied = error.errno
        status = os.fstat(self._fd)
        if stat.S_IFMT(status.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            # The answer of the call itself, if there is such a call.
            raise os_error(denied if denied in _ANSWERS else EOPNOTSUPP)
        self._check(self._fd, status)
        with reopen(self._fd, os.O_RDONLY | os.O_NONBLOCK) as fd:
            return opened(fd)


_ANSWERS = DENIED - {ENOSYS}
