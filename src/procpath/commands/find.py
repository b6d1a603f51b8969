"""``procpath find``: find files below a directory, as find(1) does.

A link at the start is followed, inside the root; links below it are not. In-root paths are printed.
File systems of the kernel's own, such as a container's ``/proc``, are not entered unless asked for.
"""

from __future__ import annotations

import argparse
import os
import re
import stat
from collections.abc import Iterator
from errno import ELOOP, ENOENT
from functools import partial
from typing import Protocol

from procpath import RootedPath
from procpath.commands import criteria
from procpath.commands.criteria import Criterion
from procpath.commands.entry import Entry, OnError, Owners
from procpath.commands.session import Session, add_addresses, add_json, add_special, depth

_LEADS_NOWHERE = (ENOENT, ELOOP)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    # Values such as -4000, -u+s and -10k begin like options.
    parser._negative_number_matcher = criteria.SIGNED_VALUE
    add_addresses(parser)
    parser.add_argument(
        "-name", metavar="PATTERN", help="whose last component matches, with *, ? and [...]"
    )
    parser.add_argument("-iname", metavar="PATTERN", help="the same, in upper or lower case")
    parser.add_argument(
        "-path", metavar="PATTERN", help="whose whole path matches; * matches a slash too"
    )
    parser.add_argument(
        "-type",
        metavar="TYPES",
        type=criteria.types,
        help="one or more, with commas between, of f, d, l, p (FIFO), s (socket), c, b (devices)",
    )
    parser.add_argument(
        "-perm",
        metavar="MODE",
        type=criteria.permissions,
        help="with exactly these permissions, octal or as u+s; -MODE: at least; /MODE: any of them",
    )
    parser.add_argument(
        "-size",
        metavar="N",
        type=criteria.size,
        help="of N blocks of 512 bytes, or c bytes, k, M, G; rounded up; +N: more; -N: less",
    )
    parser.add_argument(
        "-mtime",
        metavar="N",
        type=criteria.age,
        help="modified N days ago; +N: earlier; -N: later",
    )
    parser.add_argument(
        "-newer", metavar="PATH", help="modified later than the file at this path in the same root"
    )
    parser.add_argument(
        "-user", metavar="NAME", help="of this user in the container, a name or a number"
    )
    parser.add_argument(
        "-empty", action="store_true", help="files of no bytes and directories with nothing in them"
    )
    parser.add_argument(
        "-maxdepth", metavar="N", type=depth, help="go down N levels; 0 is the start alone"
    )
    add_special(parser, "enter the kernel file systems (/proc, /sys) below the start too")
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
            for address, start in session.paths(args.addresses, special_files=args.special_files):
                with session.telling(address):
                    on_error = partial(session.blame, address)
                    owners = Owners(start.root_handle)
                    for found in _search(args, start, on_error, owners):
                        if (entry := _looked_at(found, on_error)) is not None:
                            emit(entry.record(address, owners))
        return
    end = "\0" if args.null else "\n"
    for address, start in session.paths(args.addresses, special_files=args.special_files):
        with session.telling(address):
            on_error = partial(session.blame, address)
            for found in _search(args, start, on_error, Owners(start.root_handle)):
                out.print(out.name(str(found.path)), end=end)


class Found(Protocol):
    """What criteria look at: the start, or an entry of :meth:`RootedPath.scan`."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> RootedPath: ...
    def stat(self) -> os.stat_result: ...


class _Start:
    """The start of the search, or the link there if that leads nowhere."""

    def __init__(self, path: RootedPath, on_error: OnError) -> None:
        self.path = path
        try:
            self.entry = Entry.of_target(path)
        except OSError as error:
            if error.errno not in _LEADS_NOWHERE:
                raise
            self.entry = Entry.of(path, on_error)
        self.name = self.entry.name

    def stat(self) -> os.stat_result:
        return self.entry.status


def _search(
    args: argparse.Namespace, start: RootedPath, on_error: OnError, owners: Owners
) -> Iterator[Found]:
    """Yield what meets the criteria, each directory before what is in it."""
    tests = list(_criteria(args, start, owners))
    first = _Start(start, on_error)
    if all(test(first) for test in tests):
        yield first
    if not stat.S_ISDIR(first.stat().st_mode):
        return
    for found in start.scan(max_depth=args.maxdepth, on_error=on_error):
        try:
            meets_all = all(test(found) for test in tests)
        except OSError as error:
            # Removed meanwhile; the others are still to be found.
            on_error(error)
        else:
            if meets_all:
                yield found


def _criteria(args: argparse.Namespace, start: RootedPath, owners: Owners) -> Iterator[Criterion]:
    """Yield the tests that were asked for; those that need no system call come first."""
    if args.name is not None:
        yield criteria.name(args.name)
    if args.iname is not None:
        yield criteria.name(args.iname, re.IGNORECASE)
    if args.path is not None:
        yield criteria.path(args.path)
    for test in (args.type, args.perm, args.size, args.mtime):
        if test is not None:
            yield test
    if args.newer is not None:
        yield criteria.newer((start / args.newer).stat().st_mtime_ns)
    if args.user is not None:
        yield criteria.user(args.user, owners)
    if args.empty:
        yield criteria.is_empty


def _looked_at(found: Found, on_error: OnError) -> Entry | None:
    """Look at what was found, for JSON. Return None, after a message, if it was removed."""
    if isinstance(found, _Start):
        return found.entry
    try:
        status = found.stat()
        if stat.S_ISLNK(status.st_mode):
            return Entry.of(found.path, on_error)
    except OSError as error:
        on_error(error)
        return None
    return Entry(str(found.path), status, None)
