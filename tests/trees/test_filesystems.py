"""Copies on the file systems that can do special things, and without the calls for them."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import pytest

from helpers import seccomp
from helpers.portrait import holes, portrait
from helpers.scenery import mount_tmpfs, on_tmpfs, place, populate, write
from helpers.support import private_mounts, run_in_child
from procpath import RootedPath, linux, uapi
from procpath.tree import copy as copying

T = TypeVar("T")

FILE_SYSTEMS = [name for name in ("ext4", "btrfs", "xfs") if shutil.which(f"mkfs.{name}")]
CLONING = [name for name in FILE_SYSTEMS if name != "ext4"]
MEGABYTE: Final = 1 << 20

pytestmark = pytest.mark.usefixtures("no_leak")


def on(kind: str, directory: Path, func: Callable[[Path], T]) -> T:
    """Call ``func`` with a directory on a fresh file system of 330 MB, in a child."""

    def inside() -> T:
        mount_tmpfs(directory)
        image = directory / "image"
        with open(image, "wb") as file:
            file.truncate(330 * MEGABYTE)
        mounted = directory / "mounted"
        mounted.mkdir()
        subprocess.run([f"mkfs.{kind}", "-q", image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
        return func(mounted)

    return private_mounts(inside)


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_everything_is_kept(kind: str, tmp_path: Path) -> None:
    def inside(top: Path) -> None:
        populate(top / "tree")
        choices = {"follow_symlinks": False, "preserve_metadata": True, "special": "keep"}
        RootedPath(top).joinpath("tree").copy(top / "copy", **choices)
        assert portrait(top / "copy") == portrait(top / "tree")

    on(kind, tmp_path, inside)


@pytest.mark.skipif("ext4" not in FILE_SYSTEMS, reason="no mkfs.ext4")
def test_inode_number_used_again_is_another_file(tmp_path: Path) -> None:
    """Of two names of a file one is copied, and then the other is a new file of that number."""

    def inside(top: Path) -> None:
        write(top / "tree/a", "first")
        write(top / "tree/m", "between")
        os.link(top / "tree/a", top / "tree/z")
        number = (top / "tree/a").stat().st_ino
        again: list[Path] = []

        def use_again(progress: copying.CopyProgress) -> None:
            if again or not progress.source.endswith("/m"):
                return
            for name in ("a", "z"):
                (top / "tree" / name).unlink()
            for attempt in range(100):
                again.append(write(top / f"tree/z{attempt or ''}", "second"))
                if again[-1].stat().st_ino == number:
                    os.link(again[-1], top / "other name")
                    if attempt:
                        again[-1].rename(top / "tree/z")
                    return
            raise AssertionError("the file system does not use the number again")

        RootedPath(top, "tree").copy(top / "out", on_progress=use_again)
        assert (top / "out/a").read_text() == "first"
        assert (top / "out/z").read_text() == "second"

    on("ext4", tmp_path, inside)


@pytest.mark.parametrize("kind", CLONING)
def test_a_copy_shares_blocks_if_possible(kind: str, tmp_path: Path) -> None:
    def inside(top: Path) -> None:
        block = os.urandom(MEGABYTE)
        with open(top / "big", "wb") as file:
            for _ in range(160):
                file.write(block)
        # Twice as much does not fit.
        RootedPath(top).joinpath("big").copy(top / "copy")
        with open(top / "copy", "rb") as file:
            assert all(file.read(MEGABYTE) == block for _ in range(160))
            assert not file.read(1)

    on(kind, tmp_path, inside)


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_holes_stay_holes(kind: str, tmp_path: Path) -> None:
    def inside(top: Path) -> None:
        with open(top / "sparse", "wb") as file:
            for position in (0, 77 * MEGABYTE, 1 << 40):
                file.seek(position)
                file.write(b"island")
        RootedPath(top).joinpath("sparse").copy(top / "copy")
        assert holes(top / "copy")
        with open(top / "copy", "rb") as file:
            for position in (0, 77 * MEGABYTE, 1 << 40):
                file.seek(position)
                assert file.read() if position == 1 << 40 else file.read(6) == b"island"

    on(kind, tmp_path, inside)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [name for name in FILE_SYSTEMS if name == "ext4"])
def test_too_many_hard_links_become_a_second_file(kind: str, tmp_path: Path) -> None:
    # A tmpfs allows any number of names, ext4 65,000 (EXT4_LINK_MAX).
    def inside(top: Path) -> int:
        source = top.parent / "tree"
        write(source / "0")
        for number in range(1, 65_010):
            os.link(source / "0", source / str(number))
        RootedPath(source).copy(top / "copy")
        return len({entry.inode() for entry in os.scandir(top / "copy")})

    assert on(kind, tmp_path, inside) == 2


# Ways to copy

_NUMBERS: Final = {
    "x86_64": {"copy_file_range": 326, "sendfile": 40},
    "aarch64": {"copy_file_range": 285, "sendfile": 71},
}[platform.machine()]

SANDBOXES: Final[list[Mapping[str, int]]] = [
    {"copy_file_range": errno.ENOSYS},
    {"copy_file_range": errno.EPERM, "sendfile": errno.EPERM},
    {"renameat2": errno.ENOSYS},
    {"openat2": errno.ENOSYS},
]


@pytest.mark.parametrize("forbidden", SANDBOXES, ids=lambda calls: " ".join(calls))
def test_without_a_call_the_copy_is_the_same(
    forbidden: Mapping[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    populate(tmp_path / "tree")
    write(tmp_path / "tree/big", "0123456789" * 500_000)
    with open(tmp_path / "tree/sparse", "wb") as file:
        file.seek(50 * MEGABYTE)
        file.write(b"island")
        file.truncate(60 * MEGABYTE)
    for name, number in _NUMBERS.items():
        monkeypatch.setitem(seccomp._NUMBERS, name, number)

    def inside() -> None:
        seccomp.forbid(forbidden)
        root = RootedPath(tmp_path)
        choices = {"follow_symlinks": False, "preserve_metadata": True, "special": "keep"}
        (root / "tree").copy(root / "copy", **choices)
        (root / "proc").copy_from(Path("/proc/version"))
        with pytest.raises(FileExistsError):
            (root / "tree").copy(root / "proc")

    run_in_child(inside)
    assert portrait(tmp_path / "copy") == portrait(tmp_path / "tree")
    assert holes(tmp_path / "copy/sparse")
    assert (tmp_path / "proc").read_bytes() == Path("/proc/version").read_bytes()


@pytest.mark.parametrize("forbidden", [{}, {"renameat2": errno.ENOSYS}], ids=["with", "without"])
@pytest.mark.parametrize("source", ["link", "tree", "fifo"])
def test_a_name_taken_meanwhile_is_not_replaced(
    source: str, forbidden: Mapping[str, int], tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to("text")
    os.mkfifo(tmp_path / "fifo")
    write(tmp_path / "tree/file")
    before = sorted(os.listdir(tmp_path))

    def take_the_name(_: copying.CopyProgress) -> None:
        write(tmp_path / "new/taken")

    def inside() -> None:
        seccomp.forbid(forbidden)
        choices = copying.Choices(follow_symlinks=False)
        root = RootedPath(tmp_path)
        copying.copy(place(root / source), place(root / "free"), choices)
        with pytest.raises(OSError) as caught:
            copying.copy(place(root / source), place(root / "new"), choices, take_the_name)
        assert caught.value.errno in (errno.EEXIST, errno.ENOTEMPTY)
        assert caught.value.filename == "/new"

    run_in_child(inside)
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "free", "new"])
    assert os.listdir(tmp_path / "new") == ["taken"]


def test_a_root_is_copied_from_another_mount_namespace(tmp_path: Path) -> None:
    """As from a container: its mounts are seen, which here are none of ours."""
    (tmp_path / "mounted").mkdir()

    def inside(memory: Path) -> dict[str, object]:
        populate(memory / "tree")
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        try:
            linux.unshare(uapi.CLONE_NEWNS)
            linux.umount2(os.fsencode(memory))
            assert not os.listdir(memory)
            choices = {"follow_symlinks": False, "preserve_metadata": True, "special": "keep"}
            root = RootedPath(pid)
            (root / str(memory) / "tree").copy(memory / "out", **choices)
            wanted = portrait(Path(f"/proc/{pid}/root{memory}/tree"))
            assert portrait(memory / "out") == wanted
            root.root_handle.close()
            return dict(wanted)
        finally:
            os.close(writer)
            os.waitpid(pid, 0)
            os.close(reader)

    assert len(on_tmpfs(tmp_path / "mounted", inside)) > 10
