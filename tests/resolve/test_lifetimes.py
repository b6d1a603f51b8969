"""Who closes a descriptor, and when: interrupts, closing in use, the end of the interpreter."""

from __future__ import annotations

import gc
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Literal

import pytest

from helpers.support import open_descriptors, private_mounts, run_in_child
from procpath import (
    ClosedRootError,
    Root,
    RootedPath,
    SpecialFileError,
    UnverifiedProcError,
    VerifiedProc,
    linux,
)

Resolver = Literal["walk", "openat2"]
resolvers = pytest.mark.parametrize("resolver", ["walk", "openat2"])

INTERRUPTS = 1000


class Interrupted(BaseException):
    """What the handler raises, as a timeout does."""


def interrupted_and_leaked(operation: Callable[[], object]) -> tuple[int, int]:
    """Interrupt ``operation`` in a loop; how often that was lost, and what stayed open."""
    VerifiedProc.default().self_fd().fileno()
    lost = 0

    def handle(number: int, frame: object) -> None:
        raise Interrupted

    def count(unraisable: object) -> None:
        nonlocal lost
        lost += 1

    signal.signal(signal.SIGALRM, handle)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    sys.unraisablehook = count
    operation()
    before = len(open_descriptors())

    def go_on() -> None:
        known = lost
        # An interrupt that was lost would never end the loop.
        while lost == known:
            operation()

    for _ in range(INTERRUPTS):
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-6, 80e-6))
                go_on()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupted:
            pass
    return lost, len(open_descriptors()) - before


INTERRUPTED: dict[str, Callable[[RootedPath], object]] = {
    "stat": lambda path: path.stat(),
    "exists": lambda path: path.exists(),
    "read_bytes": lambda path: path.read_bytes(),
    "write_bytes": lambda path: path.write_bytes(b"text"),
    "resolve": lambda path: path.resolve(),
    "chmod": lambda path: path.chmod(0o600),
}


@resolvers
@pytest.mark.parametrize("name", INTERRUPTED)
def test_no_interrupt_is_lost_or_leaves_a_descriptor(
    tmp_path: pathlib.Path, resolver: Resolver, name: str
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/file").write_text("text")
    (tmp_path / "link").symlink_to("/d/file")
    path = RootedPath(Root.at(tmp_path, resolver=resolver), "link")
    assert run_in_child(interrupted_and_leaked, lambda: INTERRUPTED[name](path)) == (0, 0)


def make_sides(top: pathlib.Path) -> None:
    for side in ("in", "out"):
        (top / side / "a").mkdir(parents=True)
        (top / side / "a/f").write_text(side)


@resolvers
def test_closing_in_use_reads_nothing_from_outside(
    tmp_path: pathlib.Path, resolver: Resolver
) -> None:
    make_sides(tmp_path)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    got: list[str] = []
    try:
        for _ in range(150):
            root = Root.at(tmp_path / "in", resolver=resolver)
            path = RootedPath(root, "a/f")

            def read(path: RootedPath = path) -> None:
                try:
                    for _ in range(50):
                        got.append(path.read_text())
                except ClosedRootError:
                    return

            thread = threading.Thread(target=read)
            thread.start()
            root.close()
            fd = os.open(tmp_path / "out", os.O_PATH)
            thread.join()
            os.close(fd)
    finally:
        sys.setswitchinterval(before)
    assert set(got) <= {"in"}


def test_a_walk_under_way_ends_in_the_root_it_began_in(tmp_path: pathlib.Path) -> None:
    make_sides(tmp_path)
    root = Root.at(tmp_path / "in", resolver="walk")
    closed: list[int] = []

    def close(_: object) -> None:
        if not closed:
            closed.append(root.fileno())
            root.close()
            # Nothing gets the number while the walk needs it.
            closed.append(os.open(tmp_path / "out", os.O_PATH))

    assert root.walker.observe(b"/a/../a/f", close) == b"/a/f"
    os.close(closed[1])
    assert closed[0] != closed[1]
    with pytest.raises(ClosedRootError):
        root.open("a/f", os.O_RDONLY)


AT_EXIT = """
import atexit, os, sys
top = sys.argv[1]

@atexit.register
def tidy_up():
    with os.scandir(top + "/out/a") as entries:
        for entry in entries:
            (root / "a" / entry.name).unlink()
            (root / "a" / "done").write_text("x")
    print(root.root_handle.closed, os.listdir(top + "/in/a"), os.listdir(top + "/out/a"))

from procpath import RootedPath
root = RootedPath(top + "/in")
"""


def test_exit_handlers_still_have_their_roots(tmp_path: pathlib.Path) -> None:
    make_sides(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("False ['done'] ['f']\n", "")


CLOSED: dict[str, Callable[[RootedPath], object]] = {
    "exists": lambda path: path.exists(),
    "is_file": lambda path: path.is_file(),
    "is_symlink": lambda path: path.is_symlink(),
    "is_mount": lambda path: path.is_mount(),
    "resolve": lambda path: path.resolve(),
    "resolve strictly": lambda path: path.resolve(strict=True),
    "resolve but the last": lambda path: path.resolve(follow_last=False),
    "info": lambda path: path.info.exists(),
    "trace": lambda path: path.trace(),
    "glob": lambda path: list(path.glob("*")),
    "as_root": lambda path: path.as_root(),
    "bind": lambda path: RootedPath.bind(path.root_handle),
    "beneath": lambda path: path.root_handle.beneath("/"),
    "resolver_below": lambda path: path.root_handle.resolver_below(0),
}


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("where", ["a/f", "a/missing", "a/link"])
def test_a_closed_root_is_not_nothing_there(tmp_path: pathlib.Path, name: str, where: str) -> None:
    make_sides(tmp_path)
    (tmp_path / "in/a/link").symlink_to("missing")
    root = Root.at(tmp_path / "in")
    path = RootedPath(root, where)
    root.close()
    root.close()
    with pytest.raises(ClosedRootError):
        CLOSED[name](path)
    assert repr(root) == f"<Root {str(tmp_path / 'in')!r} (closed)>"
    assert root == Root.at(tmp_path / "in")


class InACycle:
    """What a program keeps in a cycle, and still uses in ``__del__``."""

    def __init__(self, last_words: Callable[[], object]) -> None:
        self.last_words = last_words
        self.cycle = self

    def __del__(self) -> None:
        self.last_words()


@resolvers
@pytest.mark.parametrize("held", ["root", "pin", "process"])
def test_no_number_is_used_again_in_a_cycle(
    tmp_path: pathlib.Path, resolver: Resolver, held: str
) -> None:
    """The collector calls every ``__del__`` of a cycle, those of descriptors too, in any order."""
    make_sides(tmp_path)
    answers: list[str] = []

    def make() -> InACycle:
        root = RootedPath(Root.at(tmp_path / "in", resolver=resolver))
        pin = (root / "a").pin()
        process = VerifiedProc.default().process(os.getpid())
        ask: Callable[[], str] = {
            "root": lambda: (root / "a/f").read_text(),
            "pin": lambda: pathlib.Path(pin, "f").read_text(),
            "process": lambda: "in" if process.read_bytes("stat") else "nothing",
        }[held]

        def ask_late() -> None:
            opened = [os.open(tmp_path / "out" / way, os.O_PATH) for way in (".", "a") * 4]
            try:
                answers.append(ask())
            finally:
                for fd in opened:
                    os.close(fd)

        return InACycle(ask_late)

    make()
    gc.collect()
    before = open_descriptors()
    make()
    gc.collect()
    assert answers == ["in", "in"]
    assert open_descriptors() == before


def test_a_pin_asks_the_procfs_that_is_mounted_now(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    path = RootedPath(tmp_path) / "file"
    path.pin().close()

    def inside() -> None:
        linux.mount(b"tmpfs", b"/proc", b"tmpfs")
        with pytest.raises(UnverifiedProcError):
            path.pin()

    private_mounts(inside)


CHECKED: dict[str, Callable[[RootedPath], object]] = {
    "pin": lambda path: path.pin(),
    "chmod": lambda path: path.chmod(0o700),
    "utime": lambda path: path.utime((1, 1)),
    "chown": lambda path: path.chown(0, 0),
}


@pytest.mark.root
@pytest.mark.parametrize("operation", CHECKED)
@resolvers
def test_closing_between_look_and_use_allows_nothing(resolver: Resolver, operation: str) -> None:
    def inside() -> str:
        with Root.at("/proc", resolver=resolver) as root:
            used = root.resolver
            find = used.find

            def find_and_close(path: bytes) -> linux.Descriptor:
                found = find(path)
                root.close()
                return found

            for holder in (used, root):
                holder.find = find_and_close  # type: ignore[method-assign]
            try:
                CHECKED[operation](RootedPath(root, "self/timerslack_ns"))
            except SpecialFileError:
                return "refused"
            return "done"

    assert run_in_child(inside) == "refused"


@resolvers
def test_a_closed_root_refuses_what_it_is_asked_about(
    resolver: Resolver, tmp_path: pathlib.Path
) -> None:
    root = Root.at(tmp_path, resolver=resolver)
    root.close()
    for ask in (
        lambda: root.resolver.require_openable(0, os.fstat(0)),
        lambda: root.resolver.require_changeable(0),
        lambda: root.resolver_below(0),
    ):
        with pytest.raises(ClosedRootError):
            ask()


FAILING: dict[str, Callable[[RootedPath], object]] = {
    "stat": lambda path: (path / "below").stat(),
    "open": lambda path: path.open(),
    "scan": lambda path: list(path.scan()),
    "rmtree": lambda path: path.rmtree(),
    "connect": lambda path: path.connect(),
    "rename": lambda path: path.rename(path / "below"),
    "mkdir": lambda path: (path / "a/b").mkdir(parents=True),
    "setxattr": lambda path: path.setxattr("user.of a fifo", b""),
}


@pytest.mark.parametrize("operation", FAILING)
@resolvers
def test_an_error_that_is_dropped_keeps_no_root_open(
    resolver: Resolver, operation: str, tmp_path: pathlib.Path
) -> None:
    """No frame that the error has passed refers to it: the cycle would wait for a collection."""
    os.mkfifo(tmp_path / "fifo")
    VerifiedProc.default().self_fd().fileno()
    gc.collect()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        path = RootedPath(Root.at(tmp_path, resolver=resolver), "fifo")
        with pytest.raises(OSError):
            FAILING[operation](path)
        del path
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()
