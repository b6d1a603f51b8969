"""Interrupts: no descriptor is closed twice, none is leaked, nothing is left of a copy."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from helpers.forms import by_form
from helpers.scenery import mount_tmpfs, nothing_temporary
from helpers.support import open_descriptors, private_mounts
from procpath import RootedPath
from procpath.tree.descent import Descent

INTERRUPTS = by_form(40, 300, 300)
DEEP = "/".join(["d"] * 30)


class Interrupted(BaseException):
    """Raised by a signal handler, at any point of a program."""


def interrupt_at_random(operation: Callable[[], object], prepare: Callable[[], None]) -> None:
    """Interrupt an operation again and again.

    Each handler opens files: they get the numbers that have just become free, so one that is
    closed twice is seen.
    """
    opened: list[int] = []
    running = False

    def handle(number: int, frame: object) -> None:
        if not running:
            return
        opened.extend(os.open("/dev/null", os.O_RDONLY) for _ in range(3))
        raise Interrupted

    # An iterator of os.scandir() that an interrupt keeps from being assigned warns as it goes, and
    # pytest keeps the warning, with the frames that it passed and what those hold open.
    sys.unraisablehook = lambda unraisable: None
    before = signal.signal(signal.SIGALRM, handle)
    interrupts = 0
    longest = 0.0005
    try:
        while interrupts < INTERRUPTS:
            prepare()
            started = time.monotonic()
            try:
                running = True
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.000005, longest))
                try:
                    operation()
                finally:
                    running = False
                    signal.setitimer(signal.ITIMER_REAL, 0)
                # The last one: after one that had to wait, few would be interrupted.
                longest = max(0.00001, 1.25 * (time.monotonic() - started))
            except Interrupted:
                running = False
                interrupts += 1
            # Raises EBADF for one that was closed.
            for fd in opened:
                os.close(fd)
            opened.clear()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def make_tree(top: Path) -> None:
    (top / DEEP).mkdir(parents=True, exist_ok=True)
    for directory in ("d", "d/d/d", DEEP):
        (top / directory / "file").write_text("content")
    if not (top / "link").is_symlink():
        (top / "link").symlink_to("d/file")


OPERATIONS: dict[str, Callable[[RootedPath], object]] = {
    "rmtree": lambda path: (path / "tree").rmtree(),
    "copy": lambda path: (path / "tree").copy(path / "copy"),
    "copy all": lambda path: (path / "tree").copy(
        path / "copy", follow_symlinks=False, preserve_metadata=True
    ),
    "copy a file": lambda path: (path / "tree/d/file").copy(path / "copy"),
    "move": lambda path: (path / "tree/d").move(path / "other/d"),
    "walk": lambda path: list(path.walk()),
    "walk followed": lambda path: list(path.walk(follow_symlinks=True)),
    "rglob": lambda path: list(path.rglob("*")),
    "rglob followed": lambda path: list(path.rglob("*", recurse_symlinks=True)),
    "scan": lambda path: [entry.stat() for entry in path.scan()],
    "scan and read": lambda path: [e.read_bytes() for e in path.scan() if e.is_file()],
    "iterdir": lambda path: list((path / "tree").iterdir()),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_interrupt_closes_each_descriptor_once(name: str, tmp_path: Path) -> None:
    def inside() -> tuple[set[str], bool]:
        mount_tmpfs(tmp_path)
        top, path = tmp_path, RootedPath(tmp_path)
        operation = OPERATIONS[name]

        def prepare() -> None:
            for copied in ("copy", "other/d"):
                if (top / copied).is_dir():
                    RootedPath(top, copied).rmtree()
            make_tree(top / "tree")

        (top / "other").mkdir()
        mount_tmpfs(top / "other")
        prepare()
        operation(path)
        before = open_descriptors()
        interrupt_at_random(lambda: operation(path), prepare)
        leaked = open_descriptors().items() - before.items()
        return {target for _, target in leaked}, nothing_temporary(top)

    leaked, nothing_left = private_mounts(inside)
    assert not leaked
    assert nothing_left


LISTED: dict[str, Callable[[RootedPath], Iterable[object]]] = {
    "walk": lambda path: path.walk(),
    "scan": lambda path: path.scan(),
    "rglob": lambda path: path.rglob("*"),
    "glob": lambda path: path.glob("*/*/*/*"),
}


@pytest.mark.parametrize("name", LISTED)
def test_what_an_interrupt_leaves_open_closes_at_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come where close() begins: no cycle may keep the descriptors until a collection."""
    make_tree(tmp_path / "tree")
    path = RootedPath(tmp_path)
    monkeypatch.setattr(Descent, "close", lambda descent: None)

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    list(LISTED[name](path))
    gc.collect()
    gc.disable()
    try:
        before = count()
        found = iter(LISTED[name](path))
        next(found)
        assert count() > before
        del found
        assert count() == before
    finally:
        gc.enable()
