"""Trees to copy, move and remove, and the file systems and processes to do it in."""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from helpers.support import open_descriptors, private_mounts, run_in_child
from procpath import RootedPath, VerifiedProc, linux
from procpath.tree import copy as copying
from procpath.tree.places import HostPlace, Place, RootedPlace

T = TypeVar("T")

NOBODY = 65534


def place(path: RootedPath | Path) -> Place:
    if isinstance(path, RootedPath):
        return RootedPlace(path.root_handle, str(path), bytes(path))
    return HostPlace(str(path))


def write(path: Path, content: str = "content", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


def reachable(path: Path) -> None:
    """Let everybody through the directories that lead to ``path``, which pytest makes private."""
    for above in (path, *path.parents):
        mode = above.stat().st_mode
        if not mode & stat.S_IXOTH:
            above.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def as_nobody(func: Callable[[], object]) -> None:
    """Call ``func`` in a child without any capability."""

    def inside() -> None:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        func()

    run_in_child(inside)


def populate(top: Path) -> None:
    """One of everything that can be in a tree."""
    top.mkdir()
    write(top / "file", "file", 0o640)
    write(top / "program", "program", 0o6755)
    write(top / "sub/deeper/empty", "", 0o400)
    write(top / os.fsdecode(b"not utf-8 \xff\xfe"), "odd")
    write(top / "new\nline and \ttab", "odd")
    write(top / ("n" * 255), "long")
    (top / "link").symlink_to("file")
    (top / "dangling").symlink_to("/nowhere at all")
    (top / os.fsdecode(b"odd link \xff")).symlink_to(os.fsdecode(b"to \xff"))
    os.link(top / "file", top / "sub/the same file")
    os.link(top / "link", top / "sub/the same link", follow_symlinks=False)
    os.mkfifo(top / "fifo", 0o620)
    os.link(top / "fifo", top / "sub/the same fifo")
    os.mknod(top / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(top / "disk", stat.S_IFBLK | 0o660, os.makedev(7, 200))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(top / "socket"))
    os.setxattr(top / "file", "user.note", b"\0binary\xff")
    os.setxattr(top / "sub", "user.note", b"of a directory")
    os.setxattr(top / "link", "trusted.note", b"of a link", follow_symlinks=False)
    os.setxattr(top / "fifo", "trusted.note", b"of a FIFO")
    os.setxattr(top / "program", "security.capability", CAP_NET_RAW)
    os.setxattr(top / "file", "system.posix_acl_access", acl(0o640, user=1000))
    os.setxattr(top / "sub", "system.posix_acl_default", acl(0o750, user=1000))
    for number, path in enumerate(sorted(top.rglob("*"), reverse=True)):
        if not path.name.startswith("program"):
            os.chown(path, 1000 + number, 2000 + number, follow_symlinks=False)
        os.utime(path, ns=(10**18 + number, 10**18 + 2 * number), follow_symlinks=False)
    (top / "sub").chmod(0o1750)
    (top / "sub/deeper").chmod(0o500)
    os.utime(top / "sub", ns=(10**18, 10**18 + 5))
    os.utime(top, ns=(10**18, 10**18 + 7))


# struct vfs_ns_cap_data, version 2: cap_net_raw=ep.
CAP_NET_RAW = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)


def acl(mode: int, user: int) -> bytes:
    """A POSIX ACL as its extended attribute has it (linux/posix_acl_xattr.h), with one named
    user.
    """
    nobody = 0xFFFFFFFF
    entries = [
        (0x01, mode >> 6, nobody),
        (0x02, 4, user),
        (0x04, mode >> 3 & 7, nobody),
        (0x10, mode >> 3 & 7, nobody),
        (0x20, mode & 7, nobody),
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def dig(top: Path, levels: int) -> None:
    """Make a tree of so many levels, with a file in each."""
    fd = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def depth(top: Path) -> int:
    """How many levels there are, each with its file."""
    fd = os.open(top, os.O_RDONLY)
    levels = 0
    while "d" in os.listdir(fd):
        assert "file" in os.listdir(fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
        levels += 1
    os.close(fd)
    return levels


def interrupted(number: int) -> Callable[[copying.CopyProgress], None]:
    """Presses Ctrl-C at the given step."""
    steps = iter(range(number))

    def on_progress(_: copying.CopyProgress) -> None:
        if next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGINT)

    return on_progress


def mount_tmpfs(directory: Path, options: str = "") -> None:
    """Mount an empty file system in memory; for a private mount namespace."""
    linux.mount(b"tmpfs", os.fsencode(directory), b"tmpfs", 0, options.encode())


def on_tmpfs(directory: Path, func: Callable[[Path], T], options: str = "") -> T:
    """Call ``func`` with ``directory``, a fresh tmpfs, in a child with mounts of its own.

    It must leave no descriptor open.
    """

    def inside() -> T:
        proc = VerifiedProc.default()
        proc.self_fd().fileno()
        # Where statx(2) is forbidden mount IDs come from there.
        proc.self_fdinfo(0).close()
        mount_tmpfs(directory, options)
        before = open_descriptors()
        result = func(directory)
        assert open_descriptors() == before
        return result

    return private_mounts(inside)


def nothing_temporary(top: Path) -> bool:
    """Whether nothing is left of a copy that did not come to its end."""
    return not list(top.rglob(".procpath-*"))
