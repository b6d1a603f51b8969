"""What a copy does where the target refuses: the system's error, and the source is untouched."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.fuse import Failing
from helpers.portrait import portrait
from helpers.scenery import mount_tmpfs, on_tmpfs, write
from helpers.support import private_mounts
from procpath import RootedPath

pytestmark = pytest.mark.usefixtures("no_leak")

ON_DISK = [name for name in ("btrfs", "ext4", "xfs") if shutil.which(f"mkfs.{name}")]

LONG = "n" * 256


def mounted(kind: str, directory: Path) -> Path:
    """Return a fresh file system, which takes 330 MB; for a private mount namespace."""
    image, top = directory / f"image of {kind}", directory / kind
    with open(image, "wb") as file:
        file.truncate(330 << 20)
    top.mkdir()
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", image, top], check=True)
    return top


def fails(number: int, act: Callable[[], object], filename: Path | str) -> list[str]:
    """Require an error of this number about this path, and return its notes."""
    with pytest.raises(OSError) as caught:
        act()
    assert (caught.value.errno, caught.value.filename) == (number, str(filename))
    return caught.value.__notes__


def make_source(top: Path) -> RootedPath:
    """A tree whose second file is too large for the targets here."""
    write(top / "tree/1", "one")
    write(top / "tree/2", "x" * (8 << 20))
    return RootedPath(top, "tree")


def require_failures(number: int, source: RootedPath, target: Path) -> None:
    """Require that a target without room takes the tree, or all that fits in a merge."""
    before = portrait(Path(source.root_handle.origin, "tree"))
    copying = "while copying '/tree/2'"
    notes = fails(number, lambda: source.copy(target / "new"), target / "new/2")
    assert notes[0] == f"{copying}; nothing is kept"
    fails(number, lambda: (source / "2").copy(target / "file"), target / "file")
    fails(number, lambda: source.move(target / "moved"), target / "moved/2")
    assert os.listdir(target) == []
    write(target / "there/2", "as before")
    notes = fails(
        number, lambda: source.copy(target / "there", dirs_exist_ok=True), target / "there/2"
    )
    assert notes[0] == f"{copying}; what was copied before is kept"
    assert (target / "there/1").read_text() == "one"
    assert (target / "there/2").read_text() == "as before"
    assert sorted(os.listdir(target / "there")) == ["1", "2"]
    assert portrait(Path(source.root_handle.origin, "tree")) == before


def test_full_disk(tmp_path: Path) -> None:
    source = make_source(tmp_path)
    (tmp_path / "memory").mkdir()
    on_tmpfs(
        tmp_path / "memory",
        lambda memory: require_failures(errno.ENOSPC, source, memory),
        "size=2m",
    )


@pytest.mark.machine_root
@pytest.mark.skipif("btrfs" not in ON_DISK, reason="no mkfs.btrfs")
def test_quota(tmp_path: Path) -> None:
    """Kernels without the other quotas have those of btrfs."""

    def inside() -> None:
        mount_tmpfs(tmp_path)
        top = mounted("btrfs", tmp_path)
        for command in (
            ["subvolume", "create", top / "home"],
            ["quota", "enable", top],
            ["qgroup", "limit", "2M", top / "home"],
        ):
            subprocess.run(["btrfs", *command], check=True, capture_output=True)
        require_failures(errno.EDQUOT, make_source(tmp_path / "source"), top / "home")

    private_mounts(inside)


def test_names_that_are_too_long(tmp_path: Path) -> None:
    source = make_source(tmp_path)
    before = portrait(tmp_path / "tree")
    for target in (tmp_path / LONG, source.parent / LONG):
        fails(errno.ENAMETOOLONG, lambda: source.copy(target), target)  # noqa: B023
        fails(errno.ENAMETOOLONG, lambda: (source / "1").copy(target), target)  # noqa: B023
        fails(errno.ENAMETOOLONG, lambda: source.move(target), target)  # noqa: B023
    assert portrait(tmp_path / "tree") == before
    assert os.listdir(tmp_path) == ["tree"]


@pytest.mark.machine_root
@pytest.mark.parametrize("operation", Failing.OPERATIONS)
def test_source_cannot_answer_like_a_full_disk(operation: str, tmp_path: Path) -> None:
    """A file system in user space in a container answers with any errno."""
    numbers = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENOMEM)
    for number in numbers:
        write(tmp_path / f"{number}/tree/1")
        write(tmp_path / f"{number}/tree/3")
        (tmp_path / f"{number}/tree/2").mkdir()

    def inside() -> None:
        for number in numbers:
            top = tmp_path / str(number)
            Failing(top / "tree/2", operation, number)
            source = RootedPath(top, "tree")
            failed = "/tree/2" if operation == "list" else "/tree/2/file"
            errors: list[OSError] = []
            source.copy(top / "copy", preserve_metadata=True, on_error=errors.append)
            assert [(error.errno, error.filename) for error in errors] == [(number, failed)]
            assert {"1", "3"} <= {*os.listdir(top / "copy")} <= {"1", "2", "3"}
            stream = io.BytesIO()
            errors.clear()
            source.to_tar(stream, on_error=errors.append)
            assert [(error.errno, error.filename) for error in errors] == [(number, failed)]
            stream.seek(0)
            with tarfile.open(fileobj=stream) as archive:
                assert {"1", "3"} <= {*archive.getnames()}

    private_mounts(inside)


@pytest.mark.parametrize("to_host", [True, False])
def test_into_itself(to_host: bool, tmp_path: Path) -> None:
    source = make_source(tmp_path)
    before = portrait(tmp_path / "tree")
    top = tmp_path / "tree" if to_host else source
    for act in (
        lambda: source.copy(top / "below"),
        lambda: source.copy(top, dirs_exist_ok=True),
        lambda: source.move(top / "below"),
    ):
        with pytest.raises(OSError) as caught:
            act()
        assert caught.value.errno == errno.EINVAL
        assert caught.value.filename == "/tree"
        assert str(caught.value.filename2).startswith(str(top))
    assert portrait(tmp_path / "tree") == before


@pytest.mark.machine_root
@pytest.mark.skipif(not {"xfs", "ext4"} <= {*ON_DISK}, reason="no mkfs.xfs and mkfs.ext4")
def test_what_does_not_fit_of_one_entry(tmp_path: Path) -> None:
    """ext4 takes an attribute of one block at most, and xfs the text of a link of 1 KiB."""

    def inside() -> None:
        mount_tmpfs(tmp_path)
        xfs, ext4 = mounted("xfs", tmp_path), mounted("ext4", tmp_path)
        memory = tmp_path / "memory"
        for top in (xfs, memory):
            write(top / "root/tree/1")
            write(top / "root/tree/3")
        os.setxattr(xfs / "root/tree/1", "user.large", b"x" * 20_000)
        os.setxattr(xfs / "root/tree/1", "user.small", b"x")
        (memory / "root/tree/2").symlink_to("x/" * 1000)
        for source, target, number, failed, kept in (
            (xfs, ext4, errno.ENOSPC, "1", ["1", "3"]),
            (memory, xfs, errno.ENAMETOOLONG, "2", ["1", "3"]),
        ):
            tree = RootedPath(source / "root", "tree")
            before = portrait(source / "root/tree")
            errors: list[OSError] = []
            tree.copy(
                target / "copy",
                follow_symlinks=False,
                preserve_metadata=True,
                on_error=errors.append,
            )
            assert [(error.errno, error.filename) for error in errors] == [
                (number, str(target / "copy" / failed))
            ]
            assert sorted(os.listdir(target / "copy")) == kept
            fails(number, lambda: tree.move(target / "moved"), target / "moved" / failed)  # noqa: B023
            assert not (target / "moved").exists()
            assert portrait(source / "root/tree") == before
        assert os.listxattr(ext4 / "copy/1") == ["user.small"]

    private_mounts(inside)


@pytest.mark.machine_root
def test_read_only_target(tmp_path: Path) -> None:
    source = make_source(tmp_path)
    before = portrait(tmp_path / "tree")

    def inside() -> None:
        memory = tmp_path / "memory"
        memory.mkdir()
        mount_tmpfs(memory, "")
        write(memory / "there/1", "as before")
        subprocess.run(["mount", "-o", "remount,ro", memory], check=True)
        fails(errno.EROFS, lambda: source.copy(memory / "new"), memory / "new")
        fails(errno.EROFS, lambda: source.move(memory / "moved"), memory / "moved")
        fails(
            errno.EROFS,
            lambda: source.copy(memory / "there", dirs_exist_ok=True),
            memory / "there/1",
        )
        assert (memory / "there/1").read_text() == "as before"
        assert stat.S_ISDIR((memory / "there").stat().st_mode)

    private_mounts(inside)
    assert portrait(tmp_path / "tree") == before


def test_error_in_a_deep_merge_has_the_honest_name(tmp_path: Path) -> None:
    """At a path that is longer than PATH_MAX, with a directory in the way of a file."""
    deepest = f"/{'d' * 200}" * 30
    source, target = RootedPath(tmp_path, "tree"), RootedPath(tmp_path, "there")
    for top in (source, target):
        (top / deepest[1:]).mkdir(parents=True)
    (source / deepest[1:] / "entry").write_text("a file")
    (target / deepest[1:] / "entry").mkdir()
    (source / deepest[1:] / "last").write_text("the last one")
    errors: list[OSError] = []
    source.copy(target, dirs_exist_ok=True, on_error=errors.append)
    assert [(error.errno, error.filename) for error in errors] == [
        (errno.EISDIR, f"/there{deepest}/entry")
    ]
    assert (target / deepest[1:] / "last").read_text() == "the last one"
    (target / deepest[1:] / "entry").rmdir()
    source.copy(target, dirs_exist_ok=True)
    assert (target / deepest[1:] / "entry").read_text() == "a file"
