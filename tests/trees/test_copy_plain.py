"""Many small files are copied in a loop of their own, with the same results."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from faults.layer import Faults, faults
from helpers.attacks import mount_over_link
from helpers.portrait import portrait
from helpers.scenery import acl, mount_tmpfs, on_tmpfs, write
from procpath import Root, RootedPath, linux, uapi
from procpath.tree.copy import staging
from procpath.tree.copy.report import CopyProgress

# A file system that can clone files would clone them: these tests are on tmpfs.


def copy_all(source: RootedPath, target: RootedPath | Path) -> None:
    source.copy(target, follow_symlinks=False, preserve_metadata=True, dirs_exist_ok=True)


def make_files(top: Path, count: int) -> None:
    for number in range(count):
        file = write(top / f"{number:03}", "x" * number)
        os.utime(file, (number, number))


def test_odd_files_among_plain_ones(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        tree = memory / "tree"
        make_files(tree, 30)
        write(tree / "005 program", mode=0o4755)
        write(tree / "010 narrow", mode=0o640)
        os.setxattr(tree / "010 narrow", "system.posix_acl_access", acl(0o640, user=1000))
        os.link(tree / "012", tree / "012 again")
        write(tree / "015 owned")
        os.chown(tree / "015 owned", 12, 34)
        (tree / "020 link").symlink_to("019")
        os.mkfifo(tree / "021 fifo")
        with open(tree / "025 sparse", "wb") as sparse:
            sparse.truncate(1 << 20)
        write(tree / "028 large", "large" * 100_000)
        write(tree / "sub/file")
        for _ in range(2):
            copy_all(RootedPath(memory, "tree"), RootedPath(memory, "copy"))
            assert portrait(memory / "copy") == portrait(tree)

    on_tmpfs(tmp_path, inside)


@pytest.mark.machine_root
def test_another_s_directory_in_the_place_of_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner may let what is made in it be his group's, at any moment."""
    make_files(tmp_path / "tree", 6)
    for file in (tmp_path / "tree").iterdir():
        file.chmod(0o640)
    (tmp_path / "home").mkdir()
    swapped: list[Path] = []

    def openat(dirfd: int, name: str | bytes, flags: int, mode: int = 0) -> linux.Descriptor:
        if not swapped and os.fsdecode(name).startswith(".procpath"):
            theirs = tmp_path / "home" / os.fsdecode(name)
            theirs.rename(tmp_path / "home/made")
            theirs.mkdir()
            os.chown(theirs, 1000, 1000)
            swapped.append(theirs)
        return linux.openat(dirfd, name, flags, mode)

    def progress(done: CopyProgress) -> None:
        if done.entries == 3:
            swapped[0].chmod(0o2755)

    monkeypatch.setattr(staging, "openat", openat)
    RootedPath(tmp_path, "tree").copy(
        RootedPath(tmp_path, "home/new"), preserve_metadata=True, on_progress=progress
    )
    assert swapped
    assert {file.stat().st_gid for file in (tmp_path / "home/new").iterdir()} == {os.getegid()}


def test_an_error_that_a_handler_raises_is_not_lost(tmp_path: Path) -> None:
    fired: list[None] = []

    def raise_timeout(*_: object) -> None:
        fired.append(None)
        raise TimeoutError

    def inside(memory: Path) -> None:
        make_files(memory / "tree", 400)
        tree, copy = RootedPath(memory, "tree"), RootedPath(memory, "copy")
        copy_all(tree, copy)
        copy.rmtree()
        before = signal.signal(signal.SIGALRM, raise_timeout)
        raised = 0
        try:
            for number in range(40):
                signal.setitimer(signal.ITIMER_REAL, 0.0003 * (number + 1))
                try:
                    copy_all(tree, copy)
                except TimeoutError:
                    raised += 1
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                copy.rmtree(ignore_errors=True)
        finally:
            signal.signal(signal.SIGALRM, before)
        # One that comes while something is finalized is lost in any program.
        assert raised >= len(fired) * 0.8 > 0

    on_tmpfs(tmp_path, inside)


@pytest.mark.machine_root
def test_what_is_there_is_replaced_by_its_rules(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        tree, copy = memory / "tree", memory / "copy"
        make_files(tree, 20)
        shutil.copytree(tree, copy)
        os.setxattr(copy, "system.posix_acl_default", acl(0o777, user=1000))
        (copy / "004").unlink()
        (copy / "004").symlink_to("/precious")
        (copy / "006").unlink()
        (copy / "006").mkdir()
        write(memory / "precious", "precious")
        bound, over = os.fsencode(memory / "precious"), os.fsencode(copy / "008")
        linux.mount(bound, over, None, uapi.MS_BIND)
        shutil.copy("/bin/sleep", copy / "010")
        (copy / "012").unlink()
        (copy / "014").unlink()
        os.link(tree / "014", copy / "014")
        os.chown(copy / "016", 12, 34)
        told: list[OSError] = []
        with subprocess.Popen([copy / "010", "60"]) as running:
            try:
                RootedPath(memory, "tree").copy(
                    RootedPath(memory, "copy"),
                    follow_symlinks=False,
                    preserve_metadata=True,
                    dirs_exist_ok=True,
                    on_error=told.append,
                )
            finally:
                running.kill()
        assert {Path(os.fsdecode(error.filename)).name: error.errno for error in told} == {
            "006": errno.EISDIR,
            "008": errno.EBUSY,
            "010": errno.ETXTBSY,
            "014": errno.EINVAL,
        }
        assert (memory / "precious").read_text() == "precious"
        expected, found = portrait(tree), portrait(copy)
        assert sorted(found) == sorted(expected)
        for name in set(expected) - {"", "006", "008", "010"}:
            assert found[name] == expected[name]

    on_tmpfs(tmp_path, inside)


@pytest.mark.machine_root
def test_few_system_calls_for_each_file(tmp_path: Path) -> None:
    """cp(1) makes 16; close(2) of what was only read is not counted here."""

    def calls(memory: Path, again: bool) -> Counter[str]:
        copy_all(RootedPath(memory, "tree"), RootedPath(memory, "first"))
        with faults(Faults()) as layer:
            copy_all(RootedPath(memory, "tree"), RootedPath(memory, "first" if again else "copy"))
        shutil.rmtree(memory / "copy", ignore_errors=True)
        return Counter(layer.calls)

    def for_each(memory: Path, again: bool) -> dict[str, float]:
        shutil.rmtree(memory / "tree", ignore_errors=True)
        make_files(memory / "tree", 20)
        few = calls(memory, again)
        make_files(memory / "tree", 40)
        many = calls(memory, again)
        return {name: (many[name] - few[name]) / 20 for name in many if many[name] != few[name]}

    def inside(memory: Path) -> None:
        once = ("read", "write", "listxattr", "fchmod", "utime", "close")
        new = {"bare_openat": 3, "fstat": 2} | dict.fromkeys(once, 1)
        assert for_each(memory, False) == new
        assert for_each(memory, True) == {**new, "_bare_statx": 1, "rename": 1}

    on_tmpfs(tmp_path, inside)


@pytest.mark.machine_root
def test_a_link_that_is_a_mount_point_is_not_followed_where_none_is_crossed(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        # open_tree(2) and move_mount(2) can mount a symlink over a file.
        write(memory / "tree/file", "content")
        (memory / "tree/link").touch()
        mounted = memory / "mounted"
        mounted.mkdir()
        mount_tmpfs(mounted)
        (mounted / "link").symlink_to("file")
        mount_over_link(f"{mounted}/link", f"{memory}/tree/link")
        root = Root.at(memory, cross_mounts=False)
        with pytest.raises(OSError) as read:
            RootedPath(root, "tree/link").read_text()
        errors: list[OSError] = []
        RootedPath(root, "tree").copy(memory / "copy", on_error=errors.append)
        assert [error.errno for error in errors] == [read.value.errno] == [errno.EXDEV]
        assert os.listdir(memory / "copy") == ["file"]

    on_tmpfs(tmp_path, inside)
