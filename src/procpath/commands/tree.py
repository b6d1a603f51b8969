"""``procpath tree``: draw everything below a directory, as tree(1) does.

A link at the start is followed, inside the root; links below it are not. Lines are printed during
the walk, so a large tree takes no memory, and a deep one no recursion. File systems of the kernel's
own, such as a container's ``/proc``, are not entered below the start.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from procpath import RootedPath
from procpath.commands.entry import Entry, OnError
from procpath.commands.output import Output
from procpath.commands.session import Session, add_addresses, depth
from procpath.linux import Descriptor
from procpath.tree.walking import walk_ordinary


class _Glyphs(NamedTuple):
    """The strings that branches are drawn with."""

    branch: str
    last_branch: str
    trunk: str
    nothing: str


_LINES = _Glyphs("├── ", "└── ", "│   ", "    ")
_ASCII = _Glyphs("|-- ", "`-- ", "|   ", "    ")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_addresses(parser)
    parser.add_argument("-L", metavar="N", dest="levels", type=_levels, help="go down N levels")
    parser.add_argument("-a", "--all", action="store_true", help="names that begin with a dot too")


def run(args: argparse.Namespace, session: Session) -> None:
    """Draw the tree at each address."""
    for address, path in session.paths(args.addresses):
        with session.telling(address):
            _Drawing(args, path, partial(session.blame_of_walk, address), session.out).draw()


class _Level:
    """One directory whose entries are being printed.

    What is before its lines is made of the levels above it when they are printed: kept for each
    level of a deep tree, it would take memory by the square of its depth.
    """

    def __init__(self, dirnames: list[str], filenames: list[str], shown: dict[str, str]) -> None:
        self.trunk = ""
        """what is before the lines of the directory in it that the walk is in"""
        self.is_lowest = False
        """whether the directories in it are not entered"""
        self.shown = shown
        """how a file is printed whose name is not all"""
        self._dirnames = frozenset(dirnames)
        self._names = sorted(dirnames + filenames, reverse=True)

    def __iter__(self) -> Iterator[tuple[str, bool, bool]]:
        """Yield the entries still to be printed: name, is a directory, is the last one."""
        while self._names:
            name = self._names.pop()
            yield name, name in self._dirnames, not self._names


class _Drawing:
    """The tree at one address, as far as it is drawn."""

    def __init__(
        self, args: argparse.Namespace, start: RootedPath, on_error: OnError, out: Output
    ) -> None:
        self._start = start
        self._on_error = on_error
        self._levels: int | None = args.levels
        self._hidden_too: bool = args.all
        self._out = out
        self._glyphs = _LINES if self._out.can_show("".join(_LINES)) else _ASCII
        self._open: list[_Level] = []
        """the directories with lines still to come, from the start down"""
        self._directories = 0
        self._files = 0

    def draw(self) -> None:
        """Print the tree, and how many directories and files it has."""
        root, top = self._start.root_handle, str(self._start)
        for (path, dirnames, filenames), held in walk_ordinary(root, top, self._unreadable):
            dirnames[:] = sorted(filter(self._is_shown, dirnames))
            if not self._open:
                self._out.print(self._out.paint(self._out.name(str(self._start)), "directory"))
            files = list(filter(self._is_shown, filenames))
            # Now, while the directory is held: from the root it would be a long way.
            level = _Level(dirnames, files, self._files_of(held, path.rstrip("/"), files))
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
        self._on_error(error)
        # The walk leaves this directory out, so the next line is the one after it.
        self._print_to_next_directory()

    def _print_to_next_directory(self) -> None:
        """Print lines up to the directory that the walk enters next."""
        while self._open:
            *above, level = self._open
            prefix = "".join([each.trunk for each in above])
            for name, is_directory, is_last in level:
                branch = self._glyphs.last_branch if is_last else self._glyphs.branch
                if is_directory:
                    self._directories += 1
                    shown = self._out.paint(self._out.name(name), "directory")
                else:
                    self._files += 1
                    shown = level.shown.get(name) or self._out.name(name)
                self._out.print(f"{prefix}{branch}{shown}")
                if is_directory and not level.is_lowest:
                    level.trunk = self._glyphs.nothing if is_last else self._glyphs.trunk
                    return
            self._open.pop()

    def _files_of(self, directory: Descriptor, path: str, names: list[str]) -> dict[str, str]:
        """Return how those files are printed of which more is shown than the name."""
        shown = {}
        for name in names:
            try:
                entry = Entry.of_child(directory.value, f"{path}/{name}", self._on_error)
            except OSError as error:
                # It was there when the directory was listed.
                self._on_error(error)
                continue
            plain = self._out.name(name)
            full = self._out.paint(plain, entry.style) + entry.pointing(self._out)
            if full != plain:
                shown[name] = full
        return shown


def _levels(text: str) -> int:
    if (levels := depth(text)) == 0:
        raise argparse.ArgumentTypeError("a tree has at least 1 level")
    return levels


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
