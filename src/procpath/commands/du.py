"""``procpath du``: how much space directories take, as du(1) counts it.

Blocks on the device are counted, of a file with several links once. Nothing is kept of what was
counted but the names of such files, and of the directories on the way.
"""

from __future__ import annotations

import argparse
import stat
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple, TypeAlias

from procpath import RootedPath
from procpath.commands.entry import Entry, OnError
from procpath.commands.output import Output, human
from procpath.commands.session import Session, add_addresses, add_human, add_json, depth

_BLOCK = 512
"""bytes of a unit of st_blocks (stat(3type))"""

_Seen: TypeAlias = "set[tuple[int, int]]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_addresses(parser)
    levels = parser.add_mutually_exclusive_group()
    levels.add_argument(
        "-d", metavar="N", dest="levels", type=depth, help="print directories N levels down alone"
    )
    levels.add_argument(
        "-s", dest="levels", action="store_const", const=0, help="print one sum for each address"
    )
    add_human(parser, "sizes as 1.5K, 12M, 3.0G, not in KiB")
    parser.add_argument(
        "-x",
        dest="cross_mounts",
        action="store_const",
        const=False,
        help="do not enter mount points",
    )
    add_json(parser)


def run(args: argparse.Namespace, session: Session) -> None:
    """Print the sums of each address."""
    seen: _Seen = set()
    if args.json:
        with session.out.json_array() as emit:
            for address, path in session.paths(args.addresses):
                with session.telling(address):
                    for total in _Count(path, args, partial(session.blame, address)).totals(seen):
                        where = {"address": address.at(total.path), "path": total.path}
                        emit(where | {"size": total.blocks * _BLOCK})
        return
    for address, path in session.paths(args.addresses):
        with session.telling(address):
            for total in _Count(path, args, partial(session.blame, address)).totals(seen):
                _print(total, args.human, session.out)


def _print(total: _Total, is_human: bool, out: Output) -> None:
    size = total.blocks * _BLOCK
    out.print(f"{human(size) if is_human else -(-size // 1024):<7} {out.name(total.path)}")


class _Directory:
    """What was counted so far in a directory on the way."""

    __slots__ = ("below", "blocks", "name")

    def __init__(self, name: str, blocks: int) -> None:
        self.name = name
        self.blocks = blocks
        self.below: dict[str, int] = {}
        """the blocks of the directories in it that were not entered yet, by their names"""


class _Total(NamedTuple):
    """The sum of a directory."""

    path: str
    blocks: int


class _Count:
    """The sums of one tree. ``on_error`` is called with the errors."""

    def __init__(self, top: RootedPath, args: argparse.Namespace, on_error: OnError) -> None:
        self._top = top
        self._levels: int | None = args.levels
        self._cross_mounts: bool | None = args.cross_mounts
        self._on_error = on_error
        self._way: list[_Directory] = []

    def totals(self, seen: _Seen) -> Iterator[_Total]:
        """Yield the sum of each directory, after those of the directories in it."""
        top, levels, way = self._top, self._levels, self._way
        status = Entry.of_target(top).status
        way.append(_Directory(str(top).rstrip("/"), status.st_blocks))
        prefix = len(way[0].name) + 1
        last = ""
        if stat.S_ISDIR(status.st_mode):
            for entry in top.scan(cross_mounts=self._cross_mounts, on_error=self._on_error):
                # Those above it of which there are sums are the way. Below the last of these, the
                # way is that of the entries before, and the path may be long.
                if levels is None or entry.depth <= levels + 1:
                    directory = str(entry.path)[prefix : -len(entry.name)]
                    if directory != last:
                        last = directory
                        yield from self._moved(directory.split("/")[:-1])
                try:
                    status = entry.stat()
                except OSError as error:
                    self._on_error(error)
                    continue
                if not entry.is_dir() and status.st_nlink > 1:
                    file = status.st_dev, status.st_ino
                    if file in seen:
                        continue
                    seen.add(file)
                if entry.is_dir() and (levels is None or entry.depth <= levels):
                    way[-1].below[entry.name] = status.st_blocks
                else:
                    way[-1].blocks += status.st_blocks
            yield from self._moved([])
        yield from self._left()

    def _moved(self, names: list[str]) -> Iterator[_Total]:
        """Make the way that to the directory with these names; yield what is complete."""
        way = self._way
        common = 0
        while common < min(len(names), len(way) - 1) and way[common + 1].name == names[common]:
            common += 1
        while len(way) - 1 > common:
            yield from self._left()
        for name in names[common:]:
            # 0: its status could not be read.
            way.append(_Directory(name, way[-1].below.pop(name, 0)))

    def _left(self) -> Iterator[_Total]:
        """Leave the last directory of the way; yield those in it that had no entries, and it."""
        last = self._way.pop()
        path = "/".join([*(each.name for each in self._way), last.name])
        for name, blocks in last.below.items():
            last.blocks += blocks
            yield _Total(f"{path}/{name}", blocks)
        if self._way:
            self._way[-1].blocks += last.blocks
        yield _Total(path or "/", last.blocks)
