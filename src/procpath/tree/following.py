"""Going down a tree and through the links in it: ``walk(follow_symlinks=True)`` and its like.

A directory is opened in the one above it, which is held; what a link leads to, by its path from
the root, so that it is followed inside the root.
"""

from __future__ import annotations

import os
from collections import Counter
from errno import ELOOP, ENOTDIR, EXDEV
from typing import NamedTuple, TypeAlias

from procpath.descriptors import Closing, closed_on_error
from procpath.errors import os_error
from procpath.linux import Descriptor, openat
from procpath.resolve.identity import mount_id
from procpath.root import Root
from procpath.tree.descent import NOT_ENTRIES, Listed, entries_of, open_directory
from procpath.uapi import LISTING_NOFOLLOW

Identity: TypeAlias = "tuple[int, int]"
"""Device and inode."""

_MOST_HELD = 32
"""How many directories stay open for those in them, the deepest ones."""

_MOST_BY_LINKS = 100
"""How often one directory is entered through links.

``n`` directories in a row, with two links in each to the next, are 2 to the power of ``n`` paths.
"""


class LinkedDirectory(NamedTuple):
    """A directory of the tree, and its entries, whose types are known."""

    identity: Identity
    entries: list[Listed]


class FollowedTree(Closing):
    """The directories of one walk or glob, numbered by how many are above them."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._held: dict[int, Descriptor] = {}
        self._mount: int | None = None
        """ID of the mount that is not left, if the root does not cross mounts"""
        self._by_link: Counter[Identity] = Counter()

    def close(self) -> None:
        """Close every directory that is held."""
        while self._held:
            self._held.popitem()

    def list(self, depth: int, path: str, name: str | None) -> LinkedDirectory:
        """List the directory at the in-root ``path``, which ends in a slash, and hold it.

        It is ``name`` in the directory listed last of those with ``depth - 1`` above them; the
        start is none. Raises ``ELOOP`` where too many links have led to it.
        """
        # Raises where the root was closed.
        self._root.fileno()
        while self._held and next(reversed(self._held)) >= depth:
            self._held.popitem()
        directory = None if name is None else self._open_real(depth, path, name)
        is_link = directory is None and name is not None
        if directory is None:
            directory = open_directory(self._root, path)
        with closed_on_error(directory) as fd:
            status = os.fstat(fd)
            identity = (status.st_dev, status.st_ino)
            if is_link:
                self._by_link[identity] += 1
                if self._by_link[identity] > _MOST_BY_LINKS:
                    raise OSError(ELOOP, f"more than {_MOST_BY_LINKS} links lead to this directory")
            if name is None and not self._root.options.cross_mounts:
                self._mount = mount_id(fd)
            entries = entries_of(fd)
        self._held[depth] = directory
        if len(self._held) > _MOST_HELD:
            del self._held[next(iter(self._held))]
        return LinkedDirectory(identity, entries)

    def _open_real(self, depth: int, path: str, name: str) -> Descriptor | None:
        """Open a directory; None where it is a link, or nothing that can be listed."""
        above = self._held.get(depth - 1)
        try:
            if above is None or name in NOT_ENTRIES or "/" in name:
                return open_directory(self._root, path[:-1], LISTING_NOFOLLOW)
            directory = openat(above.value, name, LISTING_NOFOLLOW)
        except OSError as error:
            if error.errno not in (ENOTDIR, ELOOP):
                raise
            return None
        with closed_on_error(directory) as fd:
            if self._mount is not None and mount_id(fd) != self._mount:
                raise self._root.resolver.about(os_error(EXDEV), os.fsencode(path))
        return directory
