"""``procpath roots``: which containers there are, whatever one of them does."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from helpers.commandline import Ran, as_nobody, here
from helpers.processes import living
from helpers.support import private_mounts, run_in_child
from procpath import linux, uapi
from procpath.commands.output import shortened
from procpath.commands.roots import answer_in_time
from procpath.inventory import parse_os_release

SET_NAME = 15  # prctl(2), PR_SET_NAME
EXIT = {"x86_64": 60, "aarch64": 93}[platform.machine()]  # exit(2), which ends one thread


@pytest.fixture
def start_namespace(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a process in a mount namespace of its own, with ``tmp_path/etc`` for its root's."""
    started: list[subprocess.Popen[bytes]] = []
    (tmp_path / "etc").mkdir(exist_ok=True)
    (tmp_path / "usr").mkdir(exist_ok=True)
    sleep = shutil.which("busybox")
    assert sleep is not None
    shutil.copy(sleep, tmp_path / "busybox")

    def start(*argv: str) -> subprocess.Popen[bytes]:
        def enter() -> None:
            linux.unshare(uapi.CLONE_NEWNS)
            linux.mount(None, b"/", None, uapi.MS_REC | uapi.MS_PRIVATE)
            os.chroot(tmp_path)
            os.chdir("/")

        process = subprocess.Popen(
            [*(argv or ("sleep",)), "600"], executable="/busybox", preexec_fn=enter
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.root
def test_roots_lists_each_mount_namespace_once(
    start_namespace: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    (tmp_path / "usr/lib").mkdir()
    (tmp_path / "usr/lib/os-release").write_text('PRETTY_NAME="Own Linux"\n')
    one, other = start_namespace(), start_namespace()
    listed = json.loads(here("roots", "--json").out)
    by_pid = {entry["pid"]: entry for entry in listed}
    for process in (one, other):
        entry = by_pid[process.pid]
        assert entry["command"] == "sleep 600"
        assert entry["os"] == "Own Linux"
        assert entry["processes"] == 1
        link = os.readlink(f"/proc/{process.pid}/ns/mnt")
        assert link == f"mnt:[{entry['mount_namespace']}]"
    namespaces = [entry["mount_namespace"] for entry in listed]
    assert len(set(namespaces)) == len(namespaces)
    lines = here("roots").lines
    columns = ["PID", "MOUNT", "NAMESPACE", "PROCESSES", "CONTAINER", "OS", "COMMAND"]
    assert lines[0].split() == columns
    [line] = [line for line in lines if line.split()[0] == str(one.pid)]
    assert re.fullmatch(rf" *{one.pid} +\d+ +1  - +Own Linux +sleep 600", line)


def test_oldest_process_comes_first() -> None:
    def look() -> Ran:
        linux.unshare(uapi.CLONE_NEWPID)
        return run_in_child(_look_at_two_processes, 1000, 500)

    listed = json.loads(private_mounts(look).out)
    assert [entry["pid"] for entry in listed if entry["processes"] == 2] == [1001]


def _look_at_two_processes(before_older: int, before_younger: int) -> Ran:
    """Run roots beside two processes of one mount namespace, in a PID namespace of our own.

    The kernel gives the number after the one in ``ns_last_pid`` (pid_namespaces(7)).
    """
    linux.mount(b"proc", b"/proc", b"proc")
    last_pid = Path("/proc/sys/kernel/ns_last_pid")
    reader, writer = os.pipe()
    last_pid.write_text(str(before_older))
    if os.fork() == 0:
        linux.unshare(uapi.CLONE_NEWNS)
        time.sleep(0.02)  # a tick of the clock of start times, and more
        last_pid.write_text(str(before_younger))
        if os.fork() == 0:
            os.write(writer, b"!")
        signal.pause()
    os.read(reader, 1)
    return here("roots", "--json")


def test_uninspectable_processes_are_counted() -> None:
    ran = as_nobody(here, "roots")
    assert ran.status == 0
    [line] = ran.err.splitlines()
    assert re.fullmatch(r"procpath: skipped \d+ processes: permission denied", line)
    # Itself it may look into.
    assert len(ran.lines) == 2


@pytest.mark.root
@pytest.mark.parametrize("trap", ["fifo", "loop", "directory", "endless", "absent", "no name"])
def test_a_hostile_os_release_is_no_name(
    start_namespace: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, trap: str
) -> None:
    path = tmp_path / "etc/os-release"
    if trap == "fifo":
        os.mkfifo(path)
    elif trap == "loop":
        path.symlink_to("os-release")
    elif trap == "directory":
        path.mkdir()
    elif trap == "endless":
        with open(path, "wb") as file:
            file.truncate(1 << 40)
    elif trap == "no name":
        path.write_text("ID=x\n")
    process = start_namespace()
    listed = json.loads(here("roots", "--json").out)
    assert [entry["os"] for entry in listed if entry["pid"] == process.pid] == [None]


@pytest.mark.root
def test_claims_of_a_container_are_escaped(
    start_namespace: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    evil = os.fsdecode(b"\x1b[31m\xffevil")
    (tmp_path / "etc/os-release").write_bytes(
        b'PRETTY_NAME="' + os.fsencode(evil) + b"\xe2\x80\xae" + b"x" * 5000 + b'"\n'
    )
    # busybox takes its applet from the name after the last slash.
    process = start_namespace(f"\x1b]0;{evil}\n/sleep")
    ran = here("roots")
    [line] = [line for line in ran.lines if str(process.pid) in line.split()]
    assert "evil" in line
    assert line.isprintable()
    assert len(line) < 200


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
            "Debian GNU/Linux 12 (bookworm)",
        ),
        ("PRETTY_NAME=Alpine\n", "Alpine"),
        ("NAME=x\nPRETTY_NAME='single quoted'", "single quoted"),
        ('PRETTY_NAME="a \\"quoted\\" \\$name"\n', 'a "quoted" $name'),
        ('PRETTY_NAME="never closed\n', '"never closed'),
        ('PRETTY_NAME=""\n', ""),
        ("# PRETTY_NAME=x\nXPRETTY_NAME=y\n", None),
        ("PRETTY_NAME=first\nPRETTY_NAME=last\n", "last"),
        ("PRETTY_NAME=Two\\ Words\n", "Two Words"),
        ("", None),
    ],
)
def test_the_name_in_an_os_release(text: str, name: str | None) -> None:
    assert parse_os_release(text.encode()).get("PRETTY_NAME") == name


@pytest.mark.root
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NAME=Own\nVERSION='1 (One)'\nPRETTY_NAME=\n", "Own 1 (One)"),
        ("NAME=Own\nVERSION_ID=1\n", "Own"),
        ("ID=own\nVERSION_ID=1\n", None),
    ],
)
def test_name_and_version_stand_for_a_missing_pretty_name(
    start_namespace: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
    text: str,
    name: str | None,
) -> None:
    (tmp_path / "etc/os-release").write_text(text)
    process = start_namespace()
    listed = json.loads(here("roots", "--json").out)
    assert [entry["os"] for entry in listed if entry["pid"] == process.pid] == [name]


def test_our_own_namespace_is_marked() -> None:
    own = os.stat("/proc/self/ns/mnt").st_ino
    with living(_private(nothing)) as pid:
        listed = json.loads(here("roots", "--json").out)
        [unshared] = [entry for entry in listed if entry["pid"] == pid]
        assert (unshared["is_ours"], unshared["is_our_namespace"]) == (True, False)
        [ours] = [entry for entry in listed if entry["is_our_namespace"]]
        assert ours["mount_namespace"] == own
        marks = [line for line in here("roots").lines if "(ours)" in line]
        assert [line.split()[1] for line in marks] == [str(own)]


# What one process does is not another's trouble


def roots_beside(*tricks: Callable[[], None]) -> tuple[list[int], Ran]:
    """Run ``roots`` beside processes that did this in mount namespaces of their own.

    They and ``roots`` have a PID namespace to themselves. Returns their PIDs too.
    """

    def look() -> tuple[list[int], Ran]:
        linux.mount(b"proc", b"/proc", b"proc")
        with ExitStack() as running:
            pids = [running.enter_context(living(_private(trick))) for trick in tricks]
            return pids, here("roots", "--json")

    def enter() -> tuple[list[int], Ran]:
        linux.unshare(uapi.CLONE_NEWPID)
        return run_in_child(look)

    return private_mounts(enter)


def _private(trick: Callable[[], None]) -> Callable[[], None]:
    def prepare() -> None:
        linux.unshare(uapi.CLONE_NEWNS)
        linux.mount(None, b"/", None, uapi.MS_REC | uapi.MS_PRIVATE)
        trick()

    return prepare


def nothing() -> None:
    pass


def put_etc_on_a_server_that_never_answers() -> None:
    server = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0"  # mount.fuse(8)
    linux.mount(b"hanging", b"/etc", b"fuse", uapi.MS_NODEV | uapi.MS_NOSUID, options.encode())


def be_called(name: bytes) -> Callable[[], None]:
    def rename() -> None:
        ctypes.CDLL(None).prctl(SET_NAME, name, 0, 0, 0)

    return rename


@pytest.mark.machine_root
def test_hanging_root_costs_a_second_and_no_other_root() -> None:
    started = time.monotonic()
    (hanging, good), ran = roots_beside(put_etc_on_a_server_that_never_answers, nothing)
    assert time.monotonic() - started < 30
    assert ran.status == 1
    assert ran.err == f"procpath: process {hanging}: no answer within 1 second\n"
    found = {entry["pid"]: entry for entry in json.loads(ran.out)}
    assert found[hanging]["os"] is None
    assert found[hanging]["command"] == found[good]["command"] != ""
    assert found[good]["os"] is not None


def test_roots_reads_no_log_of_the_kernel() -> None:
    def point_to_the_log() -> None:
        linux.mount(b"tmpfs", b"/etc", b"tmpfs")
        os.symlink("/proc/kmsg", "/etc/os-release")

    (pointing, other), ran = roots_beside(point_to_the_log, nothing)
    assert (ran.status, ran.err) == (0, "")
    found = {entry["pid"]: entry["os"] for entry in json.loads(ran.out)}
    # Both have the same /usr/lib/os-release.
    assert found[pointing] == found[other]


@pytest.mark.parametrize("name", [b"\rUid:", b"\rUid:\tx", b"\x1cCapEff:\tx", b") R 1 (", b"\xff"])
def test_no_name_of_a_process_hides_a_container(name: bytes) -> None:
    pids, ran = roots_beside(be_called(name), nothing)
    assert (ran.status, ran.err) == (0, "")
    assert {entry["pid"] for entry in json.loads(ran.out)} >= set(pids)


@pytest.mark.root
def test_thread_stands_for_an_ended_main_thread() -> None:
    def end_main_thread() -> None:
        reader, writer = os.pipe()
        if os.fork():
            os.read(reader, 1)
            return

        def go_on() -> None:
            os.write(writer, b"x")
            signal.pause()

        linux.unshare(uapi.CLONE_NEWNS)
        threading.Thread(target=go_on, daemon=True).start()
        ctypes.CDLL(None).syscall(EXIT, 0)

    (parent,), ran = roots_beside(end_main_thread)
    assert (ran.status, ran.err) == (0, "")
    *_, thread = sorted(json.loads(ran.out), key=lambda entry: entry["pid"])
    assert thread["pid"] > parent + 1
    assert thread["processes"] == 1
    assert thread["command"]


def test_failed_answer_keeps_what_was_known() -> None:
    def fail() -> Iterator[str]:
        yield "known"
        raise ValueError("no number")

    assert answer_in_time(fail) == ("known", "ValueError: no number")
    assert answer_in_time(lambda: iter([])) == (None, "")


def test_shortening_takes_linear_time() -> None:
    text = "\u00e9" + r"\001" * (1 << 20)
    started = time.process_time()
    assert shortened(text, 60) == text[:57] + "..."
    assert time.process_time() - started < 0.5


def test_accents_take_no_column_up_to_a_limit() -> None:
    assert shortened("e\u0301" * 10, 10) == "e\u0301" * 10
    assert shortened("e\u0301" * 11, 10) == "e\u0301" * 7 + "..."
    assert len(shortened("\u0301" * 5000, 10)) < 100
