"""Writing a file or tree as a tar stream, in POSIX's format (pax).

Everything is reached from the held top by single names that are not followed. A header says how
long a file is before it is read: what a file lacks by then is written as zeros, and reported;
what it has more is left out. Holes are written as zeros.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from errno import EAGAIN, ENAMETOOLONG, EOVERFLOW, ESTALE
from io import RawIOBase
from typing import NamedTuple, Protocol

from procpath.errors import OnError, SpecialFileError, os_error
from procpath.linux import openat
from procpath.resolve.identity import birth, mount_id
from procpath.resolve.reopen import reopen
from procpath.resolve.stack import DirectoryStack, MovedError
from procpath.tree.copy.archive.attributes import read_attributes
from procpath.tree.copy.archive.members import BLOCK, XATTR
from procpath.tree.copy.owners import owners_out_of
from procpath.tree.copy.report import Errors, SourceBlame
from procpath.tree.descent import list_names
from procpath.tree.places import RootedPlace
from procpath.tree.removing import MOST_HELD
from procpath.uapi import FIND_NOFOLLOW, LISTING, LISTING_NOFOLLOW

_BUFFER = 1 << 20

_RECORD = 20 * BLOCK
"""An archive fills up whole records (POSIX pax)."""

_LONGEST_NAME = 1 << 14

NOBODY = 65534
"""The ID that stands for one without a mapping (user_namespaces(7))."""

_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


class Writable(Protocol):
    """What an archive is written to."""

    def write(self, data: bytes, /) -> int | None: ...


class _Key(NamedTuple):
    """A file that may have several names."""

    dev: int
    ino: int
    btime_ns: int


def pack(
    place: RootedPlace,
    found: int,
    name: str,
    target: Writable,
    on_error: OnError,
    mount: int | None = None,
) -> int:
    """Write what was ``found`` (``O_PATH``) at ``place`` to ``target``, under ``name``.

    For a directory ``name`` may be empty: what is in it is then at the top of the archive.
    ``mount`` is the ID of the only mount to archive; None: those that the root crosses to.
    Returns how many sockets were left out.
    """
    reports = Errors(on_error, place.root.note)
    packing = _Packing(place, name, target, reports)
    if mount is not None:
        packing.mount = mount
    packing.add_top(found)
    packing.end()
    reports.raise_first()
    return packing.sockets


class _Packing:
    """The writing of one archive."""

    def __init__(self, place: RootedPlace, name: str, target: Writable, reports: Errors) -> None:
        self._place = place
        self._prefix = name
        self._target = target
        self._reports = reports
        self._owners = owners_out_of(place.root)
        self.mount = None if place.root.options.cross_mounts else place.root.identity.mnt_id
        self._names: list[str] = []
        """the way from the top to the entry that is being written"""
        self._first: dict[_Key, bytes] = {}
        """the first name of each file with several"""
        self._written = 0
        self.sockets = 0
        """how many were left out: an archive has none"""
        # By the names and not by self, which would be a cycle that keeps the root.
        names = self._names
        self._blame = SourceBlame(lambda: place.below(names))

    def add_top(self, found: int) -> None:
        """Write what everything else is in."""
        status = os.fstat(found)
        with self._blame:
            self._place.require_copyable(found, status)
            if not stat.S_ISDIR(status.st_mode):
                if stat.S_IFMT(status.st_mode) not in _KINDS:
                    raise SpecialFileError(reason="an archive cannot have a socket")
                self._add_file(found, status)
                return
            listing = reopen(found, LISTING)
        with DirectoryStack(listing, LISTING_NOFOLLOW, MOST_HELD) as way:
            self._add_directory(way.dirfd, status)
            todo = [self._list(way.dirfd)]
            devices = [status.st_dev]
            while todo:
                if todo[-1]:
                    self._names.append(todo[-1].pop())
                    status_of_entered = self._add_entry(way, devices[-1])
                    if status_of_entered is not None:
                        todo.append(self._list(way.dirfd))
                        devices.append(status_of_entered.st_dev)
                        continue
                else:
                    todo.pop()
                    devices.pop()
                    if todo and not self._leave(way):
                        # What is still in directories that were moved away is left out.
                        while len(todo) > way.depth + 1:
                            todo.pop()
                            devices.pop()
                            self._names.pop()
                if self._names:
                    self._names.pop()

    def _leave(self, way: DirectoryStack) -> bool:
        """Go up. False, after a report, if the directory above could not be found by ``..``."""
        try:
            with self._blame:
                way.leave().close()
        except MovedError as error:
            self._reports.report(error)
            way.leave_moved(self._names)
            return False
        return True

    def end(self) -> None:
        """Write the end of the archive."""
        self._write(bytes(2 * BLOCK))
        self._write(bytes(-self._written % _RECORD))

    def _list(self, dirfd: int) -> list[str]:
        """Return the names in a directory, the last one first."""
        try:
            with self._blame:
                return sorted(list_names(dirfd), reverse=True)
        except OSError as error:
            self._reports.report(error)
            return []

    def _add_entry(self, way: DirectoryStack, device: int) -> os.stat_result | None:
        """Write an entry of the directory ``way``, and enter it if it is a directory to enter.

        Returns the status of the directory that was entered.
        """
        try:
            with self._blame:
                try:
                    entry = openat(way.dirfd, self._names[-1], FIND_NOFOLLOW)
                except FileNotFoundError:
                    # Removed since it was listed.
                    return None
        except OSError as error:
            self._reports.report(error)
            return None
        with entry as fd:
            try:
                with self._blame:
                    status = os.fstat(fd)
            except OSError as error:
                self._reports.report(error)
                return None
            is_directory = stat.S_ISDIR(status.st_mode)
            listing = None
            try:
                with self._blame:
                    if is_directory and self._is_to_enter(fd, status, device):
                        listing = reopen(fd, LISTING)
                    elif not is_directory and status.st_dev != device:
                        self._place.require_copyable(fd, status)
            except OSError as error:
                self._reports.report(error)
                if not is_directory:
                    return None
            if listing is not None:
                way.enter(listing)
                self._add_directory(way.dirfd, status)
                return status
            if is_directory:
                self._write_header(tarfile.DIRTYPE, status, {})
            elif stat.S_IFMT(status.st_mode) in _KINDS:
                self._add_file(fd, status)
            else:
                self.sockets += 1
            return None

    def _is_to_enter(self, fd: int, status: os.stat_result, device: int) -> bool:
        """Return whether a directory's contents are wanted: not those of a mount left out."""
        if self.mount is not None and mount_id(fd) != self.mount:
            return False
        if status.st_dev != device:
            try:
                self._place.require_copyable(fd, status)
            except SpecialFileError:
                return False
        return True

    def _add_directory(self, fd: int, status: os.stat_result) -> None:
        self._write_header(tarfile.DIRTYPE, status, self._attributes(fd))

    def _add_file(self, found: int, status: os.stat_result) -> None:
        """Write anything but a directory, or the name of a file that was written before."""
        key: _Key | None = None
        if status.st_nlink > 1:
            key = self._key(found)
            if key is not None and key in self._first:
                self._write_header(tarfile.LNKTYPE, status, {}, self._first[key])
                return
        kind = _KINDS[stat.S_IFMT(status.st_mode)]
        try:
            with self._blame:
                text = os.readlink(b"", dir_fd=found) if kind == tarfile.SYMTYPE else b""
                # For a file with a lease open(2) would wait, for as long as its owner likes.
                flags = os.O_RDONLY | os.O_NONBLOCK
                opened = reopen(found, flags) if kind == tarfile.REGTYPE else None
        except OSError as error:
            self._reports.report(error)
            return
        if opened is None:
            written = self._write_header(kind, status, {}, text)
        else:
            with opened as fd:
                written = self._write_regular(fd)
        if written and key is not None:
            self._first[key] = self._name()

    def _key(self, found: int) -> _Key | None:
        """Return what identifies a file. None, after a report, if it does not say."""
        try:
            with self._blame:
                born = birth(found)
        except OSError as error:
            self._reports.report(error)
            return None
        return _Key(born.identity.dev, born.identity.ino, born.btime_ns)

    def _write_regular(self, fd: int) -> bool:
        try:
            with self._blame:
                status = os.fstat(fd)
        except OSError as error:
            self._reports.report(error)
            return False
        if not self._write_header(tarfile.REGTYPE, status, self._attributes(fd)):
            return False
        left = status.st_size
        for data in self._data(fd, left):
            self._write(data)
            left -= len(data)
        while left:
            zeros = bytes(min(left, _BUFFER))
            self._write(zeros)
            left -= len(zeros)
        self._write(bytes(-status.st_size % BLOCK))
        return True

    def _data(self, fd: int, size: int) -> Iterator[bytes]:
        """Yield the first ``size`` bytes of a file, or less, after a report."""
        while size:
            try:
                with self._blame:
                    data = os.read(fd, min(size, _BUFFER))
                    if not data:
                        reason = f"it was cut short while it was read: {size} zeros instead"
                        raise OSError(ESTALE, reason)
            except OSError as error:
                self._reports.report(error)
                return
            size -= len(data)
            yield data

    def _attributes(self, fd: int) -> dict[str, bytes]:
        try:
            with self._blame:
                return read_attributes(fd, self._owners)
        except OSError as error:
            self._reports.report(error)
            return {}

    def _name(self) -> bytes:
        return os.fsencode("/".join(filter(None, [self._prefix, *self._names]))) or b"."

    def _write_header(
        self, kind: bytes, status: os.stat_result, xattrs: dict[str, bytes], link: bytes = b""
    ) -> bool:
        """Write the headers of an entry. False, after a report, if its name is too long."""
        name = self._name() + (b"/" if kind == tarfile.DIRTYPE else b"")
        mode = stat.S_IMODE(status.st_mode)
        try:
            with self._blame:
                if len(name) > _LONGEST_NAME:
                    raise os_error(ENAMETOOLONG)
                uid, gid = self._owners.of(status.st_uid, status.st_gid)
        except OSError as error:
            self._reports.report(error)
            if error.errno != EOVERFLOW:
                return False
            uid = gid = NOBODY
            mode &= ~(stat.S_ISUID | stat.S_ISGID)
        info = tarfile.TarInfo()
        info.type, info.mode = kind, mode
        records: dict[bytes, bytes] = {}
        info.name = _fitting(name, b"path", records)
        info.linkname = _fitting(link, b"linkpath", records)
        info.uid = _octal(uid, 7, b"uid", records)
        info.gid = _octal(gid, 7, b"gid", records)
        if kind == tarfile.REGTYPE:
            info.size = _octal(status.st_size, 11, b"size", records)
        info.mtime = _octal(status.st_mtime_ns // 10**9, 11, b"mtime", records)
        if status.st_mtime_ns % 10**9 or b"mtime" in records:
            records[b"mtime"] = _decimal(status.st_mtime_ns)
        if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        for attribute, value in xattrs.items():
            records[XATTR + _quoted(os.fsencode(attribute))] = value
        self._write(_extended_header(records) + _header(info))
        return True

    def _write(self, data: bytes) -> None:
        self._written += len(data)
        while data:
            written = self._target.write(data)
            if written is None:
                if isinstance(self._target, RawIOBase):
                    # It would block, and has taken nothing.
                    raise os_error(EAGAIN)
                # Other streams that do not say so have taken it all.
                return
            data = data[written:]


def _fitting(text: bytes, keyword: bytes, records: dict[bytes, bytes]) -> str:
    """Return what the header has room for; the whole is in a record if it is more."""
    if len(text) > tarfile.LENGTH_NAME:
        records[keyword] = text
        text = text[: tarfile.LENGTH_NAME - 1].rstrip(b"/")
    return text.decode("utf-8", "surrogateescape")


def _octal(number: int, digits: int, keyword: bytes, records: dict[bytes, bytes]) -> int:
    """Do as :func:`_fitting` for a number."""
    if 0 <= number < 8**digits:
        return number
    records[keyword] = b"%d" % number
    return 0


def _decimal(nanoseconds: int) -> bytes:
    seconds, rest = divmod(abs(nanoseconds), 10**9)
    sign = "-" if nanoseconds < 0 else ""
    return f"{sign}{seconds}.{rest:09}".encode()


def _quoted(name: bytes) -> bytes:
    return name.replace(b"%", b"%25").replace(b"=", b"%3D")


def _extended_header(records: dict[bytes, bytes]) -> bytes:
    if not records:
        return b""
    if any(not _is_utf8(records.get(key, b"")) for key in (b"path", b"linkpath")):
        # Or a reader may refuse the name (POSIX pax).
        records = {b"hdrcharset": b"BINARY", **records}
    data = b"".join(_record(keyword, value) for keyword, value in records.items())
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, len(data)
    return _header(info) + data + bytes(-len(data) % BLOCK)


def _record(keyword: bytes, value: bytes) -> bytes:
    """Return a PAX record. Its length counts its own digits."""
    rest = b" %s=%s\n" % (keyword, value)
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return b"%d%s" % (length, rest)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
