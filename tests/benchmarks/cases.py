"""What is timed: an operation on a RootedPath beside the same by plain pathlib on the same tree.

pathlib does one lookup that may lead anywhere; a RootedPath has to stay inside. The limits are
ratios of ours to pathlib's, which a machine's speed does not change.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from procpath import Root, RootedPath

AnyPath: TypeAlias = "RootedPath | Path"

_CURRENT = sys.version_info >= (3, 14)
"""pathlib itself has become faster"""

FILE = "a/b/c/d/file"
_THROUGH_LINK = "a/to-b/c/d/file"


@dataclass(frozen=True)
class Case:
    """One operation: what it does with either kind of path, and how slow ours may be."""

    name: str
    path: str
    """below the tree's top"""
    limit: float
    """ratio of ours to pathlib's"""
    calls: int
    """how many make a round, of some milliseconds"""
    act: Callable[[Any], object]
    plain: Callable[[Path], object] | None = None
    """for pathlib, where that is something else"""
    special_files: Literal["refuse", "allow"] = "refuse"


@dataclass
class Timing:
    """The best round of either side so far, in seconds a call."""

    ours: float = float("inf")
    plain: float = float("inf")

    @property
    def ratio(self) -> float:
        return self.ours / self.plain


def make_tree(top: Path) -> None:
    """8,000 files in 800 directories, a directory of 1,000 files, and a file four levels down."""
    (top / FILE).parent.mkdir(parents=True)
    (top / FILE).write_text("a line of a file\n" * 15)
    (top / "a/to-b").symlink_to("b")
    (top / "flat").mkdir()
    for number in range(1000):
        (top / f"flat/{number}").touch()
    for number in range(800):
        directory = top / f"tree/d{number % 40}/e{number // 40}"
        directory.mkdir(parents=True)
        for name in range(10):
            (directory / f"f{name}.{'py' if name % 2 else 'txt'}").write_bytes(bytes(1000))


def _consume(items: Iterable[object]) -> None:
    deque(items, maxlen=0)


def _open_and_close(path: AnyPath) -> None:
    path.open().close()


def _walk(path: Path) -> Iterator[object]:
    """Path.walk() came with Python 3.12."""
    return path.walk() if sys.version_info >= (3, 12) else os.walk(path)


def _scan(path: RootedPath) -> None:
    for entry in path.scan():
        entry.stat()


def _scandir(path: Path) -> None:
    """Everything below with its status, by a lookup of each path that may lead anywhere."""
    todo = [os.fspath(path)]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)


def _rglob(path: Path) -> None:
    for each in path.rglob("*"):
        each.lstat()


def _hash(path: RootedPath) -> None:
    for entry in path.scan():
        if entry.is_file():
            hashlib.sha256(entry.read_bytes()).digest()


def _hash_by_fwalk(path: Path) -> None:
    for _, _, names, dirfd in os.fwalk(path):
        for name in names:
            with open(name, "rb", opener=partial(os.open, dir_fd=dirfd)) as file:
                hashlib.sha256(file.read()).digest()


def _opening(
    suffix: str, limits: tuple[float, float, float], special_files: Literal["refuse", "allow"]
) -> Iterator[Case]:
    """The operations for which a root that refuses special files makes more system calls."""
    acts: dict[str, Callable[[Any], object]] = {
        "open": _open_and_close,
        "read_bytes": lambda p: p.read_bytes(),
        "read_text": lambda p: p.read_text(),
    }
    for (name, act), limit in zip(acts.items(), limits, strict=True):
        yield Case(name + suffix, FILE, limit, 1000, act, special_files=special_files)


_RESOLVE = 0.5 if _CURRENT else 0.35
_RESOLVE_LINK = 1.0 if _CURRENT else 0.9
_STAT = 2.3 if _CURRENT else 2.1
# From Python 3.12 on os.scandir alone takes about half of the time of rglob() and lstat(), or more.
_SCAN_TO_RGLOB = 0.8 if sys.version_info >= (3, 12) else 0.45

CASES = (
    Case("stat", FILE, _STAT, 2000, lambda p: p.stat()),
    Case("exists", FILE, _STAT, 2000, lambda p: p.exists()),
    Case("is_file", FILE, _STAT, 2000, lambda p: p.is_file()),
    *_opening("", (2.5, 2.2, 1.6) if _CURRENT else (2.4, 1.6, 1.3), "refuse"),
    *_opening(", allow", (1.3, 1.05, 0.8) if _CURRENT else (1.3, 0.75, 0.65), "allow"),
    # On tmpfs; on a disk the writing takes nearly all of the time, and it is 1.
    Case("write_text", "written", 1.6, 500, lambda p: p.write_text("text")),
    Case("resolve", FILE, _RESOLVE, 500, lambda p: p.resolve()),
    Case("resolve a link", _THROUGH_LINK, _RESOLVE_LINK, 500, lambda p: p.resolve()),
    Case("/", "tree", 0.5, 5000, lambda p: p / "name"),
    Case("iterdir", "flat", 1.0, 10, lambda p: _consume(p.iterdir())),
    Case(
        "types of entries",
        "flat",
        0.27,
        5,
        lambda p: [entry.info.is_dir() for entry in p.iterdir()],
        lambda p: [entry.is_dir() for entry in p.iterdir()],
    ),
    Case("walk", "tree", 1.15, 2, lambda p: _consume(p.walk()), lambda p: _consume(_walk(p))),
    Case("rglob all", "tree", 0.6, 1, lambda p: _consume(p.rglob("*"))),
    Case("rglob some", "tree", 0.6, 1, lambda p: _consume(p.rglob("*.py"))),
    Case("scan", "tree", 1.2, 1, _scan, _scandir),
    Case("scan, to rglob", "tree", _SCAN_TO_RGLOB, 1, _scan, _rglob),
    # What it takes; the aim is 1.4. Each file is found, looked at and reopened.
    Case("scan and hash", "tree", 1.7, 1, _hash, _hash_by_fwalk),
    Case("scan, hash, allow", "tree", 1.15, 1, _hash, _hash_by_fwalk, special_files="allow"),
    Case("glob levels", "tree", 0.9, 2, lambda p: _consume(p.glob("*/e1*/*.py"))),
)


def rounds(case: Case, tree: Path) -> Iterator[Timing]:
    """The timing, again and again, better with each round; the two sides take turns."""
    timing = Timing()
    theirs = case.plain or case.act
    with Root.at(tree, special_files=case.special_files) as root:
        ours = RootedPath(root, case.path)
        while True:
            timing.plain = min(timing.plain, _seconds(theirs, tree / case.path, case.calls))
            timing.ours = min(timing.ours, _seconds(case.act, ours, case.calls))
            yield timing


def _seconds(act: Callable[[Any], object], path: AnyPath, calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        act(path)
    return (time.perf_counter() - begin) / calls
