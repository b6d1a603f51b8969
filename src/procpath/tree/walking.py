"""Walking a tree of directories, as ``os.walk`` does.

The order and the errors are those of ``pathlib.Path.walk``. Without ``follow_symlinks`` no link
below the start is followed, whenever it is put there. In-root paths are yielded as text.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from errno import ELOOP
from typing import Generic, TypeAlias, TypeVar

from procpath.errors import OnError, SpecialFileError, UnverifiedProcError
from procpath.info import mode_of
from procpath.linux import Descriptor, dup
from procpath.resolve.special import kernel_file_system
from procpath.root import Root
from procpath.tree.descent import (
    Descent,
    Directory,
    NamesAndDirectories,
    names_and_directories,
)
from procpath.tree.following import FollowedTree, Identity

Contents: TypeAlias = "tuple[list[str], list[str]]"
"""The names of the directories in a directory, and those of everything else in it."""

Listed: TypeAlias = "tuple[str, list[str], list[str]]"
"""An in-root path and the contents of that directory, as ``os.walk`` yields them."""

Place = TypeVar("Place")


def walk_following(root: Root, top: str, top_down: bool, on_error: OnError) -> Iterator[Listed]:
    """Walk the tree at the in-root path ``top``, and through the links in it.

    A directory that the way there leads through already is an ``ELOOP`` error, and so is one that
    100 links have led to.
    """
    with FollowedTree(root) as tree:
        yield from _Following(root, tree).walk(top, top_down, on_error)


def walk_real(root: Root, top: str, top_down: bool, on_error: OnError) -> Iterator[Listed]:
    """Walk the tree at the in-root path ``top``; all links in it count as files."""
    try:
        descent = Descent(root, below(top, ""))
    except OSError as error:
        _report(error, top, on_error)
        return
    with descent:
        yield from _Real(descent).walk(top, top_down, on_error)


def walk_ordinary(root: Root, top: str, on_error: OnError) -> Iterator[tuple[Listed, Descriptor]]:
    """Do as :func:`walk_real`, each directory before those in it, and yield it held, too.

    A kernel file system that the walk does not start in is a ``SpecialFileError``.
    """
    try:
        descent = _OrdinaryDescent(root, below(top, ""))
    except OSError as error:
        _report(error, top, on_error)
        return
    with descent:
        held = descent.start.fd
        for listed in _Real(descent).walk(top, True, on_error):
            yield listed, held if descent.last.value < 0 else descent.last


class _Walk(ABC, Generic[Place]):
    """The order of os.walk: depth first. A ``Place`` is a directory that it goes down from."""

    @abstractmethod
    def start(self, prefix: str) -> Place:
        """Return the start, whose path with a slash at the end is ``prefix``."""

    @abstractmethod
    def list_start(self, prefix: str) -> Contents:
        """Return the contents of the start."""

    @abstractmethod
    def list(self, above: Place, name: str, prefix: str) -> Contents:
        """Return the contents of ``name`` in the directory ``above``, whose path is ``prefix``."""

    @abstractmethod
    def enter(self, above: Place, name: str) -> Place:
        """Return the directory that was listed last, to go down in it."""

    @abstractmethod
    def leave(self, place: Place) -> None:
        """Go up from a directory."""

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
        # Directory, length of its path, its contents, and the names still to do, the next one
        # last. Paths of a deep tree are long, so they are not kept on each level.
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
    """Goes down a held tree, through no link."""

    def __init__(self, descent: Descent) -> None:
        self._descent = descent

    def start(self, prefix: str) -> Directory:
        return self._descent.start

    def list_start(self, prefix: str) -> Contents:
        return _contents(names_and_directories(self._descent.start.fd.value))

    def list(self, above: Directory, name: str, prefix: str) -> Contents:
        return _contents(self._descent.list_directory(above, name))

    def enter(self, above: Directory, name: str) -> Directory:
        return self._descent.keep(above, name)

    def leave(self, place: Directory) -> None:
        self._descent.release(place)


class _OrdinaryDescent(Descent):
    """A descent that enters no file system of the kernel but the one of its start.

    It keeps each directory that it lists until it lists the next one.
    """

    def list_directory(self, above: Directory, name: str) -> NamesAndDirectories:
        return self._look_into(above, name, self._list_ordinary)

    def _list_ordinary(self, fd: int) -> NamesAndDirectories:
        status = os.fstat(fd)
        if self.start.device is None:
            self.start.device = os.fstat(self.start.fd.value).st_dev
        if status.st_dev != self.start.device:
            file_system = kernel_file_system(fd, status)
            if file_system is not None:
                raise SpecialFileError(reason=f"on {file_system}, which is not entered")
        listed = self._list_to_keep(fd)
        if self.last.value < 0:
            self.last = dup(fd)
        return listed


class _Following(_Walk[int]):
    """Goes down through links too: links to directories count as directories.

    Two links to ``.`` would be 2 to the power of 41 directories, so it does not go on in one that
    is above already. A place is the number of directories above.
    """

    def __init__(self, root: Root, tree: FollowedTree) -> None:
        self._root = root
        self._tree = tree
        self._above: dict[Identity, None] = {}
        """the directories on the way to the one that is listed"""
        self._last: Identity = (0, 0)
        """the directory that was listed last"""

    def start(self, prefix: str) -> int:
        return self._enter()

    def list_start(self, prefix: str) -> Contents:
        return self._list(0, prefix, None)

    def list(self, above: int, name: str, prefix: str) -> Contents:
        return self._list(above + 1, f"{prefix}{name}/", name)

    def enter(self, above: int, name: str) -> int:
        return self._enter()

    def leave(self, place: int) -> None:
        self._above.popitem()

    def _enter(self) -> int:
        self._above[self._last] = None
        return len(self._above) - 1

    def _list(self, depth: int, prefix: str, name: str | None) -> Contents:
        self._last, entries = self._tree.list(depth, prefix, name)
        if self._last in self._above:
            raise OSError(ELOOP, "links lead back to a directory above")
        dirnames: list[str] = []
        filenames: list[str] = []
        for entry in entries:
            is_directory = entry.is_dir(follow_symlinks=False) or (
                entry.is_symlink() and leads_to_directory(self._root, prefix + entry.name)
            )
            (dirnames if is_directory else filenames).append(entry.name)
        return dirnames, filenames


def _contents(listed: NamesAndDirectories) -> Contents:
    names, directories = listed
    if not directories:
        return directories, names
    among = frozenset(directories)
    return directories, [name for name in names if name not in among]


def _report(error: OSError, path: str, on_error: OnError) -> None:
    if isinstance(error, UnverifiedProcError):
        raise error
    if on_error is not None:
        error.filename = path
        on_error(error)


def leads_to_directory(root: Root, path: str) -> bool:
    """Return whether the in-root ``path`` leads to a directory."""
    return stat.S_ISDIR(mode_of(root, os.fsencode(path)))


def below(directory: str, name: str) -> str:
    """Return the path of ``name`` in ``directory``, which is the ``str()`` of a path."""
    if directory == ".":
        return name
    return directory + name if directory.endswith("/") else f"{directory}/{name}"
