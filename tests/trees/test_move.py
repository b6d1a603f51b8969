"""Moves by rename where that is possible, and by a whole copy where it is not."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from helpers.portrait import portrait
from helpers.scenery import (
    as_nobody,
    depth,
    dig,
    interrupted,
    mount_tmpfs,
    on_tmpfs,
    place,
    populate,
    reachable,
    write,
)
from helpers.support import private_mounts
from procpath import RootedPath, linux, uapi
from procpath.tree import copy as copying
from procpath.tree import moving

T = TypeVar("T")

pytestmark = pytest.mark.usefixtures("no_leak")


def with_memory(tmp_path: Path, func: Callable[[Path], T], options: str = "") -> T:
    """Call ``func`` with ``tmp_path / "memory"``, another file system."""
    (tmp_path / "memory").mkdir()
    return on_tmpfs(tmp_path / "memory", func, options)


def test_within_a_file_system_it_is_a_rename(tmp_path: Path) -> None:
    populate(tmp_path / "tree")
    inode = (tmp_path / "tree").stat().st_ino
    wanted = portrait(tmp_path / "tree")
    root = RootedPath(tmp_path)
    assert (root / "tree").move(root / "new") == root / "new"
    assert portrait(tmp_path / "new") == wanted
    assert (tmp_path / "new").stat().st_ino == inode
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize("to_host", [False, True])
def test_between_roots_it_is_never_a_rename(to_host: bool, tmp_path: Path) -> None:
    """Who is in the directory would be out of the root with it, and could climb on."""
    write(tmp_path / "one/dir/file")
    (tmp_path / "two").mkdir()
    held = os.open(tmp_path / "one/dir", os.O_PATH)
    root = RootedPath(tmp_path / "two")
    target = tmp_path / "two/dir" if to_host else root / "dir"
    assert RootedPath(tmp_path / "one").joinpath("dir").move(target) == target
    assert (tmp_path / "two/dir/file").read_text() == "content"
    assert os.listdir(tmp_path / "one") == []
    above = os.stat("..", dir_fd=held)
    os.close(held)
    assert os.path.samestat(above, (tmp_path / "one").stat())


def test_across_file_systems_everything_is_kept(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        populate(tmp_path / "tree")
        wanted = portrait(tmp_path / "tree")
        source, target = RootedPath(tmp_path), RootedPath(memory)
        (source / "tree").move(target / "there")
        assert portrait(memory / "there") == wanted
        assert not (tmp_path / "tree").exists()
        (target / "there").move(source / "back")
        assert portrait(tmp_path / "back") == wanted
        assert os.listdir(memory) == []
        for name in ("link", "fifo", "null", "socket", "file"):
            (source / "back" / name).move_into(target)
        assert sorted(os.listdir(memory)) == ["fifo", "file", "link", "null", "socket"]
        assert os.readlink(memory / "link") == "file"
        assert stat.S_ISFIFO((memory / "fifo").stat().st_mode)

    with_memory(tmp_path, inside)


def test_across_file_systems_it_replaces_as_a_rename(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        source, target = RootedPath(tmp_path), RootedPath(memory)
        write(memory / "victim", "not written through the link")
        (memory / "link").symlink_to("victim")
        write(memory / "old", "old", 0o600)
        (memory / "empty").mkdir()
        write(memory / "full/file")
        for name in ("link", "old"):
            write(tmp_path / "file", "new", 0o755)
            (source / "file").move(target / name)
            assert not (memory / name).is_symlink()
            assert (memory / name).read_text() == "new"
            assert stat.S_IMODE((memory / name).stat().st_mode) == 0o755
        assert (memory / "victim").read_text() == "not written through the link"
        write(tmp_path / "tree/file")
        (source / "tree").move(target / "empty")
        assert (memory / "empty/file").exists()
        write(tmp_path / "tree/file")
        before = portrait(memory)
        for taken, number in (("full", errno.ENOTEMPTY), ("old", errno.ENOTDIR)):
            with pytest.raises(OSError) as caught:
                (source / "tree").move(target / taken)
            assert caught.value.errno == number
            assert caught.value.filename == f"/{taken}"
        with pytest.raises(IsADirectoryError):
            (source / "tree/file").move(target / "full")
        assert portrait(memory) | {"": None} == before | {"": None}
        assert (tmp_path / "tree/file").exists()

    with_memory(tmp_path, inside)


@pytest.mark.parametrize("size", ["size=1m", "nr_inodes=10"])
def test_a_copy_that_fails_leaves_the_source_whole(size: str, tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path / f"tree/{number}/file", "x" * 100_000)
    wanted = portrait(tmp_path / "tree")

    def inside(memory: Path) -> None:
        with pytest.raises(OSError) as caught:
            RootedPath(tmp_path).joinpath("tree").move(memory / "tree")
        assert caught.value.errno == errno.ENOSPC
        assert os.listdir(memory) == []

    with_memory(tmp_path, inside, size)
    assert portrait(tmp_path / "tree") == wanted


def test_an_interrupted_move_leaves_one_whole_tree(tmp_path: Path) -> None:
    def inside(memory: Path) -> int:
        populate(memory / "tree")
        wanted = portrait(memory / "tree")
        for number in range(1000):
            source = place(RootedPath(memory) / "tree")
            target = place(RootedPath(tmp_path) / "moved")
            try:
                moving.move(source, target, interrupted(number))
            except KeyboardInterrupt:
                assert portrait(memory / "tree") == wanted
                assert sorted(os.listdir(tmp_path)) == ["memory"]
            else:
                assert portrait(tmp_path / "moved") == wanted
                assert os.listdir(memory) == []
                return number
        raise AssertionError("it never came to its end")

    assert with_memory(tmp_path, inside) > 20


def test_a_source_replaced_meanwhile_is_not_removed(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        root = RootedPath(memory)
        for name in ("file", "tree/file"):
            write(memory / name, "moved")
        for name in ("file", "tree"):

            def replace(_: copying.CopyProgress, name: str = name) -> None:
                if not (memory / f"old {name}").exists():
                    os.rename(memory / name, memory / f"old {name}")
                    write(memory / name if name == "file" else memory / name / "file", "newer")

            with pytest.raises(OSError) as caught:
                moving.move(place(root / name), place(tmp_path / name), replace)
            assert caught.value.errno == errno.ESTALE
            assert caught.value.filename == f"/{name}"
        assert (memory / "file").read_text() == "newer"
        assert (memory / "tree/file").read_text() == "newer"
        assert (tmp_path / "tree/file").read_text() == "moved"

    with_memory(tmp_path, inside)


def test_a_tree_with_a_mount_stays_on_its_file_system(tmp_path: Path) -> None:
    write(tmp_path / "tree/file")
    (tmp_path / "tree/mounted").mkdir()

    def inside(memory: Path) -> None:
        mount_tmpfs(tmp_path / "tree/mounted")
        write(tmp_path / "tree/mounted/precious")
        with pytest.raises(OSError) as caught:
            RootedPath(tmp_path).joinpath("tree").move(memory / "tree")
        assert caught.value.errno == errno.EXDEV
        assert caught.value.filename == "/tree/mounted"
        assert (tmp_path / "tree/mounted/precious").exists()
        assert (tmp_path / "tree/file").exists()
        assert os.listdir(memory) == []

    with_memory(tmp_path, inside)


@pytest.mark.parametrize("namespace", ["our own", "another"])
@pytest.mark.parametrize("end", ["source", "target"])
def test_a_mount_point_is_neither_moved_nor_replaced(
    namespace: str, end: str, tmp_path: Path
) -> None:
    for name in ("mounted", "root/mount point", "root/file"):
        write(tmp_path / name, name)

    def inside() -> None:
        linux.mount(
            os.fsencode(tmp_path / "mounted"),
            os.fsencode(tmp_path / "root/mount point"),
            None,
            uapi.MS_BIND,
        )
        root = RootedPath(tmp_path / "root")
        if namespace == "another":
            first = os.open("/proc/self/ns/mnt", os.O_RDONLY)
            linux.unshare(uapi.CLONE_NEWNS)
            linux.umount2(os.fsencode(tmp_path / "root/mount point"))
            assert os.path.exists(f"/proc/self/fd/{first}")
        source, target = root / "mount point", root / "new"
        if end == "target":
            source, target = root / "file", root / "mount point"
        with pytest.raises(OSError) as caught:
            source.move(target)
        assert caught.value.errno == errno.EBUSY
        assert caught.value.filename == "/mount point"
        assert (root / "mount point").read_text() == "mounted"

    private_mounts(inside)


def test_into_itself(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        write(memory / "tree/file")
        (memory / "tree/sub").mkdir()
        mount_tmpfs(memory / "tree/sub")
        root = RootedPath(memory)
        for target in (root / "tree/new", root / "tree/sub/new", memory / "tree/new"):
            with pytest.raises(OSError) as caught:
                (root / "tree").move(target)
            assert caught.value.errno == errno.EINVAL
            assert (caught.value.filename, caught.value.filename2) == ("/tree", str(target))
        assert (memory / "tree/file").exists()
        linux.umount2(os.fsencode(memory / "tree/sub"))

    with_memory(tmp_path, inside)


def test_the_root_itself_is_not_moved(tmp_path: Path) -> None:
    write(tmp_path / "root/file")
    with pytest.raises(OSError) as caught:
        RootedPath(tmp_path / "root").move(tmp_path / "new")
    assert caught.value.errno == errno.EBUSY
    with pytest.raises(ValueError):
        RootedPath(tmp_path / "root").move_into(tmp_path)
    assert (tmp_path / "root/file").exists()


def test_what_cannot_be_removed_is_copied_and_an_error(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        write(memory / "tree/sub/file")
        (memory / "tree/sub").chmod(0o555)
        write(memory / "tree/other")
        for path in (memory, *memory.rglob("*")):
            os.chown(path, 65534, 65534)
        target = tmp_path / "target"
        target.mkdir()
        target.chmod(0o777)
        reachable(tmp_path)

        def move() -> None:
            with pytest.raises(PermissionError) as caught:
                RootedPath(memory).joinpath("tree").move(target / "tree")
            assert caught.value.filename == "/tree/sub/file"

        as_nobody(move)
        assert (target / "tree/sub/file").exists()
        assert (target / "tree/other").exists()
        assert (memory / "tree/sub/file").exists()

    with_memory(tmp_path, inside)


@pytest.mark.slow
def test_ten_thousand_levels_are_moved(tmp_path: Path) -> None:
    def inside(memory: Path) -> int:
        (memory / "one").mkdir()
        (memory / "two").mkdir()
        mount_tmpfs(memory / "two")
        (memory / "one/deep").mkdir()
        dig(memory / "one/deep", 10_000)
        RootedPath(memory / "one").joinpath("deep").move(memory / "two/deep")
        assert os.listdir(memory / "one") == []
        levels = depth(memory / "two/deep")
        linux.umount2(os.fsencode(memory / "two"))
        return levels

    assert with_memory(tmp_path, inside) == 10_000
