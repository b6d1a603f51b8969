"""Reading the members of a tar archive, one after the other, from a stream that may be hostile.

:class:`tarfile.TarInfo` parses the headers. What belongs to one member (long names, PAX
records, maps of holes) is put together here, with bounds: :class:`tarfile.TarFile` reads as much
at once as a header says, calls itself for each extended header, keeps every member, and followed
a negative size backwards for ever (CVE-2025-8194). Names are bytes.
"""

from __future__ import annotations

import os
import re
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import EBADMSG, EFBIG
from typing import NamedTuple, NoReturn

from procpath.tree.copy.archive.compression import Readable, uncompressed

BLOCK = tarfile.BLOCKSIZE

_BUFFER = 1 << 20

_MOST_IN_HEADERS = 1 << 22
"""bytes of all the headers of one member: a map of 200,000 holes"""
_MOST_ENTRIES = 1_000_000
_MOST_IN_ATTRIBUTE_NAMES = 1 << 16
"""bytes of the names of a member's attributes; Linux lists no more (XATTR_LIST_MAX)"""

XATTR = b"SCHILY.xattr."
"""PAX records that hold an extended attribute each; in its name ``=`` is %3D and ``%`` is %25."""

_WITHOUT_DATA = frozenset(
    (
        *(tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE),
        *(tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE),
    )
)
"""Types whose size, if there is one, means nothing (POSIX pax, ustar)."""

_FOR_ALL = frozenset((b"uid", b"gid", b"mtime"))
"""PAX records that make sense for all members that follow."""

_DECIMAL = re.compile(rb"(-?)([0-9]{1,18})(?:\.([0-9]*))?")
_FURTHEST = 1 << 55
"""seconds that still fit into a ``time_t`` by nanoseconds"""


class Segment(NamedTuple):
    """A part of a file that the archive has."""

    offset: int
    size: int


@dataclass(slots=True)
class Member:
    """What an archive says of one file."""

    name: bytes
    kind: bytes
    """as ``tarfile.REGTYPE`` and its like"""
    link: bytes
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    device: tuple[int, int]
    size: int
    """of the file, with holes"""
    segments: list[Segment]
    xattrs: dict[str, bytes] = field(default_factory=dict)


class Archive:
    """The members of an archive. The data of each is there until the next is asked for."""

    def __init__(self, source: Readable, limit: int | None) -> None:
        """``limit`` bounds the bytes of the uncompressed archive, and the holes in its files."""
        self.failed: bool = False
        """whether the archive is at fault for an error of :meth:`write_data`"""
        self._source = uncompressed(source)
        self._limit = limit
        self._left = limit
        self._stored = 0
        """bytes of the present member's data that have not been read yet"""
        self._padding = 0
        self._in_headers = 0
        self._for_all: dict[bytes, bytes] = {}

    def __iter__(self) -> Iterator[Member]:
        """Yield each member. Raises ``EBADMSG`` for what is not an archive, ``EFBIG``."""
        for number in range(_MOST_ENTRIES + 1):
            self._skip()
            member = self._next(is_first=not number)
            if member is None:
                return
            if number == _MOST_ENTRIES:
                raise OSError(EFBIG, f"the archive has more than {_MOST_ENTRIES} entries")
            yield member

    def write_data(self, member: Member, fd: int) -> None:
        """Write the data of the member, the present one, to a new file."""
        for position, size in member.segments:
            end = position + size
            while position < end:
                try:
                    rest = memoryview(self._read_some(min(end - position, _BUFFER)))
                except OSError:
                    self.failed = True
                    raise
                self._stored -= len(rest)
                while rest:
                    written = os.pwrite(fd, rest, position)
                    position += written
                    rest = rest[written:]
        if sum(segment.size for segment in member.segments) < member.size:
            os.ftruncate(fd, member.size)

    def _next(self, *, is_first: bool) -> Member | None:
        """Read all headers of one member. None at the end."""
        self._in_headers = 0
        records: dict[bytes, bytes] = {}
        sparse: list[bytes] = []
        names: dict[bytes, bytes] = {}
        in_names = 0
        while True:
            raw = self._read_header()
            if raw is None or not raw.strip(b"\0"):
                if records or names:
                    _broken("it ends within a member")
                if is_first and raw is None:
                    _broken("it is empty")
                return None
            info = _parse(raw)
            if info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
                for key, value in _pax_records(self._header_data(info.size)):
                    # These come several times, in the order of the file (GNU.sparse 0.0).
                    if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
                        sparse.append(value)
                    else:
                        records[key] = value
                        if key.startswith(XATTR):
                            in_names += len(key) - len(XATTR) + 1
                    if in_names > _MOST_IN_ATTRIBUTE_NAMES:
                        raise OSError(EFBIG, "a member has too many extended attributes")
            elif info.type == tarfile.XGLTYPE:
                for key, value in _pax_records(self._header_data(info.size)):
                    if key in _FOR_ALL:
                        self._for_all[key] = value
            elif info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
                names[info.type] = self._header_data(info.size).partition(b"\0")[0]
            else:
                return self._member(raw, info, {**self._for_all, **records}, sparse, names)

    def _member(
        self,
        raw: bytes,
        info: tarfile.TarInfo,
        records: dict[bytes, bytes],
        sparse: list[bytes],
        names: dict[bytes, bytes],
    ) -> Member:
        name = names.get(tarfile.GNUTYPE_LONGNAME) or _name(raw)
        name = records.get(b"GNU.sparse.name") or records.get(b"path") or name
        link = names.get(tarfile.GNUTYPE_LONGLINK) or raw[157:257].partition(b"\0")[0]
        # Not as tarfile has it, which goes by the header's part of the name.
        kind = raw[156:157]
        if kind in (tarfile.AREGTYPE, tarfile.CONTTYPE):
            kind = tarfile.REGTYPE
        stored = _whole(records.get(b"size"), info.size)
        if stored < 0:
            _broken("a member has a negative size")
        if kind in _WITHOUT_DATA:
            stored = 0
        elif kind == tarfile.REGTYPE and name.endswith(b"/"):
            # The way of the oldest archives to say that it is a directory.
            kind = tarfile.DIRTYPE
        self._expect_data(stored)
        size, segments = stored, [Segment(0, stored)] if stored else []
        if kind == tarfile.GNUTYPE_SPARSE:
            kind = tarfile.REGTYPE
            size, segments = _number(raw[483:495]), self._old_gnu_map(raw)
        elif kind == tarfile.REGTYPE and any(key.startswith(b"GNU.sparse.") for key in records):
            size = _whole(records.get(b"GNU.sparse.realsize"), -1)
            size = _whole(records.get(b"GNU.sparse.size"), size)
            if records.get(b"GNU.sparse.major") == b"1":
                segments = self._pax_map()
            else:
                listed = records.get(b"GNU.sparse.map")
                segments = _segments(sparse if listed is None else listed.split(b","))
        _require_map(segments, size, self._stored)
        self._count(size - sum(segment.size for segment in segments))
        return Member(
            name,
            kind,
            records.get(b"linkpath") or link,
            info.mode & 0o7777,
            _whole(records.get(b"uid"), info.uid),
            _whole(records.get(b"gid"), info.gid),
            _nanoseconds(records.get(b"mtime"), int(info.mtime)),
            (info.devmajor, info.devminor),
            size,
            segments,
            {
                os.fsdecode(_unquoted(key.removeprefix(XATTR))): value
                for key, value in records.items()
                if key.startswith(XATTR)
            },
        )

    def _old_gnu_map(self, raw: bytes) -> list[Segment]:
        """Return the map in the header of GNU tar's own format, and in the blocks behind it."""
        fields = [raw[start : start + 12] for start in range(386, 482, 12)]
        more = raw[482]
        while more:
            block = self._read(BLOCK, in_headers=True)
            fields += [block[start : start + 12] for start in range(0, 504, 12)]
            more = block[504]
        numbers = [_number(each) for each in fields if each.strip(b"\0")]
        return _paired(numbers)

    def _pax_map(self) -> list[Segment]:
        """Return the map at the start of the data (GNU.sparse 1.0): lines of decimal numbers."""
        blocks = []
        lines, wanted = 0, 1
        while lines < wanted:
            if self._stored < BLOCK:
                _broken("a map of holes is cut off")
            blocks.append(self._read(BLOCK, in_headers=True))
            self._stored -= BLOCK
            if not lines and b"\n" in blocks[-1]:
                wanted += 2 * _whole(b"".join(blocks).partition(b"\n")[0], 0)
            lines += blocks[-1].count(b"\n")
        return _segments(b"".join(blocks).split(b"\n")[1:wanted])

    def _expect_data(self, size: int) -> None:
        if self._left is not None and size > self._left:
            self._over()
        self._stored = size
        self._padding = -size % BLOCK

    def _skip(self) -> None:
        """Read what is left of the present member."""
        while self._stored:
            self._stored -= len(self._read_some(min(self._stored, _BUFFER)))
        self._read(self._padding)
        self._padding = 0

    def _read_header(self) -> bytes | None:
        """Return a block. None at the end of the stream, which may lack the empty blocks."""
        start = self._source.read(BLOCK)
        if not start:
            return None
        self._count(len(start))
        return start + self._read(BLOCK - len(start), in_headers=True)

    def _header_data(self, size: int) -> bytes:
        """Return the content of an extended header."""
        if size < 0:
            _broken("an extended header has a negative size")
        data = self._read(size, in_headers=True)
        self._read(-size % BLOCK)
        return data

    def _read(self, size: int, *, in_headers: bool = False) -> bytes:
        """Return exactly ``size`` bytes."""
        if in_headers:
            self._in_headers += max(size, BLOCK)
            if self._in_headers > _MOST_IN_HEADERS:
                raise OSError(EFBIG, f"the headers of a member have over {_MOST_IN_HEADERS} bytes")
        parts = []
        while size:
            parts.append(self._read_some(size))
            size -= len(parts[-1])
        return b"".join(parts)

    def _read_some(self, size: int) -> bytes:
        data = self._source.read(size)
        if not data:
            _broken("it is cut off")
        self._count(len(data))
        return data

    def _count(self, size: int) -> None:
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                self._over()

    def _over(self) -> NoReturn:
        raise OSError(EFBIG, f"the archive has more than {self._limit} bytes")


def _parse(raw: bytes) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(raw, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        _broken(str(error))
    return info


def _name(raw: bytes) -> bytes:
    name = raw[:100].partition(b"\0")[0]
    # Only in POSIX's format: GNU tar has times in the place of the prefix.
    prefix = raw[345:500].partition(b"\0")[0] if raw[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _number(raw: bytes) -> int:
    """Return a number of a map of GNU tar's own format: octal, or binary with a marked byte."""
    text = raw.strip(b" \0")
    if raw[0] == 0o200:
        number = int.from_bytes(raw[1:], "big")
    elif re.fullmatch(b"[0-7]*", text):
        number = int(text or b"0", 8)
    else:
        number = sys.maxsize + 1
    if number > sys.maxsize:
        _broken("a map of holes has an invalid number")
    return number


def _whole(text: bytes | None, otherwise: int) -> int:
    """Return a PAX record that is a whole number."""
    if not text:
        return otherwise
    if not re.fullmatch(b"[0-9]{1,18}", text):
        _broken("a record has an invalid number")
    return int(text)


def _nanoseconds(text: bytes | None, otherwise: int) -> int:
    """Return a PAX record that is a time, in nanoseconds."""
    if not text:
        return max(-_FURTHEST, min(otherwise, _FURTHEST)) * 10**9
    match = _DECIMAL.fullmatch(text)
    if match is None:
        _broken("a record has an invalid time")
    minus, seconds, fraction = match.groups()
    nanoseconds = min(int(seconds), _FURTHEST) * 10**9 + int(((fraction or b"") + b"0" * 9)[:9])
    return -nanoseconds if minus else nanoseconds


def _unquoted(name: bytes) -> bytes:
    return name.replace(b"%3D", b"=").replace(b"%25", b"%")


def _pax_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keyword and value of each record, ``length keyword=value`` and a newline."""
    position = 0
    while position < len(data):
        length = re.compile(b"[0-9]{1,8}(?= )").match(data, position)
        if length is None:
            _broken("an extended header has an invalid record")
        end = position + int(length[0])
        if end <= length.end():
            _broken("an extended header has an invalid record")
        keyword, equals, value = data[length.end() + 1 : end - 1].partition(b"=")
        if not equals or end > len(data) or data[end - 1] != ord("\n"):
            _broken("an extended header has an invalid record")
        yield keyword, value
        position = end


def _segments(texts: list[bytes]) -> list[Segment]:
    return _paired([_whole(text, 0) for text in texts if text])


def _paired(numbers: list[int]) -> list[Segment]:
    if len(numbers) % 2:
        _broken("a map of holes is cut off")
    return [Segment(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]


def _require_map(segments: list[Segment], size: int, stored: int) -> None:
    reached = 0
    for offset, length in segments:
        if offset < reached:
            _broken("a map of holes is not in order")
        reached = offset + length
    if reached > size or sum(segment.size for segment in segments) > stored:
        _broken("a map of holes does not fit its file")


def _broken(reason: str) -> NoReturn:
    raise OSError(EBADMSG, f"not a valid tar archive: {reason}")
