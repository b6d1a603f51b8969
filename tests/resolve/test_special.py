"""What special_files="refuse", the default, refuses: never opened, never changed, and said."""

from __future__ import annotations

import os
import pathlib
import socket
import stat
from collections.abc import Callable
from errno import ENXIO
from typing import Literal

import pytest

from helpers.support import private_mounts, run_in_child
from procpath import Root, RootedPath, SpecialFileError, UnverifiedProcError, VerifiedProc, linux
from procpath.linux import fstatfs
from procpath.proc import handle
from procpath.uapi import KERNEL_FILE_SYSTEMS

Resolver = Literal["walk", "openat2"]
resolvers = pytest.mark.parametrize("resolver", ["walk", "openat2"])

ORDINARY = {
    # Files of users, on a disk, in memory, of another machine, or of a process (fuse).
    *("9p", "bcachefs", "btrfs", "ceph", "cifs", "cramfs", "ecryptfs", "erofs", "exfat", "ext2"),
    *("ext3", "ext4", "f2fs", "fuse", "fuseblk", "gfs2", "hfs", "hfsplus", "hugetlbfs", "iso9660"),
    *("jfs", "minix", "msdos", "nfs", "nfs4", "nilfs2", "ntfs", "ntfs3", "ocfs2", "overlay"),
    *("ramfs", "reiserfs", "romfs", "rootfs", "shiftfs", "smb3", "squashfs", "tmpfs", "ubifs"),
    *("udf", "ufs", "vboxsf", "vfat", "virtiofs", "xfs", "zfs", "zonefs"),
    # Devices, which are special wherever they lie.
    *("devpts", "devtmpfs"),
    # Directories and links alone.
    "autofs",
}
BY_ANOTHER_NAME = {
    *("proc", "cpuset"),  # procfs, and cgroup by its first name
    "usbfs",
}


def file_system_types() -> list[str]:
    lines = pathlib.Path("/proc/filesystems").read_text().splitlines()
    return [line.split()[-1] for line in lines]


@pytest.mark.parametrize("name", file_system_types())
def test_every_file_system_has_a_decision(name: str) -> None:
    ours = name in KERNEL_FILE_SYSTEMS.values() or name in BY_ANOTHER_NAME
    assert ours != (name in ORDINARY), f"say in uapi.py or here whether {name} is the kernel's"


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    (tmp_path / "to-fifo").symlink_to("/fifo")
    (tmp_path / "file").write_text("text")
    return tmp_path


OPENING: dict[str, Callable[[RootedPath], object]] = {
    "read_bytes": lambda path: path.read_bytes(),
    "read_text": lambda path: path.read_text(),
    "open": lambda path: path.open().close(),
    "append": lambda path: path.open("a").close(),
    "write_text": lambda path: path.write_text(""),
    "pin": lambda path: path.pin(),
    "root": lambda path: path.root_handle.open(str(path), os.O_RDONLY | os.O_NONBLOCK),
    "create": lambda path: path.root_handle.open(str(path), os.O_RDWR | os.O_CREAT),
}


@resolvers
@pytest.mark.parametrize("how", OPENING)
@pytest.mark.parametrize(
    ("name", "what"), [("fifo", "a FIFO"), ("to-fifo", "a FIFO"), ("socket", "a socket")]
)
def test_special_files_are_refused_by_default(
    tree: pathlib.Path, resolver: Resolver, how: str, name: str, what: str
) -> None:
    path = RootedPath(Root.at(tree, resolver=resolver), name)
    with pytest.raises(SpecialFileError) as caught:
        OPENING[how](path)
    assert caught.value.errno == ENXIO
    assert caught.value.filename == f"/{name}"
    assert caught.value.strerror == f'{what} is opened only with special_files="allow"'
    assert caught.value.__notes__ == [f"in the root {tree}"]


@pytest.mark.machine_root
def test_devices_are_refused_by_default(tmp_path: pathlib.Path) -> None:
    os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(tmp_path / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    root = RootedPath(tmp_path)
    with pytest.raises(SpecialFileError, match="a character device"):
        (root / "null").read_bytes()
    with pytest.raises(SpecialFileError, match="a block device"):
        (root / "disk").read_bytes()
    assert RootedPath(Root.at(tmp_path, special_files="allow"), "null").read_bytes() == b""


def test_special_files_are_still_handled_by_name(tree: pathlib.Path) -> None:
    root = RootedPath(tree)
    assert (root / "fifo").is_fifo()
    assert {path.name for path in root.iterdir()} == {"fifo", "socket", "to-fifo", "file"}
    (root / "fifo").chmod(0o600)
    (root / "fifo").rename("other")
    (root / "link").hardlink_to("/other")
    (root / "link").unlink()
    assert (root / "other").lstat().st_nlink == 1


def test_a_socket_is_connected_to_by_default(tmp_path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        RootedPath(tmp_path, "socket").connect().close()


@resolvers
def test_files_of_procfs_are_refused_by_default(resolver: Resolver) -> None:
    root = RootedPath(Root.at("/", resolver=resolver))
    for name in ("proc/self/environ", "proc/sys/kernel/hostname", "proc/kmsg", "proc/mounts"):
        for how in OPENING.values():
            # To create what belongs to another user, the directory is looked at first.
            said = "a file of procfs is opened only with|a directory of procfs is changed only with"
            with pytest.raises(SpecialFileError, match=said):
                how(root / name)
    assert (root / "proc/sys/kernel/hostname").is_file()
    assert (root / "proc/version").stat().st_mode
    assert "version" in {path.name for path in (root / "proc").iterdir()}
    with pytest.raises(SpecialFileError, match="a file of sysfs"):
        (root / "sys/kernel/uevent_seqnum").read_bytes()
    allowing = RootedPath(Root.at("/", resolver=resolver, special_files="allow"))
    with allowing.joinpath("proc/sys/kernel/hostname").open("rb") as file:
        assert file.read()


@pytest.mark.machine_root
@resolvers
def test_a_link_into_procfs_changes_nothing(tmp_path: pathlib.Path, resolver: Resolver) -> None:
    """What is written to the container's file must not arrive at the kernel."""

    def inside() -> list[str]:
        linux.unshare(0x04000000)  # CLONE_NEWUTS
        for name in ("etc", "proc"):
            (tmp_path / name).mkdir()
        (tmp_path / "etc/hostname").symlink_to("/proc/sys/kernel/hostname")
        linux.mount(b"proc", os.fsencode(tmp_path / "proc"), b"proc")
        before = os.uname().nodename
        path = RootedPath(Root.at(tmp_path, resolver=resolver), "etc/hostname")
        said = []
        for attempt in (
            lambda: path.write_text("renamed"),
            lambda: path.read_text(),
            lambda: path.open("r+").close(),
        ):
            try:
                attempt()
            except SpecialFileError as error:
                said.append(str(error.strerror))
        assert os.uname().nodename == before
        return said

    said = run_in_child(private_mounts, inside)
    assert said == ['a file of procfs is opened only with special_files="allow"'] * 3


CHANGING: dict[str, Callable[[RootedPath], object]] = {
    "chmod": lambda path: path.chmod(0o755),
    "chown": lambda path: path.chown(0, 0),
    "utime": lambda path: path.utime(),
    "mkdir": lambda path: (path / "made").mkdir(),
    "rmdir": lambda path: (path / "group").rmdir(),
    "create": lambda path: (path / "made").write_text(""),
    "touch": lambda path: (path / "made").touch(),
    "exclusively": lambda path: (path / "made").open("x").close(),
    "unlink": lambda path: (path / "cgroup.procs").unlink(),
    "rename": lambda path: (path / "group").rename(path / "other"),
    "symlink_to": lambda path: (path / "made").symlink_to("x"),
    "hardlink_to": lambda path: (path / "made").hardlink_to(path / "cgroup.procs"),
}


@pytest.mark.machine_root
@resolvers
@pytest.mark.parametrize("how", CHANGING)
def test_nothing_changes_on_kernel_file_systems(
    tmp_path: pathlib.Path, resolver: Resolver, how: str
) -> None:
    def inside() -> tuple[str, list[str]]:
        linux.mount(b"none", os.fsencode(tmp_path), b"cgroup2")
        group = tmp_path / f"procpath-{os.getpid()}"
        (group / "group").mkdir(parents=True)
        try:
            root = Root.at(tmp_path, resolver=resolver)
            try:
                CHANGING[how](RootedPath(root, group.name))
            except SpecialFileError as error:
                said = str(error.strerror)
            else:
                said = "nothing was refused"
            return said, [entry.name for entry in os.scandir(group) if entry.is_dir()]
        finally:
            for left in sorted(group.rglob("*/"), reverse=True):
                left.rmdir()
            group.rmdir()

    said, directories = run_in_child(private_mounts, inside)
    assert said == 'a directory of cgroup2 is changed only with special_files="allow"'
    assert directories == ["group"]


def test_where_no_procfs_can_be_had_the_error_names_allow(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("text")

    def none() -> VerifiedProc:
        raise FileNotFoundError(2, "No such file or directory", "/proc")

    monkeypatch.setattr(VerifiedProc, "default", staticmethod(none))
    monkeypatch.setattr(handle._of_thread, "default", None)
    with pytest.raises(UnverifiedProcError, match='special_files="allow" opens') as caught:
        RootedPath(tmp_path, "file").read_bytes()
    assert caught.value.filename == "/proc"
    assert list(RootedPath(tmp_path).iterdir())
    assert RootedPath(Root.at(tmp_path, special_files="allow"), "file").read_bytes() == b"text"


@pytest.mark.machine_root
def test_the_verdict_is_by_the_file_system_of_the_object(tmp_path: pathlib.Path) -> None:
    """A regular file is ordinary or not by what it lies on now, not by a device number."""

    def inside() -> list[str]:
        mounted = tmp_path / "m"
        mounted.mkdir()
        root = RootedPath(tmp_path)
        answers = []
        for kind in (b"tmpfs", b"proc", b"tmpfs"):
            linux.mount(b"none", os.fsencode(mounted), kind)
            if kind == b"tmpfs":
                (mounted / "version").write_text("ordinary")
            try:
                answers.append((root / "m/version").read_text())
            except SpecialFileError as error:
                answers.append(str(error.strerror).split()[3])
            linux.umount2(os.fsencode(mounted))
        return answers

    assert run_in_child(private_mounts, inside) == ["ordinary", "procfs", "ordinary"]


def test_the_numbers_are_the_kernels() -> None:
    for path, name in {"/proc": "procfs", "/sys": "sysfs"}.items():
        fd = os.open(path, os.O_PATH)
        assert KERNEL_FILE_SYSTEMS[fstatfs(fd).type] == name
        os.close(fd)
