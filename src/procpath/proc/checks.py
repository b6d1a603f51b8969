"""The checks that an entry of a procfs passes before it is used, one function each.

Each looks at a held descriptor, or at what fstat(2) said about it, and raises
:class:`procpath.UnverifiedProcError` with the check and the finding. None opens a path that
somebody could change in between. Together they prove that an entry is the kernel's own and
nothing mounted over it.

The idea of checking a procfs piece by piece, and many of the facts, are those of rustix
(``src/procfs.rs``); the facts about the kernel are those of ``fs/proc/`` in Linux 5.2 to 6.18.
"""

from __future__ import annotations

import os
import stat
from errno import EACCES, EBUSY, EXDEV
from typing import NamedTuple

from procpath import linux, uapi
from procpath.errors import UnverifiedProcError

# PROC_ROOT_INO of include/linux/proc_ns.h: the root of every procfs since Linux 2.4.
ROOT_INO = 1


class Check(NamedTuple):
    """A check, or a choice, and its outcome. ``str()`` gives one line."""

    entry: str
    """what was checked, as a host path: ``/proc/self/fd``"""
    name: str
    """which check"""
    outcome: str
    """``passed``; ``unavailable`` (a feature is missing or forbidden here, and the next best was
    used); or ``note`` (nothing wrong, but worth knowing)"""
    detail: str
    """what was found"""

    def __str__(self) -> str:
        return f"{self.entry}: {self.name}: {self.outcome} ({self.detail})"


class Kind(NamedTuple):
    """What the entries of one kind have in common.

    Modes and link counts are those that ``fs/proc/base.c``, ``fd.c`` and ``root.c`` set.
    """

    words: str
    file_type: int
    """an ``S_IF*``"""
    forbidden_mode: int
    """mode bits that the kernel never sets on such an entry"""
    least_links: int
    most_links: int


_MANY = 2**32

ROOT = Kind("the root of a procfs", stat.S_IFDIR, 0o7222, 3, _MANY)
PROCESS = Kind("the directory of a process", stat.S_IFDIR, 0o7222, 3, _MANY)
FD = Kind("a directory of descriptors", stat.S_IFDIR, 0o7277, 2, 2)
# r-x------ before Linux 5.14, r-xr-xr-x since (7bc3fa0172a4: a reader needs ptrace rights).
FDINFO = Kind("a directory of descriptors' states", stat.S_IFDIR, 0o7222, 2, 2)
# Anything else: directories of /proc/sys have one link, and modules choose their modes.
DIRECTORY = Kind("a directory", stat.S_IFDIR, 0, 1, _MANY)
FILE = Kind("a file", stat.S_IFREG, 0o7111, 1, 1)
LINK = Kind("a link", stat.S_IFLNK, 0, 1, 1)


def require_procfs(fd: int, where: str) -> str:
    """Require a procfs, by the magic number of the superblock (statfs(2)).

    Against a directory, a tmpfs or a disk in its place. The kernel writes this number: a FUSE
    server cannot fake it.
    """
    magic = linux.fstatfs(fd).type
    if magic != uapi.PROC_SUPER_MAGIC:
        raise UnverifiedProcError(
            f"superblock magic is {magic:#x}, not procfs's {uapi.PROC_SUPER_MAGIC:#x}", where
        )
    return f"magic number {magic:#x}"


def require_inode_one(st: os.stat_result, where: str) -> str:
    """Require the root of a procfs, whose inode number is 1 (``PROC_ROOT_INO``).

    Against a part of a procfs bound over the whole, such as ``/proc/1`` over ``/proc``.
    """
    if st.st_ino != ROOT_INO:
        raise UnverifiedProcError(
            f"inode number is {st.st_ino}, not 1: a part of a procfs, not its root", where
        )
    return "inode number 1"


def require_unnamed_device(st: os.stat_result, where: str) -> str:
    """Require a device of major number 0: a procfs has no block device (``get_anon_bdev``)."""
    major = os.major(st.st_dev)
    if major != 0:
        raise UnverifiedProcError(f"device's major number is {major}, not 0: a disk", where)
    return f"device 0:{os.minor(st.st_dev)}"


def require_mount_root(fd: int, where: str) -> str:
    """Require the root of a mount: the procfs was mounted here.

    By ``STATX_ATTR_MOUNT_ROOT`` (statx(2), Linux 5.8), else by :func:`_rename_probe`.
    """
    found, how = _begins_mount(fd, where)
    if not found:
        raise UnverifiedProcError(f"not a mount point, by {how}", where)
    return f"by {how}"


def require_no_mount_point(fd: int, where: str) -> None:
    """Require a directory that is not the root of a mount.

    Against another process's directory, or another procfs, bound over the directory.
    """
    found, how = _begins_mount(fd, where)
    if found:
        raise UnverifiedProcError(f"a mount point, by {how}: something is mounted over it", where)


def _begins_mount(fd: int, where: str) -> tuple[bool, str]:
    facts = linux.statx_or_none(fd, uapi.STATX_BASIC_STATS)
    if facts is not None and facts.attributes_mask & uapi.STATX_ATTR_MOUNT_ROOT:
        return bool(facts.attributes & uapi.STATX_ATTR_MOUNT_ROOT), "STATX_ATTR_MOUNT_ROOT"
    return _rename_probe(fd, where), "the rename probe"


def _rename_probe(fd: int, where: str) -> bool:
    """Return whether the directory ``fd`` and its ``..`` are on two mounts.

    By a rename that must fail: ``do_renameat2`` of ``fs/namei.c`` looks at the two parents
    first, here ``..`` and the directory itself, and answers ``EXDEV`` when their mounts differ;
    only then at the last components, and answers ``EBUSY``, since no ``.`` can be renamed. So
    nothing is ever renamed, on no kernel and no file system. (A process whose root directory it
    is gets ``EBUSY`` too, for there ``..`` is the directory itself.)
    """
    try:
        os.rename("../.", ".", src_dir_fd=fd, dst_dir_fd=fd)
    except OSError as error:
        if error.errno == EXDEV:
            return True
        if error.errno == EBUSY:
            return False
        if error.errno == EACCES:
            # The directory may not be searched, such as another user's fd.
            raise
        raise UnverifiedProcError(
            f"cannot find out whether it is a mount point: statx does not say, and the rename "
            f"probe failed with {error.strerror!r}",
            where,
        ) from error
    raise UnverifiedProcError("the rename probe succeeded, which no Linux kernel allows", where)


def require_usual(kind: Kind, st: os.stat_result, where: str) -> None:
    """Require the type, the mode and the number of links that the kernel gives to such an entry.

    procfs has no devices, FIFOs or sockets. Nobody can write in the root, in a process's
    directory, in ``fd`` or ``fdinfo``; ``fd`` is its owner's alone; no file can be executed or is
    setuid. A root and a process's directory have subdirectories, ``fd`` and ``fdinfo`` have none,
    and files and links have one name.
    """
    if stat.S_IFMT(st.st_mode) != kind.file_type:
        raise UnverifiedProcError(
            f"type is {stat.filemode(st.st_mode)[0]!r}, not that of {kind.words}", where
        )
    unusual = st.st_mode & kind.forbidden_mode
    if unusual:
        raise UnverifiedProcError(
            f"mode is {stat.filemode(st.st_mode)}: {kind.words} never has {unusual:#o}", where
        )
    if not kind.least_links <= st.st_nlink <= kind.most_links:
        more = "" if kind.most_links == kind.least_links else " or more"
        raise UnverifiedProcError(
            f"number of links is {st.st_nlink}: {kind.words} has {kind.least_links}{more}", where
        )


def require_device(st: os.stat_result, device: int, where: str) -> None:
    """Require the device of the root that was verified, and another inode than its root's.

    The number belongs to one superblock for as long as that is held. Against any other file
    system, any other procfs instance, ``/proc`` bound over a directory in it, and a descriptor
    whose number was given to another file.
    """
    if st.st_dev != device:
        raise UnverifiedProcError(
            f"device is {os.major(st.st_dev)}:{os.minor(st.st_dev)}, its procfs's "
            f"{os.major(device)}:{os.minor(device)}: something is mounted over it",
            where,
        )
    if st.st_ino == ROOT_INO:
        raise UnverifiedProcError("inode number is 1: the procfs's root is mounted over it", where)


def mount_id(fd: int) -> int | None:
    """Return the ID of the mount that ``fd`` was reached through, or None if it is not known.

    ``STATX_MNT_ID_UNIQUE`` (Linux 6.8) is never given to a second mount. ``STATX_MNT_ID``
    (Linux 5.8) may be, after an unmount; but not while a descriptor on the mount is held.
    """
    either = uapi.STATX_MNT_ID | uapi.STATX_MNT_ID_UNIQUE
    facts = linux.statx_or_none(fd, either)
    return facts.mnt_id if facts is not None and facts.mask & either else None


def require_mount(found: int, expected: int, where: str) -> None:
    """Require the mount that the directory of the entry is on.

    This alone finds a sibling file of the same procfs bound over the entry (``/proc/1/status``
    over ``/proc/self/status``), as in CVE-2025-31133 and CVE-2025-52881.
    """
    if found != expected:
        raise UnverifiedProcError(
            f"mount is {found}, its procfs's {expected}: something is mounted over it", where
        )


def require_listed(dirfd: int, name: str, st: os.stat_result, where: str) -> None:
    """Require that the directory lists ``name`` with this inode number and type.

    For kernels that give no mount IDs (before 5.8): readdir of procfs reports its own entries,
    never what is mounted over them. The directory is opened once more, for its descriptor's read
    position would be shared with other threads and stay at the end (rustix #994). ``.`` cannot
    cross a mount.
    """
    with linux.openat(dirfd, ".", uapi.LISTING) as scan, os.scandir(scan) as entries:
        listed = next((entry for entry in entries if entry.name == name), None)
    if listed is None:
        raise UnverifiedProcError("opens, but is not listed in its directory", where)
    if (listed.inode(), _type_of(listed)) != (st.st_ino, stat.S_IFMT(st.st_mode)):
        raise UnverifiedProcError(
            f"listed as inode number {listed.inode()}, opens as {st.st_ino}: something is "
            f"mounted over it",
            where,
        )


def _type_of(entry: os.DirEntry[str]) -> int:
    # At most one of the three is true; each is answered from the directory's own record, which
    # procfs always fills in, and never by a look at what could be mounted over the entry.
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    return 0
