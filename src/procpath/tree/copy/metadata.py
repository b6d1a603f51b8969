"""Copying modes, times, owners and extended attributes from one file to another.

What ``shutil.copystat`` copies is copied, and the owner where that is permitted; by descriptor,
never by path. The order matters: chown(2) clears set-ID bits and ``security.capability``, a mode
without write permission forbids ``user.*`` attributes, and everything changes the times.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from errno import EACCES, EINVAL, ENODATA, ENOSYS, ENOTSUP, EPERM

from procpath import linux
from procpath.proc import VerifiedProc

_NOT_TAKEN = frozenset((EACCES, EINVAL, ENODATA, ENOTSUP, EPERM))
"""Errnos of attributes that the file system does not have (ENOTSUP, EINVAL), that have gone
(ENODATA), or that take a privilege (EPERM, EACCES). Those are skipped, as ``shutil.copystat``
does.
"""

_ACL = "system.posix_acl_"


def preserve(source: int, status: os.stat_result, target: int) -> None:
    """Copy the metadata of ``source`` to ``target``, both open files or directories.

    ``status`` is that of the source before it was read.
    """
    _take_over(source, status, target)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def adopt(replaced: int, target: int) -> None:
    """Copy to the open file ``target`` what the file that it is going to replace would keep if it
    were written to: everything but the times.
    """
    _take_over(replaced, os.fstat(replaced), target)


def preserve_unopened(source: int, status: os.stat_result, target: int) -> None:
    """Do as :func:`preserve` for a link or special file, by two ``O_PATH`` descriptors."""
    self_fd = VerifiedProc.default().self_fd()
    name = self_fd.entry(target)
    _change_owner(status, lambda uid, gid: os.chown(name, uid, gid, dir_fd=self_fd.fileno()))
    _copy_attributes_unopened(source, target)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, _allowed_mode(status, target), dir_fd=self_fd.fileno())
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=self_fd.fileno())


def _take_over(source: int, status: os.stat_result, target: int) -> None:
    _change_owner(status, lambda uid, gid: os.fchown(target, uid, gid))
    _copy_attributes(source, target)
    os.fchmod(target, _allowed_mode(status, target))


def _change_owner(status: os.stat_result, chown: Callable[[int, int], None]) -> None:
    """Change owner and group, or only the group, as far as that is permitted."""
    for uid, gid in ((status.st_uid, status.st_gid), (-1, status.st_gid)):
        try:
            chown(uid, gid)
        except OSError as error:
            # EINVAL: the ID has no mapping in our user namespace, or in the file system's.
            if error.errno not in (EPERM, EINVAL):
                raise
        else:
            return


def _allowed_mode(status: os.stat_result, target: int) -> int:
    """Return the mode, without the set-ID bits of an owner that ``target`` does not have."""
    mode = stat.S_IMODE(status.st_mode)
    now = os.fstat(target)
    if now.st_uid != status.st_uid:
        mode &= ~stat.S_ISUID
    if now.st_gid != status.st_gid:
        mode &= ~stat.S_ISGID
    return mode


def _copy_attributes(source: int, target: int) -> None:
    names = _names(source)
    for name in names:
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if error.errno not in _NOT_TAKEN:
                raise
    for name in _names(target):
        # The new file may have inherited an ACL from its directory (acl(5)) that grants
        # what the mode of the old one denies.
        if name.startswith(_ACL) and name not in names:
            os.removexattr(target, name)


def _names(fd: int) -> list[str]:
    try:
        return os.listxattr(fd)
    except OSError as error:
        if error.errno not in _NOT_TAKEN:
            raise
        return []


def _copy_attributes_unopened(source: int, target: int) -> None:
    """Do as :func:`_copy_attributes`, through the magic links of ``O_PATH`` descriptors.

    The descriptors themselves are refused (EBADF), and the calls that take a name in a directory
    are new in Linux 6.13: before, nothing is copied.
    """
    self_fd = VerifiedProc.default().self_fd()
    theirs, ours = (os.fsencode(self_fd.entry(fd)) for fd in (source, target))
    directory = self_fd.fileno()
    try:
        names = linux.listxattrat(directory, theirs, 0)
    except OSError as error:
        if error.errno == ENOSYS or error.errno in _NOT_TAKEN:
            return
        raise
    for name in names:
        try:
            value = linux.getxattrat(directory, theirs, 0, name)
            linux.setxattrat(directory, ours, 0, name, value)
        except OSError as error:
            if error.errno not in _NOT_TAKEN:
                raise
