"""``procpath cat``: what is in files, byte by byte.

Only regular files are read: in a container somebody else decides what a name leads to, and
to open a FIFO would wait for ever, to open a device may do anything.
"""

from __future__ import annotations

import argparse
import os
from typing import Final

from procpath import RootedPath, SpecialFileError
from procpath.commands.session import Address, Session, add_addresses

SUMMARY: Final = "print files, as they are; refuses FIFOs, sockets and devices"

_CHUNK: Final = 1 << 18


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell the parser what the command takes."""
    add_addresses(parser)


def run(args: argparse.Namespace, session: Session) -> None:
    """Print the file at each address."""

    def show(address: Address, path: RootedPath) -> None:
        try:
            fd = path.root_handle.open(str(path), os.O_RDONLY)
        except SpecialFileError:
            session.complain(str(address), "a FIFO, socket or device, which cat does not open")
            return
        try:
            while chunk := os.read(fd, _CHUNK):
                session.out.write(chunk)
        finally:
            os.close(fd)

    session.each(args.addresses, show, special_files="refuse")
