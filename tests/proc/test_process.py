"""ProcessDir: what it says about a process, and when it may not or cannot look."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from helpers.processes import become_user, living
from helpers.seccomp import NO_MOUNT_IDS, NO_OPENAT2, forbid
from helpers.support import private_mounts, run_in_child
from procpath import Root, RootedPath, linux, uapi
from procpath.errors import MagicLinkError, UnverifiedProcError
from procpath.proc import IdMapping, ProcessDir, VerifiedProc
from procpath.proc.lookup import Lookup

LOOKUPS = {"openat2": {}, "mount numbers": NO_OPENAT2, "listings": NO_MOUNT_IDS}
SOURCES = ("fsopen", "open_tree", "mounted")
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15


def test_a_limit_bounds_what_is_read() -> None:
    with VerifiedProc.default().process(os.getpid()) as process:
        size = len(process.read_bytes("cmdline"))
        assert len(process.read_text("cmdline", limit=size)) == size
        with pytest.raises(OSError) as caught:
            process.read_bytes("cmdline", limit=size - 1)
        assert caught.value.errno == errno.EFBIG
        assert caught.value.filename == f"/proc/{process.pid}/cmdline"
        with pytest.raises(ValueError, match="negative"):
            process.read_bytes("cmdline", limit=-1)


@pytest.mark.machine_root
@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("source", SOURCES)
def test_everything_is_told_as_plain_paths_tell_it(source: Any, lookup: str) -> None:
    def inside(pid: int) -> None:
        plain = Path(f"/proc/{pid}")
        texts = {name: (plain / name).read_text() for name in ("comm", "cmdline", "maps")}
        links = {name: os.readlink(plain / name) for name in ("exe", "root", "ns/mnt", "fd/0")}
        namespace = os.stat(plain / "ns/mnt").st_ino
        root = os.stat(plain / "root")
        forbid(LOOKUPS[lookup])
        with VerifiedProc(source=source) as proc, proc.process(pid) as process:
            assert process.pid == pid
            assert process.path == str(plain)
            assert repr(process) == f"<ProcessDir '/proc/{pid}'>"
            assert {name: process.read_text(name) for name in texts} == texts
            assert process.read_bytes("comm").decode() == texts["comm"]
            assert {name: process.readlink(name) for name in links} == links
            assert process.mount_namespace == namespace
            assert process.listdir("task") == [str(pid)]
            assert {"status", "fd", "ns"} <= set(process.listdir())
            assert f"Pid:\t{pid}\n" in process.read_text(f"task/{pid}/status")
            assert process.is_alive()
            fd = process.open_link("root", os.O_PATH | os.O_DIRECTORY)
            assert os.path.samestat(os.fstat(fd), root)
            assert not os.get_inheritable(fd)
            os.close(fd)
            fd = process.open_link("ns/mnt", os.O_RDONLY)
            assert os.fstat(fd).st_ino == namespace
            os.close(fd)
            assert process.uid_map == process.gid_map == (IdMapping(0, 0, 2**32 - 1),)

    with living() as pid:
        run_in_child(inside, pid)


def test_start_time_is_in_ticks_since_boot() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    with open("/proc/uptime") as uptime:
        before = float(uptime.read().split()[0])
    with living() as pid:
        with open("/proc/uptime") as uptime:
            after = float(uptime.read().split()[0])
        with VerifiedProc.default().process(pid) as process:
            assert (before - 0.02) * ticks <= process.start_time <= (after + 0.02) * ticks
            assert process.start_time == process.start_time


def name_oneself(comm: bytes) -> None:
    ctypes.CDLL(None).prctl(PR_SET_NAME, comm, 0, 0, 0)


@pytest.mark.parametrize(
    "comm", [b") Z 1 (", b"a b) R 2 3", b"\xff)\n)", b"", b"((((((((((((((", b"))", b"\n) S"]
)
def test_program_name_does_not_forge_stat(comm: bytes) -> None:
    """What ``stat`` has in parentheses is whatever the process likes (prctl PR_SET_NAME)."""
    with living() as honest, living(lambda: name_oneself(comm)) as liar:
        proc = VerifiedProc.default()
        with proc.process(honest) as first, proc.process(liar) as second:
            assert b"(" + comm + b")" in second.read_bytes("stat")
            assert 0 <= second.start_time - first.start_time < os.sysconf("SC_CLK_TCK")
            assert second.is_alive()


def test_bytes_that_are_not_utf_8_survive() -> None:
    with living(lambda: name_oneself(b"\xff\r\xfe")) as pid:
        with VerifiedProc.default().process(pid) as process:
            assert os.fsencode(process.read_text("comm")) == b"\xff\r\xfe\n"
            with process.open("comm") as comm:
                assert os.fsencode(comm.read()) == b"\xff\r\xfe\n"
            with process.open("comm", "rb") as raw:
                assert raw.readline() == b"\xff\r\xfe\n"


@pytest.mark.machine_root
def test_id_maps_of_a_user_namespace() -> None:
    ready, mapped = os.pipe(), os.pipe()

    def unshare() -> None:
        linux.unshare(uapi.CLONE_NEWUSER)
        os.write(ready[1], b"x")
        os.read(mapped[0], 1)

    pid = os.fork()
    if pid == 0:
        try:
            unshare()
            signal.pause()
        finally:
            os._exit(1)
    try:
        os.read(ready[0], 1)
        Path(f"/proc/{pid}/uid_map").write_text("0 100000 65536\n70000 200000 1\n")
        Path(f"/proc/{pid}/gid_map").write_text("0 300000 10\n")
        with VerifiedProc.default().process(pid) as process:
            assert process.uid_map == (IdMapping(0, 100_000, 65_536), IdMapping(70_000, 200_000, 1))
            assert process.gid_map == (IdMapping(inside=0, outside=300_000, length=10),)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for fd in (*ready, *mapped):
            os.close(fd)


def test_mount_namespaces_are_told_apart() -> None:
    with living() as same, living(lambda: linux.unshare(uapi.CLONE_NEWNS)) as other:
        proc = VerifiedProc.default()
        with proc.process() as own, proc.process(same) as first, proc.process(other) as second:
            assert own.mount_namespace == first.mount_namespace != second.mount_namespace


def test_root_of_another_process_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "canary").write_text("of the tree")
    with living(lambda: os.chroot(tmp_path)) as pid:
        with VerifiedProc.default().process(pid) as process:
            root = process.open_link("root", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert os.listdir(root) == ["canary"]
    finally:
        os.close(root)


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_only_links_are_followed_and_only_at_the_end(lookup: str) -> None:
    def inside() -> dict[str, tuple[str, int | None]]:
        forbid(LOOKUPS[lookup])
        found = {}
        with VerifiedProc(source="mounted") as proc, proc.process() as process:
            for name in (
                "status",
                "task",
                "root/etc",
                "cwd/root",
                "none",
                "fd/9999",
                "task/1/root",
            ):
                with pytest.raises(OSError) as raised:
                    process.open_link(name, os.O_PATH)
                found[name] = type(raised.value).__name__, raised.value.errno
            with pytest.raises(ValueError, match="O_NOFOLLOW"):
                process.open_link("root", os.O_PATH | os.O_NOFOLLOW)
            with pytest.raises(MagicLinkError):
                process.open("exe", "rb")
            with pytest.raises(MagicLinkError):
                process.read_text("root/etc/passwd")
            with pytest.raises(IsADirectoryError):
                process.open("task")
            with pytest.raises(NotADirectoryError):
                process.listdir("status")
        return found

    assert run_in_child(inside) == {
        "status": ("OSError", errno.EINVAL),
        "task": ("OSError", errno.EINVAL),
        "root/etc": ("MagicLinkError", errno.ELOOP),
        "cwd/root": ("MagicLinkError", errno.ELOOP),
        "none": ("FileNotFoundError", errno.ENOENT),
        "fd/9999": ("FileNotFoundError", errno.ENOENT),
        "task/1/root": ("FileNotFoundError", errno.ENOENT),
    }


def test_missing_name_is_file_not_found() -> None:
    with VerifiedProc.default().process() as process:
        for call in (process.read_text, process.readlink, process.open, process.listdir):
            with pytest.raises(FileNotFoundError) as raised:
                call("none")
            assert raised.value.filename == f"/proc/{os.getpid()}/none"


@pytest.mark.parametrize("name", ["root", "cwd", "exe", "ns/mnt", "fd/0"])
def test_process_of_another_user_needs_a_right(name: str) -> None:
    def inside(pid: int) -> None:
        become_user(1000)
        with VerifiedProc() as proc, proc.process(pid) as process:
            assert process.is_alive()
            assert process.uid_map
            for call in (process.readlink, lambda name: process.open_link(name, os.O_RDONLY)):
                with pytest.raises(PermissionError) as raised:
                    call(name)
                told = str(raised.value)
                assert raised.value.errno == errno.EACCES
                assert "runs as uid 0, this one as uid 1000" in told
                assert f"needs CAP_SYS_PTRACE in the user namespace of process {pid}" in told
                assert f"/proc/{pid}/{name}" in told

    with living() as pid:
        run_in_child(inside, pid)


def test_missing_right_is_named_after_closing() -> None:
    def inside(pid: int) -> str:
        become_user(1000)
        with VerifiedProc() as proc:
            process = proc.process(pid)
        with process, pytest.raises(PermissionError) as raised:
            process.readlink("root")
        return str(raised.value)

    with living() as pid:
        assert "needs CAP_SYS_PTRACE" in run_in_child(inside, pid)


def test_file_that_needs_tracing_needs_a_right() -> None:
    def inside(pid: int) -> str:
        become_user(1000)
        with VerifiedProc() as proc, proc.process(pid) as process:
            with pytest.raises(PermissionError) as raised:
                process.read_text("environ")
            with pytest.raises(PermissionError):
                process.mount_namespace  # noqa: B018
            with pytest.raises(PermissionError):
                process.listdir("fd")
            # Writing is a matter of the file's mode, and not of tracing.
            with pytest.raises(PermissionError) as written:
                process.open("oom_score_adj", "w")
            assert "PTRACE" not in str(written.value)
            return str(raised.value)

    with living() as pid:
        assert "CAP_SYS_PTRACE" in run_in_child(inside, pid)


def test_process_that_is_not_dumpable_says_so() -> None:
    def hide() -> None:
        become_user(1000)
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)

    def inside(pid: int) -> str:
        become_user(1000)
        # Changing the user makes this process not dumpable either, and its own entries root's.
        with VerifiedProc() as proc, proc.process(pid) as process:
            with pytest.raises(PermissionError) as raised:
                process.open_link("root", os.O_PATH)
            return str(raised.value)

    with living(hide) as pid:
        told = run_in_child(inside, pid)
    assert "both run as uid 1000" in told
    assert "not dumpable" in told


def test_process_outside_of_our_user_namespace() -> None:
    def inside(pid: int) -> str:
        linux.unshare(uapi.CLONE_NEWUSER)
        with VerifiedProc(source="mounted") as proc, proc.process(pid) as process:
            with pytest.raises(PermissionError) as raised:
                process.open_link("root", os.O_PATH)
            return str(raised.value)

    with living() as pid:
        told = run_in_child(inside, pid)
    assert (
        f"although this one has CAP_SYS_PTRACE in its user namespace: that of process {pid}" in told
    )


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_own_entries_when_we_are_not_dumpable(lookup: str) -> None:
    def inside() -> tuple[bool, str]:
        become_user(1000)
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        forbid(LOOKUPS[lookup])
        with VerifiedProc() as proc:
            with proc.self_status() as status, proc.self_fdinfo(0) as fdinfo:
                assert status.read()
                assert fdinfo.read()
            with open("/dev/null") as null:
                return True, proc.self_fd().readlink(null.fileno())

    assert run_in_child(inside) == (True, "/dev/null")


def test_thread_id_is_taken_as_the_kernel_takes_it() -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        with VerifiedProc.default().process(thread.native_id) as process:
            status = process.read_text("status")
            assert process.is_alive()
            assert process.pid == thread.native_id
        assert f"Tgid:\t{os.getpid()}\n" in status
        assert f"\nPid:\t{thread.native_id}\n" in status
    finally:
        release.set()
        thread.join()


def test_kernel_thread_is_read_without_memory() -> None:
    with VerifiedProc.default().process(2) as kthreadd:
        assert kthreadd.is_alive()
        assert kthreadd.read_text("comm") == "kthreadd\n"
        assert kthreadd.read_text("cmdline") == ""
        with pytest.raises((FileNotFoundError, PermissionError)):
            kthreadd.readlink("exe")


def test_hostile_program_is_still_read_right(tmp_path: Path) -> None:
    """A command line and an environment full of bytes that separate or end things."""
    code = "import sys; sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "\n) R 1\n", "\udcff"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"A": "\n\n", "B": "/../.."},
    ) as child:
        assert child.stdout is not None
        child.stdout.read(1)
        with VerifiedProc.default().process(child.pid) as process:
            cmdline = os.fsencode(process.read_text("cmdline")).split(b"\0")
            environ = process.read_bytes("environ").split(b"\0")
        child.kill()
    assert cmdline[3:5] == [b"\n) R 1\n", b"\xff"]
    assert {b"A=\n\n", b"B=/../.."} <= set(environ)


def test_long_files_are_read_whole() -> None:
    """procfs hands out a page at a time."""

    def prepare() -> None:
        place = tempfile.mkdtemp()
        for number in range(300):
            os.mkdir(f"{place}/{number}")
            linux.mount(b"tmpfs", f"{place}/{number}".encode(), b"tmpfs")

    def inside() -> tuple[int, int]:
        prepare()
        with VerifiedProc() as proc, proc.process() as process:
            with process.open("mountinfo") as file:
                return process.read_text("mountinfo").count("tmpfs"), file.read().count("tmpfs")

    whole, streamed = private_mounts(inside)
    assert whole == streamed
    assert whole >= 600


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_PATH])
def test_refusal_leaves_no_descriptor(flags: int) -> None:
    def inside() -> int:
        linux.mount(b"/dev/zero", f"/proc/{os.getpid()}/status".encode(), None, uapi.MS_BIND)
        linux.mount(b"tmpfs", f"/proc/{os.getpid()}/ns".encode(), b"tmpfs")
        for calls in ({}, NO_OPENAT2, NO_MOUNT_IDS):
            forbid(calls)
            with VerifiedProc(source="mounted") as proc, proc.process() as process:
                first = os.dup(0)
                os.close(first)
                for _ in range(200):
                    for call in (
                        lambda: process.open("status", "rb"),
                        lambda: process.read_text("status"),
                        lambda: process.open_link("ns/mnt", flags),
                        lambda: process.listdir("ns"),
                    ):
                        with pytest.raises(UnverifiedProcError):
                            call()
                last = os.dup(0)
                os.close(last)
                if first != last:
                    return last - first
        return 0

    assert private_mounts(inside) == 0


def test_process_dir_is_not_copied() -> None:
    import copy
    import pickle

    with VerifiedProc.default().process() as process:
        for call in (copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="neither copied nor pickled"):
                call(process)
        assert isinstance(process, ProcessDir)
        assert process.is_alive()


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_descriptors_of_another_user_need_a_right(lookup: str) -> None:
    def inside(pid: int) -> list[str]:
        become_user(1000)
        forbid(LOOKUPS[lookup])
        told = []
        with VerifiedProc(source="mounted") as proc, proc.process(pid) as process:
            for call in (
                lambda: process.listdir("fd"),
                lambda: process.open_link("fd/0", os.O_PATH),
                lambda: process.readlink("fd/0"),
            ):
                with pytest.raises(PermissionError) as raised:
                    call()
                told.append(str(raised.value))
        return told

    with living() as pid:
        assert all("needs CAP_SYS_PTRACE" in told for told in run_in_child(inside, pid))


def test_root_where_no_mount_number_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before Linux 5.8, where our own fdinfo is root's after we have changed our user."""
    (tmp_path / "link").symlink_to("/file")
    (tmp_path / "file").write_text("content")
    for directory in (tmp_path, *tmp_path.parents[:-1]):
        directory.chmod(directory.stat().st_mode | 0o055)
    open_entry = Lookup.open

    def older(self: Lookup, dirfd: int, name: str, *args: Any) -> Any:
        if "fdinfo" in name:
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return open_entry(self, dirfd, name, *args)

    def inside() -> tuple[str, str, str]:
        become_user(1000)
        forbid(NO_MOUNT_IDS)
        monkeypatch.setattr(Lookup, "open", older)
        with Root.at(tmp_path) as root:
            path = RootedPath(root, "link")
            with Root.at(tmp_path, cross_mounts=False) as narrow, pytest.raises(PermissionError):
                RootedPath(narrow, "file").read_text()
            return path.read_text(), str(path.resolve()), VerifiedProc.default().source

    assert run_in_child(inside) == ("content", "/file", "mounted")


def test_after_a_failed_check_no_thread_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def ask(name: str) -> str:
        asked.append(name)
        if name == "root":
            raise FileNotFoundError(errno.ENOENT, "the main thread has ended")
        raise UnverifiedProcError("something is mounted over it", name)

    monkeypatch.setattr(ProcessDir, "living_threads", lambda self: [7, 8])
    with VerifiedProc.default().process() as process:
        with pytest.raises(UnverifiedProcError):
            process._answer("root", ask)
    assert asked == ["root", "task/7/root"]
