"""What commands write to standard output, made for people or for programs.

Names in a container are chosen by whoever owns it, so a name may carry escape sequences.
:class:`Output` promises that none of them reaches a terminal: there names are quoted as ls(1)
quotes them, in a way that a shell reads back. Into pipes and files they go byte by byte, and
in JSON, which is plain ASCII, bytes that are not UTF-8 are the escapes ``\\udc80`` to
``\\udcff`` (PEP 383, ``surrogateescape``), so that ``os.fsencode()`` gives them back.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from procpath.errors import os_error

_BOLD: Final = "1"
_DIM: Final = "2"
_STYLES: Final = {
    "heading": _BOLD,
    "note": _DIM,
    "good": "32",
    "bad": "31",
    "directory": "1;34",
    "symlink": "36",
    "executable": "32",
    "special": "33",
}
"""What a style is on a terminal with colours: parameters of SGR (console_codes(4))."""

_NAMED_ESCAPES: Final = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}

_NEEDS_NO_QUOTES = re.compile(r"[\w@%+=:,./-]+")

_GAP: Final = 2
"""Spaces between two columns."""


class OutputFailedError(Exception):
    """Standard output cannot be written to. No ``OSError``, which would be taken for a path's."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Cell(NamedTuple):
    """A piece of text in a table."""

    text: str
    style: str = ""
    """a key of ``_STYLES``, or empty"""
    tail: str = ""
    """what follows the text, in no style"""


class Output:
    """Standard output: bytes, and whether a terminal shows them."""

    def __init__(self) -> None:
        """Take ``sys.stdout``; ``OutputFailedError`` where that was closed (``>&-``)."""
        if sys.stdout is None:
            raise OutputFailedError(os_error(errno.EBADF))
        self._stream = sys.stdout
        self.is_terminal = self._stream.isatty()
        # https://no-color.org: set, and not empty. A dumb terminal knows no sequences.
        self._has_colors = (
            self.is_terminal
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM", "dumb") != "dumb"
        )

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        rest = memoryview(data)
        try:
            while rest:
                # With PYTHONUNBUFFERED there is no buffer, and a write may be a part of it.
                written = self._stream.buffer.write(rest)
                if written is None:
                    raise os_error(errno.EAGAIN)
                rest = rest[written:]
        except OSError as error:
            raise OutputFailedError(error) from None

    def flush(self) -> None:
        """Hand over what was written so far, by others through ``sys.stdout`` too."""
        try:
            self._stream.flush()
        except OSError as error:
            raise OutputFailedError(error) from None

    def print(self, text: str = "", end: str = "\n") -> None:
        """Write text and ``end``; names in it went through :meth:`name`, or are file names to a
        byte.
        """
        self.write(_encoded(text + end))

    def name(self, name: str) -> str:
        """A file name as this output may show it: quoted on a terminal, else as it is."""
        return quoted(name) if self.is_terminal else name

    def paint(self, text: str, style: str) -> str:
        """``text`` in a style, where there are colours."""
        if not (style and self._has_colors and text):
            return text
        return f"\033[{_STYLES[style]}m{text}\033[0m"

    def can_show(self, text: str) -> bool:
        """Whether the locale's encoding has all characters of ``text``."""
        try:
            text.encode(sys.getfilesystemencoding())
        except UnicodeEncodeError:
            return False
        return True

    def table(self, rows: Sequence[Sequence[Cell]], right: Collection[int] = ()) -> None:
        """Rows of cells in aligned columns; those numbered in ``right`` to the right."""
        widths = [max(map(_cell_width, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            padded = [
                self._padded(cell, width, number in right)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            self.print((" " * _GAP).join(padded).rstrip(" "))

    def columns(self, cells: Sequence[Cell]) -> None:
        """Cells down and then across, in as many columns as the terminal has room for."""
        room = shutil.get_terminal_size().columns
        for count in range(min(len(cells), room // (_GAP + 1)), 0, -1):
            height = -(-len(cells) // count)
            across = [cells[start : start + height] for start in range(0, len(cells), height)]
            widths = [max(map(_cell_width, column)) for column in across]
            if count == 1 or sum(widths) + _GAP * (len(widths) - 1) <= room:
                break
        else:
            return
        for line in range(height):
            row = [
                self._padded(column[line], width, to_the_right=False)
                for column, width in zip(across, widths, strict=True)
                if line < len(column)
            ]
            self.print((" " * _GAP).join(row).rstrip(" "))

    @contextmanager
    def json_array(self) -> Iterator[Callable[[object], None]]:
        """Write a JSON array item by item, each on a line, by calling what this gives."""
        before = "["

        def emit(item: object) -> None:
            nonlocal before
            self.print(f"{before}\n  {json.dumps(item)}", end="")
            before = ","

        yield emit
        self.print("[]" if before == "[" else "\n]")

    def json(self, item: object) -> None:
        """Write one JSON value."""
        self.print(json.dumps(item, indent=2))

    def _padded(self, cell: Cell, width: int, to_the_right: bool) -> str:
        spaces = " " * (width - _cell_width(cell))
        text = self.paint(cell.text, cell.style) + cell.tail
        return spaces + text if to_the_right else text + spaces


def discard_standard_output() -> None:
    """Let what is still buffered for a standard output that failed go nowhere.

    Otherwise the interpreter tries, and complains, once more when it exits.
    """
    with suppress(AttributeError, OSError):
        fd = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, fd)
        os.close(nowhere)


def printable(text: str) -> str:
    """``text`` in one line without control characters or anything else that a terminal obeys.

    That includes what turns the direction of writing, and bytes that are not UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def quoted(name: str) -> str:
    """``name`` as a shell reads it back, and a terminal shows it."""
    if not name.isprintable():
        inner = name.replace("\\", r"\\").replace("'", r"\'")
        return f"$'{printable(inner)}'"
    return name if _NEEDS_NO_QUOTES.fullmatch(name) else shlex.quote(name)


def shortened(text: str, width: int) -> str:
    """``text`` with no more than ``width`` columns, cut off with dots."""
    if _width(text) <= width:
        return text
    while _width(text) > width - 3:
        text = text[:-1]
    return f"{text}..."


def _escaped(char: str) -> str:
    if char in _NAMED_ESCAPES:
        return _NAMED_ESCAPES[char]
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))


def _encoded(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        # Of a text, such as an os-release; names come from os.fsdecode().
        return text.encode(sys.getfilesystemencoding(), "backslashreplace")


def _cell_width(cell: Cell) -> int:
    return _width(cell.text + cell.tail)


def _width(text: str) -> int:
    """How many columns of a terminal ``text`` takes (UAX #11)."""
    return len(text) if text.isascii() else sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
