"""Walking a tree of directories, as ``os.walk`` does.

Promises the order and the errors of ``pathlib.Path.walk``, and that without
``follow_symlinks`` no link below the start is followed, whenever it is put there. Yields in-root paths
as text. Rests on :mod:`procpath.tree.descent`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from procpath.root import Root
from procpath.tree.descent import Descent, scan

OnError: TypeAlias = "Callable[[OSError], object] | None"


class Listed(NamedTuple):
    """One directory of the walk, as ``os.walk`` yields it."""

    path: str
    """in-root path"""
    dirnames: list[str]
    filenames: list[str]


class _Lister:
    """Lists the directories of a walk that follows links: each from the root, by its path."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def scan(self, path: str) -> list[os.DirEntry[str]]:
        return scan(self._root.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK))

    def is_directory(self, entry: os.DirEntry[str], path: str) -> bool:
        if not entry.is_symlink():
            return entry.is_dir(follow_symlinks=False)
        return is_directory(self._root, path)


class _RealLister:
    """Lists the directories of a walk that follows none: each below the held start."""

    def __init__(self, descent: Descent, top: str) -> None:
        self._descent = descent
        self._prefix = len(top)

    def scan(self, path: str) -> list[os.DirEntry[str]]:
        return self._descent.scan(path[self._prefix :])

    def is_directory(self, entry: os.DirEntry[str], path: str) -> bool:
        return entry.is_dir(follow_symlinks=False)


def is_directory(root: Root, path: str) -> bool:
    """Whether the in-root ``path`` leads to a directory."""
    fd = root.try_find(os.fsencode(path))
    if fd < 0:
        return False
    try:
        return stat.S_ISDIR(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def below(directory: str, name: str) -> str:
    """The path of ``name`` in ``directory``, which is normalized."""
    return directory + name if directory.endswith("/") else f"{directory}/{name}"
