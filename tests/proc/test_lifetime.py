"""Ends, forks, threads and descriptors: an answer is about the right process or there is none."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import signal
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from helpers.attacks import ask_fd, ask_fdinfo, ask_maps, ask_number, ask_pagemap, ask_status
from helpers.forms import by_form
from helpers.processes import living
from helpers.seccomp import NO_MOUNT_IDS, NO_OPENAT2, forbid
from helpers.support import private_mounts, run_in_child
from procpath import Root, linux, uapi
from procpath.errors import ProcessGoneError, UnverifiedProcError
from procpath.proc import ProcessDir, VerifiedProc

LOOKUPS = {"openat2": {}, "mount numbers": NO_OPENAT2, "listings": NO_MOUNT_IDS}

READS: dict[str, Callable[[ProcessDir], object]] = {
    "status": lambda process: process.read_text("status"),
    "stat": lambda process: process.read_bytes("stat"),
    "maps": lambda process: process.read_text("maps"),
    "none": lambda process: process.read_text("none"),
    "ns/mnt": lambda process: process.readlink("ns/mnt"),
    "exe": lambda process: process.readlink("exe"),
    "root": lambda process: process.open_link("root", os.O_PATH),
    "fd/0": lambda process: process.open_link("fd/0", os.O_PATH),
    "open": lambda process: process.open("status"),
    "write": lambda process: process.open("oom_score_adj", "w"),
    "listdir": lambda process: process.listdir(),
    "task": lambda process: process.listdir("task"),
    "start_time": lambda process: process.start_time,
    "mount_namespace": lambda process: process.mount_namespace,
    "uid_map": lambda process: process.uid_map,
    "gid_map": lambda process: process.gid_map,
}


@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("source", ["fsopen", "mounted"])
def test_every_read_after_the_end_says_gone(source: Any, lookup: str) -> None:
    def inside() -> None:
        forbid(LOOKUPS[lookup])
        with VerifiedProc(source=source) as proc:
            with living() as pid:
                process = proc.process(pid)
                assert process.is_alive()
            assert not process.is_alive()
            for read in READS.values():
                with pytest.raises(ProcessGoneError) as raised:
                    read(process)
                assert raised.value.pid == pid
                assert str(pid) in str(raised.value)
            with pytest.raises(ProcessGoneError):
                proc.process(pid)
            process.close()

    run_in_child(inside)


def test_open_file_says_that_the_process_is_gone() -> None:
    proc = VerifiedProc.default()
    with living() as pid:
        process = proc.process(pid)
        files = [process.open(name, "rb") for name in ("status", "stat", "limits")]
        text = process.open("status")
        raw = process.open("oom_score_adj", "wb")
    for file in files:
        with file, pytest.raises(ProcessGoneError) as raised:
            file.read()
        assert raised.value.pid == pid
        assert raised.value.filename == file.name
    with text, pytest.raises(ProcessGoneError):
        text.readline()
    with raw, pytest.raises(ProcessGoneError):
        raw.write(b"1")
    process.close()


@pytest.mark.machine_root
def test_zombie_has_ended_and_keeps_only_its_status() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(reader, 1)
        os._exit(3)
    with VerifiedProc.default().process(pid) as process:
        start_time = process.start_time
        os.write(writer, b"x")
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert not process.is_alive()
        assert "State:\tZ" in process.read_text("status")
        assert process.start_time == start_time
        assert process.uid_map
        for name in ("root", "cwd", "exe", "ns/mnt", "fd/0", "none"):
            with pytest.raises(ProcessGoneError):
                process.open_link(name, os.O_PATH)
            with pytest.raises(ProcessGoneError):
                process.readlink(name)
        for name in ("maps", "cmdline", "environ", "none"):
            with pytest.raises(ProcessGoneError):
                process.read_text(name)
        os.waitpid(pid, 0)
        with pytest.raises(ProcessGoneError):
            process.read_text("status")
    os.close(reader)
    os.close(writer)


@pytest.mark.machine_root
def test_process_goes_on_without_its_main_thread() -> None:
    exit_thread = {"x86_64": 60, "aarch64": 93}[platform.machine()]

    def end_main_thread() -> None:
        threading.Thread(target=signal.pause, daemon=True).start()
        os.write(writer, b"x")
        # The other thread goes on: exit(2) ends this one alone.
        ctypes.CDLL(None).syscall(exit_thread, 0)

    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        end_main_thread()
    os.read(reader, 1)
    try:
        with VerifiedProc.default().process(pid) as process:
            while "State:\tZ" not in process.read_text("status"):
                pass
            assert process.is_alive()
            os.close(process.open_link("root", os.O_PATH))
            assert process.readlink("ns/mnt") == os.readlink("/proc/self/ns/mnt")
            assert process.mount_namespace == os.stat("/proc/self/ns/mnt").st_ino
            os.close(process.open_link("fd/0", os.O_PATH))
            (thread,) = process.living_threads()
            assert process.read_bytes(f"task/{thread}/cmdline")
            with pytest.raises(FileNotFoundError, match="main thread") as raised:
                process.readlink("fd/999")
            assert "task/TID/fd/999" in str(raised.value)
            with Root.of_process(process) as root:
                assert os.path.samestat(os.stat("/"), os.fstat(root.fileno()))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("source", ["fsopen", "mounted"])
def test_recycled_pid_is_not_the_old_process(source: Any) -> None:
    def first_of_a_namespace() -> tuple[int, int, list[str], list[str], bool]:
        linux.mount(b"proc", b"/proc", b"proc")
        with VerifiedProc(source=source) as proc:
            with living() as pid:
                held = proc.process(pid)
                file = held.open("status", "rb")
            with proc.open("sys/kernel/ns_last_pid", "w") as last_pid:
                last_pid.write(str(pid - 1))
            with living() as recycled, proc.process(recycled) as new:
                old_answers = [outcome(read, held) for read in READS.values()]
                with pytest.raises(ProcessGoneError):
                    file.read()
                file.close()
                new_answers = [outcome(READS[name], new) for name in ("status", "stat", "maps")]
                return pid, recycled, old_answers, new_answers, held.is_alive()

    def outer() -> Any:
        linux.unshare(uapi.CLONE_NEWPID)
        return run_in_child(first_of_a_namespace)

    pid, recycled, old_answers, new_answers, alive = private_mounts(outer)
    assert pid == recycled
    assert set(old_answers) == {"ProcessGoneError"}
    assert set(new_answers) == {"answer"}
    assert not alive


def outcome(read: Callable[[ProcessDir], object], process: ProcessDir) -> str:
    try:
        read(process)
    except OSError as error:
        return type(error).__name__
    return "answer"


def self_answers(proc: VerifiedProc) -> bool:
    """Whether everything about "self" is about this very process."""
    reader, writer = os.pipe()
    try:
        # Descriptors that the parent has not, or has for other things.
        high = os.dup2(writer, 800, inheritable=False)
        own = proc.self_fd()
        with proc.self_fdinfo(high) as fdinfo:
            is_open = fdinfo.read().startswith(b"pos:")
        reopened = own.reopen(high, os.O_WRONLY)
        os.write(reopened, b"y")
        right = (
            is_open
            and os.read(reader, 1) == b"y"
            and own.readlink(high) == os.readlink(f"/proc/{os.getpid()}/fd/{high}")
            and ask_number(proc) == ask_status(proc) == os.getpid()
            and ask_maps(proc)
            and ask_pagemap(proc) == 8
        )
        os.close(high)
        os.close(reopened)
        return right
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.root
@pytest.mark.parametrize("source", ["fsopen", "mounted"])
def test_self_is_found_anew_after_fork(source: Any) -> None:
    with VerifiedProc(source=source) as proc:
        own = proc.self_fd()
        assert self_answers(proc)

        def grandchild() -> tuple[bool, int]:
            return self_answers(proc), own.fileno()

        def child() -> tuple[bool, tuple[bool, int]]:
            return self_answers(proc), run_in_child(grandchild)

        right_in_child, (right_in_grandchild, _) = run_in_child(child)
        assert right_in_child
        assert right_in_grandchild
        assert self_answers(proc)


def test_self_after_a_fork_unknown_to_python() -> None:
    """C libraries fork without ``os.register_at_fork``."""
    with VerifiedProc() as proc:
        assert self_answers(proc)
        # With the GIL held, as a C extension would.
        pid = ctypes.PyDLL(None).fork()
        if pid == 0:
            os._exit(0 if self_answers(proc) else 1)
        assert os.waitpid(pid, 0) == (pid, 0)


def test_self_where_parent_and_child_have_the_same_pid() -> None:
    """The first process of a PID namespace that is forked by the first of another: both are 1."""

    def second(parents: VerifiedProc) -> dict[str, object]:
        fd = os.dup2(0, 801, inheritable=False)
        with parents.self_status() as status:
            numbers = next(line for line in status if line.startswith(b"NSpid:")).split()[1:]
        with VerifiedProc.default().process(1) as own, parents.process(1) as parent:
            return {
                "pid": os.getpid(),
                "pids by namespace": len(numbers),
                "own descriptor": parents.self_fd().readlink(fd),
                "default shows the own namespace": own.readlink("ns/pid"),
                "the parent's shows the parent's": parent.readlink("ns/pid"),
                "namespace": os.readlink("/proc/self/ns/pid"),
                "link": os.readlink(f"/proc/self/fd/{fd}"),
            }

    def first() -> tuple[int, str, dict[str, object]]:
        proc = VerifiedProc.default()
        ask_fd(proc)
        namespace = os.readlink("/proc/self/ns/pid")
        linux.unshare(uapi.CLONE_NEWPID)
        return os.getpid(), namespace, run_in_child(second, proc)

    def outer() -> tuple[int, str, dict[str, object]]:
        linux.unshare(uapi.CLONE_NEWPID)
        return run_in_child(first)

    pid, namespace, child = run_in_child(outer)
    assert pid == child["pid"] == 1
    assert child["pids by namespace"] == 2
    assert child["own descriptor"] == child["link"]
    assert child["default shows the own namespace"] == child["namespace"] != namespace
    assert child["the parent's shows the parent's"] == namespace


def test_default_is_one_a_process() -> None:
    default = VerifiedProc.default()
    assert VerifiedProc.default() is default

    def child() -> tuple[bool, bool, bool]:
        own = VerifiedProc.default()
        return own is default, own is VerifiedProc.default(), self_answers(default)

    assert run_in_child(child) == (False, True, True)
    assert VerifiedProc.default() is default


def test_default_that_somebody_closed_is_made_again() -> None:
    def inside() -> bool:
        VerifiedProc.default().close()
        return self_answers(VerifiedProc.default()) and not VerifiedProc.default().closed

    assert run_in_child(inside)


@pytest.mark.root
def test_threads_get_one_default_and_right_answers() -> None:
    def inside() -> tuple[int, list[str], list[str]]:
        threads, errors = 8, []
        made: list[VerifiedProc] = []
        start = threading.Barrier(threads)

        def work() -> None:
            try:
                start.wait()
                proc = VerifiedProc.default()
                made.append(proc)
                for _ in range(100):
                    assert ask_status(proc) == ask_number(proc) == os.getpid()
                    assert ask_fd(proc)
                    assert ask_fdinfo(proc)
                    assert all(check.outcome == "passed" for check in proc.checks)
            except BaseException as error:
                errors.append(repr(error))

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        gc.collect()
        # Links to what is on no mount of ours are without "/proc".
        held = sorted(
            target
            for target in map(read_descriptor, os.listdir("/proc/self/fd"))
            if target.startswith(f"/{os.getpid()}")
        )
        return len(set(map(id, made))), errors, [target.split("/")[-1] for target in held]

    one, errors, held = run_in_child(inside)
    assert errors == []
    assert one == 1
    # A thread's directories are closed with it.
    assert held == []


def read_descriptor(number: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("source", ["fsopen", "mounted"])
def test_thousands_of_calls_leave_nothing_open(source: Any, lookup: str) -> None:
    def inside() -> tuple[list[str], list[str], bool]:
        forbid(LOOKUPS[lookup])
        held = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)
        with VerifiedProc(source=source) as proc, proc.process() as process:
            own = proc.self_fd()
            self_answers(proc)
            before = sorted(os.listdir("/proc/self/fd"))
            for _ in range(by_form(200, 1000, 1000)):
                proc.self_status().close()
                proc.self_fdinfo(held).close()
                own.readlink(held)
                os.close(own.reopen(held, os.O_RDONLY))
                proc.process(1).close()
                process.read_text("stat")
                process.readlink("ns/mnt")
                os.close(process.open_link("root", os.O_PATH))
                with pytest.raises(FileNotFoundError):
                    process.open("none")
                with pytest.raises(ProcessGoneError):
                    proc.process(2**22 + 1)
            return before, sorted(os.listdir("/proc/self/fd")), self_answers(proc)

    before, after, right = run_in_child(inside)
    assert after == before
    assert right


def test_closed_handles_say_so_and_close_twice() -> None:
    proc = VerifiedProc()
    process = proc.process()
    own = proc.self_fd()
    own.fileno()
    proc.close()
    proc.close()
    assert proc.closed
    assert "closed" in repr(proc)
    for call in (
        proc.fileno,
        proc.process,
        proc.pids,
        proc.self_status,
        own.fileno,
        lambda: own.readlink(0),
        lambda: own.reopen(0, os.O_RDONLY),
        lambda: proc.process(1),
        lambda: proc.open("version"),
        lambda: proc.readlink("self"),
        lambda: proc.self_fdinfo(0),
        proc.__enter__,
    ):
        with pytest.raises(ValueError, match="closed"):
            call()
    # A process that was made before goes on.
    assert process.is_alive()
    process.close()
    process.close()
    assert process.closed
    assert "closed" in repr(process)
    for read in (*READS.values(), ProcessDir.is_alive, ProcessDir.fileno, ProcessDir.__enter__):
        with pytest.raises(ValueError, match="closed"):
            read(process)


def test_forgotten_handles_close_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        proc = VerifiedProc()
        process = proc.process()
        numbers = proc.fileno(), proc.self_fd().fileno(), process.fileno()
        identities = [os.fstat(number).st_ino for number in numbers]
        del proc, process
        gc.collect()
    for number, inode in zip(numbers, identities, strict=True):
        with suppress(OSError):
            assert os.fstat(number).st_ino != inode


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_mounting_and_unmounting_gets_no_lie_through(lookup: str) -> None:
    """Each answer is the truth or a refusal, on each way of looking names up."""

    def victim() -> Counter[str]:
        place = f"/proc/{os.getpid()}/status".encode()
        lie = f"/proc/{os.getppid()}/status".encode()
        attacker = os.fork()
        if attacker == 0:
            try:
                while True:
                    linux.mount(lie, place, None, uapi.MS_BIND)
                    linux.umount2(place, uapi.MNT_DETACH)
            finally:
                os._exit(1)
        try:
            forbid(LOOKUPS[lookup])
            proc = VerifiedProc(source="mounted")
            counts: Counter[str] = Counter()
            end = time.monotonic() + 20
            while min(counts["truth"], counts["refusal"]) < 30 and time.monotonic() < end:
                try:
                    counts["truth" if ask_status(proc) == os.getpid() else "lie"] += 1
                except UnverifiedProcError:
                    counts["refusal"] += 1
            return counts
        finally:
            os.kill(attacker, signal.SIGKILL)
            os.waitpid(attacker, 0)

    counts = private_mounts(victim)
    assert counts["lie"] == 0
    # It was a race: both happened.
    assert counts["truth"] >= 1
    assert counts["refusal"] >= 1


def test_a_daemon_keeps_what_has_got_the_number_of_the_default() -> None:
    def inside() -> None:
        number = VerifiedProc.default().fileno()

        def daemon() -> bool:
            # It closes all descriptors after fork() and opens files of its own.
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, number)
            VerifiedProc.default().self_fd().fileno()
            return os.path.samestat(os.fstat(number), os.fstat(null))

        assert run_in_child(daemon)

    run_in_child(inside)
