"""What an attacker inside a root can do to it between two system calls of a victim.

A path in a move names a place in the tree, whatever is there when the move is made. Nothing is
followed on the way to it: an attacker that is led out would change the canaries itself.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOENT, errorcode
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

from procpath import linux, uapi
from procpath.errors import os_error
from procpath.testing.races import mounts
from procpath.testing.races.mounts import held_directory
from procpath.testing.races.victim import RaceError
from procpath.testing.surroundings import HOST, Surroundings, remove
from procpath.testing.tree import (
    Directory,
    Fifo,
    File,
    MagicLink,
    Node,
    Symlink,
    Tree,
    name_of,
    parent_of,
)

MOVED = "moved-out-of-the-root"
"""the start of the names of what was moved out: it is not a canary"""


@dataclass(frozen=True, repr=False)
class _Move:
    def __repr__(self) -> str:
        values = ", ".join(repr(value) for value in vars(self).values())
        return f"{type(self).__name__}({values})"

    def check(self, tree: Tree) -> None:
        """Raise ValueError if the move cannot be made in ``tree``.

        Examples:
            >>> Remove("/conf").check(Tree({"/conf": File()}))
        """
        for path in vars(self).values():
            if isinstance(path, str):
                _require_entry(tree, path, self)


@dataclass(frozen=True, repr=False)
class Exchange(_Move):
    """Exchange what is at ``a`` and at ``b``, as renameat2(2) does with RENAME_EXCHANGE."""

    a: str
    b: str

    def check(self, tree: Tree) -> None:
        super().check(tree)
        if self.a == self.b or _holds(self.a, self.b) or _holds(self.b, self.a):
            raise ValueError(f"{self!r}: neither path may be in the other")


@dataclass(frozen=True, repr=False)
class MoveOut(_Move):
    """Move what is at ``path`` out of the root, so that its ``..`` is a directory outside."""

    path: str


@dataclass(frozen=True, repr=False)
class MoveBack(_Move):
    """Move what MoveOut has moved out of ``path`` back to it. Nothing happens before that."""

    path: str


@dataclass(frozen=True, repr=False)
class Replace(_Move):
    """Put ``node`` in the place of what is at ``path``, which is removed.

    Symlinks to ``HOST`` and below lead to canaries outside.
    """

    path: str
    node: Node

    def check(self, tree: Tree) -> None:
        super().check(tree)
        if isinstance(self.node, MagicLink) or (
            isinstance(self.node, Directory) and self.node.mount
        ):
            raise ValueError(f"{self!r}: magic links and mounts cannot be created")


@dataclass(frozen=True, repr=False)
class Remove(_Move):
    """Remove what is at ``path``, with everything in it."""

    path: str


@dataclass(frozen=True, repr=False)
class Mount(_Move):
    """Mount an empty tmpfs on the directory at ``path``. Needs CAP_SYS_ADMIN.

    The victim gets a mount namespace of its own, so nothing is mounted for anybody else.
    """

    path: str


@dataclass(frozen=True, repr=False)
class Unmount(_Move):
    """Unmount what Mount has mounted on ``path``. Nothing happens before that."""

    path: str


@dataclass(frozen=True, repr=False)
class Fail(_Move):
    """Let the call fail with the errno ``number``, instead of being made."""

    number: int

    def __repr__(self) -> str:
        return f"Fail({errorcode.get(self.number, self.number)})"

    def check(self, tree: Tree) -> None:
        if self.number not in errorcode:
            raise ValueError(f"{self.number!r} is not an errno")


@dataclass(frozen=True, repr=False)
class Signal(_Move):
    """Send the victim the signal ``number``, as for an interrupt or a timeout.

    The call goes on; the signal arrives when it has ended (before, until Linux 5.19).
    """

    number: int

    def __repr__(self) -> str:
        names = [one.name for one in signal.Signals if one == self.number]
        return f"Signal({names[0] if names else self.number})"

    def check(self, tree: Tree) -> None:
        if self.number not in _SIGNALS:
            raise ValueError(f"{self.number!r} is not a signal")


_SIGNALS = signal.valid_signals()

Move: TypeAlias = Exchange | MoveOut | MoveBack | Replace | Remove | Mount | Unmount | Signal | Fail


def moves_of(tree: Tree) -> list[Move]:
    """Return the moves that an attacker has in ``tree``.

    Everything is exchanged with everything else, moved out and back, removed, and replaced by a
    symlink to the host, by one that climbs out, and files by a FIFO. Where this process may
    mount for a victim (CAP_SYS_ADMIN), directories are mounted on. Errors and signals are not
    the attacker's: give ``Fail`` and ``Signal`` to explore() yourself.

    Examples:
        >>> moves_of(Tree({"/conf": File()}))[1:3]
        [Replace('/conf', Symlink('../conf')), Remove('/conf')]
    """
    entries = [path for path in tree if path != "/"]
    # The plainest first: Hypothesis shrinks towards them.
    moves: list[Move] = [Replace(path, Symlink(HOST + path)) for path in entries]
    moves += [Replace(path, Symlink("../" * path.count("/") + path[1:])) for path in entries]
    moves += [Remove(path) for path in entries]
    moves += [move for path in entries for move in (MoveOut(path), MoveBack(path))]
    moves += [Replace(path, Fifo()) for path in entries if isinstance(tree[path], File)]
    moves += [
        Exchange(a, b) for a, b in combinations(entries, 2) if not (_holds(a, b) or _holds(b, a))
    ]
    if not mounts.refusal():
        directories = [path for path in entries if isinstance(tree[path], Directory)]
        moves += [move for path in directories for move in (Mount(path), Unmount(path))]
    return moves


def undoes(move: Move) -> Move | None:
    """Return the move that must be made before ``move`` can do anything."""
    if isinstance(move, MoveBack):
        return MoveOut(move.path)
    if isinstance(move, Unmount):
        return Mount(move.path)
    return None


def require_moves(tree: Tree, moves: Sequence[Move]) -> None:
    """Raise ValueError if one of ``moves`` cannot be made in ``tree``, and RaceError if it takes
    privileges that this process lacks.
    """
    for move in moves:
        move.check(tree)
        if isinstance(move, Mount) and (number := mounts.refusal()):
            raise RaceError(f"{move!r} needs CAP_SYS_ADMIN: {os.strerror(number)}")


def _require_entry(tree: Tree, path: str, move: object) -> None:
    if path == "/":
        raise ValueError(f"{move!r}: the root itself cannot be moved")
    if path not in tree:
        raise ValueError(f"{move!r}: {path!r} is not in the tree")


def _holds(directory: str, path: str) -> bool:
    return path.startswith(directory + "/")


class Attacker:
    """Makes moves in a tree on disk. The victim does not run meanwhile."""

    def __init__(self, place: Surroundings) -> None:
        self._place = place
        self._moved: dict[str, str] = {}
        self._left_outside: list[Path] = []
        self._count = 0

    def make(self, move: Move, victim: int) -> None:
        """Make the move. Raises OSError if it cannot be made now: nothing has changed then."""
        match move:
            case Exchange(a, b):
                with self._parent(a) as one, self._parent(b) as other:
                    linux.renameat2(one, _name(a), other, _name(b), uapi.RENAME_EXCHANGE)
            case MoveOut(path):
                name = self._free_name(MOVED)
                with self._parent(path) as source, self._outside(path) as target:
                    linux.renameat2(source, _name(path), target, os.fsencode(name))
                self._moved[path] = name
                self._left_outside.append(self._place.outside / parent_of(path)[1:] / name)
            case MoveBack(path):
                if path not in self._moved:
                    raise os_error(ENOENT, path)
                moved = os.fsencode(self._moved[path])
                with self._outside(path) as source, self._parent(path) as target:
                    linux.renameat2(source, moved, target, _name(path), uapi.RENAME_NOREPLACE)
                del self._moved[path]
            case Replace(path, node):
                self._replace(path, node)
            case Remove(path):
                with (
                    self._aside() as aside,
                    self._parent(path) as parent,
                    held_directory(aside, "/") as fd,
                ):
                    linux.renameat2(parent, _name(path), fd, b"old")
            case Mount(path):
                mounts.mount(victim, self._place.directory, path)
            case Unmount(path):
                mounts.unmount(victim, self._place.directory, path)
            case Signal(number):
                os.kill(victim, number)
            case Fail():
                raise AssertionError("calls fail by the listener")

    def tidy(self) -> None:
        """Remove what was moved out."""
        for path in self._left_outside:
            remove(path)

    def _replace(self, path: str, node: Node) -> None:
        with self._aside() as aside, self._parent(path) as parent:
            new = Tree({"/new": self._place.on_disk(node)})
            new.materialize(aside)
            with held_directory(aside, "/") as fd:
                linux.renameat2(fd, b"new", parent, _name(path), uapi.RENAME_EXCHANGE)

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        """A directory that is removed afterwards, outside of what is watched."""
        aside = Path(tempfile.mkdtemp(prefix="aside-", dir=self._place.base))
        try:
            yield aside
        finally:
            remove(aside)

    @contextmanager
    def _parent(self, path: str) -> Iterator[int]:
        with held_directory(self._place.directory, parent_of(path)) as fd:
            yield fd

    @contextmanager
    def _outside(self, path: str) -> Iterator[int]:
        with held_directory(self._place.outside, parent_of(path)) as fd:
            yield fd

    def _free_name(self, start: str) -> str:
        self._count += 1
        return f"{start}-{self._count}"


def _name(path: str) -> bytes:
    return os.fsencode(name_of(path))
