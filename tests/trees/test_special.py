"""Nothing is copied from a file system of the kernel, and nothing there is changed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.scenery import write
from helpers.support import private_mounts
from procpath import CopyProgress, Root, RootedPath, SpecialFileError, linux

COPIED = "is copied only with special_files"


def with_procfs(top: Path, func: Callable[[RootedPath], None], **options: str) -> None:
    """Call ``func`` with a root at ``top`` that has a procfs, and links into it."""
    (top / "proc").mkdir(parents=True)
    write(top / "etc/file")
    (top / "etc/hostname").symlink_to("/proc/sys/kernel/hostname")
    (top / "etc/kernel").symlink_to("/proc/sys/kernel")

    def inside() -> None:
        linux.mount(b"proc", os.fsencode(top / "proc"), b"proc")
        with Root.at(top, **options) as root:
            func(RootedPath(root))

    private_mounts(inside)


@pytest.mark.parametrize("resolver", ["walk", "openat2"])
@pytest.mark.parametrize(
    ("path", "follow_symlinks"),
    [
        ("proc/version", True),
        ("proc/sys/kernel/hostname", False),
        ("proc/sys/kernel", True),
        ("proc/self", False),
        ("proc", True),
        ("etc/hostname", True),
        ("etc/kernel", True),
    ],
)
def test_no_file_of_the_kernel_is_copied(
    path: str, follow_symlinks: bool, resolver: str, tmp_path: Path
) -> None:
    def inside(root: RootedPath) -> None:
        for target in (tmp_path / "out", root / "copy"):
            with pytest.raises(SpecialFileError, match=COPIED) as caught:
                (root / path).copy(target, follow_symlinks=follow_symlinks)
            assert caught.value.filename == f"/{path}"
        assert sorted(os.listdir(tmp_path)) == ["root"]
        assert sorted(os.listdir(tmp_path / "root")) == ["etc", "proc"]

    with_procfs(tmp_path / "root", inside, resolver=resolver)


@pytest.mark.parametrize("resolver", ["walk", "openat2"])
def test_links_into_a_kernel_file_system_stay_links(resolver: str, tmp_path: Path) -> None:
    def inside(root: RootedPath) -> None:
        (root / "etc").copy(tmp_path / "out")
        assert os.readlink(tmp_path / "out/hostname") == "/proc/sys/kernel/hostname"
        assert os.readlink(tmp_path / "out/kernel") == "/proc/sys/kernel"
        with pytest.raises(SpecialFileError, match=COPIED) as caught:
            (root / "etc").copy(root / "copy")
        assert str(caught.value.filename) in ("/etc/hostname", "/etc/kernel")
        assert os.listdir(tmp_path / "root/copy") == ["file"]

    with_procfs(tmp_path / "root", inside, resolver=resolver)


def test_a_mounted_kernel_file_system_is_left_out(tmp_path: Path) -> None:
    def inside(root: RootedPath) -> None:
        seen: list[CopyProgress] = []
        root.copy(tmp_path / "out", follow_symlinks=False, on_progress=seen.append)
        assert sorted(os.listdir(tmp_path / "out")) == ["etc", "proc"]
        assert os.listdir(tmp_path / "out/proc") == []
        assert seen[-1].left_out == {"mount points of kernel file systems": 1}

    with_procfs(tmp_path / "root", inside)


def test_files_of_the_kernel_are_copied_when_asked_for(tmp_path: Path) -> None:
    def inside(root: RootedPath) -> None:
        (root / "etc/hostname").copy(tmp_path / "out")
        assert (tmp_path / "out").read_text() == f"{os.uname().nodename}\n"

    with_procfs(tmp_path / "root", inside, special_files="allow")


CHANGES: dict[str, Callable[[RootedPath], object]] = {
    "copy a file": lambda root: (root / "etc/file").copy(root / "proc/sys/kernel/hostname"),
    "copy a file, by a link": lambda root: (root / "etc/file").copy(root / "etc/hostname"),
    "copy a tree": lambda root: (root / "etc").copy(root / "proc/new", follow_symlinks=False),
    "copy from the host": lambda root: (root / "etc/hostname").copy_from(Path("/etc/passwd")),
    "move": lambda root: (root / "etc").move(root / "proc/new"),
    "move away": lambda root: (root / "proc/version").move(root / "new"),
    "rmtree": lambda root: (root / "proc/sys").rmtree(),
    "rmtree by a link": lambda root: (root / "etc/kernel/random").rmtree(),
    "rmtree across mounts": lambda root: (root / "proc").rmtree(cross_mounts=True),
}


@pytest.mark.parametrize("resolver", ["walk", "openat2"])
@pytest.mark.parametrize("name", CHANGES)
def test_nothing_of_the_kernel_is_changed(name: str, resolver: str, tmp_path: Path) -> None:
    def inside(root: RootedPath) -> None:
        with pytest.raises(SpecialFileError, match="is changed only with special_files"):
            CHANGES[name](root)
        assert os.listdir(tmp_path) == ["root"]
        assert sorted(os.listdir(tmp_path / "root/etc")) == ["file", "hostname", "kernel"]

    with_procfs(tmp_path / "root", inside, resolver=resolver)


def test_other_special_files_are_created_not_opened(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    os.mkfifo(tmp_path / "tree/fifo")
    (tmp_path / "tree/link").symlink_to("fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "tree/socket"))
    RootedPath(tmp_path, "tree").copy(tmp_path / "out")
    assert (tmp_path / "out/fifo").is_fifo()
    assert (tmp_path / "out/link").is_fifo()
    assert not (tmp_path / "out/link").is_symlink()
    assert (tmp_path / "out/socket").is_socket()
