"""Which directory or file a descriptor holds, so that two can be told apart.

Promises one answer for one object seen through one mount: device, inode and mount ID.
Rests on statx(2) for the mount ID (Linux 5.8), before that on the ``mnt_id`` line of
``/proc/self/fdinfo/N`` (proc_pid_fdinfo(5), Linux 3.15).
"""

from __future__ import annotations

import os
from typing import NamedTuple

from procpath.linux import (
    STATX_BTIME,
    STATX_MNT_ID,
    STATX_MNT_ID_UNIQUE,
    statx_or_none,
)
from procpath.proc import VerifiedProc

_EITHER_MNT_ID = STATX_MNT_ID | STATX_MNT_ID_UNIQUE


class Identity(NamedTuple):
    """What a descriptor holds: the object, and the mount that it was reached by."""

    dev: int
    ino: int
    mnt_id: int


def mount_id(fd: int) -> int:
    """The ID of the mount that ``fd`` was opened on; unique since boot from Linux 6.8 on."""
    answer = statx_or_none(fd, _EITHER_MNT_ID)
    if answer is not None and answer.mask & _EITHER_MNT_ID:
        return answer.mnt_id
    with VerifiedProc.default().self_fdinfo(fd) as fdinfo:
        for line in fdinfo:
            if line.startswith(b"mnt_id:"):
                return int(line.split()[1])
    raise AssertionError("fdinfo has had a mnt_id line since Linux 3.15")


class Birth(NamedTuple):
    """An identity that a later file with the same inode number does not have.

    Inode numbers are given again; the time when a file was made (statx(2), ``STATX_BTIME``) is
    not. Where the file system keeps none this is the identity alone.
    """

    identity: Identity
    btime_ns: int


def birth(fd: int) -> Birth:
    """The :class:`Birth` of what ``fd`` holds."""
    answer = statx_or_none(fd, STATX_BTIME)
    return Birth(identity(fd), 0 if answer is None else answer.btime_ns)


def identity(fd: int) -> Identity:
    """The :class:`Identity` of what ``fd`` holds."""
    status = os.fstat(fd)
    return Identity(status.st_dev, status.st_ino, mount_id(fd))
