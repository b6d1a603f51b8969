"""``procpath cat``: print files, byte by byte."""

from __future__ import annotations

import argparse
import os

from procpath.commands.session import Session, add_addresses, add_special

_CHUNK = 1 << 18


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_addresses(parser)
    add_special(parser)


def run(args: argparse.Namespace, session: Session) -> None:
    """Print the file at each address."""
    for address, root in session.roots(args.addresses, special_files=args.special_files):
        with session.telling(address):
            fd = root.open(address.path, os.O_RDONLY)
            try:
                while chunk := os.read(fd, _CHUNK):
                    session.out.write(chunk)
            finally:
                os.close(fd)
