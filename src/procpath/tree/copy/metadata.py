"""Copying modes, times, owners and extended attributes from one file to another.

By descriptor, never by path. The order matters: chown(2) clears set-ID bits and
``security.capability``, a mode without write permission forbids ``user.*`` attributes, and
everything changes the times. What cannot be kept is reported, and the rest is kept; an ACL that
cannot be kept takes the rights of its mask out of the mode.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from errno import ENODATA, ENOTSUP, EPERM
from functools import partial
from typing import NamedTuple, Protocol

from procpath.proc import VerifiedProc
from procpath.tree.copy.acl import (
    ACCESS_ACL,
    ACL_PREFIX,
    CAPABILITY,
    group_rights,
    mapped_attribute,
)
from procpath.tree.copy.owners import Owners
from procpath.xattrs import HeldAttributes

_SET_ID = stat.S_ISUID | stat.S_ISGID
_LABELS = frozenset(("security.selinux", "security.SMACK64"))
"""Attributes that the target's own policy gives."""

OnLoss = Callable[[OSError], object]
"""Called with the error of what could not be kept."""


class Keeping(NamedTuple):
    """What is kept of the metadata."""

    on_loss: OnLoss
    owners: Owners | None = None
    """by which the source's owners become the target's; None: the same IDs"""
    on_privilege: Callable[[str], object] | None = None
    """called with each privilege that is left out; None: none is left out"""


def _nothing(_: object) -> None:
    return


PLAIN = Keeping(_nothing)


def preserve(source: int, status: os.stat_result, target: int, keeping: Keeping = PLAIN) -> None:
    """Copy the metadata of ``source`` to ``target``, both open files or directories.

    ``status`` is that of the source before it was read. A ``source`` of -1 has no attributes.
    """
    _preserve(_Opened(source), status, target, keeping)


def preserve_hollow(
    found: int, status: os.stat_result, target: int, keeping: Keeping = PLAIN
) -> None:
    """Do as :func:`preserve` for a mount point that is left out, held by ``O_PATH``."""
    _preserve(HeldAttributes(found), status, target, keeping)


def _preserve(source: _Attributes, status: os.stat_result, target: int, keeping: Keeping) -> None:
    _take_over(source, status, target, keeping)
    try:
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError as error:
        keeping.on_loss(error)


def given_to(new: int) -> tuple[int, int] | None:
    """Return owner and group of a file that was just created; None if it has inherited an ACL."""
    try:
        if any(name.startswith(ACL_PREFIX) for name in os.listxattr(new)):
            return None
    except OSError as error:
        require_errno(error)
        return None
    status = os.fstat(new)
    return status.st_uid, status.st_gid


def preserve_plain(source: int, status: os.stat_result, target: int) -> bool:
    """Do as :func:`preserve` for a file of the same owner as ``target``, which has no attributes.

    Returns False where that takes more than the mode and the times.
    """
    mode = status.st_mode & 0o7777
    try:
        if mode & _SET_ID or os.listxattr(source):
            return False
        os.fchmod(target, mode)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError as error:
        require_errno(error)
        return False
    return True


def require_errno(error: OSError) -> None:
    """Raise an error that a handler of signals raised, such as a TimeoutError, and no call."""
    if error.errno is None:
        raise error


def adopt(replaced: int, target: int) -> None:
    """Copy to the open file ``target`` what the file that it is going to replace would keep if it
    were written to: everything but the times.
    """
    _take_over(_Opened(replaced), os.fstat(replaced), target, PLAIN)


def preserve_unopened(
    source: int, status: os.stat_result, target: int, keeping: Keeping = PLAIN
) -> None:
    """Do as :func:`preserve` for a link or special file, by two ``O_PATH`` descriptors."""
    self_fd = VerifiedProc.default().self_fd()
    name, directory = self_fd.entry(target), self_fd.fileno()

    def chown(uid: int, gid: int) -> None:
        os.chown(name, uid, gid, dir_fd=directory)

    now = os.fstat(target)
    is_owner = _change_owner(status, now, chown, keeping)
    lost_acl = _copy_attributes(HeldAttributes(source), HeldAttributes(target), keeping)
    if not stat.S_ISLNK(status.st_mode):
        mode = _allowed_mode(status, is_owner, lost_acl, keeping)
        os.chmod(name, mode, dir_fd=directory)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=directory)


def _take_over(source: _Attributes, status: os.stat_result, target: int, keeping: Keeping) -> None:
    is_owner = _change_owner(status, os.fstat(target), partial(os.fchown, target), keeping)
    lost_acl = None
    if _have_attributes(source, target):
        lost_acl = _copy_attributes(source, _Opened(target), keeping)
    mode = stat.S_IMODE(status.st_mode)
    if lost_acl is not None or mode & _SET_ID:
        mode = _allowed_mode(status, is_owner, lost_acl, keeping)
    try:
        os.fchmod(target, mode)
    except OSError as error:
        keeping.on_loss(error)


class _IsOwner(NamedTuple):
    user: bool
    group: bool


_OWNER = _IsOwner(True, True)


def _change_owner(
    status: os.stat_result,
    now: os.stat_result,
    chown: Callable[[int, int], None],
    keeping: Keeping,
) -> _IsOwner:
    """Change owner and group, or only the group, as far as that is permitted."""
    uid, gid = status.st_uid, status.st_gid
    if keeping.owners is not None:
        try:
            uid, gid = keeping.owners.of(uid, gid)
        except OSError as error:
            keeping.on_loss(error)
            return _IsOwner(False, False)
    if now.st_uid == uid and now.st_gid == gid:
        return _OWNER
    try:
        chown(uid, gid)
    except OSError as error:
        lost = error
    else:
        return _OWNER
    is_group = gid == now.st_gid
    if not is_group:
        try:
            chown(-1, gid)
            is_group = True
        except OSError:
            # The first error is the one to report.
            is_group = False
    keeping.on_loss(lost)
    return _IsOwner(uid == now.st_uid, is_group)


def _allowed_mode(
    status: os.stat_result, is_owner: _IsOwner, lost_acl: bytes | None, keeping: Keeping
) -> int:
    """Return the mode, without the set-ID bits of an owner that the target does not have."""
    mode = stat.S_IMODE(status.st_mode)
    if not is_owner.user:
        mode &= ~stat.S_ISUID
    if not is_owner.group:
        mode &= ~stat.S_ISGID
    if keeping.on_privilege is not None and stat.S_ISREG(status.st_mode):
        if mode & _SET_ID:
            keeping.on_privilege("set-ID bits")
        mode &= ~_SET_ID
    if lost_acl is not None:
        # With an ACL these bits are its mask: the group itself may have fewer rights (acl(5)).
        mode &= ~0o070 | group_rights(lost_acl) << 3
    return mode


class _Attributes(Protocol):
    """The extended attributes of a file."""

    def names(self) -> list[str]: ...
    def get(self, name: bytes) -> bytes: ...
    def set(self, name: bytes, value: bytes) -> None: ...
    def remove(self, name: bytes) -> None: ...


class _Opened:
    """The attributes of an open file; of -1, none."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def names(self) -> list[str]:
        return os.listxattr(self._fd) if self._fd >= 0 else []

    def get(self, name: bytes) -> bytes:
        return os.getxattr(self._fd, name)

    def set(self, name: bytes, value: bytes) -> None:
        os.setxattr(self._fd, name, value)

    def remove(self, name: bytes) -> None:
        os.removexattr(self._fd, name)


def _have_attributes(source: _Attributes, target: int) -> bool:
    """Return whether one of two files has attributes, or cannot tell. Few files do."""
    try:
        return bool(os.listxattr(target) or source.names())
    except OSError:
        return True


def _copy_attributes(source: _Attributes, target: _Attributes, keeping: Keeping) -> bytes | None:
    """Copy the attributes. Return an ACL that the target did not take."""
    names = _names(source, keeping)
    lost_acl = None
    for name in names:
        if name == CAPABILITY and keeping.on_privilege is not None:
            keeping.on_privilege("file capabilities")
            continue
        value = None
        try:
            value = source.get(os.fsencode(name))
            if keeping.owners is not None:
                value = mapped_attribute(name, value, keeping.owners)
            target.set(os.fsencode(name), value)
        except OSError as error:
            if error.errno == ENODATA or name in _LABELS:
                # It has gone, or the target has a label of its own.
                continue
            if name == ACCESS_ACL:
                lost_acl = value or b""
            keeping.on_loss(_about_attribute(error, name))
    _remove_inherited(target, names)
    return lost_acl


def _remove_inherited(target: _Attributes, names: Iterable[str]) -> None:
    """Remove the ACL that a new file has inherited from its directory (acl(5)).

    It may grant what the mode of the old one denies.
    """
    try:
        there = target.names()
    except OSError as error:
        if error.errno not in (ENOTSUP, EPERM):
            raise
        return
    for name in there:
        if name.startswith(ACL_PREFIX) and name not in names:
            target.remove(os.fsencode(name))


def _names(source: _Attributes, keeping: Keeping) -> list[str]:
    try:
        return source.names()
    except OSError as error:
        if error.errno != ENOTSUP:
            keeping.on_loss(_about_attribute(error, "extended attributes"))
        return []


def _about_attribute(error: OSError, name: str) -> OSError:
    return OSError(error.errno, f"{name} cannot be kept: {error.strerror}")
