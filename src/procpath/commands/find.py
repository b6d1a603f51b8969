"""``procpath find``: the files below a directory, by name, type and depth, as find(1) finds them.

A link at the start is followed, inside the root; no link below it ever is. What is printed are
in-root paths.
"""

from __future__ import annotations

import argparse
import errno
import re
import stat
from collections.abc import Callable, Iterator
from fnmatch import translate
from typing import Final

from procpath import RootedPath
from procpath.commands.entry import Entry, Owners
from procpath.commands.session import Address, Session, add_addresses, add_json

SUMMARY: Final = "find files by name, type and depth; follows no links"

_TYPES: Final = {
    "f": stat.S_IFREG,
    "d": stat.S_IFDIR,
    "l": stat.S_IFLNK,
    "p": stat.S_IFIFO,
    "s": stat.S_IFSOCK,
    "c": stat.S_IFCHR,
    "b": stat.S_IFBLK,
}

_LEADS_NOWHERE: Final = (errno.ENOENT, errno.ELOOP)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell the parser what the command takes."""
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
    if args.json:
        _print_json(args, session)
        return
    out = session.out
    end = "\0" if args.null else "\n"

    def show(address: Address, start: RootedPath) -> None:
        for path in _Search(args, address, start, session).paths():
            out.print(out.name(str(path)), end=end)

    session.each(args.addresses, show)


def _print_json(args: argparse.Namespace, session: Session) -> None:
    with session.out.json_array() as emit:

        def record(address: Address, start: RootedPath) -> None:
            owners = Owners(start.root_handle)
            search = _Search(args, address, start, session)
            for path in search.paths():
                if (entry := search.entry(path)) is not None:
                    emit(entry.record(address, owners))

        session.each(args.addresses, record)


class _Search:
    """What to look for, and below which path."""

    def __init__(
        self, args: argparse.Namespace, address: Address, start: RootedPath, session: Session
    ) -> None:
        self._maxdepth: int | None = args.maxdepth
        self._types: frozenset[int] | None = args.type
        self._matches = _matcher(args.name)
        self._address = address
        self._start = start
        self._session = session

    def paths(self) -> Iterator[RootedPath]:
        """What matches, each directory before what is in it."""
        start = self._start
        first = self._first()
        if self._matches(first.name) and self._has_type(first):
            yield start
        if not stat.S_ISDIR(first.status.st_mode) or self._maxdepth == 0:
            return
        depth_of_start = len(start.parts)
        for directory, dirnames, filenames in start.walk(on_error=self._tell):
            names = [*dirnames, *filenames]
            if len(directory.parts) - depth_of_start + 1 == self._maxdepth:
                dirnames.clear()
            for name in filter(self._matches, names):
                path = directory / name
                if self._types is None or self._has_type(self.entry(path)):
                    yield path

    def entry(self, path: RootedPath) -> Entry | None:
        """``path`` looked at; None, and a complaint, where it went away meanwhile."""
        try:
            return self._first() if path == self._start else Entry.of(path)
        except OSError as error:
            self._tell(error)
            return None

    def _first(self) -> Entry:
        """The start of the search: what is there, or a link that leads nowhere."""
        try:
            return Entry.of_target(self._start)
        except OSError as error:
            if error.errno not in _LEADS_NOWHERE:
                raise
            return Entry.of(self._start)

    def _has_type(self, entry: Entry | None) -> bool:
        if entry is None:
            return False
        return self._types is None or stat.S_IFMT(entry.status.st_mode) in self._types

    def _tell(self, error: OSError) -> None:
        self._session.blame(self._address, error)


def depth(text: str) -> int:
    """A number of levels, for ``argparse``."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of levels")
    return int(text)


def _types(text: str) -> frozenset[int]:
    letters = text.split(",")
    unknown = [letter for letter in letters if letter not in _TYPES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no type of file: {', '.join(_TYPES)}")
    return frozenset(_TYPES[letter] for letter in letters)


def _matcher(pattern: str | None) -> Callable[[str], object]:
    """Whether a name matches; fnmatch(3) sees nothing special in a dot at its start."""
    return re.compile("" if pattern is None else translate(pattern)).match
