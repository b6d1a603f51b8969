"""A thread that has descriptors of its own (unshare(2), CLONE_FILES) is answered about these."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from helpers.support import run_in_child
from procpath import Root, RootedPath, linux, uapi
from procpath.proc import VerifiedProc

T = TypeVar("T")

SOURCES = ("fsopen", "open_tree", "mounted")


class Apart:
    """A thread with a descriptor table of its own, which does what it is given in turn."""

    def __init__(self) -> None:
        self._wanted = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self._work: Callable[[], Any] | None = None
        self._result: Any = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.do(lambda: linux.unshare(uapi.CLONE_FILES))

    def do(self, work: Callable[[], T]) -> T:
        self._work = work
        self._wanted.release()
        self._done.acquire()
        if isinstance(self._result, BaseException):
            raise self._result
        result: T = self._result
        return result

    def end(self) -> None:
        self._work = None
        self._wanted.release()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wanted.acquire()
            if self._work is None:
                return
            try:
                self._result = self._work()
            except BaseException as error:
                self._result = error
            self._done.release()


@pytest.mark.parametrize("source", SOURCES)
def test_reopening_in_a_thread_apart(source: Any, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "ours").write_text("ours")

    def inside() -> tuple[str, str, bytes, int]:
        proc = VerifiedProc(source=source)
        proc.self_fd().fileno()
        apart = Apart()
        for _ in range(20):
            os.open(tmp_path / "ours", os.O_RDONLY)

        def work() -> tuple[str, str, bytes, int]:
            held = os.open(tmp_path / "theirs", os.O_PATH)
            text = os.read(proc.self_fd().reopen(held, os.O_RDONLY), 9).decode()
            own = proc.self_fd()
            mode = os.stat(own.entry(held), dir_fd=own.fileno()).st_ino - os.fstat(held).st_ino
            with proc.self_fdinfo(held) as fdinfo:
                return text, own.readlink(held), fdinfo.readline(), mode

        found = apart.do(work)
        apart.end()
        return found

    text, link, position, difference = run_in_child(inside)
    assert text == "theirs"
    assert link == str(tmp_path / "theirs")
    assert position == b"pos:\t0\n"
    assert difference == 0


def test_pin_in_a_thread_apart(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "other").write_text("other")

    def inside() -> tuple[str, bytes]:
        apart = Apart()
        for _ in range(20):
            os.open(tmp_path / "other", os.O_RDONLY)

        def work() -> tuple[str, bytes]:
            pin = RootedPath(tmp_path, "mine").pin()
            command = ["cat", pin]
            child = subprocess.run(command, pass_fds=[pin.fileno()], capture_output=True)
            return Path(pin).read_text(), child.stdout

        found = apart.do(work)
        apart.end()
        return found

    assert run_in_child(inside) == ("mine", b"mine")


def test_refusing_root_in_a_thread_apart(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "other").write_text("other")

    def inside() -> str:
        VerifiedProc.default().self_fd().fileno()
        apart = Apart()
        for _ in range(20):
            os.open(tmp_path / "other", os.O_RDONLY)

        def work() -> str:
            with Root.at(tmp_path, special_files="refuse") as root:
                return RootedPath(root, "mine").read_text()

        found = apart.do(work)
        apart.end()
        return found

    assert run_in_child(inside) == "mine"


def test_default_made_after_a_thread_went_apart(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")

    def inside() -> tuple[str, bool, bool]:
        apart = Apart()
        ours = VerifiedProc.default()

        def work() -> tuple[str, bool, bool]:
            with Root.at(tmp_path, special_files="refuse") as root:
                theirs = VerifiedProc.default()
                return RootedPath(root, "mine").read_text(), theirs is ours, theirs.closed

        found = apart.do(work)
        apart.end()
        return found

    assert run_in_child(inside) == ("mine", False, False)


def test_what_a_thread_apart_found_is_closed_by_itself(tmp_path: Path) -> None:
    def inside() -> bool:
        proc = VerifiedProc()
        apart = Apart()
        number = apart.do(proc.self_fd().fileno)
        # The same number here is another file.
        os.dup2(os.open(tmp_path, os.O_PATH), number)
        proc.close()
        del proc
        apart.end()
        return os.path.samestat(os.fstat(number), os.stat(tmp_path))

    assert run_in_child(inside)


def test_descriptors_of_a_thread_are_closed_with_it() -> None:
    def inside() -> int:
        proc = VerifiedProc()
        proc.self_fd().fileno()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            thread = threading.Thread(target=proc.self_fd().fileno)
            thread.start()
            thread.join()
        return len(os.listdir("/proc/self/fd")) - before

    assert run_in_child(inside) == 0


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "ask",
    [
        lambda proc, fd: proc.self_fd().reopen(fd, os.O_RDONLY),
        lambda proc, fd: proc.self_fd().readlink(fd),
        lambda proc, fd: proc.self_fd().entry(fd),
        lambda proc, fd: proc.self_fdinfo(fd),
    ],
    ids=["reopen", "readlink", "entry", "fdinfo"],
)
def test_closed_number_at_first_use(ask: Callable[[VerifiedProc, int], Any], source: Any) -> None:
    """What is opened then gets that number."""

    def inside() -> None:
        with VerifiedProc(source=source) as proc:
            closed = os.dup(0)
            os.close(closed)
            with pytest.raises(OSError) as raised:
                ask(proc, closed)
            assert raised.value.errno == errno.EBADF

    run_in_child(inside)
