"""The helpers that other tests stand on do what those tests believe."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.support import (
    ChildFailedError,
    child_pids,
    chrooted,
    open_descriptors,
    private_mounts,
    remove_tree,
    run_in_child,
)
from procpath import linux
from procpath.errors import ProcessGoneError

PR_SET_DUMPABLE = 4  # prctl(2)


def test_a_child_returns_its_result_from_another_process() -> None:
    assert run_in_child(os.getppid) == os.getpid()


def test_a_childs_error_is_raised_with_its_traceback() -> None:
    def fail() -> None:
        raise ProcessGoneError(7)

    with pytest.raises(ProcessGoneError) as caught:
        run_in_child(fail)
    assert caught.value.pid == 7
    assert "in fail" in caught.value.__notes__[0]


def test_an_error_that_cannot_be_pickled_still_fails_the_test() -> None:
    class LocalError(Exception):
        pass

    def fail() -> None:
        raise LocalError("of this function alone")

    with pytest.raises(ChildFailedError, match="of this function alone"):
        run_in_child(fail)


def test_a_child_is_gone_when_its_call_returns() -> None:
    before = child_pids()
    assert run_in_child(os.getpid) not in child_pids()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert child_pids() == before | {pid}
    os.waitpid(pid, 0)
    assert child_pids() == before


def test_a_child_that_dies_fails_the_test() -> None:
    with pytest.raises(ChildFailedError):
        run_in_child(os._exit, 0)
    with pytest.raises(ChildFailedError):
        run_in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_mounts_of_a_private_namespace_stay_there(tmp_path: Path) -> None:
    def mount_and_list() -> list[str]:
        linux.mount(b"tmpfs", os.fsencode(tmp_path), b"tmpfs")
        (tmp_path / "inside").touch()
        return os.listdir(tmp_path)

    assert private_mounts(mount_and_list) == ["inside"]
    assert os.listdir(tmp_path) == []


def test_a_chrooted_child_sees_the_tree_as_its_root(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "up").symlink_to("/../../file")
    assert sorted(chrooted(tmp_path, os.listdir, "/")) == ["file", "up"]
    assert chrooted(tmp_path, os.path.realpath, "/up") == "/file"


def test_an_unprivileged_user_gets_a_chroot_and_mounts_too() -> None:
    def drop_and_ask() -> tuple[int, bool]:
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        # /proc/self is root's after a change of user, until this (proc_pid(5)).
        assert ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0
        return chrooted("/usr", os.geteuid), private_mounts(os.path.ismount, "/")

    assert run_in_child(drop_and_ask) == (0, True)


@pytest.mark.usefixtures("no_leak")
def test_running_children_leaks_no_descriptor() -> None:
    run_in_child(os.getpid)
    with pytest.raises(ChildFailedError):
        run_in_child(os._exit, 3)


def test_an_open_descriptor_is_counted() -> None:
    before = open_descriptors()
    fd = os.open("/dev/null", os.O_RDONLY)
    try:
        assert open_descriptors() == before | {fd: "/dev/null"}
    finally:
        os.close(fd)
    assert open_descriptors() == before


def test_a_tree_is_removed_however_deep(tmp_path: Path) -> None:
    def make() -> None:
        os.chdir(tmp_path)
        for _ in range(1100):
            os.mkdir("deeper")
            os.chdir("deeper")

    run_in_child(make)
    remove_tree(tmp_path / "deeper")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("forbidden", "code"), [("", 0), ("1", 1)])
def test_a_forbidden_skip_fails_the_run(tmp_path: Path, forbidden: str, code: int) -> None:
    tests = Path(__file__).parents[1]
    skipping = tmp_path / "test_skipping.py"
    skipping.write_text("import pytest\ndef test_it(): pytest.skip('not here')\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-c", os.devnull, skipping],
        env=os.environ
        | {
            "PROCPATH_NO_SKIPS": forbidden,
            "PYTHONPATH": os.pathsep.join([os.fspath(tests), *filter(None, sys.path)]),
        },
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert "1 skipped" in done.stdout
    assert done.returncode == code
