"""Walking a tree of directories, as ``os.walk`` does.

Promises the order and the errors of ``pathlib.Path.walk``, and that without
``follow_symlinks`` no link below the start is followed, whenever it is put there. Yields
in-root paths as text. Rests on :mod:`procpath.tree.descent`.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Generic, TypeAlias, TypeVar

from procpath.errors import UnverifiedProcError
from procpath.info import mode_of
from procpath.root import Root
from procpath.tree.descent import (
    Descent,
    Directory,
    open_directory,
    real_directories_and_others,
    scan,
)

OnError: TypeAlias = "Callable[[OSError], object] | None"

Contents: TypeAlias = "tuple[list[str], list[str]]"
"""The names of the directories in a directory, and of what else is in it."""

Listed: TypeAlias = "tuple[str, list[str], list[str]]"
"""One directory of the walk, as ``os.walk`` yields it: its in-root path and its contents."""

Place = TypeVar("Place")


def walk_following(root: Root, top: str, top_down: bool, on_error: OnError) -> Iterator[Listed]:
    """Walk the tree at the in-root path ``top``, and through the links in it."""
    return _Following(root).walk(top, top_down, on_error)


def walk_real(root: Root, top: str, top_down: bool, on_error: OnError) -> Iterator[Listed]:
    """Walk the tree at the in-root path ``top``; links in it are files, whatever they lead to."""
    try:
        descent = Descent(root, below(top, ""))
    except OSError as error:
        _report(error, top, on_error)
        return
    with descent:
        yield from _Real(descent).walk(top, top_down, on_error)


class _Walk(ABC, Generic[Place]):
    """os.walk's order: depth first, without recursion. A ``Place`` is where it goes down from."""

    @abstractmethod
    def start(self, prefix: str) -> Place:
        """Where the walk starts: ``prefix`` is its path with a slash at the end."""

    @abstractmethod
    def list_start(self, prefix: str) -> Contents:
        """What is there."""

    @abstractmethod
    def list(self, above: Place, name: str, prefix: str) -> Contents:
        """What is in the directory ``name`` in ``above``, whose path is ``prefix``."""

    @abstractmethod
    def enter(self, above: Place, name: str) -> Place:
        """The directory that was listed last."""

    @abstractmethod
    def leave(self, place: Place) -> None:
        """Nothing more is to be done in a directory."""

    def walk(self, top: str, top_down: bool, on_error: OnError) -> Iterator[Listed]:
        prefix = below(top, "")
        try:
            contents = self.list_start(prefix)
        except OSError as error:
            _report(error, top, on_error)
            return
        if top_down:
            # Here and below, the caller may change the list before going on.
            yield top, *contents
        # Where, how long its path is, what was listed there, and the names still to do, the
        # next one last. Of a deep tree paths are long, so they are not kept on each level.
        levels = [(self.start(prefix), len(prefix), contents, contents[0][::-1])]
        while levels:
            above, length, contents, names = levels[-1]
            prefix = prefix[:length]
            if not names:
                levels.pop()
                self.leave(above)
                if not top_down:
                    yield prefix[:-1] if levels else top, *contents
                continue
            name = names.pop()
            path = prefix + name
            try:
                contents = self.list(above, name, prefix)
            except OSError as error:
                _report(error, path, on_error)
                continue
            if top_down:
                yield path, *contents
            if names := contents[0][::-1]:
                prefix = path + "/"
                levels.append((self.enter(above, name), len(prefix), contents, names))
            elif not top_down:
                yield path, *contents


class _Real(_Walk[Directory]):
    """Goes down a tree that is held, through no link."""

    def __init__(self, descent: Descent) -> None:
        self._descent = descent

    def start(self, prefix: str) -> Directory:
        return self._descent.start

    def list_start(self, prefix: str) -> Contents:
        return real_directories_and_others(self._descent.scan_start())

    def list(self, above: Directory, name: str, prefix: str) -> Contents:
        return real_directories_and_others(self._descent.scan(above, name))

    def enter(self, above: Directory, name: str) -> Directory:
        return self._descent.keep(above, name)

    def leave(self, place: Directory) -> None:
        self._descent.release(place)


class _Following(_Walk[None]):
    """Looks up each directory from the root, by its path; links to directories count as such."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def start(self, prefix: str) -> None:
        pass

    def list_start(self, prefix: str) -> Contents:
        dirnames: list[str] = []
        filenames: list[str] = []
        for entry in scan(open_directory(self._root, prefix)):
            name = entry.name
            if entry.is_dir(follow_symlinks=False) or (
                entry.is_symlink() and is_directory(self._root, prefix + name)
            ):
                dirnames.append(name)
            else:
                filenames.append(name)
        return dirnames, filenames

    def list(self, above: None, name: str, prefix: str) -> Contents:
        return self.list_start(f"{prefix}{name}/")

    def enter(self, above: None, name: str) -> None:
        pass

    def leave(self, place: None) -> None:
        pass


def _report(error: OSError, path: str, on_error: OnError) -> None:
    if isinstance(error, UnverifiedProcError):
        raise error
    if on_error is not None:
        error.filename = path
        on_error(error)


def is_directory(root: Root, path: str) -> bool:
    """Whether the in-root ``path`` leads to a directory."""
    return stat.S_ISDIR(mode_of(root, os.fsencode(path)))


def below(directory: str, name: str) -> str:
    """The path of ``name`` in ``directory``, which is written as a path's ``str()`` writes it."""
    if directory == ".":
        return name
    return directory + name if directory.endswith("/") else f"{directory}/{name}"
