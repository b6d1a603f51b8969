"""Copying what is no file at all: any path object that can be listed and read.

Paths in archives, in memory or on the network have the protocol of ``pathlib.types`` (and of
``pathlib_abc``, ``ReadablePath``); their ``copy()`` hands them to the target. Promises the same as
:mod:`procpath.tree.copying`: the copy is seen when it is whole, and lies where it should,
whatever names the source gives. Rests on :mod:`procpath.tree.staging`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from errno import EINVAL
from typing import IO, Any, Protocol

from procpath.resolve.interface import Parent
from procpath.tree import metadata
from procpath.tree.held import Closing, HeldDirectories
from procpath.tree.places import Blame, Place
from procpath.tree.replacing import find_replaced, open_replaced, require_free
from procpath.tree.staging import OURS_ALONE, NewFile, Staged, new_directory

_BUFFER = 1 << 20


class Info(Protocol):
    """The part of ``pathlib.types.PathInfo`` that a copy asks."""

    def is_dir(self, *, follow_symlinks: bool = True) -> bool: ...
    def is_symlink(self) -> bool: ...


class Readable(Protocol):
    """What a path has to have to be copied; it is opened by ``__open_reader__()`` (Python 3.15 and
    ``pathlib_abc``) or ``__open_rb__(buffering)`` (Python 3.14).
    """

    @property
    def name(self) -> str: ...
    @property
    def info(self) -> Info: ...
    def iterdir(self) -> Iterable[Readable]: ...
    def readlink(self) -> object: ...


def copy_readable(source: Readable, target: Place, follow_symlinks: bool) -> None:
    """Copy the file or tree ``source`` to ``target``. Raises what either end raises."""
    copy = _Copy(target, follow_symlinks)
    if copy.kind(source) == stat.S_IFREG:
        _copy_file(copy, source, target)
        return
    with copy.blame:
        parent = target.open_parent()
    with parent.dirfd:
        with copy.blame:
            require_free(parent)
        with Staged(parent.dirfd.value) as staged:
            if copy.kind(source) == stat.S_IFLNK:
                copy.make_link(source, staged.dirfd, staged.name)
            else:
                copy.make_tree(source, staged)
            with copy.blame:
                staged.publish(parent.name)


def _copy_file(copy: _Copy, source: Readable, target: Place) -> None:
    with copy.blame:
        parent = target.open_parent_of_target()
    with parent.dirfd:
        with copy.blame:
            replaced = _open_replaced(parent)
        try:
            with Staged(parent.dirfd.value) as staged:
                copy.make_file(source, staged.dirfd, staged.name, replaced)
                with copy.blame:
                    staged.replace(parent.name)
        finally:
            if replaced is not None:
                os.close(replaced)


def _open_replaced(parent: Parent) -> int | None:
    found = find_replaced(parent)
    if found is None:
        return None
    with Closing(found):
        return open_replaced(found, parent.dirfd.value)


class _Copy:
    """One run."""

    def __init__(self, target: Place, follow_symlinks: bool) -> None:
        self._follow_symlinks = follow_symlinks
        self._names: list[str] = []
        """the way from the target to what is being made"""
        self.blame = Blame(lambda: target.below(self._names))

    def kind(self, source: Readable) -> int:
        """What is made of ``source``: ``stat.S_IFLNK``, ``S_IFDIR`` or ``S_IFREG``."""
        if not self._follow_symlinks and source.info.is_symlink():
            return stat.S_IFLNK
        return stat.S_IFDIR if source.info.is_dir() else stat.S_IFREG

    def make_link(self, source: Readable, dirfd: int, name: str) -> None:
        """Make a link that says what ``source`` says."""
        text = str(source.readlink())
        with self.blame:
            os.symlink(text, name, dir_fd=dirfd)

    def make_file(
        self, source: Readable, dirfd: int, name: str, replaced: int | None = None
    ) -> None:
        """Make a file with the content of ``source``, and the mode and owner of ``replaced``."""
        mode = 0o666 if replaced is None else OURS_ALONE
        with _open(source) as reading, NewFile(dirfd, name, mode, self.blame) as made:
            if replaced is not None:
                with self.blame:
                    metadata.adopt(replaced, made)
            while data := reading.read(_BUFFER):
                with self.blame:
                    _write(made, data)

    def make_tree(self, source: Readable, staged: Staged) -> None:
        """Make a directory with everything that is in ``source``."""
        with self.blame:
            top = new_directory(staged.dirfd, staged.name, 0o777)
        with HeldDirectories(top, os.O_PATH) as into:
            staged.made = os.fstat(top)
            todo = [list(source.iterdir())]
            while True:
                if todo[-1]:
                    self._make_entry(todo[-1].pop(), into, todo)
                    continue
                todo.pop()
                with self.blame:
                    os.close(into.leave()[0])
                if not todo:
                    return
                self._names.pop()

    def _make_entry(
        self, source: Readable, into: HeldDirectories, todo: list[list[Readable]]
    ) -> None:
        name = source.name
        self._names.append(name)
        with self.blame:
            # An archive may say anything ("Zip Slip").
            if name in ("", ".", "..") or "/" in name or "\0" in name:
                raise OSError(EINVAL, "the source has an entry whose name is none")
        kind = self.kind(source)
        if kind == stat.S_IFDIR:
            with self.blame:
                into.enter(new_directory(into.dirfd, name, 0o777))
            todo.append(list(source.iterdir()))
            return
        if kind == stat.S_IFLNK:
            self.make_link(source, into.dirfd, name)
        else:
            self.make_file(source, into.dirfd, name)
        self._names.pop()


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _open(source: Any) -> IO[bytes]:
    by_protocol = getattr(source, "__open_reader__", None)
    opened: IO[bytes] = by_protocol() if by_protocol else source.__open_rb__(-1)
    return opened
