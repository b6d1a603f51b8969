"""What is checked of a procfs before its answers are believed: one function a check.

Each function looks at one held descriptor (or at what fstat(2) said of it) and either
returns, in a few words for people, what it found, or raises
:class:`procpath.UnverifiedProcError` naming the check and the finding. None of them follows
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
from enum import Enum
from typing import Final, NamedTuple

from procpath import linux
from procpath.errors import UnverifiedProcError

__all__ = [
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


class _Rule(NamedTuple):
    """What entries of one kind look like."""

    file_type: int
    words: str
    forbidden_mode: int
    """permission bits that an entry of this kind never has"""
    least_links: int
    most_links: int | None


class Kind(Enum):
    """The kinds of entries that procfs has, as far as they differ in what is to be expected.

    Modes and link counts are those that ``fs/proc/base.c``, ``fd.c`` and ``root.c`` set.
    ``fdinfo`` was ``r-x------`` before Linux 5.14 and is ``r-xr-xr-x`` since (7bc3fa0172a4).
    Other directories say anything about links: those of ``/proc/sys`` have one, and the
    kernel's modules choose their modes.
    """

    ROOT = _Rule(stat.S_IFDIR, "a procfs root", 0o7222, 3, None)
    PROCESS = _Rule(stat.S_IFDIR, "a process's directory", 0o7222, 3, None)
    FD = _Rule(stat.S_IFDIR, "a directory of descriptors", 0o7277, 2, 2)
    FDINFO = _Rule(stat.S_IFDIR, "a directory of descriptors' states", 0o7222, 2, 2)
    DIRECTORY = _Rule(stat.S_IFDIR, "a directory", 0, 1, None)
    FILE = _Rule(stat.S_IFREG, "a file", 0o7111, 1, 1)
    LINK = _Rule(stat.S_IFLNK, "a link", 0, 1, 1)


def is_on_procfs(fd: int, where: str) -> str:
    """The file system is procfs, by the magic number of its superblock (statfs(2)).

    Against a directory, a tmpfs or a disk mounted or bound in its place. A FUSE server
    cannot fake this number; the kernel writes it.
    """
    magic = linux.fstatfs(fd).type
    if magic != linux.PROC_SUPER_MAGIC:
        raise UnverifiedProcError(
            f"is not on procfs: its file system's magic number is {magic:#x}, "
            f"not {linux.PROC_SUPER_MAGIC:#x}",
            where,
        )
    return f"magic number {magic:#x}"


def is_inode_one(st: os.stat_result, where: str) -> str:
    """The root of a procfs has inode number 1 (``PROC_ROOT_INO``).

    Against a part of a procfs bound over the whole, such as ``/proc/1`` over ``/proc``.
    """
    if st.st_ino != _ROOT_INO:
        raise UnverifiedProcError(
            f"is a part of a procfs, not its root: its inode number is {st.st_ino}, not 1", where
        )
    return "inode number 1"


def is_on_unnamed_device(st: os.stat_result, where: str) -> str:
    """A procfs has no block device, so its device's major number is 0 (``get_anon_bdev``)."""
    major = os.major(st.st_dev)
    if major != 0:
        raise UnverifiedProcError(f"is on a block device: major number {major}, not 0", where)
    return f"device 0:{os.minor(st.st_dev)}"


def is_mount_root(fd: int, where: str) -> str:
    """``fd`` is where a mount begins: the procfs was mounted here, and is seen whole.

    By ``STATX_ATTR_MOUNT_ROOT`` (statx(2), Linux 5.8), else by :func:`_begins_mount`.
    """
    by_statx = _statx_says_mount_root(fd)
    if by_statx is not None:
        found, how = by_statx, "STATX_ATTR_MOUNT_ROOT"
    else:
        found, how = _begins_mount(fd, where), "the rename probe"
    if not found:
        raise UnverifiedProcError(f"is no mount point, says {how}", where)
    return f"says {how}"


def is_no_mount_point(fd: int, where: str) -> str:
    """``fd``, a directory within a procfs, is not itself the root of a mount.

    Against another process's directory, or another procfs, bound over the directory.
    """
    by_statx = _statx_says_mount_root(fd)
    if by_statx is not None:
        found, how = by_statx, "STATX_ATTR_MOUNT_ROOT"
    else:
        found, how = _begins_mount(fd, where), "the rename probe"
    if found:
        raise UnverifiedProcError(f"has something mounted over it, says {how}", where)
    return f"says {how}"


def _statx_says_mount_root(fd: int) -> bool | None:
    """None: statx is missing, forbidden, or too old to tell (before Linux 5.8)."""
    try:
        facts = linux.statx(fd, b"", linux.AT_EMPTY_PATH)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return None
        raise
    if not facts.attributes_mask & linux.STATX_ATTR_MOUNT_ROOT:
        return None
    return bool(facts.attributes & linux.STATX_ATTR_MOUNT_ROOT)


def _begins_mount(fd: int, where: str) -> bool:
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
            f"cannot be told from a mount point: neither statx nor renameat may be asked here "
            f"({error.strerror})",
            where,
        ) from error
    raise UnverifiedProcError("let itself be renamed, which no procfs does", where)


def has_usual_mode(kind: Kind, st: os.stat_result, where: str) -> str:
    """No permission bit is set that the kernel never sets on such an entry.

    Nobody can write in the root, in a process's directory, in ``fd`` or ``fdinfo``; ``fd``
    is its owner's alone; no file can be executed or is setuid.
    """
    unusual = st.st_mode & kind.value.forbidden_mode
    if unusual:
        raise UnverifiedProcError(
            f"has mode {stat.filemode(st.st_mode)}, where {kind.value.words} of procfs never "
            f"has {unusual:#o}",
            where,
        )
    return stat.filemode(st.st_mode)


def has_usual_link_count(kind: Kind, st: os.stat_result, where: str) -> str:
    """The number of links is one that the kernel gives to such an entry.

    A root or a process's directory always has subdirectories, ``fd`` and ``fdinfo`` never
    do, and files and links of procfs have one name.
    """
    least, most = kind.value.least_links, kind.value.most_links
    if st.st_nlink < least or (most is not None and st.st_nlink > most):
        expected = f"{least}" if least == most else f"{least} or more"
        raise UnverifiedProcError(
            f"has {st.st_nlink} links, where {kind.value.words} of procfs has {expected}", where
        )
    return f"{st.st_nlink} links"


def is_of_kind(kind: Kind, st: os.stat_result, where: str) -> str:
    """The file type is the one asked for; procfs has no devices, FIFOs or sockets at all."""
    found = stat.S_IFMT(st.st_mode)
    if found != kind.value.file_type:
        raise UnverifiedProcError(
            f"is not {kind.value.words}: its type and mode are {stat.filemode(st.st_mode)}", where
        )
    return kind.value.words


def is_on_device(st: os.stat_result, device: int, where: str) -> str:
    """The entry lies on the device of the root that was verified.

    The number belongs to one superblock for as long as we hold that. Against any other file
    system, any other procfs instance, and a descriptor number that was closed and reused
    behind our back.
    """
    if st.st_dev != device:
        raise UnverifiedProcError(
            f"lies on another device ({os.major(st.st_dev)}:{os.minor(st.st_dev)}) than its "
            f"procfs ({os.major(device)}:{os.minor(device)}): something is mounted over it",
            where,
        )
    return f"device {os.major(device)}:{os.minor(device)}"


def is_not_inode_one(st: os.stat_result, where: str) -> str:
    """No entry of a procfs is its root: against ``/proc`` bound over a directory in it."""
    if st.st_ino == _ROOT_INO:
        raise UnverifiedProcError("is the root of the procfs again: it is mounted over it", where)
    return f"inode number {st.st_ino}"


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
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return None
        raise
    if not facts.mask & (linux.STATX_MNT_ID | linux.STATX_MNT_ID_UNIQUE):
        return None
    return facts.mnt_id


def is_on_mount(found: int, expected: int, where: str) -> str:
    """The entry was reached through the very mount that its directory is on.

    This alone tells a sibling file of the same procfs bound over the entry
    (``/proc/1/status`` over ``/proc/self/status``), as in CVE-2025-31133 and CVE-2025-52881.
    """
    if found != expected:
        raise UnverifiedProcError(
            f"is on mount {found}, its procfs on mount {expected}: something is mounted over it",
            where,
        )
    return f"mount {found}"


def is_listed(dirfd: int, name: str, st: os.stat_result, where: str) -> str:
    """The directory lists ``name`` with the inode number and the type of what was opened.

    For kernels that tell no mount numbers (before 5.8): readdir of procfs reports what lies
    underneath, never what is mounted over it. The directory is opened afresh, for its
    descriptor's read position would be shared with other threads and stay at the end
    (rustix #994). Reading ``.`` cannot cross a mount.
    """
    scan = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dirfd)
    try:
        with os.scandir(scan) as entries:
            for entry in entries:
                if entry.name == name:
                    if entry.inode() == st.st_ino and _type_of(entry) == stat.S_IFMT(st.st_mode):
                        return f"listed as inode {st.st_ino}"
                    raise UnverifiedProcError(
                        f"is listed as inode {entry.inode()} and opens as {st.st_ino}: "
                        f"something is mounted over it",
                        where,
                    )
    finally:
        os.close(scan)
    raise UnverifiedProcError("opens, but is not listed in its directory", where)


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
