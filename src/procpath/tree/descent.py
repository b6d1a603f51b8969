"""Opening directories below a held one, through no link, however deep they lie.

Promises that each directory opened is reached from the start by real directories alone,
so a link swapped in meanwhile stops the descent instead of turning it; that a
depth of thousands costs no more a directory than a small one; and a bounded number of
descriptors. Rests on the resolvers with ``symlinks=False``.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import NamedTuple, Self

from procpath.resolve.interface import Resolver
from procpath.root import Root

LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK
"""Flags to open a directory for a list of its entries."""

_HELD = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW

_LONG = 2048
"""Bytes of a relative path, half of PATH_MAX, from which on a nearer start is taken."""

_MOST_STARTS = 32


class _Start(NamedTuple):
    prefix: str
    """the way here from the first start, with a slash at its end; empty for the first"""
    resolver: Resolver


class Descent:
    """The directories below ``dirfd``, which it takes over. Paths are relative and normalized."""

    def __init__(self, root: Root, dirfd: int) -> None:
        self._root = root
        self._starts = [_Start("", root.resolver_below(dirfd))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._starts:
            os.close(self._starts.pop().resolver.rootfd)

    def scan(self, path: str) -> list[os.DirEntry[str]]:
        """The entries of the directory at ``path``; of the start where it is empty."""
        return scan(self._open(path, LISTING | os.O_NOFOLLOW))

    def _open(self, path: str, flags: int) -> int:
        start = self._nearest(path)
        below = path[len(start.prefix) :]
        return start.resolver.open(os.fsencode(below) or b".", flags)

    def _nearest(self, path: str) -> _Start:
        while not path.startswith(self._starts[-1].prefix):
            os.close(self._starts.pop().resolver.rootfd)
        nearest = self._starts[-1]
        if len(path) - len(nearest.prefix) > _LONG and len(self._starts) < _MOST_STARTS:
            prefix = path[: path.rindex("/") + 1]
            dirfd = nearest.resolver.open(os.fsencode(prefix[len(nearest.prefix) : -1]), _HELD)
            nearest = _Start(prefix, self._root.resolver_below(dirfd))
            self._starts.append(nearest)
        return nearest


def scan(fd: int) -> list[os.DirEntry[str]]:
    """The entries of the directory ``fd``, which is closed.

    Their types are known and need no more lookup.
    """
    try:
        with os.scandir(fd) as entries:
            listed = list(entries)
            # Where a file system tells no types, an entry asks for its own by its name and
            # this descriptor, once; later the number may belong to another file.
            for entry in listed:
                entry.is_symlink()
            return listed
    finally:
        os.close(fd)
