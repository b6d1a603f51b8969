"""``procpath demo`` runs on any Linux, for any user, says what is true and leaves nothing."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from helpers.commandline import Ran, as_nobody, here, procpath
from helpers.seccomp import NO_OPENAT2, forbid
from helpers.support import run_in_child
from procpath import Root, RootedPath, VerifiedProc, linux, uapi
from procpath.commands.container import SECRET, Container

PATHS = [
    "/etc/os-release",
    "/var/run/app.pid",
    "/var/run/../etc/hostname",
    "/etc/leak",
    "/srv/self",
]


@pytest.fixture
def handles_are_there() -> None:
    """What a process holds once, from the first use on, is not a leak."""
    VerifiedProc.default().self_fd().fileno()


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory for temporary files that every user may write to; must be empty again."""
    directory = Path(tempfile.mkdtemp(prefix="procpath-test-"))
    directory.chmod(0o1777)
    yield directory
    left = os.listdir(directory)
    shutil.rmtree(directory)
    assert left == []
    assert os.fspath(directory) not in Path("/proc/self/mountinfo").read_text()


def in_scratch(scratch: Path) -> Ran:
    """Run the demo within this process."""
    tempfile.tempdir = os.fspath(scratch)
    return here("demo")


def pids(ran: Ran) -> list[int]:
    """The processes that the demo says it has started."""
    match = re.search(r"processes (\d+)\s+and\s+(\d+)", os.fsdecode(ran.out))
    assert match is not None, ran
    return [int(match[1]), int(match[2])]


def wait_for_end(pids: list[int]) -> None:
    """Wait until none of the processes is there any more, except as a zombie of somebody's."""
    deadline = time.monotonic() + 60
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline, f"{pids} go on"
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def table(ran: Ran) -> dict[str, tuple[str, str]]:
    """What pathlib and what RootedPath got of each path."""
    found = {}
    for line in ran.lines:
        match = re.fullmatch(r"[1-5]  (/\S+)  +(.+?)  +(.+)", line)
        if match is not None:
            found[match[1]] = (match[2], match[3])
    return found


def assert_shows_the_difference(ran: Ran) -> None:
    assert (ran.status, ran.err) == (0, "")
    readings = table(ran)
    assert list(readings) == PATHS
    _, app_pid = pids(ran)
    assert [rooted for _, rooted in readings.values()] == [
        'NAME="Demo Linux"',
        str(app_pid),
        "demo",
        "FileNotFoundError",
        "MagicLinkError",
    ]
    for plainly, rooted in readings.values():
        assert plainly != rooted
    assert readings["/etc/leak"][0] == readings["/srv/self"][0] == SECRET
    # Every path is explained, and what a process inside got was compared.
    explained = [line for line in ran.lines if re.match(r"[1-5]  /\S+ [a-z]", line)]
    assert len(explained) == 5
    text = " ".join(ran.lines)
    assert "a process inside reads 4 as RootedPath does" in text
    assert "and 0 as pathlib does" in text


@pytest.mark.usefixtures("user_namespaces")
def test_the_demo_shows_the_same_five_paths_both_ways(scratch: Path) -> None:
    started = time.monotonic()
    ran = procpath("demo", TMPDIR=os.fspath(scratch))
    assert time.monotonic() - started < 3
    assert_shows_the_difference(ran)
    wait_for_end(pids(ran))


def test_the_demo_needs_no_rights(scratch: Path) -> None:
    ran = as_nobody(in_scratch, scratch)
    assert_shows_the_difference(ran)
    wait_for_end(pids(ran))


def test_the_demo_needs_no_openat2(scratch: Path) -> None:
    def without_openat2() -> Ran:
        forbid(NO_OPENAT2)
        return in_scratch(scratch)

    assert_shows_the_difference(as_nobody(without_openat2))


@pytest.mark.usefixtures("user_namespaces")
def test_the_demo_fits_into_80_columns(scratch: Path) -> None:
    ran = run_in_child(in_scratch, scratch)
    assert max(map(len, ran.lines)) <= 80


def test_impossible_demo_says_why_in_one_line(scratch: Path) -> None:
    ran = run_in_child(_run_without_user_namespaces, scratch)
    assert (ran.status, ran.out) == (1, b"")
    [line] = ran.err.splitlines()
    assert line.startswith("procpath: demo: no container can be started here: ")
    assert "user.max_user_namespaces" in line


def _run_without_user_namespaces(scratch: Path) -> Ran:
    """In a user namespace that allows none below it, without any capability in it."""
    linux.unshare(uapi.CLONE_NEWUSER)
    for path, text in {
        "/proc/self/setgroups": "deny",
        "/proc/self/uid_map": "0 0 1",
        "/proc/self/gid_map": "0 0 1",
        "/proc/sys/user/max_user_namespaces": "0",
    }.items():
        Path(path).write_text(text)
    # capset(2), with _LINUX_CAPABILITY_VERSION_3: nothing effective, permitted or inheritable.
    header, nothing = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capset(header, nothing) == 0, os.strerror(ctypes.get_errno())
    return in_scratch(scratch)


@pytest.mark.usefixtures("user_namespaces")
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupted_demo_leaves_nothing(
    scratch: Path, number: signal.Signals, status: int
) -> None:
    with interrupted_demo(scratch) as (process, started):
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (status, b"")
    wait_for_end(started)


@pytest.mark.usefixtures("user_namespaces")
def test_interrupt_at_the_terminal_leaves_nothing(scratch: Path) -> None:
    with interrupted_demo(scratch) as (process, started):
        # As the terminal does it: to all of the foreground process group.
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")
    wait_for_end(started)


@pytest.mark.usefixtures("user_namespaces")
def test_a_killed_demo_leaves_no_process(scratch: Path) -> None:
    with interrupted_demo(scratch) as (process, started):
        process.kill()
        process.communicate(timeout=60)
    wait_for_end(started)
    # Files are all that cannot be taken away by who is dead.
    [left] = scratch.iterdir()
    shutil.rmtree(left)


@contextmanager
def interrupted_demo(scratch: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A demo that cannot go on, with its container running: nobody reads what it prints.

    It prints each line at once; otherwise it would do so when the container has ended.
    """
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writer, bytes(4096))
    process = subprocess.Popen(
        [sys.executable, "-m", "procpath", "demo"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": os.fspath(scratch), "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    os.close(writer)
    try:
        with process:
            try:
                yield process, processes_of(process)
            finally:
                process.kill()
    finally:
        os.close(reader)


def processes_of(demo: subprocess.Popen[bytes]) -> list[int]:
    """Its container's processes, once both are there."""
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline, "no container was started"
        first = children(demo.pid)
        if first and (app := children(first[0])):
            return [*first, *app]
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def held_files(pid: int) -> set[str]:
    """What the descriptors of a process refer to; it may be closing some."""
    held = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            held.add(os.readlink(entry))
    return held


@pytest.mark.usefixtures("user_namespaces", "handles_are_there", "no_leak")
def test_the_container_is_one(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(scratch))
    with Container(["/etc/hostname", "/nowhere"]) as container:
        assert container.inside == {"/etc/hostname": "demo", "/nowhere": "FileNotFoundError"}
        assert os.fspath(scratch) not in Path("/proc/self/mountinfo").read_text()
        with Root.of_process(container.app_pid) as root:
            path = RootedPath(root)
            assert path.is_mount()
            assert str((path / "var/run/app.pid").resolve(strict=True)) == "/run/app.pid"
            # Nothing of the host is below its root but procfs.
            assert sorted(each.name for each in path.iterdir()) == sorted(
                ["etc", "proc", "run", "srv", "tmp", "usr", "var"]
            )
        assert "/run/app.pid" in held_files(container.app_pid)
        started = [container.pid, container.app_pid]
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.usefixtures("handles_are_there", "no_leak")
def test_failed_container_leaves_nothing(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(scratch))

    def forbidden(flags: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(linux, "unshare", forbidden)
    before = children(os.getpid())
    with pytest.raises(PermissionError, match="no container can be started here"):
        Container(["/etc/hostname"])
    assert children(os.getpid()) == before
