"""``procpath find``: find files below a directory by name, type and depth, as find(1) does.

A link at the start is followed, inside the root; links below it are not. In-root paths are printed.
"""

from __future__ import annotations

import argparse
import re
import stat
from collections.abc import Callable, Iterator
from errno import ELOOP, ENOENT
from fnmatch import translate
from functools import partial

from procpath import RootedPath
from procpath.commands.entry import Entry, OnError, Owners
from procpath.commands.session import Session, add_addresses, add_json

_TYPES = {
    "f": stat.S_IFREG,
    "d": stat.S_IFDIR,
    "l": stat.S_IFLNK,
    "p": stat.S_IFIFO,
    "s": stat.S_IFSOCK,
    "c": stat.S_IFCHR,
    "b": stat.S_IFBLK,
}

_LEADS_NOWHERE = (ENOENT, ELOOP)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_addresses(parser)
    parser.add_argument(
        "-name", metavar="PATTERN", help="whose last component matches, with *, ? and [...]"
    )
    parser.add_argument(
        "-type",
        metavar="TYPES",
        type=_types,
        help="one or more, with commas between, of f, d, l, p (FIFO), s (socket), c, b (devices)",
    )
    parser.add_argument(
        "-maxdepth", metavar="N", type=depth, help="go down N levels; 0 is the start alone"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "-print0",
        "--null",
        action="store_true",
        dest="null",
        help="end each path with NUL, not newline",
    )
    add_json(form)


def run(args: argparse.Namespace, session: Session) -> None:
    """Print what is found below each address."""
    out = session.out
    if args.json:
        with out.json_array() as emit:
            for address, start in session.paths(args.addresses):
                with session.telling(address):
                    owners = Owners(start.root_handle)
                    search = _Search(args, start, partial(session.blame, address))
                    for path in search.paths():
                        if (entry := search.entry(path, search.on_error)) is not None:
                            emit(entry.record(address, owners))
        return
    end = "\0" if args.null else "\n"
    for address, start in session.paths(args.addresses):
        with session.telling(address):
            for path in _Search(args, start, partial(session.blame, address)).paths():
                out.print(out.name(str(path)), end=end)


class _Search:
    """What to look for, and below which path. ``on_error`` is called with the errors."""

    def __init__(self, args: argparse.Namespace, start: RootedPath, on_error: OnError) -> None:
        self._maxdepth: int | None = args.maxdepth
        self._types: frozenset[int] | None = args.type
        self._matches = _matcher(args.name)
        self._start = start
        self.on_error = on_error

    def paths(self) -> Iterator[RootedPath]:
        """Yield what matches, each directory before what is in it."""
        start = self._start
        first = self._first(None)
        if self._matches(first.name) and self._has_type(first):
            yield start
        if not stat.S_ISDIR(first.status.st_mode) or self._maxdepth == 0:
            return
        depth_of_start = len(start.parts)
        for directory, dirnames, filenames in start.walk(on_error=self.on_error):
            names = [*dirnames, *filenames]
            if len(directory.parts) - depth_of_start + 1 == self._maxdepth:
                dirnames.clear()
            for name in filter(self._matches, names):
                path = directory / name
                if self._types is None or self._has_type(self.entry(path, None)):
                    yield path

    def entry(self, path: RootedPath, on_error: OnError | None) -> Entry | None:
        """Look at ``path``. Return None, after a message, if it was removed meanwhile."""
        try:
            return self._first(on_error) if path == self._start else Entry.of(path, on_error)
        except OSError as error:
            self.on_error(error)
            return None

    def _first(self, on_error: OnError | None) -> Entry:
        """Look at the start of the search, or at the link there if it leads nowhere."""
        try:
            return Entry.of_target(self._start)
        except OSError as error:
            if error.errno not in _LEADS_NOWHERE:
                raise
            return Entry.of(self._start, on_error)

    def _has_type(self, entry: Entry | None) -> bool:
        if entry is None:
            return False
        return self._types is None or stat.S_IFMT(entry.status.st_mode) in self._types


def depth(text: str) -> int:
    """Parse a number of levels, for ``argparse``."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"not a number of levels: {text!r}")
    return int(text)


def _types(text: str) -> frozenset[int]:
    letters = text.split(",")
    unknown = [letter for letter in letters if letter not in _TYPES]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"not a file type: {unknown[0]!r}; use {', '.join(_TYPES)}"
        )
    return frozenset(_TYPES[letter] for letter in letters)


def _matcher(pattern: str | None) -> Callable[[str], object]:
    """Return a match function. A dot at the start of a name is like any other character."""
    return re.compile("" if pattern is None else translate(pattern)).match
