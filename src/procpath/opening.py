"""``open()`` of a path inside a root, with the overloads of pathlib's."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Literal, overload

from procpath.errors import note_once
from procpath.lexical import LexicalPath

if TYPE_CHECKING:
    from _typeshed import (
        OpenBinaryMode,
        OpenBinaryModeReading,
        OpenBinaryModeUpdating,
        OpenBinaryModeWriting,
        OpenTextMode,
    )


class OpenablePath(LexicalPath, from_segments=True):
    """A path whose file can be opened."""

    __slots__ = ()

    # As typeshed has them.

    @overload
    def open(
        self,
        mode: OpenTextMode = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.TextIOWrapper: ...
    @overload
    def open(
        self,
        mode: OpenBinaryMode,
        buffering: Literal[0],
        encoding: None = None,
        errors: None = None,
        newline: None = None,
    ) -> io.FileIO: ...
    @overload
    def open(
        self,
        mode: OpenBinaryModeUpdating,
        buffering: Literal[-1, 1] = -1,
        encoding: None = None,
        errors: None = None,
        newline: None = None,
    ) -> io.BufferedRandom: ...
    @overload
    def open(
        self,
        mode: OpenBinaryModeWriting,
        buffering: Literal[-1, 1] = -1,
        encoding: None = None,
        errors: None = None,
        newline: None = None,
    ) -> io.BufferedWriter: ...
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
        mode: OpenBinaryMode,
        buffering: int = -1,
        encoding: None = None,
        errors: None = None,
        newline: None = None,
    ) -> BinaryIO: ...
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
        """Open the file, like the built-in ``open()``. A new file is created inside the root.

        ``mode``, ``buffering``, ``encoding``, ``errors`` and ``newline`` are those of ``open()``; a
        new file gets 0o666 and the umask. Raises ``OSError``, :class:`SpecialFileError` among them.

        The file's ``name`` is this path. A text would be that of a host file to a library that
        opens it again.

        Examples:
            >>> with RootedPath(23309, "etc/passwd").open() as file:
            ...     next(file)
            'root:x:0:0:root of the cellar:/root:/bin/sh\\n'
        """
        is_text = "b" not in mode
        if is_text:
            encoding = io.text_encoding(encoding)
        try:
            file = open(str(self), mode, buffering, encoding, errors, newline, opener=self._opener)
        except OSError as error:
            note_once(error, self._root.note)
            raise
        raw: Any = file
        if is_text:
            raw = raw.buffer.raw
        elif buffering:
            raw = raw.raw
        raw.name = self
        return file

    def _opener(self, _: str, flags: int) -> int:
        return self._root.resolver.open_number(self._raw, flags, 0o666)
