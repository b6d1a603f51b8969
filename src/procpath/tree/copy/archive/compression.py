"""Archives that are compressed, unpacked by Python's own modules.

No program is run for it: one that is looked up could be the container's (CVE-2026-41567).
"""

from __future__ import annotations

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable
from errno import EBADMSG, ENOTSUP
from typing import Any, Protocol

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError

_ERRORS: tuple[type[Exception], ...] = (EOFError, zlib.error, lzma.LZMAError)
if sys.version_info >= (3, 14):
    _ERRORS += (ZstdError,)

_BUFFER = 1 << 16

_MOST_MEMORY = 1 << 28
"""for xz, whose header says how much it takes; ``xz -9`` takes 65 MiB"""


class Readable(Protocol):
    """What an archive is read from."""

    def read(self, size: int, /) -> bytes: ...


def uncompressed(source: Readable) -> Readable:
    """Return a stream of what ``source`` holds, which may be compressed (gzip, bzip2, xz, zstd)."""
    start = b""
    while len(start) < 6 and (data := source.read(6 - len(start))):
        start += data
    whole = _Prefixed(start, source)
    if start.startswith(b"\x1f\x8b"):
        return _Checked(_Unpacked(whole, _Gzip))
    if start.startswith(b"BZh"):
        return _Checked(_Unpacked(whole, bz2.BZ2Decompressor))
    if start.startswith(b"\xfd7zXZ\0"):
        return _Checked(_Unpacked(whole, lambda: lzma.LZMADecompressor(memlimit=_MOST_MEMORY)))
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        if sys.version_info >= (3, 14):
            return _Checked(_Unpacked(whole, ZstdDecompressor))
        raise OSError(ENOTSUP, "the archive is compressed by zstd, which takes Python 3.14")
    return whole


class _Prefixed:
    """A stream from which something has been read before, and put back."""

    def __init__(self, start: bytes, rest: Readable) -> None:
        self._start = start
        self._rest = rest

    def read(self, size: int) -> bytes:
        start, self._start = self._start[:size], self._start[size:]
        return start or self._rest.read(size)


class _Gzip:
    """:mod:`zlib`'s decompressor of gzip streams with the interface of the others.

    The checksum at their end is taken in after all output, so input is left while output is.
    """

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, size: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, size)


class _Unpacked:
    """The content of one or more compressed streams behind each other."""

    def __init__(self, source: Readable, new: Callable[[], Any]) -> None:
        """``new`` returns a decompressor with the interface of :class:`bz2.BZ2Decompressor`."""
        self._source = source
        self._new = new
        self._decompressor = new()

    def read(self, size: int) -> bytes:
        while True:
            data = b""
            if self._decompressor.eof:
                # xz may fill up with zeros between two streams.
                data = self._decompressor.unused_data.lstrip(b"\0")
                while not data:
                    data = self._source.read(_BUFFER)
                    if not data:
                        return b""
                    data = data.lstrip(b"\0")
                self._decompressor = self._new()
            elif self._decompressor.needs_input:
                data = self._source.read(_BUFFER)
                if not data:
                    raise EOFError("the compressed stream is cut off")
            unpacked: bytes = self._decompressor.decompress(data, size)
            if unpacked:
                return unpacked


class _Checked:
    """A stream whose decompressor's errors become ``OSError`` with an errno."""

    def __init__(self, source: Readable) -> None:
        self._source = source

    def read(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except OSError as error:
            # bz2 raises it without an errno for a broken stream.
            if error.errno is not None:
                raise
            reason = str(error)
        except _ERRORS as error:
            reason = str(error)
        raise OSError(EBADMSG, f"the compressed archive cannot be unpacked: {reason}")
