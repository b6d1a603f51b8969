"""``procpath check``, and ``--proc``."""

from __future__ import annotations

import ctypes
import json
import os
import shlex
from contextlib import ExitStack
from pathlib import Path

import pytest

from helpers.commandline import Ran, as_nobody, here, printed
from helpers.containers import RuncContainer
from helpers.processes import living
from helpers.seccomp import NO_OPENAT2, forbid
from helpers.support import private_mounts, run_in_child
from procpath import VerifiedProc, linux, uapi

# check


@pytest.mark.root
def test_check_tells_what_is_here() -> None:
    report = json.loads(here("check", "--json").out)
    found = {finding["name"]: finding["available"] for finding in report["findings"]}
    for name in ("openat2", "statx mount id", "procfs by mounted", "fs.protected_symlinks"):
        assert found[name] is True
    assert found["CAP_SYS_PTRACE"] is True
    assert report["linux"] == os.uname().release
    assert report["procfs"]["source"] == VerifiedProc.default().source
    assert {check["outcome"] for check in report["procfs"]["checks"]} <= {"passed", "note"}
    assert report["resolver"] == {"name": "openat2", "reason": "openat2 works here"}
    lines = printed("check")
    assert lines[-1] == "resolver: openat2, because openat2 works here"
    text = "\n".join(lines)
    for finding in report["findings"]:
        assert finding["name"] in text
        assert finding["detail"] in text


def test_check_tells_what_is_missing() -> None:
    ran = as_nobody(here, "check", "--json")
    assert (ran.status, ran.err) == (0, "")
    report = json.loads(ran.out)
    found = {finding["name"]: finding["available"] for finding in report["findings"]}
    for name in ("procfs by fsopen", "procfs by open_tree", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"):
        assert found[name] is False
    assert report["procfs"]["source"] == "mounted"


def test_identity_map_is_not_the_initial_namespace() -> None:
    def check() -> Ran:
        with ExitStack() as stack:
            pid = stack.enter_context(living(lambda: linux.unshare(uapi.CLONE_NEWUSER)))
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{pid}/{name}").write_text(f"0 0 {2**32 - 1}\n")
            namespace = stack.enter_context(open(f"/proc/{pid}/ns/user"))
            assert ctypes.CDLL(None).setns(namespace.fileno(), 0) == 0
        return here("check", "--json")

    report = json.loads(run_in_child(check).out)
    found = {finding["name"]: finding["available"] for finding in report["findings"]}
    assert found["initial user namespace"] is False


def test_check_tells_why_the_walker_is_used() -> None:
    def without_openat2() -> Ran:
        forbid(NO_OPENAT2)
        return here("check")

    ran = run_in_child(without_openat2)
    assert ran.status == 0
    assert ran.lines[-1] == (
        "resolver: walk, because openat2 does not work here: ENOSYS, this kernel lacks it"
    )
    [line] = [line for line in ran.lines if line.startswith("openat2 ")]
    assert line.split()[1] == "no"


def test_check_fails_where_no_procfs_can_be_trusted(tmp_path: Path) -> None:
    ran = here("--proc", os.fspath(tmp_path), "check")
    assert ran.status == 1
    [line] = ran.err.splitlines()
    assert line.startswith(f"procpath: {tmp_path}: superblock magic is ")
    assert ran.lines[-1].startswith("resolver: ")
    report = json.loads(here("--proc", os.fspath(tmp_path), "check", "--json").out)
    assert report["procfs"] is None
    details = {finding["name"]: finding["detail"] for finding in report["findings"]}
    assert "superblock magic" in details["procfs by mounted"]


def test_check_fails_where_something_is_mounted_on_proc() -> None:
    def look() -> Ran:
        VerifiedProc.default()
        linux.mount(b"tmpfs", b"/proc", b"tmpfs")
        return here("check", "--json")

    ran = private_mounts(look)
    assert ran.status == 1
    unsafe = [each["name"] for each in json.loads(ran.out)["findings"] if each["unsafe"]]
    assert "procfs by mounted" in unsafe
    assert ran.err


def test_check_fails_beside_the_other_procpath(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "procpath-1.15.1.dist-info").mkdir()
    metadata = tmp_path / "procpath-1.15.1.dist-info/METADATA"
    metadata.write_text("Metadata-Version: 2.1\nName: procpath\nVersion: 1.15.1\n")
    assert "which excludes rootedpath" in "\n".join(printed("check"))
    monkeypatch.syspath_prepend(tmp_path)
    ran = here("check")
    assert ran.status == 1
    [line] = ran.err.splitlines()
    assert line.startswith("procpath: no other procpath: PyPI's procpath 1.15.1 is installed too")


# --proc


def test_another_procfs_can_be_named() -> None:
    def look() -> tuple[Ran, Ran, Ran]:
        linux.mount(b"tmpfs", b"/mnt", b"tmpfs")
        os.mkdir("/mnt/proc")
        linux.mount(b"proc", b"/mnt/proc", b"proc")
        address = f"{os.getpid()}:/etc/passwd"
        proc = ("--proc", "/mnt/proc")
        return here(*proc, "cat", address), here(*proc, "check"), here(*proc, "roots", "--json")

    cat, check, roots = private_mounts(look)
    assert cat == (0, Path("/etc/passwd").read_bytes(), "")
    assert "procfs: /mnt/proc, by open_tree" in check.lines
    assert json.loads(roots.out)


@pytest.mark.parametrize("arguments", [["cat", "1:/x", "1:/y"], ["roots"]], ids=shlex.join)
def test_without_a_procfs_there_are_no_processes(tmp_path: Path, arguments: list[str]) -> None:
    for place, reason in (
        (tmp_path, "superblock magic is "),
        (tmp_path / "nowhere", "No such file or directory"),
    ):
        ran = here("--proc", os.fspath(place), *arguments)
        assert (ran.status, ran.out) == (1, b"")
        [line] = ran.err.splitlines()
        assert line.startswith(f"procpath: {place}: {reason}")
    # A directory is had without.
    assert here("--proc", os.fspath(tmp_path), "ls", f"{tmp_path}:/").status == 0


def test_procfs_of_another_mount_namespace_is_refused(container: RuncContainer) -> None:
    with living(lambda: linux.unshare(uapi.CLONE_NEWNS)) as pid:
        for holder, reason in ((pid, "mount namespace"), (container.pid, "PID namespace")):
            place = f"/proc/{holder}/root/proc"
            for command in (["cat", "2:/etc/shadow"], ["roots"]):
                ran = here("--proc", place, *command)
                assert (ran.status, ran.out) == (1, b"")
                [line] = ran.err.splitlines()
                assert line.startswith(f"procpath: {place}: ")
                assert reason in line
