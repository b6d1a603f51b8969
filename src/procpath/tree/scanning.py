"""Scanning: everything below a directory, over held directories and through no link.

One directory is listed after the other, each before those in it. Its entries come as the kernel
lists them, a few at a time, so a directory of any size takes no memory; what is kept is the names
of the directories still to be entered. However deep the tree is, few directories are open.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from errno import ENOENT, ENOTDIR, EXDEV
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from procpath.errors import OnError, UnverifiedProcError
from procpath.lexical import LexicalPath
from procpath.linux import Descriptor, openat
from procpath.reading import read_whole, require_limit
from procpath.resolve.identity import mount_id
from procpath.resolve.reopen import reopen_found
from procpath.resolve.special import kernel_file_system, refuse_special
from procpath.tree.descent import Descent, Directory, require_names, way_to
from procpath.tree.walking import below
from procpath.uapi import FIND_NOFOLLOW

if TYPE_CHECKING:
    from _typeshed import OpenBinaryModeReading, OpenTextModeReading

P = TypeVar("P", bound=LexicalPath)


_new = object.__new__  # a call of Entry() takes three times as long in Python 3.11
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_AT_A_TIME = 1000

_VANISHED = (ENOENT, ENOTDIR)
"""Errnos of a directory that was removed, or replaced by a file or a link, after it was listed."""


class _Special:
    """Stands for an ``os.DirEntry`` of a special file, or of one whose type may not be looked at.

    The DirEntry itself may have no type, and would ask for one whenever it is asked.
    """

    __slots__ = ("_dirfd", "name")

    def __init__(self, name: str, dirfd: int) -> None:
        self.name = name
        self._dirfd = dirfd

    def is_file(self, *, follow_symlinks: bool) -> bool:
        return False

    def is_symlink(self) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        return os.stat(self.name, dir_fd=self._dirfd, follow_symlinks=follow_symlinks)


def _require_present(special: os.DirEntry[str]) -> None:
    """Raise FileNotFoundError if the entry, which has no type, has none since it has vanished."""
    with suppress(PermissionError):
        special.stat(follow_symlinks=False)


class Entry(Generic[P]):
    """An entry of a directory, from :meth:`RootedPath.scan`.

    It acts on the held directory and on its name there, which is not followed. It can do so
    until the loop asks for the next entry; later, what was not asked before is a ``ValueError``.
    """

    __slots__ = ("_directory", "_entry", "_is_dir", "_listing", "_status", "name")

    name: str
    """its name in the directory"""
    _entry: os.DirEntry[str] | _Special
    _listing: _Listing[P]
    _directory: Descriptor | None
    """the directory, while the entry can act; whoever uses it keeps it open by a reference"""
    _is_dir: bool
    _status: os.stat_result | None

    @property
    def depth(self) -> int:
        """How many levels it lies below the start of the scan: 1 for what is in the start.

        Examples:
            >>> sorted(entry.depth for entry in RootedPath(23309, "etc/app").scan())
            [1, 1, 2]
        """
        return self._listing.depth

    @property
    def path(self) -> P:
        """Its path, below the path that was scanned. Made when it is asked for.

        Examples:
            >>> [entry.path for entry in RootedPath(23309, "etc/app/conf.d").scan()]
            [RootedPath('/etc/app/conf.d/cache.conf', root='/proc/23309/root')]
        """
        return self._listing.scan.top._normalized(self._text())

    def is_dir(self) -> bool:
        """Return whether it is a directory. A link to one is not.

        Examples:
            >>> [each.name for each in RootedPath(23309, "etc/app").scan() if each.is_dir()]
            ['conf.d']
        """
        return self._is_dir

    def is_file(self) -> bool:
        """Return whether it is a regular file. A link to one is not.

        Examples:
            >>> [entry.is_file() for entry in RootedPath(23309, "etc/app/conf.d").scan()]
            [True]
        """
        return self._entry.is_file(follow_symlinks=False)

    def is_symlink(self) -> bool:
        """Return whether it is a symbolic link.

        Examples:
            >>> var = RootedPath(23309, "var")
            >>> sorted(entry.name for entry in var.scan() if entry.is_symlink())
            ['lock', 'run']
        """
        return self._entry.is_symlink()

    def stat(self) -> os.stat_result:
        """Return the status, of a link its own. It is looked up once.

        Owner and group IDs are the host's.

        Examples:
            >>> [entry.stat().st_size for entry in RootedPath(23309, "etc/app/conf.d").scan()]
            [11]
        """
        status = self._status
        if status is None:
            directory = self._directory
            if directory is None:
                raise self._gone_on()
            try:
                # With the number that `directory` keeps open.
                status = self._status = self._entry.stat(follow_symlinks=False)
            except OSError as error:
                raise self._about(error) from None
            finally:
                # Or this frame would keep it open, in the traceback of an error.
                del directory
        return status

    # As typeshed has them for pathlib.
    @overload
    def open(
        self,
        mode: OpenTextModeReading = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.TextIOWrapper: ...
    @overload
    def open(
        self,
        mode: OpenBinaryModeReading,
        buffering: Literal[0],
        encoding: None = None,
        errors: None = None,
        newline: None = None,
    ) -> io.FileIO: ...
    @overload
    def open(
        self,
        mode: OpenBinaryModeReading,
        buffering: Literal[-1, 1] = -1,
        encoding: None = None,
        errors: None = None,
        newline: None = None,
    ) -> io.BufferedReader: ...
    @overload
    def open(
        self,
        mode: str,
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]: ...
    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Open the file for reading, like the built-in ``open()``. It can be kept.

        ``mode`` is ``"r"`` or ``"rb"``; ``buffering``, ``encoding``, ``errors`` and ``newline`` are
        those of ``open()``. Raises ``ValueError`` for another mode, and once the loop has gone on.

        Its ``name`` is the entry's path. A link is ``ELOOP``; special files are refused as the
        root refuses them.

        Examples:
            >>> for entry in RootedPath(23309, "etc/app/conf.d").scan():
            ...     with entry.open() as file:
            ...         print(file.read())
            cache = on
            <BLANKLINE>
        """
        if not set("wax+").isdisjoint(mode):
            raise ValueError(f"an entry of a scan is opened for reading, not in mode {mode!r}")
        if "b" not in mode:
            encoding = io.text_encoding(encoding)
        text = self._text()
        try:
            file = open(text, mode, buffering, encoding, errors, newline, opener=self._opener)
        except OSError as error:
            raise self._about(error) from None
        raw: Any = getattr(file, "buffer", file)
        # A text would be that of a host file to a library that opens it again.
        getattr(raw, "raw", raw).name = self.path
        return file

    def read_bytes(self, limit: int | None = None) -> bytes:
        """Return the whole file. ``EFBIG`` if it has more than ``limit`` bytes.

        Examples:
            >>> [entry.read_bytes() for entry in RootedPath(23309, "etc/app/conf.d").scan()]
            [b'cache = on\\n']
        """
        require_limit(limit)
        directory = self._held()
        fd: Descriptor | None = None
        try:
            fd, status = self._listing.open(directory.value, self.name)
            size = os.fstat(fd.value).st_size if status is None else status.st_size
            return read_whole(fd.value, size, limit)
        except OSError as error:
            if fd is not None:
                fd.close()
            raise self._about(error) from None
        finally:
            del directory

    def readlink(self) -> P:
        """Return the link's text as a path. ``EINVAL`` if it is not a link.

        Examples:
            >>> var = RootedPath(23309, "var")
            >>> [str(entry.readlink()) for entry in var.scan() if entry.name == "run"]
            ['/run']
        """
        directory = self._held()
        try:
            text = os.readlink(self.name, dir_fd=directory.value)
        except OSError as error:
            raise self._about(error) from None
        finally:
            del directory
        return self._listing.scan.top.with_segments(text)

    def skip(self) -> None:
        """Do not enter this directory. Of anything else, nothing happens.

        Examples:
            >>> for entry in RootedPath(23309, "etc/app").scan():
            ...     if entry.name == "conf.d":
            ...         entry.skip()  # its cache.conf does not come
        """
        self._held()
        self._listing.skipped = self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._text()!r}>"

    def _text(self) -> str:
        return self._listing.prefix + self.name

    def _opener(self, _: str, flags: int) -> int:
        directory = self._held()
        try:
            return self._listing.open(directory.value, self.name)[0].detach()
        finally:
            del directory

    def _held(self) -> Descriptor:
        directory = self._directory
        if directory is None:
            raise self._gone_on()
        return directory

    def _gone_on(self) -> ValueError:
        return ValueError(f"the scan has gone on to the next entry after {self._text()!r}")

    def _about(self, error: OSError) -> OSError:
        return self._listing.scan.about(error, self._text())


class _Listing(Generic[P]):
    """A directory that is listed."""

    __slots__ = ("_above", "_name", "_prefix", "depth", "device", "scan", "skipped")

    def __init__(
        self, scan: _Scan[P], above: Directory | None, name: str, device: int | None
    ) -> None:
        """``above`` is None for the start."""
        self.scan = scan
        self._above = above
        self._name = name
        self._prefix: str | None = None
        self.depth = 1 if above is None else above.depth + 2
        """of the entries"""
        self.device = device
        """``st_dev`` of the directory; None where special files are allowed"""
        self.skipped: Entry[P] | None = None
        """the last entry that is not to be entered"""

    @property
    def is_start(self) -> bool:
        """Whether it is the start of the scan."""
        return self._above is None

    @property
    def text(self) -> str:
        """The directory's in-root path."""
        return str(self.scan.top) if self._above is None else self.prefix[:-1]

    @property
    def prefix(self) -> str:
        """The directory's in-root path with a slash at the end, made when it is asked for."""
        if self._prefix is None:
            above = self._above
            self._prefix = self.scan.prefix
            if above is not None:
                self._prefix += "/".join([*way_to(above), self._name, ""])
        return self._prefix

    def open(self, dirfd: int, name: str) -> tuple[Descriptor, os.stat_result | None]:
        """Open the file ``name`` of this directory, which is held as ``dirfd``, for reading.

        Returns the status that it had before, if that was looked at.
        """
        scan = self.scan
        if not scan.refuses_special and scan.mount is None:
            return openat(dirfd, name, _READING), None
        found = openat(dirfd, name, FIND_NOFOLLOW)
        try:
            fd = found.value
            status = os.fstat(fd)
            if scan.mount is not None and mount_id(fd) != scan.mount:
                raise OSError(EXDEV, "on another mount, and mounts are not to be crossed")
            # A regular file on the device of the directory, which is held, is no more the
            # kernel's than that: it costs no statfs.
            if scan.refuses_special and not (
                scan.is_ordinary and status.st_dev == self.device and stat.S_ISREG(status.st_mode)
            ):
                refuse_special(fd, status)
            return reopen_found(scan.root.resolver, fd, status, _READING), status
        except OSError:
            found.close()
            raise


def scan(
    top: P, on_error: OnError, max_depth: int | None, cross_mounts: bool | None
) -> Iterator[Entry[P]]:
    """Yield an entry for everything below ``top``; see :meth:`RootedPath.scan`."""
    if max_depth is not None and max_depth < 0:
        raise ValueError("max_depth must not be negative")
    return _Scan(top, on_error, max_depth).entries(cross_mounts is not False)


class _Scan(Generic[P]):
    """One run, below the path ``top``."""

    def __init__(self, top: P, on_error: OnError, max_depth: int | None) -> None:
        self.top = top
        self.prefix = below(str(top), "")
        root = top.root_handle
        self.refuses_special = root.options.special_files == "refuse"
        self.mount: int | None = None
        """ID of the mount that is not left, if mounts are not crossed"""
        self.is_ordinary = False
        """no directory that is entered is on a kernel file system"""
        self.root = root
        self._on_error = on_error
        self._max_depth = max_depth

    def entries(self, cross_mounts: bool) -> Iterator[Entry[P]]:
        """Yield what is below the top."""
        if self._max_depth == 0:
            return
        try:
            descent = Descent(self.root, self.prefix, cross_mounts=cross_mounts)
        except OSError as error:
            self._report(error, str(self.top))
            return
        with descent:
            self.mount = descent.mount
            try:
                listing = self._start(descent)
            except OSError as error:
                self._report(error, str(self.top))
                return
            todo: list[str] = []
            yield from self._entries_of(listing, descent.start.fd, todo)
            # Directories with others in them that are still to be entered, the next one last.
            levels = [(descent.start, todo[::-1])]
            while levels:
                above, names = levels[-1]
                if not names:
                    levels.pop()
                    descent.release(above)
                    continue
                name = names.pop()
                entered = self._enter(descent, above, name)
                if entered is None:
                    continue
                todo = []
                yield from self._entries_of(entered, descent.last, todo)
                if todo:
                    directory = descent.keep(above, name)
                    directory.device = entered.device
                    levels.append((directory, todo[::-1]))

    def about(self, error: OSError, path: str) -> OSError:
        """Return ``error`` with ``path`` as its filename, and with its notes."""
        return self.root.resolver.about(error, os.fsencode(path))

    def _report(self, error: OSError, path: str) -> None:
        try:
            self.about(error, path)
            if self._on_error is None or isinstance(error, UnverifiedProcError):
                raise error
            self._on_error(error)
        finally:
            del error  # A frame that keeps the error which passed it is a cycle; it keeps the root.

    def _start(self, descent: Descent) -> _Listing[P]:
        start = descent.start
        if self.refuses_special:
            status = os.fstat(start.fd.value)
            start.device = status.st_dev
            self.is_ordinary = kernel_file_system(start.fd.value, status) is None
        return _Listing(self, None, "", start.device)

    def _enter(self, descent: Descent, above: Directory, name: str) -> _Listing[P] | None:
        """Open a directory, to list it. None if it is not entered."""
        listing = _Listing(self, above, name, None)
        try:
            directory = descent.open(above, name)
            if not self.refuses_special:
                return listing
            try:
                fd = directory.value
                status = os.fstat(fd)
                listing.device = status.st_dev
                # Within one file system, of which the directory above is held, nothing changes.
                if status.st_dev in (above.device, descent.start.device) or not (
                    kernel_file_system(fd, status)
                ):
                    return listing
            except OSError:
                directory.close()
                raise
        except OSError as error:
            if error.errno not in _VANISHED and not (
                error.errno == EXDEV and self.mount is not None
            ):
                self._report(error, listing.text)
        return None

    def _entries_of(
        self, listing: _Listing[P], directory: Descriptor | None, todo: list[str]
    ) -> Iterator[Entry[P]]:
        """Yield the entries of a directory, and put the names of those to enter into ``todo``."""
        assert directory is not None
        fd = directory.value
        goes_down = listing.depth != self._max_depth
        entry: Entry[P] | None = None
        entries = None
        try:
            while True:
                try:
                    if entries is None:
                        entries = os.scandir(fd)
                    batch = list(islice(entries, _AT_A_TIME))
                    require_names([raw.name for raw in batch])
                except OSError as error:
                    self._report_listing(error, listing)
                    return
                for raw in batch:
                    known: os.DirEntry[str] | _Special = raw
                    is_dir = False
                    try:
                        # Most are files, so that is asked first.
                        if not raw.is_file(follow_symlinks=False):
                            is_dir = raw.is_dir(follow_symlinks=False)
                            if not (is_dir or raw.is_symlink()):
                                known = _Special(raw.name, fd)
                                _require_present(raw)
                    except FileNotFoundError:
                        continue
                    except OSError as error:
                        self._report(error, listing.prefix + raw.name)
                        known = _Special(raw.name, fd)
                    entry = _new(Entry)
                    entry.name = name = raw.name
                    entry._entry = known
                    entry._listing = listing
                    entry._directory = directory
                    entry._is_dir = is_dir
                    entry._status = None
                    yield entry
                    entry._directory = None
                    if is_dir and goes_down and listing.skipped is not entry:
                        todo.append(name)
                if len(batch) < _AT_A_TIME:
                    return
        finally:
            # Whatever keeps this frame, as a traceback does, keeps no descriptor.
            directory = None
            if entry is not None:
                entry._directory = None
            if entries is not None:
                entries.close()

    def _report_listing(self, error: OSError, listing: _Listing[P]) -> None:
        try:
            if listing.is_start or error.errno not in _VANISHED:
                self._report(error, listing.text)
        finally:
            del error
