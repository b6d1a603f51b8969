"""Standard output of the commands, for readers and for programs.

Whoever owns a container chooses the names in it, so a name may carry escape sequences. On a
terminal, names are quoted as ls(1) quotes them, so that a shell reads them back. Pipes and files
get their bytes. JSON is ASCII: bytes that are not UTF-8 are the escapes ``\\udc80`` to ``\\udcff``
(PEP 383), which ``os.fsencode()`` turns back into the bytes.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from errno import EAGAIN, EBADF
from typing import NamedTuple, TextIO

from procpath.errors import os_error

_BOLD = "1"
_DIM = "2"
_STYLES = {
    "heading": _BOLD,
    "note": _DIM,
    "good": "32",
    "bad": "31",
    "directory": "1;34",
    "symlink": "36",
    "executable": "32",
    "special": "33",
}
"""SGR parameters of each style, for a terminal with colours (console_codes(4))."""

_NAMED_ESCAPES = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}

_NEEDS_NO_QUOTES = re.compile(r"[\w@%+=:,./-]+")

_DOTS = "..."
_CHARACTERS_IN_A_COLUMN = 8
_GAP = 2
"""spaces between two columns"""
_NARROWEST = 8
"""columns that a cell keeps, however narrow the terminal is"""
_NARROWEST_TEXT = 30
"""columns for a text that goes on below itself"""
_INDENT = 4
_WIDEST = 100
"""columns up to which other rows are aligned with a cell"""


class OutputFailedError(Exception):
    """Standard output cannot be written to. Not an ``OSError``, which is one path's."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Cell(NamedTuple):
    """One field of a table."""

    text: str
    style: str = ""
    """a key of ``_STYLES``, or empty"""
    tail: str = ""
    """what follows the text, without the style"""


class Output:
    """Standard output, which may be a terminal."""

    def __init__(self) -> None:
        """Take ``sys.stdout``; ``OutputFailedError`` where that was closed (``>&-``)."""
        if sys.stdout is None:
            raise OutputFailedError(os_error(EBADF))
        self._stream = sys.stdout
        self.is_terminal: bool = self._stream.isatty()
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
                    raise os_error(EAGAIN)
                rest = rest[written:]
        except OSError as error:
            raise OutputFailedError(error) from None

    def flush(self) -> None:
        """Flush what was written here or through ``sys.stdout``."""
        try:
            self._stream.flush()
        except OSError as error:
            raise OutputFailedError(error) from None

    def print(self, text: str = "", end: str = "\n") -> None:
        """Write text and ``end``. Names in it have gone through :meth:`name`."""
        self.write(_encoded(text + end))

    def name(self, name: str) -> str:
        """Return a file name, quoted if this is a terminal."""
        return quoted(name) if self.is_terminal else name

    def paint(self, text: str, style: str) -> str:
        """Return ``text`` in a style, if there are colours."""
        if not (style and self._has_colors and text):
            return text
        return f"\033[{_STYLES[style]}m{text}\033[0m"

    def can_show(self, text: str) -> bool:
        """Return whether the locale's encoding has all characters of ``text``."""
        try:
            text.encode(sys.getfilesystemencoding())
        except UnicodeEncodeError:
            return False
        return True

    def table(
        self,
        rows: Iterable[Sequence[Cell]],
        right: Collection[int] = (),
        limits: Mapping[int, int] | None = None,
        wrapped: int | None = None,
    ) -> None:
        """Print rows in aligned columns; those numbered in ``right`` are aligned to the right.

        ``limits`` are the columns that are shortened: to that width, or on a terminal so that the
        rows fit. The column ``wrapped``, the last one, goes on below itself on a terminal.
        ``rows`` is iterated over twice, so a long table may make its cells on the way.
        """
        widths: list[int] = []
        for row in rows:
            widths = [*widths, *[0] * (len(row) - len(widths))]
            widths = list(map(max, widths, (min(_cell_width(cell), _WIDEST) for cell in row)))
        limits = limits or {}
        if self.is_terminal:
            self._fit(widths, limits)
        else:
            for column, limit in limits.items():
                widths[column] = min(widths[column], limit)
        for row in rows:
            cells = [
                cell._replace(text=shortened(cell.text, width)) if number in limits else cell
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            if wrapped is not None and self.is_terminal:
                more = self._wrap(cells, widths, wrapped)
            else:
                more = []
            padded = [
                self._padded(cell, width, number in right)
                for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ]
            self.print((" " * _GAP).join(padded).rstrip(" "))
            for line in more:
                self.print(line)

    def _fit(self, widths: list[int], columns: Collection[int]) -> None:
        """Make the widest of these columns narrower until the rows fit on the terminal."""
        excess = sum(widths) + _GAP * (len(widths) - 1) - _room()
        while excess > 0 and columns:
            widest = max(columns, key=widths.__getitem__)
            if widths[widest] <= _NARROWEST:
                break
            widths[widest] -= 1
            excess -= 1

    def _wrap(self, cells: list[Cell], widths: list[int], column: int) -> list[str]:
        """Cut the last cell of a row where it would be broken; return the lines below it.

        If there is little room for it, all of it goes below.
        """
        from textwrap import wrap

        cell = cells[column]
        indent = sum(widths[:column]) + _GAP * column
        if indent + _cell_width(cell) <= _room():
            return []
        if _room() - indent < _NARROWEST_TEXT:
            indent = _INDENT
        lines = wrap(cell.text, max(_room() - indent, _NARROWEST_TEXT), break_on_hyphens=False)
        cells[column] = cell._replace(text=lines.pop(0) if indent != _INDENT else "")
        return [" " * indent + self.paint(line, cell.style) for line in lines]

    def columns(self, cells: Sequence[Cell]) -> None:
        """Print cells down and then across, in as many columns as fit on the terminal."""
        room = _room()
        widths = list(map(_cell_width, cells))
        count = max(1, min(len(cells), room // (_GAP + 1)))
        while True:
            height = max(1, -(-len(cells) // count))
            tops = range(0, len(cells), height)
            columns = [max(widths[top : top + height]) for top in tops]
            if count == 1 or sum(columns) + _GAP * (len(columns) - 1) <= room:
                break
            count -= 1
        for line in range(min(height, len(cells))):
            row = [
                self._padded(cells[top + line], width, to_the_right=False)
                for top, width in zip(tops, columns, strict=True)
                if top + line < len(cells)
            ]
            self.print((" " * _GAP).join(row).rstrip(" "))

    @contextmanager
    def json_array(self) -> Iterator[Callable[[object], None]]:
        """Write a JSON array: the function that this gives writes an item, on a line each."""
        import json

        before = "["

        def emit(item: object) -> None:
            nonlocal before
            self.print(f"{before}\n  {json.dumps(item)}", end="")
            before = ","

        yield emit
        self.print("[]" if before == "[" else "\n]")

    def json(self, item: object) -> None:
        """Write one JSON value."""
        import json

        self.print(json.dumps(item, indent=2))

    def _padded(self, cell: Cell, width: int, to_the_right: bool) -> str:
        spaces = " " * (width - _cell_width(cell))
        text = self.paint(cell.text, cell.style) + cell.tail
        return spaces + text if to_the_right else text + spaces


def discard(stream: TextIO) -> None:
    """Redirect a standard stream that failed to ``/dev/null``.

    Otherwise the interpreter tries to write the rest of the buffer when it exits.
    """
    with suppress(AttributeError, OSError):
        fd = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, fd)
        os.close(nowhere)


def printable(text: str) -> str:
    """Return ``text`` on one line, with everything escaped that a terminal may obey.

    That includes characters that change the direction of writing, and bytes that are not UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def quoted(name: str) -> str:
    """Return ``name`` quoted for a shell, without anything that a terminal obeys."""
    if not name.isprintable():
        inner = name.replace("\\", r"\\").replace("'", r"\'")
        return f"$'{printable(inner)}'"
    return name if _NEEDS_NO_QUOTES.fullmatch(name) else shlex.quote(name)


def human(size: int) -> str:
    """Return a number of bytes as ls(1) and du(1) print it with ``-h``: rounded up, 1.5K, 12M."""
    if size < 1024:
        return str(size)
    for power, unit in enumerate("KMGTPEZY", 1):
        tenths = -(-size * 10 // 1024**power)
        if tenths < 100:
            return f"{tenths // 10}.{tenths % 10}{unit}"
        whole = -(-size // 1024**power)
        if whole < 1024:
            return f"{whole}{unit}"
    raise ValueError(f"no file has {size} bytes")


def shortened(text: str, width: int) -> str:
    """Return ``text`` cut to ``width`` columns, with dots at its end if it was longer."""
    used, end = 0, 0
    for index, char in enumerate(text):
        used += _width(char)
        if used <= width - len(_DOTS):
            end = index + 1
        # Accents take no column, however many there are.
        if used > width or index >= _CHARACTERS_IN_A_COLUMN * width:
            return text[:end] + _DOTS
    return text


def _escaped(char: str) -> str:
    if char in _NAMED_ESCAPES:
        return _NAMED_ESCAPES[char]
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))


def _encoded(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        # Text such as an os-release; names come from os.fsdecode().
        return text.encode(sys.getfilesystemencoding(), "backslashreplace")


def _room() -> int:
    """Return the columns of the terminal."""
    from shutil import get_terminal_size

    return get_terminal_size().columns


def _cell_width(cell: Cell) -> int:
    return _width(cell.text + cell.tail)


def _width(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes (UAX #11)."""
    return len(text) if text.isascii() else sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
