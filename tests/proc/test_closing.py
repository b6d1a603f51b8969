"""Closing what others use: they finish on what they began with, and no number is used again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.forms import by_form
from helpers.processes import living
from helpers.support import run_in_child
from procpath import Root
from procpath.proc import VerifiedProc

SOURCES = [
    pytest.param("fsopen", marks=pytest.mark.root),
    pytest.param("open_tree", marks=pytest.mark.root),
    "mounted",
]
SECONDS = by_form(0.5, 2.0, 2.0)
INTERRUPTS = by_form(100, 1000, 1000)


@pytest.fixture
def busy_threads() -> Any:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("source", SOURCES)
def test_processes_go_on_after_their_procfs(source: Any) -> None:
    with VerifiedProc(source=source) as proc:
        process = proc.process()
        file = proc.open("version")
    with process, file:
        assert process.read_bytes("status")
        assert process.readlink("ns/mnt") == os.readlink("/proc/self/ns/mnt")
        os.close(process.open_link("root", os.O_PATH))
        assert process.uid_map
        assert process.listdir("task")
        with Root.of_process(process) as root:
            assert os.path.samestat(os.fstat(root.fileno()), os.stat("/"))
        assert file.read().startswith("Linux")


@pytest.mark.usefixtures("busy_threads")
def test_process_closed_in_use_is_not_another() -> None:
    proc = VerifiedProc.default()
    used: list[Any] = []
    stop = threading.Event()

    def close_them() -> None:
        while not stop.is_set():
            if used:
                used.pop().close()
                # This gets the number, if it is free.
                proc.process(other).close()

    with living() as pid, living() as other:
        closer = threading.Thread(target=close_them)
        closer.start()
        try:
            answers = set()
            closed = 0
            end = time.monotonic() + SECONDS
            while time.monotonic() < end or not closed:
                process = proc.process(pid)
                used.append(process)
                try:
                    for _ in range(4):
                        answers.add(int(process.read_bytes("stat").split()[0]))
                except ValueError:
                    closed += 1
        finally:
            stop.set()
            closer.join()
    assert answers == {pid}
    assert closed


@pytest.mark.usefixtures("busy_threads")
@pytest.mark.parametrize("source", [SOURCES[0], "mounted"])
def test_procfs_closed_in_use_says_so_or_answers(source: Any) -> None:
    """Without the GIL, iterating over what another thread changed was a RuntimeError."""

    def inside() -> tuple[set[str], int]:
        box: list[VerifiedProc] = [VerifiedProc(source=source)]
        held = os.open(__file__, os.O_PATH)
        stop = threading.Event()
        failures: set[str] = set()
        answers = 0

        def use() -> None:
            nonlocal answers
            while not stop.is_set():
                proc = box[0]
                try:
                    same = proc.self_fd().readlink(held) == __file__
                    reopened = proc.self_fd().reopen(held, os.O_RDONLY)
                    same = same and os.path.sameopenfile(held, reopened)
                    os.close(reopened)
                    with proc.self_fdinfo(held) as fdinfo:
                        same = same and fdinfo.readline().startswith(b"pos:")
                    with proc.self_status() as status:
                        same = same and f"Pid:\t{os.getpid()}\n".encode() in status.read()
                    assert proc.checks
                    answers += 1
                    if not same:
                        failures.add("another answer")
                except ValueError as error:
                    if "closed" not in str(error):
                        failures.add(repr(error))
                except BaseException as error:
                    failures.add(repr(error))

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end or not answers:
            time.sleep(0.001)
            old, box[0] = box[0], VerifiedProc(source=source)
            old.close()
        stop.set()
        for thread in threads:
            thread.join()
        return failures, answers

    failures, answers = run_in_child(inside)
    assert failures == set()
    assert answers


@pytest.mark.parametrize("source", SOURCES)
def test_directory_stays_open_while_its_number_is_used(source: Any) -> None:
    """``os.chmod(self_fd.entry(fd), mode, dir_fd=self_fd)`` beside a close()."""

    def inside() -> tuple[bool, int]:
        proc = VerifiedProc(source=source)
        own = proc.self_fd()
        number = own.fileno()
        status = os.fstat(number)
        proc.close()
        still = os.path.samestat(os.fstat(number), status)
        before = len(os.listdir("/proc/self/fd"))
        del own
        return still, before - len(os.listdir("/proc/self/fd"))

    assert run_in_child(inside) == (True, 1)


@pytest.mark.parametrize("source", SOURCES)
def test_handles_work_in_exit_handlers(source: Any, tmp_path: Path) -> None:
    program = """
import atexit, os, sys
from procpath import VerifiedProc

def last():
    # A finalizer that closed would leave its number to this.
    os.open(".", os.O_RDONLY)
    print(process.read_text("comm"), own.readlink(held), proc.open("version").read(5), sep="")

atexit.register(last)
proc = VerifiedProc(source=sys.argv[1])
process, own, held = proc.process(), proc.self_fd(), os.open(sys.argv[2], os.O_PATH)
del proc
proc = VerifiedProc(source=sys.argv[1])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, source, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.stderr == ""
    assert ran.stdout.split("\n")[1] == f"{tmp_path}Linux"


class Interrupted(Exception):
    pass


OPERATIONS: dict[str, Callable[[VerifiedProc, int], object]] = {
    "new": lambda proc, held: VerifiedProc().close(),
    "process": lambda proc, held: proc.process().close(),
    "read": lambda proc, held: proc.process(os.getppid()).read_bytes("status"),
    "open": lambda proc, held: proc.open("version").close(),
    "fdinfo": lambda proc, held: proc.self_fdinfo(held).close(),
    "follow": lambda proc, held: proc.process().opened_link("root", os.O_PATH),
    "reopen": lambda proc, held: proc.self_fd().reopened(held, os.O_RDONLY),
    "list": lambda proc, held: proc.process().listdir("task"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("source", [SOURCES[0], "mounted"])
def test_interrupts_leave_nothing_open_or_closed_twice(source: Any, operation: str) -> None:
    def inside() -> int:
        def interrupt(number: int, frame: object) -> None:
            if armed:
                raise Interrupted

        def count() -> int:
            return len(os.listdir("/proc/self/fd"))

        armed = False
        signal.signal(signal.SIGALRM, interrupt)
        proc = VerifiedProc(source=source)
        held = os.open(__file__, os.O_PATH)
        act = OPERATIONS[operation]
        act(proc, held)
        # To close one of these, as a second close() may, would be seen.
        others = [os.open("/", os.O_PATH) for _ in range(20)]
        before = count()
        interrupts = 0
        delay = 0.0
        while interrupts < INTERRUPTS:
            delay = (delay + 7.3e-6) % 500e-6
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, delay + 1e-6)
                act(proc, held)
                armed = False
            except Interrupted:
                armed = False
                interrupts += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
        for other in others:
            os.close(other)
        return count() + len(others) - before

    assert run_in_child(inside) == 0


def test_no_interrupt_is_lost_while_a_procfs_closes() -> None:
    """What a signal handler raises while Python runs a ``__del__`` reaches nobody."""

    def inside() -> list[str]:
        def interrupt(number: int, frame: object) -> None:
            if armed:
                raise Interrupted

        armed = False
        lost: list[str] = []
        sys.unraisablehook = lambda unraisable: lost.append(repr(unraisable.exc_value))
        signal.signal(signal.SIGALRM, interrupt)
        interrupts = 0
        proc: VerifiedProc | None = None
        delay = 0.0
        while interrupts < INTERRUPTS:
            delay = (delay + 3.1e-6) % 400e-6
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, delay + 1e-6)
                with VerifiedProc(source="mounted") as proc:
                    proc.self_fd().fileno()
                armed = False
            except Interrupted:
                armed = False
                interrupts += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            proc = None  # Interrupted, it may not have been closed.
        return lost

    assert run_in_child(inside) == []
