"""Which directory or file a descriptor holds, so that two can be compared."""

from __future__ import annotations

import os
from typing import NamedTuple

from procpath.linux import Statx, brief_statx, statx_or_none
from procpath.proc import VerifiedProc
from procpath.uapi import (
    AT_EMPTY_PATH,
    EITHER_MNT_ID,
    STATX_BASIC_STATS,
    STATX_BTIME,
    STATX_MNT_ID,
)


class Identity(NamedTuple):
    """What a descriptor holds: the object, and the mount that it was reached by."""

    dev: int
    ino: int
    mnt_id: int
    """0 where it cannot be found out"""


class Birth(NamedTuple):
    """An identity that a later file with the same inode number does not have.

    Inode numbers are given again; the time when a file was made (statx(2), ``STATX_BTIME``) is
    not. Where the file system keeps none this is the identity alone.
    """

    identity: Identity
    btime_ns: int


def mount_id(fd: int) -> int:
    """Return the ID of the mount that ``fd`` was opened on; unique since boot from Linux 6.8 on."""
    brief = brief_statx(fd, b"", AT_EMPTY_PATH, EITHER_MNT_ID)
    return brief[-1] or _told_mount_id(statx_or_none(fd, EITHER_MNT_ID)) or _mount_id_of_fdinfo(fd)


def is_of_our_namespace(fd: int) -> bool:
    """Return whether the mount of ``fd`` is in the mount namespace of this thread.

    False where that cannot be found out.
    """
    answer = statx_or_none(fd, STATX_MNT_ID)
    if answer is None or not answer.mask & STATX_MNT_ID:
        return False
    # proc_pid_mountinfo(5). While it is held the number is not given to another mount.
    ours = b"%d " % answer.mnt_id
    try:
        with VerifiedProc.default().open("thread-self/mountinfo", "rb") as mountinfo:
            return any(line.startswith(ours) for line in mountinfo)
    except OSError:
        return False


def identity(fd: int) -> Identity:
    """Return the :class:`Identity` of what ``fd`` holds."""
    return birth(fd).identity


def birth(fd: int) -> Birth:
    """Return the :class:`Birth` of what ``fd`` holds."""
    answer = statx_or_none(fd, STATX_BASIC_STATS | STATX_BTIME | EITHER_MNT_ID)
    if answer is None:
        status = os.fstat(fd)
        dev, ino, btime_ns = status.st_dev, status.st_ino, 0
    else:
        dev, ino = os.makedev(answer.dev_major, answer.dev_minor), answer.ino
        btime_ns = answer.btime_ns
    mnt_id = _told_mount_id(answer)
    if not mnt_id:
        try:
            mnt_id = _mount_id_of_fdinfo(fd)
        except PermissionError:
            # A process that has changed its user may not read its own fdinfo (proc(5)). One
            # mount then looks like another of the same device.
            mnt_id = 0
    return Birth(Identity(dev, ino, mnt_id), btime_ns)


def _told_mount_id(answer: Statx | None) -> int:
    """The mount ID of a statx answer. 0, which no mount has, where it holds none: before Linux
    5.8, and under qemu-user, which sets the mask all the same.
    """
    return answer.mnt_id if answer is not None and answer.mask & EITHER_MNT_ID else 0


def _mount_id_of_fdinfo(fd: int) -> int:
    # proc_pid_fdinfo(5), Linux 3.15.
    with VerifiedProc.default().self_fdinfo(fd) as fdinfo:
        for line in fdinfo:
            if line.startswith(b"mnt_id:"):
                return int(line.split()[1])
    raise AssertionError("fdinfo has had a mnt_id line since Linux 3.15")
