"""``procpath cp`` from and to ``-``: tar streams on standard input and output."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from procpath.commands.session import Address, Session
from procpath.resolve.identity import mount_id
from procpath.root import Root
from procpath.tree.copy.archive import Extraction, extract, pack
from procpath.tree.places import RootedPlace

_BUFFER = 1 << 16


def write(source: Address, name: str, args: argparse.Namespace, session: Session) -> None:
    """Write ``source`` to standard output, under ``name``."""
    if session.out.is_terminal:
        session.complain("-", "will not write a tar stream to a terminal")
        return
    with _opened(source, args, session) as root:
        if root is not None:
            place = _place(root, source)
            with place.find_last() if args.archive else place.find() as found:
                mount = mount_id(found) if args.one_file_system else None
                sockets = pack(place, found, name, session.out, _complaining(session), mount)
                if sockets:
                    session.note(f"left out {sockets:,} sockets, which an archive cannot have")


def extract_into(target: Address, args: argparse.Namespace, session: Session) -> None:
    """Extract standard input into the directory ``target``."""
    # None where it was closed (<&-).
    if sys.stdin is None or sys.stdin.isatty():
        session.complain("-", "a tar stream is to come from standard input")
        return
    if args.no_clobber:
        session.complain("-", "-n does not go with a tar stream: what is there is replaced")
        return
    special: Literal["skip", "keep"] = "keep" if args.special_files == "allow" else "skip"
    owners: Literal["mapped", "host"] = "host" if args.numeric else "mapped"
    choices = Extraction(special=special, owners=owners)
    stream = sys.stdin.buffer
    with _opened(target, args, session) as root:
        if root is not None:
            left_out = extract(stream, _place(root, target), choices, _complaining(session))
            if left_out:
                session.note(f"skipped {left_out} special files (--special extracts them)")
            # Or whoever writes it, and fills up the last record, is killed by SIGPIPE.
            while stream.read(_BUFFER):
                pass


@contextmanager
def _opened(end: Address, args: argparse.Namespace, session: Session) -> Iterator[Root | None]:
    """Open the root of an address for the block, and report an ``OSError`` of the block."""
    root = session.open_root(end, special_files=args.special_files)
    if root is None:
        yield None
        return
    with root:
        try:
            yield root
        except OSError as error:
            session.complain(os.fsdecode(error.filename or str(end)), error)


def _place(root: Root, end: Address) -> RootedPlace:
    return RootedPlace(root, str(end), os.fsencode(end.path))


def _complaining(session: Session) -> Callable[[OSError], None]:
    return lambda error: session.complain(os.fsdecode(error.filename), error)
