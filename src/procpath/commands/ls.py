"""``procpath ls``: list directories, and anything else by itself."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from errno import ELOOP, ENOENT, ENOTDIR
from functools import partial
from typing import NamedTuple

from procpath import RootedPath
from procpath.commands.entry import Entry, OnError, Owners, local_time
from procpath.commands.output import Cell, Output, human
from procpath.commands.session import Session, add_addresses, add_human, add_json
from procpath.linux import Descriptor
from procpath.tree.walking import walk_ordinary

_NOT_A_DIRECTORY = (ENOTDIR, ENOENT, ELOOP)
"""Errnos of a file, of a dangling link, of a loop or magic link: these are listed themselves."""

_SIZE_COLUMN = 4
_RIGHT = (1, _SIZE_COLUMN)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_addresses(parser)
    parser.add_argument(
        "-l",
        dest="long",
        action="store_true",
        help="with mode, links, owner, group, size, time of change, and where links lead",
    )
    parser.add_argument("-a", "--all", action="store_true", help="names that begin with a dot too")
    parser.add_argument("-d", dest="itself", action="store_true", help="directories themselves")
    add_human(parser, "with -l, sizes as 1.5K, 12M, 3.0G")
    parser.add_argument("-1", dest="one", action="store_true", help="one name on a line")
    parser.add_argument(
        "-R", dest="recursive", action="store_true", help="what is in the directories too"
    )
    order = parser.add_mutually_exclusive_group()
    order.add_argument(
        "-t", dest="order", action="store_const", const=_newest, help="newest first, by their mtime"
    )
    order.add_argument(
        "-S", dest="order", action="store_const", const=_largest, help="largest first"
    )
    add_json(parser)


def run(args: argparse.Namespace, session: Session) -> None:
    """List each address."""
    out = session.out
    if args.json:
        with out.json_array() as emit:
            for address, path in session.paths(args.addresses):
                owners = Owners(path.root_handle)
                on_error = partial(session.blame_of_walk, address)
                with session.telling(address):
                    for listing in _listings(path, args, on_error):
                        for entry in listing.entries(on_error):
                            emit(entry.record(address, owners))
        return
    before = ""
    for address, path in session.paths(args.addresses):
        owners = Owners(path.root_handle)
        on_error = partial(session.blame_of_walk, address)
        with session.telling(address):
            for listing in _listings(path, args, on_error):
                if args.recursive or len(args.addresses) > 1:
                    out.print(f"{before}{out.name(address.at(listing.path))}:")
                    before = "\n"
                _print(listing, args, owners, on_error, out)


def _print(
    listing: _Listing, args: argparse.Namespace, owners: Owners, on_error: OnError, out: Output
) -> None:
    if args.long:
        rows = _LongRows(listing.entries(on_error), owners, out, args.human)
        out.table(rows, right=_RIGHT)
    elif out.is_terminal and not args.one:
        out.columns([entry.cell(out) for entry in listing.entries(on_error)])
    elif out.is_terminal or listing.order:
        for entry in listing.entries(on_error):
            cell = entry.cell(out)
            out.print(out.paint(cell.text, cell.style))
    else:
        for name in listing.names:
            out.print(name)


def _newest(entry: Entry) -> tuple[int, str]:
    return -entry.status.st_mtime_ns, entry.name


def _largest(entry: Entry) -> tuple[int, str]:
    return -entry.status.st_size, entry.name


class _Listing(NamedTuple):
    """The names to list, and how to look at one."""

    path: str
    """in-root path of the directory"""
    names: list[str]
    look: Callable[[str, OnError], Entry]
    order: Callable[[Entry], tuple[int, str]] | None

    def entries(self, on_error: OnError) -> Iterable[Entry]:
        """Look at each name; ``on_error`` is called with the errors."""
        found = self._looked_at(on_error)
        return found if self.order is None else sorted(found, key=self.order)

    def _looked_at(self, on_error: OnError) -> Iterator[Entry]:
        for name in self.names:
            try:
                yield self.look(name, on_error)
            except OSError as error:
                # Removed meanwhile; the others are still to be listed.
                on_error(error)


def _listings(path: RootedPath, args: argparse.Namespace, on_error: OnError) -> Iterator[_Listing]:
    """Yield the listing of a directory, and of those in it if that is asked for."""
    if not (args.recursive and not args.itself and path.is_dir()):
        with _listing(path, args) as listing:
            yield listing
        return

    def on_directory_error(error: OSError) -> None:
        if error.filename == str(path):
            raise error
        on_error(error)

    walk = walk_ordinary(path.root_handle, str(path), on_directory_error)
    for (directory, dirnames, filenames), held in walk:
        if not args.all:
            dirnames[:] = (name for name in dirnames if not name.startswith("."))
            filenames = [name for name in filenames if not name.startswith(".")]
        dirnames.sort()
        names = sorted([*dirnames, *filenames])
        yield _Listing(
            directory,
            names,
            partial(_of_child, held, directory.rstrip("/")),
            args.order,
        )


def _of_child(directory: Descriptor, path: str, name: str, on_error: OnError) -> Entry:
    return Entry.of_child(directory.value, f"{path}/{name}", on_error)


@contextmanager
def _listing(path: RootedPath, args: argparse.Namespace) -> Iterator[_Listing]:
    """List a directory, which is held meanwhile, or anything else by itself."""
    fd = None
    if not args.itself:
        try:
            fd = path.root_handle.open(str(path), os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno not in _NOT_A_DIRECTORY:
                raise
    if fd is None:
        name = Entry.of(path).name
        yield _Listing(str(path), [name], lambda _, on_error: Entry.of(path, on_error), args.order)
        return
    with Descriptor(fd):
        names = sorted(name for name in os.listdir(fd) if args.all or not name.startswith("."))
        top = str(path).rstrip("/")
        yield _Listing(
            str(path),
            names,
            lambda name, on_error: Entry.of_child(fd, f"{top}/{name}", on_error),
            args.order,
        )


class _LongRows:
    """The rows of ``ls -l``, of which only what is shown is kept, and made when printed.

    The ``stat_result`` of each of 300,000 files would take 200 MiB more.
    """

    def __init__(
        self, entries: Iterable[Entry], owners: Owners, out: Output, is_human: bool
    ) -> None:
        self._owners = owners
        self._out = out
        self._size = human if is_human else str
        self._shown = [
            (
                entry.status.st_mode,
                entry.status.st_nlink,
                entry.status.st_uid,
                entry.status.st_gid,
                entry.device or entry.status.st_size,
                entry.status.st_mtime_ns // 1_000_000_000,
                entry.cell(out)._replace(tail=entry.pointing(out)),
            )
            for entry in entries
        ]

    def __iter__(self) -> Iterator[list[Cell]]:
        name = self._out.name
        for mode, links, uid, gid, size, seconds, cell in self._shown:
            yield [
                Cell(stat.filemode(mode)),
                Cell(str(links)),
                Cell(name(str(self._owners.user(uid)))),
                Cell(name(str(self._owners.group(gid)))),
                Cell(size if isinstance(size, str) else self._size(size)),
                Cell(local_time(seconds, "%Y-%m-%d %H:%M")),
                cell,
            ]
