"""``procpath stat``: print everything that is known about a file."""

from __future__ import annotations

import argparse
import stat
from collections.abc import Iterator
from functools import partial

from procpath.commands.entry import Entry, Owner, Owners, device_number, local_time, permissions
from procpath.commands.output import Cell, Output
from procpath.commands.session import Address, Session, add_addresses, add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_addresses(parser)
    parser.add_argument(
        "-L", "--dereference", action="store_true", help="follow links, and print what is there"
    )
    add_json(parser)


def run(args: argparse.Namespace, session: Session) -> None:
    """Print what is known about each address."""
    if args.json:
        with session.out.json_array() as emit:
            for address, entry, is_mount, owners in _found(args, session):
                emit(entry.record(address, owners) | {"mount_point": is_mount})
        return
    before = ""
    for found in _found(args, session):
        session.out.print(before, end="")
        before = "\n"
        _print(*found, session.out)


def _found(
    args: argparse.Namespace, session: Session
) -> Iterator[tuple[Address, Entry, bool, Owners]]:
    """Look at each address: yield it, the file, whether it is a mount point, and the owners."""
    for address, path in session.paths(args.addresses):
        with session.telling(address):
            if args.dereference:
                path = path.resolve(strict=True)
            entry = Entry.of(path, partial(session.blame, address))
            yield address, entry, path.is_mount(), Owners(path.root_handle)


def _print(address: Address, entry: Entry, is_mount: bool, owners: Owners, out: Output) -> None:
    status = entry.status
    kind = f"{entry.kind} {entry.device}" if entry.device else entry.kind
    lines = {
        "address": out.name(address.at(entry.path)),
        "type": kind + entry.pointing(out),
        "mode": f"{stat.filemode(status.st_mode)} {permissions(status)}",
        "owner": _whose(owners.user(status.st_uid), out),
        "group": _whose(owners.group(status.st_gid), out),
        "size": f"{status.st_size}, in {status.st_blocks} blocks of 512 bytes",
        "inode": f"{status.st_ino} on file system {device_number(status.st_dev)}",
        "links": str(status.st_nlink),
        "mount point": "yes" if is_mount else "no",
        "accessed": _time(status.st_atime_ns),
        "modified": _time(status.st_mtime_ns),
        "changed": _time(status.st_ctime_ns),
    }
    out.table([[Cell(label, "note"), Cell(text)] for label, text in lines.items()])


def _whose(owner: Owner, out: Output) -> str:
    name = "nameless" if owner.name is None else out.name(owner.name)
    if owner.inside == owner.outside:
        return f"{name} ({owner.inside})"
    return f"{name} ({owner.inside}; {owner.outside} outside its user namespace)"


def _time(nanoseconds: int) -> str:
    return local_time(nanoseconds // 1_000_000_000, "%Y-%m-%d %H:%M:%S")
