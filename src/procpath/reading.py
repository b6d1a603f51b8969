"""Reading a file whole, and no more of it than is wanted; decoding it at once; writing it whole."""

from __future__ import annotations

import io
import os
import sys
from errno import EFBIG, EIO

from procpath.errors import os_error

_LARGEST_READ = 1 << 26
"""Bytes that are set aside at once because a file says that it has them."""

_CODED_AT_ONCE = frozenset(("utf-8", "UTF-8", "utf8", "ascii", "latin-1", "iso-8859-1"))
"""Encodings without a byte order mark or a state: decoding the whole is decoding the file."""


def require_limit(limit: int | None) -> None:
    """Raise ``ValueError`` for a number of bytes that no file can have."""
    if limit is not None and limit < 0:
        raise ValueError("limit must not be negative")


def read_whole(fd: int, size: int, limit: int | None = None) -> bytes:
    """Return all of a file that has ``size`` bytes by fstat(), which may be wrong.

    Raises ``EFBIG`` if it has more than ``limit`` bytes, and reads no more than one more.
    """
    most = sys.maxsize if limit is None else limit + 1
    # In one call where that is possible: files of procfs have no size, and some answer to one
    # read at their beginning only. One byte more shows that there is no more.
    data = os.read(fd, min(size or 1 << 16, _LARGEST_READ, most - 1) + 1)
    if len(data) == size < most:
        return data
    whole = io.BytesIO()
    while data:
        whole.write(data)
        left = most - whole.tell()
        if left <= 0:
            raise os_error(EFBIG)
        data = os.read(fd, min(1 << 20, left))
    return whole.getvalue()


def write_whole(fd: int, data: bytes | memoryview) -> None:
    """Write all of ``data``. ``EIO`` if nothing is written, as a file system in user space may."""
    written = 0
    while written < len(data):
        more = os.write(fd, data[written:] if written else data)
        if not more:
            raise os_error(EIO)
        written += more


def codec(encoding: str) -> str:
    """Return the name of a codec for what ``io.text_encoding()`` returned."""
    if encoding != "locale":
        return encoding
    import locale

    return locale.getencoding()


def is_coded_at_once(encoding: str, newline: str | None) -> bool:
    """Return whether a text is coded as a whole like by ``open()``, but for ends of lines."""
    return encoding in _CODED_AT_ONCE and newline in (None, "", "\n")
