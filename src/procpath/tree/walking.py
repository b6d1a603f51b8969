"""Walking a tree of directories, as ``os.walk`` does.

Promises the order and the errors of ``pathlib.Path.walk``, and that without
``follow_symlinks`` no link below the start is followed, whenever it is put there. Yields
in-root paths as text. Rests on :mod:`procpath.tree.descent`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from procpath.info import mode_of
from procpath.root import Root
from procpath.tree.descent import LISTING, Descent, scan

OnError: TypeAlias = "Callable[[OSError], object] | None"


class Listed(NamedTuple):
    """One directory of the walk, as ``os.walk`` yields it."""

    path: str
    """in-root path"""
    dirnames: list[str]
    filenames: list[str]


class _FollowingLister:
    """Lists the directories of a walk that follows links: each from the root, by its path."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def list(self, path: str, prefix: str) -> Listed:
        listed = Listed(path, [], [])
        for entry in scan(self._root.open(path, LISTING)):
            name = entry.name
            if entry.is_dir(follow_symlinks=False) or (
                entry.is_symlink() and is_directory(self._root, prefix + name)
            ):
                listed.dirnames.append(name)
            else:
                listed.filenames.append(name)
        return listed


class _RealLister:
    """Lists the directories of a walk that follows none: each below the held start."""

    def __init__(self, descent: Descent, top: str) -> None:
        self._descent = descent
        self._start = len(below(top, ""))

    def list(self, path: str, prefix: str) -> Listed:
        try:
            entries = self._descent.scan(path[self._start :])
        except OSError as error:
            error.filename = path
            raise
        dirnames: list[str] = []
        filenames: list[str] = []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                dirnames.append(entry.name)
            else:
                filenames.append(entry.name)
        return Listed(path, dirnames, filenames)


def walk_following(root: Root, top: str, top_down: bool, on_error: OnError) -> Iterator[Listed]:
    """Walk the tree at the in-root path ``top``, and through the links in it."""
    return _walk(_FollowingLister(root), top, top_down, on_error)


def walk_real(root: Root, top: str, top_down: bool, on_error: OnError) -> Iterator[Listed]:
    """Walk the tree at the in-root path ``top``; links in it are files, whatever they lead to."""
    try:
        dirfd = root.open(top, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        if on_error is not None:
            on_error(error)
        return
    with Descent(root, dirfd) as descent:
        yield from _walk(_RealLister(descent, top), top, top_down, on_error)


def _walk(
    lister: _FollowingLister | _RealLister, top: str, top_down: bool, on_error: OnError
) -> Iterator[Listed]:
    """os.walk's order: depth first, without recursion; what was listed waits for what is below
    it.
    """
    todo: list[str | Listed] = [top]
    while todo:
        path = todo.pop()
        if isinstance(path, Listed):
            yield path
            continue
        prefix = below(path, "")
        try:
            listed = lister.list(path, prefix)
        except OSError as error:
            if on_error is not None:
                on_error(error)
            continue
        if top_down:
            # The caller may change the list before going on.
            yield listed
        else:
            todo.append(listed)
        todo += [prefix + name for name in reversed(listed.dirnames)]


def is_directory(root: Root, path: str) -> bool:
    """Whether the in-root ``path`` leads to a directory."""
    return stat.S_ISDIR(mode_of(root, os.fsencode(path)))


def below(directory: str, name: str) -> str:
    """The path of ``name`` in ``directory``, which is written as a path's ``str()`` writes it."""
    if directory == ".":
        return name
    return directory + name if directory.endswith("/") else f"{directory}/{name}"
