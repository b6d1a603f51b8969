"""``procpath tree``: everything below a directory, drawn as a tree, as tree(1) draws it.

A link at the start is followed, inside the root; no link below it ever is. Lines are printed
while the tree is walked: a large one takes no memory, a deep one no recursion.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final, NamedTuple

from procpath import RootedPath
from procpath.commands.entry import Entry
from procpath.commands.find import depth
from procpath.commands.session import Address, Session, add_addresses

SUMMARY: Final = "draw what is below a directory; follows no links"


class _Glyphs(NamedTuple):
    """What the branches are drawn with."""

    branch: str
    last_branch: str
    trunk: str
    nothing: str


_LINES: Final = _Glyphs("├── ", "└── ", "│   ", "    ")
_ASCII: Final = _Glyphs("|-- ", "`-- ", "|   ", "    ")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell the parser what the command takes."""
    add_addresses(parser)
    parser.add_argument("-L", metavar="N", dest="levels", type=_levels, help="go down N levels")
    parser.add_argument("-a", "--all", action="store_true", help="names that begin with a dot too")


def run(args: argparse.Namespace, session: Session) -> None:
    """Draw the tree at each address."""

    def draw(address: Address, path: RootedPath) -> None:
        _Drawing(args, address, session).draw(path)

    session.each(args.addresses, draw)


class _Level:
    """One directory whose entries are being printed."""

    def __init__(
        self, directory: RootedPath, dirnames: list[str], filenames: list[str], prefix: str
    ) -> None:
        self.directory = directory
        self.prefix = prefix
        """what stands before the branches of its entries"""
        self.is_lowest = False
        """the directories in it are not entered"""
        self._dirnames = frozenset(dirnames)
        self._names = sorted(dirnames + filenames, reverse=True)

    def __iter__(self) -> Iterator[tuple[str, bool, bool]]:
        """The entries still to be printed, and of each whether it is a directory and the last."""
        while self._names:
            name = self._names.pop()
            yield name, name in self._dirnames, not self._names


class _Drawing:
    """The tree at one address, as far as it was drawn."""

    def __init__(self, args: argparse.Namespace, address: Address, session: Session) -> None:
        self._levels: int | None = args.levels
        self._hidden_too: bool = args.all
        self._address = address
        self._session = session
        self._out = session.out
        self._glyphs = _LINES if self._out.can_show("".join(_LINES)) else _ASCII
        self._open: list[_Level] = []
        """from the start down, the directories of which lines are still to come"""
        self._next_prefix = ""
        self._directories = 0
        self._files = 0

    def draw(self, start: RootedPath) -> None:
        """Print all of it, and what was counted."""
        for directory, dirnames, filenames in start.walk(on_error=self._unreadable):
            dirnames[:] = sorted(filter(self._is_shown, dirnames))
            if not self._open:
                self._out.print(self._out.paint(self._out.name(str(start)), "directory"))
            level = _Level(
                directory, dirnames, list(filter(self._is_shown, filenames)), self._next_prefix
            )
            self._open.append(level)
            if len(self._open) == self._levels:
                level.is_lowest = True
                dirnames.clear()
            self._print_to_next_directory()
        directories = _count(self._directories, "directory", "directories")
        self._out.print(f"\n{directories}, {_count(self._files, 'file', 'files')}")

    def _is_shown(self, name: str) -> bool:
        return self._hidden_too or not name.startswith(".")

    def _unreadable(self, error: OSError) -> None:
        if not self._open:
            raise error
        self._session.blame(self._address, error)
        # The walk does not come to it, so the next line is the one after it.
        self._print_to_next_directory()

    def _print_to_next_directory(self) -> None:
        """Print lines up to that of the directory to which the walk comes next."""
        while self._open:
            level = self._open[-1]
            for name, is_directory, is_last in level:
                branch = self._glyphs.last_branch if is_last else self._glyphs.branch
                if is_directory:
                    self._directories += 1
                    shown = self._out.paint(self._out.name(name), "directory")
                else:
                    self._files += 1
                    shown = self._file(level.directory / name)
                self._out.print(f"{level.prefix}{branch}{shown}")
                if is_directory and not level.is_lowest:
                    trunk = self._glyphs.nothing if is_last else self._glyphs.trunk
                    self._next_prefix = level.prefix + trunk
                    return
            self._open.pop()

    def _file(self, path: RootedPath) -> str:
        """The name of what is no directory, and where it leads if it is a link."""
        name = self._out.name(path.name)
        try:
            entry = Entry.of(path)
        except OSError as error:
            # It was there when the directory was listed.
            self._session.blame(self._address, error)
            return name
        return self._out.paint(name, entry.style) + entry.pointing(self._out)


def _levels(text: str) -> int:
    if (levels := depth(text)) == 0:
        raise argparse.ArgumentTypeError("a tree has 1 level or more")
    return levels


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
