"""Where a procfs comes from, what is reported about that, and what VerifiedProc opens in it."""

from __future__ import annotations

import ast
import errno
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.attacks import ask_number, ask_status
from helpers.processes import first_of_a_pid_namespace
from helpers.seccomp import NO_MOUNT_IDS, NO_OPENAT2, forbid
from helpers.support import private_mounts, run_in_child
from procpath import linux, uapi
from procpath.errors import ProcessGoneError, UnverifiedProcError
from procpath.proc import Check, VerifiedProc

LOOKUPS = {"openat2": {}, "mount numbers": NO_OPENAT2, "listings": NO_MOUNT_IDS}
SOURCES = ("fsopen", "open_tree", "mounted")


@pytest.mark.root
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EACCES, errno.ENODEV])
def test_auto_takes_the_next_best_source_and_says_why(number: int) -> None:
    def sources() -> list[tuple[str, list[str]]]:
        found = []
        for calls in ({}, {"fsopen": number}, {"open_tree": number}):
            forbid(calls)
            with VerifiedProc() as proc:
                assert ask_status(proc) == os.getpid()
                missing = [str(check) for check in proc.checks if check.outcome == "unavailable"]
                found.append((proc.source, missing))
        return found

    name = errno.errorcode[number]
    no_fsopen, no_open_tree = (
        f"/proc: source {source}: unavailable ({name}: {os.strerror(number)})"
        for source in ("fsopen", "open_tree")
    )
    assert run_in_child(sources) == [
        ("fsopen", []),
        ("open_tree", [no_fsopen]),
        ("mounted", [no_fsopen, no_open_tree]),
    ]


@pytest.mark.parametrize("source", ["fsopen", "open_tree"])
def test_unavailable_source_is_the_systems_error(source: Any) -> None:
    def make() -> None:
        forbid({source: errno.EPERM})
        VerifiedProc(source=source)

    with pytest.raises(PermissionError):
        run_in_child(make)


def test_auto_passes_on_other_errors() -> None:
    def make() -> None:
        forbid({"fsopen": errno.ENOMEM})
        VerifiedProc()

    with pytest.raises(OSError) as raised:
        run_in_child(make)
    assert raised.value.errno == errno.ENOMEM


@pytest.mark.root
def test_no_mount_calls_before_linux_5_2(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = os.uname()
    for release, expected in {
        "4.18.0-553.el8_10.x86_64": "mounted",
        "5.1.21": "mounted",
        "5.2.0": "fsopen",
        "6.18.44-fc": "fsopen",
        "10.0.1": "fsopen",
    }.items():
        fake = os.uname_result((real.sysname, real.nodename, release, real.version, real.machine))
        monkeypatch.setattr(os, "uname", lambda fake=fake: fake)
        with VerifiedProc() as proc:
            assert proc.source == expected


def test_without_privileges_the_mounted_procfs_is_used() -> None:
    def unprivileged() -> tuple[str, bool]:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        with VerifiedProc() as proc:
            return proc.source, ask_status(proc) == os.getpid() == ask_number(proc)

    assert run_in_child(unprivileged) == ("mounted", True)


def _unescaped(mount_point: bytes) -> bytes:
    """Undo the octal escapes of proc_pid_mountinfo(5)."""
    return re.sub(rb"\\(\d{3})", lambda found: bytes([int(found[1], 8)]), mount_point)


def test_masked_procfs_is_fallen_back_to() -> None:
    """Where a part is masked, the kernel gives no new instance (EPERM) and no clone (EINVAL)."""

    def inside() -> tuple[str, dict[str, str], bool]:
        # One procfs that is whole, wherever, is enough for the kernel (mnt_already_visible(),
        # fs/namespace.c).
        for line in Path("/proc/self/mountinfo").read_bytes().split(b"\n")[:-1]:
            mount_point, kind = line.split(b" ")[4], line.partition(b" - ")[2].split(b" ")[0]
            if kind == b"proc" and mount_point != b"/proc":
                linux.umount2(_unescaped(mount_point), uapi.MNT_DETACH)
        linux.mount(b"tmpfs", b"/proc/sys", b"tmpfs")
        linux.unshare(uapi.CLONE_NEWUSER | uapi.CLONE_NEWNS | uapi.CLONE_NEWPID)
        Path("/proc/self/uid_map").write_text("0 0 1")
        reader, writer = os.pipe()
        if os.fork() == 0:
            with VerifiedProc() as proc, open(writer, "w") as pipe:
                why = {
                    check.name: check.detail.split(":")[0]
                    for check in proc.checks
                    if check.outcome == "unavailable"
                }
                pipe.write(repr((proc.source, why, "NSpid" in proc.self_status().read().decode())))
            os._exit(0)
        os.close(writer)
        with open(reader) as pipe:
            told = ast.literal_eval(pipe.read())
        os.wait()
        return told

    source, why, read = private_mounts(inside)
    assert (source, read) == ("mounted", True)
    assert why == {"source fsopen": "EPERM", "source open_tree": "EINVAL"}


def test_new_instance_shows_our_own_pid_namespace() -> None:
    """dotnet/runtime #99887."""

    def inside() -> list[tuple[str, bool, int, bool, list[str]]]:
        found = []
        for source in SOURCES:
            with VerifiedProc(source=source) as proc:
                status = proc.self_status().read()
                names = [c.outcome for c in proc.checks if c.name == "PID namespace"]
                found.append(
                    (
                        source,
                        ask_number(proc) == os.getpid(),
                        len(re.findall(rb"NSpid:(.*)", status)[0].split()),
                        proc.process(ask_number(proc)).is_alive(),
                        names,
                    )
                )
        return found

    assert in_pid_namespace(inside) == [
        ("fsopen", True, 1, True, ["passed"]),
        ("open_tree", False, 2, True, ["note"]),
        ("mounted", False, 2, True, ["note"]),
    ]


def in_pid_namespace(func: Callable[[], Any]) -> Any:
    """``run_in_child`` as the first process of a new PID namespace, with the old ``/proc``."""

    def outer() -> Any:
        linux.unshare(uapi.CLONE_NEWPID)
        return run_in_child(func)

    return private_mounts(outer)


def test_procfs_that_lacks_us_says_so() -> None:
    def inside() -> tuple[str, int, bool]:
        place = tempfile.mkdtemp()
        with first_of_a_pid_namespace(place), VerifiedProc(place) as proc:
            with pytest.raises(FileNotFoundError) as raised:
                proc.self_status()
            with pytest.raises(FileNotFoundError):
                proc.process()
            with proc.process(1) as first:
                return str(raised.value), len(proc.pids()), first.is_alive()

    told, processes, alive = private_mounts(inside)
    assert "not in the PID namespace" in told
    assert told.endswith("/self'")
    assert (processes, alive) == (1, True)


def test_another_place_is_never_a_new_instance() -> None:
    """A new instance would show our PID namespace, and not the one that is mounted there."""

    def inside() -> tuple[str, int, str]:
        place = tempfile.mkdtemp()
        linux.mount(b"/proc", place.encode(), None, uapi.MS_BIND)
        with VerifiedProc(place) as proc, VerifiedProc("/proc/") as default:
            return proc.source, ask_number(proc), default.source

    def outer() -> tuple[int, tuple[str, int, str]]:
        linux.unshare(uapi.CLONE_NEWPID)
        return os.getpid(), run_in_child(inside)

    parent, (source, number, default) = private_mounts(outer)
    assert source == "open_tree"
    assert number > parent  # as the outer namespace counts, where inside it is 1
    assert default == "fsopen"
    with pytest.raises(ValueError, match="/host/proc"):
        VerifiedProc("/host/proc", source="fsopen")


@pytest.mark.parametrize("hidepid", ["1", "2", "4"])
def test_hidden_process_is_a_permission_error(hidepid: str) -> None:
    def inside() -> tuple[list[str], bool]:
        place = tempfile.mkdtemp()
        os.chmod(place, 0o755)
        linux.mount(b"proc", place.encode(), b"proc", 0, f"hidepid={hidepid}".encode())
        os.setgroups([])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        told = []
        with VerifiedProc(place) as proc:
            for source in (None, os.getppid(), 2**22 - 1):
                try:
                    with proc.process(source) as process:
                        told.append(str("Pid:" in process.read_text("status")))
                except (PermissionError, ProcessGoneError) as error:
                    told.append(f"{type(error).__name__}: {error}")
            return told, os.getppid() in proc.pids()

    (own, hidden, missing), listed = private_mounts(inside)
    assert own == "True"
    assert hidden.startswith("PermissionError")
    assert "hidepid" in hidden
    assert "CAP_SYS_PTRACE" in hidden
    assert missing.startswith("ProcessGoneError")
    assert listed == (hidepid == "1")


def test_procfs_with_nothing_but_processes_is_verified() -> None:
    def inside() -> tuple[bool, str]:
        place = tempfile.mkdtemp()
        linux.mount(b"proc", place.encode(), b"proc", 0, b"subset=pid")
        with VerifiedProc(place) as proc:
            with pytest.raises(FileNotFoundError) as raised:
                proc.open("version")
            return ask_status(proc) == os.getpid(), str(raised.value.filename)

    read, filename = private_mounts(inside)
    assert read
    assert filename.endswith("/version")


@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("source", SOURCES)
def test_names_lead_to_what_they_name(source: Any, lookup: str) -> None:
    def inside() -> None:
        with open("/proc/version") as file:
            version = file.read()
        with open("/proc/self/mounts") as file:
            mounts = [line.split()[1] for line in file]
        forbid(LOOKUPS[lookup])
        with VerifiedProc(source=source) as proc:
            with proc.open("version") as text, proc.open("version", "rb") as binary:
                assert text.read() == version == binary.read().decode()
                assert text.name == "/proc/version"
            with proc.open("mounts") as file:
                assert [line.split()[1] for line in file] == mounts
            with proc.open("net/dev") as file:
                assert "Inter-" in file.read()
            with proc.open("self/status") as own, proc.open("thread-self/status") as thread:
                assert f"Pid:\t{os.getpid()}\n" in own.read()
                assert f"Pid:\t{os.getpid()}\n" in thread.read()
            with proc.open(f"{os.getpid()}/comm") as file:
                assert file.read()
            with proc.open("sys/fs/protected_symlinks") as file:
                assert file.read() in ("0\n", "1\n")
            assert proc.readlink("self") == str(os.getpid())
            assert proc.readlink("mounts") == "self/mounts"
            assert proc.readlink("self/exe") == os.path.realpath(sys.executable)
            assert proc.readlink("self/ns/mnt") == os.readlink("/proc/self/ns/mnt")

    run_in_child(inside)


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_wrong_names_get_the_systems_error(lookup: str) -> None:
    def errors() -> dict[str, tuple[str, int | None, str]]:
        forbid(LOOKUPS[lookup])
        found = {}
        with VerifiedProc(source="mounted") as proc:
            for name, call in {
                "none": proc.open,
                "version/none": proc.open,
                "sys/none/none": proc.open,
                "sys": proc.open,
                "self": proc.open,
                "self/exe": proc.open,
                "self/root/etc": proc.open,
                "self/cwd/x/y": proc.open,
                "version": proc.readlink,
                "sys/fs": proc.readlink,
                "self/none": proc.readlink,
            }.items():
                with pytest.raises(OSError) as raised:
                    call(name)
                error = raised.value
                found[name] = type(error).__name__, error.errno, str(error.filename)
        return found

    assert run_in_child(errors) == {
        "none": ("FileNotFoundError", errno.ENOENT, "/proc/none"),
        "version/none": ("NotADirectoryError", errno.ENOTDIR, "/proc/version/none"),
        "sys/none/none": ("FileNotFoundError", errno.ENOENT, "/proc/sys/none/none"),
        "sys": ("IsADirectoryError", errno.EISDIR, "/proc/sys"),
        "self": ("IsADirectoryError", errno.EISDIR, "/proc/self"),
        "self/exe": ("MagicLinkError", errno.ELOOP, "/proc/self/exe"),
        "self/root/etc": ("MagicLinkError", errno.ELOOP, "/proc/self/root/etc"),
        "self/cwd/x/y": ("MagicLinkError", errno.ELOOP, "/proc/self/cwd/x/y"),
        "version": ("OSError", errno.EINVAL, "/proc/version"),
        "sys/fs": ("OSError", errno.EINVAL, "/proc/sys/fs"),
        "self/none": ("FileNotFoundError", errno.ENOENT, "/proc/self/none"),
    }


@pytest.mark.parametrize(
    "name", ["", "/version", "..", "sys/../version", "sys//fs", "./version", "version/", "a\0b"]
)
def test_names_that_lead_elsewhere_are_value_errors(name: str) -> None:
    with VerifiedProc() as proc, proc.process() as process:
        for call in (proc.open, proc.readlink, process.open, process.readlink, process.read_text):
            with pytest.raises(ValueError):
                call(name)
        with pytest.raises(ValueError):
            process.open_link(name, os.O_PATH)
        with pytest.raises(ValueError):
            process.listdir(name)


@pytest.mark.parametrize("name", [None, 3, b"status"])
def test_names_of_other_types_are_type_errors(name: Any) -> None:
    with VerifiedProc() as proc, proc.process() as process:
        for call in (proc.open, proc.readlink, process.open, process.readlink, process.read_text):
            with pytest.raises(TypeError):
                call(name)


@pytest.mark.parametrize("mode", ["", "a", "r+", "x", "rw", "bw", "U"])
def test_other_modes_are_value_errors(mode: str) -> None:
    with VerifiedProc() as proc, proc.process() as process:
        with pytest.raises(ValueError, match="mode"):
            proc.open("version", mode)
        with pytest.raises(ValueError, match="mode"):
            process.open("status", mode)


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_writing_reaches_the_kernel(lookup: str) -> None:
    def inside() -> list[str]:
        forbid(LOOKUPS[lookup])
        read = []
        with VerifiedProc(source="mounted") as proc, proc.process() as process:
            for mode, adjustment in {"w": "17", "wb": b"18", "wt": "19"}.items():
                with process.open("oom_score_adj", mode) as file:
                    file.write(adjustment)
                read.append(process.read_text("oom_score_adj"))
            with proc.open("self/comm", "w") as file:
                file.write("renamed")
            return [*read, process.read_text("comm")]

    assert run_in_child(inside) == ["17\n", "18\n", "19\n", "renamed\n"]


@pytest.mark.parametrize(
    ("pid", "error"),
    [
        (True, ValueError),
        (False, ValueError),
        (0, ValueError),
        (-1, ValueError),
        ("1", TypeError),
        (1.0, TypeError),
        (b"1", TypeError),
        (2**22 + 1, ProcessGoneError),
        (10**40, ProcessGoneError),
    ],
)
def test_what_is_no_pid_is_refused(pid: Any, error: type[Exception]) -> None:
    with VerifiedProc() as proc, pytest.raises(error) as raised:
        proc.process(pid)
    if isinstance(raised.value, ProcessGoneError):
        assert raised.value.pid == pid
        assert str(pid) in str(raised.value)


@pytest.mark.parametrize("source", ["", "FSOPEN", "proc", None, 3])
def test_unknown_source_is_a_value_error(source: Any) -> None:
    with pytest.raises(ValueError, match="source"):
        VerifiedProc(source=source)


@pytest.mark.parametrize("path", [3, None, 1.5])
def test_path_of_another_type_is_a_type_error(path: Any) -> None:
    with pytest.raises(TypeError):
        VerifiedProc(path)


@pytest.mark.root
def test_path_may_be_bytes_or_a_path() -> None:
    for path in (b"/proc", Path("/proc"), "/proc/", "//proc"):
        with VerifiedProc(path) as proc:  # type: ignore[arg-type]
            assert proc.source == "fsopen"
    with pytest.raises(ValueError):
        VerifiedProc("/pr\0oc")


def test_checks_tell_what_was_verified_on_which_entry() -> None:
    with VerifiedProc(source="mounted") as proc:
        before = proc.checks
        proc.self_fd().fileno()
        proc.self_fdinfo(0).close()
        after = proc.checks
    assert all(isinstance(check, Check) for check in after)
    assert [check.name for check in before] == [
        "source mounted",
        "is procfs",
        "is the whole procfs",
        "has no block device",
        "is a mount point",
        "usual mode and links",
        "is in our mount namespace",
        "nothing mounted over its entries",
    ]
    assert {check.outcome for check in after} == {"passed"}
    assert after[: len(before)] == before
    assert [check.entry for check in after[len(before) :]] == [
        "/proc/self",
        "/proc/self/fd",
        "/proc/self/fdinfo",
    ]


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_checks_tell_how_overmounts_are_found(lookup: str) -> None:
    def told() -> str:
        forbid(LOOKUPS[lookup])
        with VerifiedProc(source="mounted") as proc:
            return str(proc.checks[-1])

    word = {"openat2": "openat2", "mount numbers": "mount number", "listings": "listing"}
    assert word[lookup] in run_in_child(told)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EACCES])
def test_openat2_forbidden_later_is_done_without(number: int) -> None:
    """A process that puts itself into a sandbox after it has opened its procfs."""

    def inside() -> bool:
        with VerifiedProc(source="mounted") as proc:
            ask_status(proc)
            forbid({"openat2": number})
            linux.mount(
                f"/proc/{os.getpid()}/environ".encode(),
                f"/proc/{os.getpid()}/maps".encode(),
                None,
                uapi.MS_BIND,
            )
            with pytest.raises(UnverifiedProcError):
                proc.self_maps()
            return ask_status(proc) == ask_number(proc) == os.getpid()

    assert private_mounts(inside)


def test_self_accessors_read_what_plain_paths_read() -> None:
    with VerifiedProc() as proc, open(__file__, "rb") as file:
        file.seek(5)
        with proc.self_fdinfo(file.fileno()) as fdinfo:
            assert fdinfo.read() == Path(f"/proc/self/fdinfo/{file.fileno()}").read_bytes()
        with proc.self_maps() as maps, proc.self_pagemap() as pagemap:
            start = int(maps.readline().split(b"-")[0], 16)
            pagemap.seek(start // os.sysconf("SC_PAGESIZE") * 8)
            assert len(pagemap.read(8)) == 8
            assert maps.name == "/proc/self/maps"
        with proc.self_status() as status:
            assert f"Pid:\t{os.getpid()}\n".encode() in status.read()


def test_self_fd_is_a_dirfd() -> None:
    with VerifiedProc() as proc, open(__file__, "rb") as file:
        own = proc.self_fd()
        assert os.readlink(str(file.fileno()), dir_fd=own) == __file__  # type: ignore[arg-type]
        assert own.readlink(file.fileno()) == __file__
        assert os.path.sameopenfile(own.fileno(), int(own))


@pytest.mark.root
@pytest.mark.parametrize("source", SOURCES)
def test_reopening_gives_a_new_file_of_the_same_object(source: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    held = os.open(path, os.O_PATH | os.O_CLOEXEC)
    path.rename(tmp_path / "elsewhere")
    with VerifiedProc(source=source) as proc:
        for flags in (os.O_RDONLY, os.O_RDONLY | os.O_NOFOLLOW, os.O_RDWR):
            fd = proc.self_fd().reopen(held, flags)
            assert not os.get_inheritable(fd)
            assert os.read(fd, 99) == b"content"
            os.close(fd)
        with pytest.raises(NotADirectoryError):
            proc.self_fd().reopen(held, os.O_RDONLY | os.O_DIRECTORY)
        os.unlink(tmp_path / "elsewhere")
        os.close(proc.self_fd().reopen(held, os.O_WRONLY | os.O_TRUNC))
        assert os.fstat(held).st_size == 0
    os.close(held)


@pytest.mark.root
@pytest.mark.parametrize("source", SOURCES)
def test_entry_names_the_link_of_a_held_file(source: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    held = os.open(path, os.O_PATH | os.O_CLOEXEC)
    path.rename(tmp_path / "elsewhere")
    with VerifiedProc(source=source) as proc:
        own = proc.self_fd()
        os.chmod(own.entry(held), 0o640, dir_fd=own.fileno())
    os.close(held)
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o640


@pytest.mark.root
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("fd", "error"),
    [(2**30, OSError), (-1, OSError), (True, ValueError), ("0", TypeError), (None, TypeError)],
)
def test_what_is_no_descriptor_is_refused(source: Any, fd: Any, error: type[Exception]) -> None:
    with VerifiedProc(source=source) as proc:
        for call in (
            proc.self_fd().readlink,
            lambda fd: proc.self_fd().reopen(fd, os.O_RDONLY),
            proc.self_fdinfo,
        ):
            with pytest.raises(error) as raised:
                call(fd)
            if error is OSError:
                assert raised.value.errno == errno.EBADF  # type: ignore[attr-defined]


def test_pids_are_those_of_the_procfs() -> None:
    with VerifiedProc() as proc:
        first, second = proc.pids(), proc.pids()
    assert first == sorted(first)
    assert {1, os.getpid(), os.getppid()} <= set(first) & set(second)


def test_descriptors_are_not_inherited_by_programs() -> None:
    def inherited() -> list[str]:
        listed = subprocess.run(["/bin/ls", "/proc/self/fd"], close_fds=False, capture_output=True)
        return listed.stdout.decode().split()

    before = inherited()
    with VerifiedProc() as proc, proc.process() as process, process.open("status") as status:
        for held in (proc, process, proc.self_fd(), status):
            assert not os.get_inheritable(held.fileno())
        assert inherited() == before


@pytest.mark.parametrize("source", SOURCES)
def test_failing_construction_leaves_no_descriptor(source: Any) -> None:
    def inside() -> bool:
        linux.mount(b"/proc/1", b"/proc", None, uapi.MS_BIND)
        before = os.dup(0)
        os.close(before)
        for _ in range(50):
            if source == "fsopen":
                VerifiedProc(source=source).close()
            else:
                with pytest.raises(UnverifiedProcError):
                    VerifiedProc(source=source)
        after = os.dup(0)
        return before == after

    assert private_mounts(inside)


def test_new_instance_shows_processes_alone() -> None:
    def inside() -> tuple[list[str], str, int]:
        with VerifiedProc(source="fsopen") as proc:
            held = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=proc.fileno())
            names = [name for name in os.listdir(held) if not name.isdecimal()]
            before = os.listdir("/proc/self/fd")
            errors = []
            for name in ("none", "sys/none", "sys", "version/none"):
                with pytest.raises(OSError) as raised:
                    proc.open(name)
                errors.append(raised.value)
            with proc.open("version") as version:
                text = version.read()
            proc.readlink("mounts")
            return sorted(names), text, len(os.listdir("/proc/self/fd")) - len(before)

    names, text, left_open = run_in_child(inside)
    assert names == ["self", "thread-self"]
    assert text.startswith("Linux")
    assert left_open == 0


@pytest.mark.root
def test_new_instance_before_subset_was_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux 5.2 to 5.7."""
    fsconfig = linux.fsconfig

    def older(fd: int, command: int, key: bytes | None = None, value: bytes | None = None) -> None:
        if key == b"subset":
            raise OSError(errno.EINVAL, "Invalid argument")
        fsconfig(fd, command, key, value)

    monkeypatch.setattr(linux, "fsconfig", older)
    with VerifiedProc(source="fsopen") as proc, proc.open("version") as version:
        assert version.read().startswith("Linux")
