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
from procpath.commands.output import Cell, Output
from procpath.commands.session import Session, add_addresses, add_json
from procpath.linux import Descriptor

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
    add_json(parser)


def run(args: argparse.Namespace, session: Session) -> None:
    """List each address."""
    if args.json:
        _print_json(args, session)
        return
    out = session.out
    before = ""
    for address, path in session.paths(args.addresses):
        with session.telling(address), _listing(path, args.all) as listing:
            if len(args.addresses) > 1:
                out.print(f"{before}{out.name(str(address))}:")
                before = "\n"
            on_error = partial(session.blame, address)
            if args.long:
                owners = Owners(path.root_handle)
                out.table(_LongRows(listing.entries(on_error), owners, out), right=_RIGHT)
            elif out.is_terminal:
                out.columns([entry.cell(out) for entry in listing.entries(on_error)])
            else:
                for name in listing.names:
                    out.print(name)


def _print_json(args: argparse.Namespace, session: Session) -> None:
    with session.out.json_array() as emit:
        for address, path in session.paths(args.addresses):
            with session.telling(address), _listing(path, args.all) as listing:
                owners = Owners(path.root_handle)
                for entry in listing.entries(partial(session.blame, address)):
                    emit(entry.record(address, owners))


class _Listing(NamedTuple):
    """The names to list, and how to look at one."""

    names: list[str]
    look: Callable[[str, OnError], Entry]

    def entries(self, on_error: OnError) -> Iterator[Entry]:
        """Look at each name; ``on_error`` is called with the errors."""
        for name in self.names:
            try:
                yield self.look(name, on_error)
            except OSError as error:
                # Removed meanwhile; the others are still to be listed.
                on_error(error)


@contextmanager
def _listing(path: RootedPath, hidden_too: bool) -> Iterator[_Listing]:
    """List a directory, which is held meanwhile, or anything else by itself."""
    try:
        fd = path.root_handle.open(str(path), os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno not in _NOT_A_DIRECTORY:
            raise
        fd = None
    if fd is None:
        yield _Listing([Entry.of(path).name], lambda _, on_error: Entry.of(path, on_error))
        return
    with Descriptor(fd):
        names = sorted(name for name in os.listdir(fd) if hidden_too or not name.startswith("."))
        top = str(path).rstrip("/")
        yield _Listing(names, lambda name, on_error: Entry.of_child(fd, f"{top}/{name}", on_error))


class _LongRows:
    """The rows of ``ls -l``, of which only what is shown is kept, and made when printed.

    The ``stat_result`` of each of 300,000 files would take 200 MiB more.
    """

    def __init__(self, entries: Iterable[Entry], owners: Owners, out: Output) -> None:
        self._owners = owners
        self._out = out
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
                Cell(str(size)),
                Cell(local_time(seconds, "%Y-%m-%d %H:%M")),
                cell,
            ]
