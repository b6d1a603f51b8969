"""Opening directories below a held one, through no link, however deep they lie.

Promises that each directory opened is reached from the start by real directories alone,
so a link swapped in meanwhile stops the descent instead of turning it; that a
depth of thousands costs no more a directory than a small one; and a bounded number of
descriptors. Rests on openat(2) of single names with ``O_NOFOLLOW``, and on the resolvers
with ``symlinks=False``.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from procpath.root import Root

LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC
"""Flags to open a directory for a list of its entries."""

_REAL_LISTING = LISTING | os.O_NOFOLLOW

_MOST_HELD = 32
"""How many directories on the way down stay open; of deeper trees the nearest ones."""


class Descent:
    """The directories below ``top``, an open directory that it takes over.

    Paths are relative to ``top`` and normalized; ``top`` itself is the empty path.
    """

    def __init__(self, root: Root, top: int) -> None:
        self._root = root
        self._by_name = root.options.cross_mounts
        """a single name may be opened without asking for its mount"""
        self._held: list[tuple[str, int]] = [("", top)]
        """what is open on the way to where the last list was made: path with a slash, descriptor"""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._held:
            os.close(self._held.pop()[1])

    def scan(self, path: str) -> list[os.DirEntry[str]]:
        """The entries of the directory at ``path``, whose types need no more lookup."""
        if not path:
            return self._scan_top()
        held = self._held
        while not path.startswith(held[-1][0]):
            os.close(held.pop()[1])
        above, dirfd = held[-1]
        name = path[len(above) :]
        if ".." in path.split("/") or not name:
            # No list has such names, but the caller of walk() may. The way up must not be
            # the kernel's: it ends at the start, not at the root of the host.
            above, dirfd, name = "", held[0][1], path
        if self._by_name and "/" not in name and name != "..":
            fd = os.open(name, _REAL_LISTING, dir_fd=dirfd)
        else:
            if "\0" in name:
                raise ValueError("embedded null byte")
            fd = self._root.resolver_below(dirfd).open(os.fsencode(name), _REAL_LISTING)
        held.append((path + "/", fd))
        if len(held) > _MOST_HELD:
            os.close(held.pop(1)[1])
        return entries_of(fd)

    def _scan_top(self) -> list[os.DirEntry[str]]:
        fd = os.open(".", LISTING, dir_fd=self._held[0][1])
        try:
            return entries_of(fd)
        finally:
            os.close(fd)


def scan(fd: int) -> list[os.DirEntry[str]]:
    """The entries of the directory ``fd``, which is closed."""
    try:
        return entries_of(fd)
    finally:
        os.close(fd)


def entries_of(fd: int) -> list[os.DirEntry[str]]:
    """The entries of the directory ``fd``, from its first on; their types need no more lookup."""
    with os.scandir(fd) as entries:
        listed = list(entries)
        # Where a file system tells no types, an entry asks for its own by its name and
        # this descriptor, once; later the number may belong to another file.
        for entry in listed:
            entry.is_symlink()
        return listed
