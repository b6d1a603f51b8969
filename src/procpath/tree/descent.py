"""Going down a tree of directories through no link, however deep it is.

Each directory is reached from the start by real directories alone, by openat(2) of single
names with ``O_NOFOLLOW``: a link swapped in meanwhile stops the descent. However many thousand
levels there are, a directory takes no longer and the number of descriptors is bounded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from errno import EIO, EXDEV
from functools import partial
from typing import TypeAlias, TypeVar, cast

from procpath.descriptors import Closing, closed_on_error
from procpath.errors import os_error, tells_of_path
from procpath.linux import Descriptor, dup, openat
from procpath.resolve.identity import mount_id
from procpath.root import Root
from procpath.uapi import FIND_NOFOLLOW, LISTING, LISTING_NOFOLLOW

T = TypeVar("T")

_MOST_KEPT = 32
"""How many directories below the start are kept open for what is in them, the latest ones."""

_CLOSED = Descriptor(-1)

_TO_LIST = (LISTING_NOFOLLOW,)

NOT_ENTRIES = frozenset(("", ".", ".."))
"""Names that no directory lists."""


class UntypedEntry:
    """An entry whose type is unknown: it was removed, or the directory may not be searched.

    It answers as the ``info`` of such a path in pathlib does.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: str = name

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Return True: it was listed."""
        return True

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Return False."""
        return False

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Return False."""
        return False

    def is_symlink(self) -> bool:
        """Return False."""
        return False


Listed: TypeAlias = "os.DirEntry[str] | UntypedEntry"

NamesAndDirectories: TypeAlias = tuple[list[str], list[str]]
"""The names in a directory, and the names of the directories among them."""


class Directory:
    """A directory of the tree in which there is more to do.

    It may be closed in between, and is opened again when it is needed.
    """

    # No reference leads back, to the descent or to itself: a cycle would keep descriptors open
    # where an interrupt comes before close().
    __slots__ = ("above", "depth", "device", "fd", "name")

    def __init__(self, above: Directory | None, name: str, fd: Descriptor) -> None:
        self.above: Directory | None = above
        """the directory that it is in; None for the start"""
        self.depth: int = above.depth + 1 if above else 0
        self.name: str = name
        """its name there"""
        self.fd: Descriptor = fd
        self.device: int | None = None
        """its ``st_dev``, for who asked since it was opened: not that of an earlier opening"""


class Descent(Closing):
    """The tree below ``start``, which it holds open until its ``with`` block ends.

    ``start`` is an in-root path with a slash at the end, or the empty one. Unless both the root
    and ``cross_mounts`` allow it, entering a mount point is an ``EXDEV`` error.

    A directory is closed by letting go of it, so that a thread which acts on its descriptor
    keeps it open until it has done.
    """

    def __init__(self, root: Root, start: str, *, cross_mounts: bool = True) -> None:
        """Raises what opening the directory ``start`` raises."""
        self._root = root
        self.last: Descriptor = _CLOSED
        """the directory that was opened last, unless it is kept"""
        self._kept: dict[Directory, None] = {}
        """the open directories between the start and there, the longest open first"""
        self._interval = 1
        """levels from one directory to the next of those that stay open for long"""
        self.start: Directory = Directory(None, "", open_directory(root, start))
        self.mount: int | None = None
        """ID of the mount that is not left, if mounts are not crossed"""
        if not (cross_mounts and root.options.cross_mounts):
            with closed_on_error(self.start.fd) as fd:
                self.mount = mount_id(fd)

    def close(self) -> None:
        """Close every directory that is held."""
        self.last = _CLOSED
        while self._kept:
            self._kept.popitem()[0].fd = _CLOSED
        self.start.fd = _CLOSED

    def scan_start(self) -> list[os.DirEntry[str]]:
        """Do as :meth:`scan` for the start."""
        return list_entries(self.start.fd.value)

    def scan(self, above: Directory, name: str) -> list[os.DirEntry[str]]:
        """Return the entries of the directory ``name`` in ``above``.

        Ask for their types before the next call: on a file system that lists none, an entry looks
        itself up by its name and the number of the descriptor, which later may be another's.
        """
        return list_entries(self.open(above, name).value)

    def names(self, above: Directory, name: str) -> list[str]:
        """Return the names in the directory ``name`` in ``above``."""
        return self._look_into(above, name, list_names)

    def list_directory(self, above: Directory, name: str) -> NamesAndDirectories:
        """Do as :func:`names_and_directories` for the directory ``name`` in ``above``.

        If there are directories in it, :meth:`keep` keeps it.
        """
        return self._look_into(above, name, self._list_to_keep)

    def _list_to_keep(self, fd: int) -> NamesAndDirectories:
        listed = names_and_directories(fd)
        if listed[1] and self.last.value < 0:
            self.last = dup(fd)
        return listed

    def _look_into(self, above: Directory, name: str, look: Callable[[int], T]) -> T:
        """Return ``look(fd)`` for a directory that is closed then, unless a resolver opened it."""
        self.last = _CLOSED
        if above.fd.value < 0:
            self._reopen(above)
        if self.mount is not None or name in NOT_ENTRIES or "/" in name:
            self.last = self._open(above, name)
            return look(self.last.value)
        # Most directories have none in them, and owning a descriptor takes as long as opening one.
        # The call is made by the assignment, so no signal handler runs before the number is kept,
        # nor between there and the first call in the finally block.
        (fd,) = map(partial(os.open, dir_fd=above.fd.value), (name,), _TO_LIST)
        try:
            return look(fd)
        finally:
            os.close(fd)

    def mode_in(self, directory: Directory | None, name: str) -> int | None:
        """Return the ``st_mode`` of ``name``, not followed, in the directory listed last.

        0 if nothing has the name, None if it takes the resolver to find out. ``directory`` is
        the directory listed last if it was kept.
        """
        dirfd = (self.last if directory is None else directory.fd).value
        if dirfd < 0 or "\0" in name:
            return None
        try:
            if self.mount is None:
                return os.stat(name, dir_fd=dirfd, follow_symlinks=False).st_mode
            with openat(dirfd, name, FIND_NOFOLLOW) as fd:
                return os.fstat(fd).st_mode if mount_id(fd) == self.mount else None
        except OSError as error:
            if tells_of_path(error):
                return 0
            raise

    def keep(self, above: Directory, name: str) -> Directory:
        """Keep the directory that was listed last, to go on in it."""
        directory = Directory(above, name, self.last)
        self.last = _CLOSED
        self._hold(directory)
        return directory

    def release(self, directory: Directory) -> None:
        """Close a directory in which there is nothing more to do."""
        # The start is not among them: it stays open.
        if self._kept.pop(directory, self) is None:
            directory.fd = _CLOSED
            directory.device = None

    def _hold(self, directory: Directory) -> None:
        self._kept[directory] = None
        if len(self._kept) > _MOST_KEPT:
            self.release(self._least_needed())

    def _least_needed(self) -> Directory:
        """Return the kept directory open for longest, but leave some at intervals in a deep tree.

        On the way back up, what was closed is opened again from those instead of from the start.
        """
        for number, directory in enumerate(self._kept):
            if directory.depth % self._interval:
                return directory
            if number > _MOST_KEPT // 2:
                break
        self._interval *= 2
        return self._least_needed()

    def open(self, above: Directory, name: str) -> Descriptor:
        """Open the directory ``name`` in ``above``, to list it. It is held until the next call."""
        self.last = _CLOSED
        if above.fd.value < 0:
            self._reopen(above)
        self.last = self._open(above, name)
        return self.last

    def _reopen(self, directory: Directory) -> None:
        """Open a directory again, and those above it that are closed too."""
        closed = []
        while directory.fd.value < 0 and directory.above is not None:
            closed.append((directory, directory.above))
            directory = directory.above
        for below, above in reversed(closed):
            below.fd = self._open(above, below.name)
            self._hold(below)

    def _open(self, above: Directory, name: str) -> Descriptor:
        if name in NOT_ENTRIES or "/" in name:
            # No directory lists it, but the caller of walk() may have put it there. The way up
            # must not be the kernel's: it ends at the start, not at the root of the host.
            return self._resolve("/".join([*way_to(above), name]) or ".")
        opened = openat(above.fd.value, name, LISTING_NOFOLLOW)
        if self.mount is not None:
            with closed_on_error(opened) as fd:
                if mount_id(fd) != self.mount:
                    raise self._root.resolver.about(os_error(EXDEV), os.fsencode(name))
        return opened

    def _resolve(self, path: str) -> Descriptor:
        resolver = self._root.resolver_below(self.start.fd.value)
        return resolver.open(_raw(path), LISTING_NOFOLLOW)


def way_to(directory: Directory) -> list[str]:
    """Return the names that lead to a directory from the start."""
    names = []
    while directory.above is not None:
        names.append(directory.name)
        directory = directory.above
    return names[::-1]


def open_directory(root: Root, path: str, flags: int = LISTING) -> Descriptor:
    """Open the directory at an in-root path, to list it. The empty path counts as ``.``."""
    return root.open_raw(_raw(path or "."), flags, 0)


def _raw(path: str) -> bytes:
    if "\0" in path:
        raise ValueError("embedded null byte")
    return os.fsencode(path)


def list_names(fd: int) -> list[str]:
    """Return the names in the directory ``fd``. Raises ``EIO`` for one that cannot be a name."""
    names = os.listdir(fd)
    require_names(names)
    return names


def list_entries(fd: int) -> list[os.DirEntry[str]]:
    """Return the entries of the directory ``fd``. Raises as :func:`list_names` does."""
    entries = list(os.scandir(fd))
    require_names([entry.name for entry in entries])
    return entries


def require_names(names: list[str]) -> None:
    """Raise ``EIO`` for what would make a path to another directory, such as this one or the root.

    A file system in user space (FUSE) lists what it likes. Linux refuses names with a slash
    since 5.4, by EIO for the whole directory, but not a name that begins with NUL. Of ``.`` and
    ``..`` Python keeps us.
    """
    if "" in names or "/" in "".join(names):
        raise OSError(EIO, "the directory lists an entry with an invalid name")


def scan(directory: Descriptor) -> list[os.DirEntry[str]]:
    """Return the entries of a directory and close it; their types are known.

    An :class:`UntypedEntry` among them counts as an entry.
    """
    with directory as fd:
        return cast("list[os.DirEntry[str]]", entries_of(fd))


def entries_of(fd: int) -> list[Listed]:
    """Return the entries of the directory ``fd``; their types are known."""
    entries: list[Listed] = [*list_entries(fd)]
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


def real_directories(entries: Iterable[Listed]) -> list[str]:
    """Return the names of the directories among ``entries``, not of links to directories."""
    try:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return real_directories(_typed(entries))


def names_and_directories(fd: int) -> NamesAndDirectories:
    """Return the names in the directory ``fd``, and those of the directories among them.

    Links to directories are not among these. Raises as :func:`list_names` does.
    """
    entries: list[Listed] = [*os.scandir(fd)]
    names = [entry.name for entry in entries]
    require_names(names)
    return names, real_directories(entries)


def links_and_directories(entries: Iterable[Listed]) -> dict[str, bool]:
    """Return the names of the links and directories among ``entries``, and which are links."""
    try:
        return {
            entry.name: is_link
            for entry in entries
            if (is_link := entry.is_symlink()) or entry.is_dir(follow_symlinks=False)
        }
    except OSError:
        return links_and_directories(_typed(entries))


def _typed(entries: Iterable[Listed]) -> list[Listed]:
    """Return ``entries`` with an :class:`UntypedEntry` for each whose type cannot be found."""
    typed: list[Listed] = []
    for entry in entries:
        try:
            _ask_type(entry)
            typed.append(entry)
        except OSError:
            typed.append(UntypedEntry(entry.name))
    return typed


def _ask_type(entry: Listed) -> None:
    """Make the entry remember its type. Raises ``OSError`` if it has none."""
    if isinstance(entry, os.DirEntry) and not (
        entry.is_file(follow_symlinks=False)
        or entry.is_symlink()
        or entry.is_dir(follow_symlinks=False)
    ):
        # Special, or removed in between: the questions before have the same answers.
        entry.stat(follow_symlinks=False)
