"""Copying path objects of other libraries, which can be listed and read.

Paths in archives, in memory or on the network have the protocol of ``pathlib.types`` (and of
``pathlib_abc``, ``ReadablePath``); their ``copy()`` hands them to the target. As with
:mod:`procpath.tree.copy.tree`, the copy appears when it is complete. Names that the source
gives cannot lead out of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from errno import EINVAL
from typing import IO, Any, Protocol

from procpath.reading import write_whole
from procpath.resolve.stack import DirectoryStack
from procpath.tree.copy import metadata
from procpath.tree.copy.leases import LeasePatience
from procpath.tree.copy.staging import (
    FILE_OURS_ALONE,
    NewFile,
    Staged,
    TargetLinks,
    creating,
    new_directory,
    parent_to_write,
    replacing,
)
from procpath.tree.places import Blame, Place
from procpath.tree.removing import MOST_HELD
from procpath.uapi import FIND_DIRECTORY_NOFOLLOW

_BUFFER = 1 << 20


class Info(Protocol):
    """The part of ``pathlib.types.PathInfo`` that a copy uses."""

    def is_dir(self, *, follow_symlinks: bool = True) -> bool: ...
    def is_symlink(self) -> bool: ...


class Readable(Protocol):
    """What a path needs to be copied, besides ``__open_reader__()`` (Python 3.15 and
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
    kind = copy.kind(source)
    if kind == stat.S_IFREG:
        parent = parent_to_write(target, TargetLinks.FOLLOWED)
        with (
            parent.dirfd as dirfd,
            replacing(
                dirfd, parent.name, copy.blame, lambda replaced: None, LeasePatience()
            ) as staged,
        ):
            copy.make_file(source, staged.dirfd, staged.name, staged.replaced)
        return
    parent = target.open_parent()
    with parent.dirfd as dirfd, creating(dirfd, parent.name, copy.blame) as staged:
        if kind == stat.S_IFLNK:
            copy.make_link(source, staged.dirfd, staged.name)
        else:
            copy.make_tree(source, staged)


class _Copy:
    """One run."""

    def __init__(self, target: Place, follow_symlinks: bool) -> None:
        self._follow_symlinks = follow_symlinks
        self._names: list[str] = []
        """the way from the target to the file that is being made"""
        self.blame = Blame(lambda: target.below(self._names))

    def kind(self, source: Readable) -> int:
        """Return what to make of ``source``: ``stat.S_IFLNK``, ``S_IFDIR`` or ``S_IFREG``."""
        if not self._follow_symlinks and source.info.is_symlink():
            return stat.S_IFLNK
        return stat.S_IFDIR if source.info.is_dir() else stat.S_IFREG

    def make_link(self, source: Readable, dirfd: int, name: str) -> None:
        """Make a link with the text of ``source``."""
        text = _text(source.readlink())
        with self.blame:
            os.symlink(text, name, dir_fd=dirfd)

    def make_file(
        self, source: Readable, dirfd: int, name: str, replaced: int | None = None
    ) -> None:
        """Make a file with the content of ``source``, and the mode and owner of ``replaced``."""
        mode = 0o666 if replaced is None else FILE_OURS_ALONE
        with _open(source) as reading, NewFile(dirfd, name, mode, self.blame) as made:
            if replaced is not None:
                with self.blame:
                    metadata.adopt(replaced, made)
            while data := reading.read(_BUFFER):
                with self.blame:
                    write_whole(made, data)

    def make_tree(self, source: Readable, staged: Staged) -> None:
        """Make a directory with everything that is in ``source``."""
        with self.blame:
            top = new_directory(staged.dirfd, staged.name, 0o777)
        with DirectoryStack(top, FIND_DIRECTORY_NOFOLLOW, MOST_HELD) as into:
            staged.made = os.fstat(into.dirfd)
            todo = [list(source.iterdir())]
            while True:
                if todo[-1]:
                    self._make_entry(todo[-1].pop(), into, todo)
                    continue
                todo.pop()
                if not todo:
                    return
                with self.blame:
                    into.leave().close()
                self._names.pop()

    def _make_entry(
        self, source: Readable, into: DirectoryStack, todo: list[list[Readable]]
    ) -> None:
        name = source.name
        self._names.append(name)
        # An archive may give any name ("Zip Slip").
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            with self.blame:
                raise OSError(EINVAL, "the source has an entry with an invalid name")
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


def _text(path: Any) -> str:
    """Return the text of what a path object's ``readlink()`` has returned."""
    if isinstance(path, (str, os.PathLike)):
        return os.fsdecode(path)
    by_protocol = getattr(path, "__vfspath__", None)
    if by_protocol is not None:
        return str(by_protocol())
    if not isinstance(type(path).__str__, type(object.__str__)):
        # Older versions of pathlib_abc.
        return str(path)
    raise TypeError(f"readlink() must return a path, not {type(path).__name__!r}")


def _open(source: Any) -> IO[bytes]:
    by_protocol = getattr(source, "__open_reader__", None)
    opened: IO[bytes] = by_protocol() if by_protocol else source.__open_rb__(-1)
    return opened
