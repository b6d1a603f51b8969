"""``procpath stat``: everything that is known about a file."""

from __future__ import annotations

import argparse
import stat
from typing import Final

from procpath import RootedPath
from procpath.commands.entry import Entry, Owner, Owners, device_number, local_time, permissions
from procpath.commands.output import Cell, Output
from procpath.commands.session import Address, Session, add_addresses, add_json

SUMMARY: Final = "tell everything about a file, or about a link itself"

_TIME: Final = "%Y-%m-%d %H:%M:%S"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell the parser what the command takes."""
    add_addresses(parser)
    parser.add_argument(
        "-L", "--dereference", action="store_true", help="follow links, and tell of what is there"
    )
    add_json(parser)


def run(args: argparse.Namespace, session: Session) -> None:
    """Tell of each address."""
    if args.json:
        _print_json(args, session)
        return
    is_first = True

    def show(address: Address, path: RootedPath) -> None:
        nonlocal is_first
        path = _meant(path, args)
        entry = Entry.of(path)
        if not is_first:
            session.out.print()
        is_first = False
        _print(address, entry, path.is_mount(), Owners(path.root_handle), session.out)

    session.each(args.addresses, show)


def _print_json(args: argparse.Namespace, session: Session) -> None:
    with session.out.json_array() as emit:

        def record(address: Address, path: RootedPath) -> None:
            path = _meant(path, args)
            entry = Entry.of(path).record(address, Owners(path.root_handle))
            emit(entry | {"mount_point": path.is_mount()})

        session.each(args.addresses, record)


def _meant(path: RootedPath, args: argparse.Namespace) -> RootedPath:
    return path.resolve(strict=True) if args.dereference else path


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
        "accessed": local_time(status.st_atime_ns, _TIME),
        "modified": local_time(status.st_mtime_ns, _TIME),
        "changed": local_time(status.st_ctime_ns, _TIME),
    }
    out.table([[Cell(label, "note"), Cell(text)] for label, text in lines.items()])


def _whose(owner: Owner, out: Output) -> str:
    name = "nameless" if owner.name is None else out.name(owner.name)
    if owner.inside == owner.outside:
        return f"{name} ({owner.inside})"
    return f"{name} ({owner.inside}; {owner.outside} outside its user namespace)"
