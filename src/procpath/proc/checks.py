"""What is checked of a procfs before its answers are believed: one function a check.

Each function looks at one held descriptor (or at what fstat(2) said of it) and returns, or
raises :class:`procpath.UnverifiedProcError` naming the check and the finding. None of them follows
or opens a path that somebody could change in between. The promise of all of them together:
an entry that passes is the kernel's own procfs entry and not something mounted over it.
Rests on :mod:`procpath.linux`.

The idea of checking a procfs piece by piece, and many of the facts, are those of rustix
(``src/procfs.rs``); the facts of the kernel are those of ``fs/proc/`` in Linux 5.2 to 6.18.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import Final

from procpath import linux
from procpath.errors import UnverifiedProcError

__all__ = [
    "DIRECTORY",
    "FD",
    "FDINFO",
    "FILE",
    "LINK",
    "NOT_LET",
    "PROCESS",
    "ROOT",
    "Check",
    "Kind",
    "has_usual_link_count",
    "has_usual_mode",
    "is_inode_one",
    "is_listed",
    "is_mount_root",
    "is_no_mount_point",
    "is_not_inode_one",
    "is_of_kind",
    "is_on_device",
    "is_on_mount",
    "is_on_procfs",
    "is_on_unnamed_device",
    "mount_id",
]

# PROC_ROOT_INO of include/linux/proc_ns.h: the root of every procfs since Linux 2.4.
_ROOT_INO: Final = 1


NOT_LET: Final = frozenset((errno.ENOSYS, errno.EPERM, errno.EACCES))
"""What a system call says that the kernel lacks, or that a seccomp filter forbids."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked, or one choice that was made, and how it came out.

    ``str()`` of it is a line for people.
    """

    entry: str
    """what was checked, as a host path: ``/proc/self/fd``"""
    name: str
    """which check"""
    outcome: str
    """``passed``; ``unavailable`` (a feature that is missing or forbidden here, so that the
    next best was used); or ``note`` (nothing wrong, and worth knowing)"""
    detail: str
    """what was found"""

    def __str__(self) -> str:
        return f"{self.entry}: {self.name}: {self.outcome} ({self.detail})"


@dataclass(frozen=True, slots=True)
class Kind:
    """What the entries of one kind look like, as far as kinds differ in that.

    Modes and link counts are those that ``fs/proc/base.c``, ``fd.c`` and ``root.c`` set.
    """

    words: str
    file_type: int
    """an ``S_IF*``"""
    forbidden_mode: int
    """the mode bits that an entry of this kind never has"""
    least_links: int
    most_links: int


_MANY: Final = 2**32

ROOT: Final = Kind("the root of a procfs", stat.S_IFDIR, 0o7222, 3, _MANY)
PROCESS: Final = Kind("the directory of a process", stat.S_IFDIR, 0o7222, 3, _MANY)
FD: Final = Kind("a directory of descriptors", stat.S_IFDIR, 0o7277, 2, 2)
# r-x------ before Linux 5.14, r-xr-xr-x since (7bc3fa0172a4: a reader needs ptrace rights).
FDINFO: Final = Kind("a directory of descriptors' states", stat.S_IFDIR, 0o7222, 2, 2)
# Anything else: directories of /proc/sys have one link, and modules choose their modes.
DIRECTORY: Final = Kind("a directory", stat.S_IFDIR, 0, 1, _MANY)
FILE: Final = Kind("a file", stat.S_IFREG, 0o7111, 1, 1)
LINK: Final = Kind("a link", stat.S_IFLNK, 0, 1, 1)


def is_on_procfs(fd: int, where: str) -> str:
    """The file system is procfs, by the magic number of its superblock (statfs(2)).

    Against a directory, a tmpfs or a disk mounted or bound in its place. A FUSE server
    cannot fake this number; the kernel writes it.
    """
    magic = linux.fstatfs(fd).type
    if magic != linux.PROC_SUPER_MAGIC:
        raise UnverifiedProcError(
            f"superblock magic is {magic:#x}, not procfs's {linux.PROC_SUPER_MAGIC:#x}", where
        )
    return f"magic number {magic:#x}"


def is_inode_one(st: os.stat_result, where: str) -> str:
    """The root of a procfs has inode number 1 (``PROC_ROOT_INO``).

    Against a part of a procfs bound over the whole, such as ``/proc/1`` over ``/proc``.
    """
    if st.st_ino != _ROOT_INO:
        raise UnverifiedProcError(
            f"inode number is {st.st_ino}, not 1: a part of a procfs, not its root", where
        )
    return "inode number 1"


def is_on_unnamed_device(st: os.stat_result, where: str) -> str:
    """A procfs has no block device, so its device's major number is 0 (``get_anon_bdev``)."""
    major = os.major(st.st_dev)
    if major != 0:
        raise UnverifiedProcError(f"device's major number is {major}, not 0: a disk", where)
    return f"device 0:{os.minor(st.st_dev)}"


def is_mount_root(fd: int, where: str) -> str:
    """``fd`` is where a mount begins: the procfs was mounted here, and is seen whole.

    By ``STATX_ATTR_MOUNT_ROOT`` (statx(2), Linux 5.8), else by :func:`_rename_probe`.
    """
    found, how = _begins_mount(fd, where)
    if not found:
        raise UnverifiedProcError(f"not a mount point, by {how}", where)
    return f"by {how}"


def is_no_mount_point(fd: int, where: str) -> None:
    """``fd``, a directory within a procfs, is not itself the root of a mount.

    Against another process's directory, or another procfs, bound over the directory.
    """
    found, how = _begins_mount(fd, where)
    if found:
        raise UnverifiedProcError(f"a mount point, by {how}: something is mounted over it", where)


def _begins_mount(fd: int, where: str) -> tuple[bool, str]:
    by_statx = _statx_says_mount_root(fd)
    if by_statx is not None:
        return by_statx, "STATX_ATTR_MOUNT_ROOT"
    return _rename_probe(fd, where), "the rename probe"


def _statx_says_mount_root(fd: int) -> bool | None:
    """None: statx is missing, forbidden, or too old to tell (before Linux 5.8)."""
    try:
        facts = linux.statx(fd, b"", linux.AT_EMPTY_PATH)
    except OSError as error:
        if error.errno in NOT_LET:
            return None
        raise
    if not facts.attributes_mask & linux.STATX_ATTR_MOUNT_ROOT:
        return None
    return bool(facts.attributes & linux.STATX_ATTR_MOUNT_ROOT)


def _rename_probe(fd: int, where: str) -> bool:
    """Whether the directory ``fd`` and its ``..`` are on two mounts, by a rename that must fail.

    ``do_renameat2`` of ``fs/namei.c`` looks at the two parents first, here ``..`` and the
    directory itself, and answers ``EXDEV`` when their mounts differ; only then does it look
    at the last components and answer ``EBUSY``, since no ``.`` can be renamed. So nothing
    is ever renamed, on no kernel and no file system, read-only ones included. (Whoever has
    the directory as its root directory gets ``EBUSY`` too, for there ``..`` leads nowhere.)
    """
    try:
        os.rename("../.", ".", src_dir_fd=fd, dst_dir_fd=fd)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return True
        if error.errno == errno.EBUSY:
            return False
        raise UnverifiedProcError(
            f"nothing tells whether it is a mount point: statx cannot, and the rename probe got "
            f"{error.strerror!r}",
            where,
        ) from error
    raise UnverifiedProcError("the rename probe was let through, as by no Linux", where)


def has_usual_mode(kind: Kind, st: os.stat_result, where: str) -> None:
    """No mode bit is set that the kernel never sets on such an entry.

    Nobody can write in the root, in a process's directory, in ``fd`` or ``fdinfo``; ``fd``
    is its owner's alone; no file can be executed or is setuid.
    """
    unusual = st.st_mode & kind.forbidden_mode
    if unusual:
        raise UnverifiedProcError(
            f"mode is {stat.filemode(st.st_mode)}: {kind.words} never has {unusual:#o}", where
        )


def has_usual_link_count(kind: Kind, st: os.stat_result, where: str) -> None:
    """The number of links is one that the kernel gives to such an entry.

    A root or a process's directory always has subdirectories, ``fd`` and ``fdinfo`` never
    do, and files and links of procfs have one name.
    """
    if not kind.least_links <= st.st_nlink <= kind.most_links:
        expected = f"{kind.least_links}"
        if kind.most_links != kind.least_links:
            expected += " or more"
        raise UnverifiedProcError(
            f"number of links is {st.st_nlink}: {kind.words} has {expected}", where
        )


def is_of_kind(kind: Kind, st: os.stat_result, where: str) -> None:
    """The file type is the one asked for; procfs has no devices, FIFOs or sockets at all."""
    if stat.S_IFMT(st.st_mode) != kind.file_type:
        raise UnverifiedProcError(
            f"type is {stat.filemode(st.st_mode)[0]!r}, not that of {kind.words}", where
        )


def is_on_device(st: os.stat_result, device: int, where: str) -> None:
    """The entry lies on the device of the root that was verified.

    The number belongs to one superblock for as long as we hold that. Against any other file
    system, any other procfs instance, and a descriptor number that was closed and reused
    behind our back.
    """
    if st.st_dev != device:
        raise UnverifiedProcError(
            f"device is {os.major(st.st_dev)}:{os.minor(st.st_dev)}, its procfs's "
            f"{os.major(device)}:{os.minor(device)}: something is mounted over it",
            where,
        )


def is_not_inode_one(st: os.stat_result, where: str) -> None:
    """No entry of a procfs is its root: against ``/proc`` bound over a directory in it."""
    if st.st_ino == _ROOT_INO:
        raise UnverifiedProcError("inode number is 1: the procfs's root is mounted over it", where)


def mount_id(fd: int) -> int | None:
    """The number of the mount that ``fd`` was reached through, or None where it is not told.

    ``STATX_MNT_ID_UNIQUE`` (Linux 6.8) is never given to a second mount. ``STATX_MNT_ID``
    (Linux 5.8) may be, after an unmount; but not while we hold a descriptor on the mount.
    """
    try:
        facts = linux.statx(
            fd, b"", linux.AT_EMPTY_PATH, linux.STATX_MNT_ID | linux.STATX_MNT_ID_UNIQUE
        )
    except OSError as error:
        if error.errno in NOT_LET:
            return None
        raise
    if not facts.mask & (linux.STATX_MNT_ID | linux.STATX_MNT_ID_UNIQUE):
        return None
    return facts.mnt_id


def is_on_mount(found: int, expected: int, where: str) -> None:
    """The entry was reached through the very mount that its directory is on.

    This alone tells a sibling file of the same procfs bound over the entry
    (``/proc/1/status`` over ``/proc/self/status``), as in CVE-2025-31133 and CVE-2025-52881.
    """
    if found != expected:
        raise UnverifiedProcError(
            f"mount is {found}, its procfs's {expected}: something is mounted over it", where
        )


def is_listed(dirfd: int, name: str, st: os.stat_result, where: str) -> None:
    """The directory lists ``name`` with the inode number and the type of what was opened.

    For kernels that tell no mount numbers (before 5.8): readdir of procfs reports what lies
    underneath, never what is mounted over it. The directory is opened afresh, for its
    descriptor's read position would be shared with other threads and stay at the end
    (rustix #994). Reading ``.`` cannot cross a mount.
    """
    scan = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dirfd)
    try:
        with os.scandir(scan) as entries:
            listed = [entry for entry in entries if entry.name == name]
    finally:
        os.close(scan)
    if not listed:
        raise UnverifiedProcError("opens, but is not listed in its directory", where)
    if (listed[0].inode(), _type_of(listed[0])) != (st.st_ino, stat.S_IFMT(st.st_mode)):
        raise UnverifiedProcError(
            f"listed as inode number {listed[0].inode()}, opens as {st.st_ino}: something is "
            f"mounted over it",
            where,
        )


def _type_of(entry: os.DirEntry[str]) -> int:
    # Of these three at most one is true; each is answered from the directory's own record,
    # which procfs always fills in, and asks nobody who could be mounted over the entry.
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    return 0
