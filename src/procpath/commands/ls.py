"""``procpath ls``: what is in a directory, the short or the long way.

What leads to no directory is listed itself.
"""

from __future__ import annotations

import argparse
import errno
import stat
from collections.abc import Iterator
from typing import Final

from procpath import RootedPath
from procpath.commands.entry import Entry, Owners, local_time
from procpath.commands.output import Cell, Output
from procpath.commands.session import Address, Session, add_addresses, add_json

SUMMARY: Final = "list directories; owners have their names in the container"

_NO_DIRECTORY: Final = (errno.ENOTDIR, errno.ENOENT, errno.ELOOP)
"""Of a file, a dangling link, a loop or magic link: there is something to list nevertheless."""

_SIZE_COLUMN: Final = 4
_RIGHT: Final = (1, _SIZE_COLUMN)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell the parser what the command takes."""
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
    several = len(args.addresses) > 1
    is_first = True

    def show(address: Address, path: RootedPath) -> None:
        nonlocal is_first
        entries = list(_entries(address, path, args.all, session))
        if several:
            out.print(("" if is_first else "\n") + out.name(str(address)) + ":")
        is_first = False
        if args.long:
            _print_long(entries, Owners(path.root_handle), out)
        elif out.is_terminal:
            out.columns([entry.cell(out) for entry in entries])
        else:
            for entry in entries:
                out.print(entry.name)

    session.each(args.addresses, show)


def _print_json(args: argparse.Namespace, session: Session) -> None:
    with session.out.json_array() as emit:

        def record(address: Address, path: RootedPath) -> None:
            owners = Owners(path.root_handle)
            for entry in _entries(address, path, args.all, session):
                emit(entry.record(address, owners))

        session.each(args.addresses, record)


def _entries(
    address: Address, path: RootedPath, hidden_too: bool, session: Session
) -> Iterator[Entry]:
    """What is to be listed at ``path``, by name."""
    try:
        children = list(path.iterdir())
    except OSError as error:
        if error.errno not in _NO_DIRECTORY:
            raise
        yield Entry.of(path)
        return
    for child in sorted(children, key=str):
        if child.name.startswith(".") and not hidden_too:
            continue
        try:
            yield Entry.of(child)
        except OSError as error:
            # It went away meanwhile; the others are still to be listed.
            session.blame(address, error)


def _print_long(entries: list[Entry], owners: Owners, out: Output) -> None:
    out.table(
        [
            [
                Cell(stat.filemode(entry.status.st_mode)),
                Cell(str(entry.status.st_nlink)),
                Cell(out.name(str(owners.user(entry.status.st_uid)))),
                Cell(out.name(str(owners.group(entry.status.st_gid)))),
                Cell(entry.device or str(entry.status.st_size)),
                Cell(local_time(entry.status.st_mtime_ns, "%Y-%m-%d %H:%M")),
                entry.cell(out)._replace(tail=entry.pointing(out)),
            ]
            for entry in entries
        ],
        right=_RIGHT,
    )
