"""Tar archives, also such as no honest program writes."""

from __future__ import annotations

import io
import tarfile


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    """A member's header; ``link`` is what a link leads to."""
    member = tarfile.TarInfo(name)
    member.type = kind
    for field, value in fields.items():
        setattr(member, "linkname" if field == "link" else field, value)
    return member


def directory(name: str, **fields: object) -> tarfile.TarInfo:
    return entry(name, tarfile.DIRTYPE, **{"mode": 0o755, **fields})


def symlink(name: str, target: str) -> tarfile.TarInfo:
    return entry(name, tarfile.SYMTYPE, link=target)


def hard_link(name: str, target: str) -> tarfile.TarInfo:
    return entry(name, tarfile.LNKTYPE, link=target)


def archive(
    *members: tarfile.TarInfo | tuple[str, bytes], format_: int = tarfile.PAX_FORMAT
) -> io.BytesIO:
    """An archive of these members; a name with content is a regular file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format_) as opened:
        for member in members:
            if isinstance(member, tuple):
                name, data = member
                opened.addfile(entry(name, size=len(data)), io.BytesIO(data))
            else:
                opened.addfile(member)
    stream.seek(0)
    return stream


def block(name: str, kind: bytes, **fields: bytes) -> bytes:
    """One header as it is in the archive, with these bytes in its fields (tar(5))."""
    raw = bytearray(entry(name, kind).tobuf(tarfile.USTAR_FORMAT))
    for field, value in fields.items():
        start, length = _FIELDS[field]
        raw[start : start + length] = value.ljust(length, b"\0")
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


_FIELDS = {
    "uid": (108, 8),
    "size": (124, 12),
    "mtime": (136, 12),
    "major": (329, 8),
    "first_offset": (386, 12),
    "first_length": (398, 12),
    "real_size": (483, 12),
}

END = bytes(2 * tarfile.BLOCKSIZE)


def padded(data: bytes) -> bytes:
    """Data as it follows a header."""
    return data + bytes(-len(data) % tarfile.BLOCKSIZE)


def extended(records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header with this content."""
    return block("x", kind, size=b"%011o" % len(records)) + padded(records)
