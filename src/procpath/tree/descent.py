"""Going down a tree of directories through no link, however deep it is.

Promises that each directory is reached from the start by real directories alone, so a
link swapped in meanwhile stops the descent instead of turning it; that a depth of
thousands needs no more for a directory than a small one; and a bounded number of
descriptors. Rests on openat(2) of single names with ``O_NOFOLLOW``, and on the resolvers
with ``symlinks=False``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import TracebackType
from typing import Self, TypeAlias, cast

from procpath.errors import tells_of_path
from procpath.root import Root

LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC
"""Flags to open a directory for a list of its entries."""

_REAL_LISTING = LISTING | os.O_NOFOLLOW

_MOST_KEPT = 32
"""How many directories below the start are kept open for what is in them, the latest ones."""

_CLOSED = -1

_NOT_ENTRIES = frozenset(("", ".", ".."))


class UntypedEntry:
    """Stands for an entry whose type could not be had: it was removed, or may not be looked at.

    Answers as the ``info`` of such a path in pathlib does.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """True: it was in the list."""
        return True

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """False."""
        return False

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """False."""
        return False

    def is_symlink(self) -> bool:
        """False."""
        return False


Entry: TypeAlias = "os.DirEntry[str] | UntypedEntry"


class Directory:
    """A directory of the tree in which there is more to do.

    Its descriptor may be closed in between; then it is opened again when it is needed.
    """

    __slots__ = ("above", "depth", "descent", "fd", "name")

    def __init__(self, descent: Descent, above: Directory | None, name: str, fd: int) -> None:
        self.descent = descent
        self.above = above or self
        """the directory that it is in; the start counts as in itself"""
        self.depth: int = above.depth + 1 if above else 0
        self.name = name
        """its name there"""
        self.fd = fd


class Descent:
    """The tree below ``start``, which it holds open until it is left.

    ``start`` is an in-root path with a slash at the end, or the empty one.
    """

    def __init__(self, root: Root, start: str) -> None:
        """Raises what opening the directory ``start`` for a list raises."""
        self._root = root
        self._by_name = root.options.cross_mounts
        """a single name needs no resolver, unless it may be a mount point"""
        self._last = _CLOSED
        """of the directory that was listed last, unless that is kept"""
        self._kept: dict[Directory, None] = {}
        """what is open between the start and there, the longest open first"""
        self._interval = 1
        """levels from one directory to the next of those that stay open for long"""
        self.start = Directory(self, None, "", root.open(start or ".", LISTING))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close_last()
        while self._kept:
            self.release(next(iter(self._kept)))
        os.close(self.start.fd)
        self.start.fd = _CLOSED

    def scan_start(self) -> list[os.DirEntry[str]]:
        """:meth:`scan` of the start."""
        return list(os.scandir(self.start.fd))

    def scan(self, above: Directory, name: str) -> list[os.DirEntry[str]]:
        """The entries of the directory ``name`` in ``above``.

        Their types are to be asked before the next call: where a file system tells none, an
        entry asks for its own by its name and the number of the descriptor, which later may be
        another's.
        """
        return list(os.scandir(self._open_last(above, name)))

    def names(self, above: Directory, name: str) -> list[str]:
        """The names of what is in the directory ``name`` in ``above``."""
        return os.listdir(self._open_last(above, name))

    def mode_in(self, directory: Directory | None, name: str) -> int | None:
        """The ``st_mode`` of ``name``, which is not followed, in the directory listed last: 0
        where there is none, None where only the resolver can tell.

        ``directory`` is given if that was kept.
        """
        dirfd = self._last if directory is None else directory.fd
        if dirfd == _CLOSED or not self._by_name or "\0" in name:
            return None
        try:
            return os.stat(name, dir_fd=dirfd, follow_symlinks=False).st_mode
        except OSError as error:
            if tells_of_path(error):
                return 0
            raise

    def keep(self, above: Directory, name: str) -> Directory:
        """The directory that :meth:`scan` has listed last, to go on in it."""
        directory = Directory(self, above, name, self._last)
        self._last = _CLOSED
        self._hold(directory)
        return directory

    def release(self, directory: Directory) -> None:
        """Close a directory in which there is nothing more to do."""
        if self._kept.pop(directory, self) is None:
            os.close(directory.fd)
            directory.fd = _CLOSED

    def _hold(self, directory: Directory) -> None:
        self._kept[directory] = None
        if len(self._kept) > _MOST_KEPT:
            self.release(self._least_needed())

    def _least_needed(self) -> Directory:
        """Of what is kept, the longest open; but in a deep tree something stays at intervals.

        On the way back up, what was closed is opened again from there instead of from the start.
        """
        for number, directory in enumerate(self._kept):
            if directory.depth % self._interval:
                return directory
            if number > _MOST_KEPT // 2:
                break
        self._interval *= 2
        return self._least_needed()

    def _open_last(self, above: Directory, name: str) -> int:
        self._close_last()
        if above.fd == _CLOSED:
            self._reopen(above)
        fd = self._last = self._open(above, name)
        return fd

    def _close_last(self) -> None:
        last = self._last
        if last != _CLOSED:
            self._last = _CLOSED
            os.close(last)

    def _reopen(self, directory: Directory) -> None:
        """Open a directory again, and those above it that are closed too."""
        closed = []
        while directory.fd == _CLOSED:
            closed.append(directory)
            directory = directory.above
        for directory in reversed(closed):
            directory.fd = self._open(directory.above, directory.name)
            self._hold(directory)

    def _open(self, above: Directory, name: str) -> int:
        if name in _NOT_ENTRIES or "/" in name:
            # No list has it, but the caller of walk() may put it there. The way up must not be
            # the kernel's: it ends at the start, not at the root of the host.
            return self._resolve(self.start.fd, "/".join([*self._way(above), name]) or ".")
        if self._by_name:
            return os.open(name, _REAL_LISTING, dir_fd=above.fd)
        return self._resolve(above.fd, name)

    def _way(self, directory: Directory) -> list[str]:
        """The names from the start to a directory."""
        names = []
        while directory is not self.start:
            names.append(directory.name)
            directory = directory.above
        return names[::-1]

    def _resolve(self, dirfd: int, path: str) -> int:
        if "\0" in path:
            raise ValueError("embedded null byte")
        return self._root.resolver_below(dirfd).open(os.fsencode(path), _REAL_LISTING).detach()


def scan(fd: int) -> list[os.DirEntry[str]]:
    """The entries of the directory ``fd``, which is closed; their types need no more lookup.

    An :class:`UntypedEntry` among them counts as an entry.
    """
    try:
        return cast("list[os.DirEntry[str]]", entries_of(fd))
    finally:
        os.close(fd)


def entries_of(fd: int) -> list[Entry]:
    """The entries of the directory ``fd``; their types need no more lookup."""
    entries: list[Entry] = list(os.scandir(fd))
    try:
        for entry in entries:
            # As _ask_type() asks, the likeliest first; its call would cost more than the answer.
            if not (
                entry.is_file(follow_symlinks=False)
                or entry.is_symlink()
                or entry.is_dir(follow_symlinks=False)
            ):
                _ask_type(entry)
    except OSError:
        return _typed(entries)
    return entries


def real_directories(entries: Iterable[Entry]) -> list[str]:
    """The names of the directories among ``entries``, without links to some."""
    try:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return real_directories(_typed(entries))


def real_directories_and_others(entries: Iterable[Entry]) -> tuple[list[str], list[str]]:
    """The names of the directories among ``entries``, and those of all the rest."""
    try:
        directories = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        if not directories:
            return directories, [entry.name for entry in entries]
        return directories, [
            entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)
        ]
    except OSError:
        return real_directories_and_others(_typed(entries))


def links_and_directories(entries: Iterable[Entry]) -> dict[str, bool]:
    """The names of the links and the directories among ``entries``, and whether each is a link."""
    try:
        return {
            entry.name: is_link
            for entry in entries
            if (is_link := entry.is_symlink()) or entry.is_dir(follow_symlinks=False)
        }
    except OSError:
        return links_and_directories(_typed(entries))


def _typed(entries: Iterable[Entry]) -> list[Entry]:
    """``entries`` with a stand-in for each that raises when it is asked for its type."""
    typed: list[Entry] = []
    for entry in entries:
        try:
            _ask_type(entry)
            typed.append(entry)
        except OSError:
            typed.append(UntypedEntry(entry.name))
    return typed


def _ask_type(entry: Entry) -> None:
    """Make the entry remember its type. ``OSError`` where it has none."""
    if isinstance(entry, os.DirEntry) and not (
        entry.is_file(follow_symlinks=False)
        or entry.is_symlink()
        or entry.is_dir(follow_symlinks=False)
    ):
        # Something special, or removed in between, which the questions before answer alike.
        entry.stat(follow_symlinks=False)
