"""Opening a file only after a look at what it is, without a gap between the two.

For roots that refuse special files, and for the walker where mount points are not crossed:
the object is found as an ``O_PATH`` descriptor, which has no effect on it, looked at, and then
that very object is opened through ``/proc/self/fd``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from errno import EACCES, EAGAIN, EEXIST, EINVAL, EISDIR, ELOOP, EXDEV

from procpath.descriptors import closed_on_error
from procpath.errors import UnverifiedProcError, os_error
from procpath.linux import Descriptor, openat
from procpath.proc import VerifiedProc
from procpath.proc.handle import reopen_by_default
from procpath.resolve.flags import checked, is_tmpfile
from procpath.resolve.identity import mount_id
from procpath.resolve.interface import Parent, Resolver, require_search
from procpath.resolve.links import sysctl_fs
from procpath.uapi import FIND, FIND_NOFOLLOW

_ONLY_FOR_THE_LOOKUP = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_ATTEMPTS = 40
_S_IFMT = 0o170000

Check = Callable[[int, os.stat_result], None]
"""Raises where the object of an ``O_PATH`` descriptor, of this status, is not to be opened."""


def reopen(fd: int, flags: int, mode: int = 0, status: os.stat_result | None = None) -> Descriptor:
    """Open what the ``O_PATH`` descriptor ``fd``, of this ``status``, holds with ``flags``."""
    if is_tmpfile(flags):
        return openat(fd, b".", flags, mode)
    return VerifiedProc.default().self_fd().reopened(fd, flags & ~_ONLY_FOR_THE_LOOKUP, status)


def open_checked_first(
    resolver: Resolver, path: bytes, flags: int, mode: int, check: Check
) -> Descriptor:
    """As ``resolver.open``, but nothing is opened that ``check`` refuses.

    ``flags`` lack ``O_PATH``.
    """
    taken = checked(flags, mode)
    try:
        if taken is None:
            raise os_error(EINVAL)
        flags, mode = taken
        if flags & os.O_CREAT:
            return _open_or_create(resolver, path, flags, mode, check)
        how = flags & (os.O_NOFOLLOW | os.O_DIRECTORY)
        found = resolver.open(path, FIND | how) if how else resolver.find(path)
        try:
            fd = found.value
            status = os.fstat(fd)
            check(fd, status)
            return reopen_found(resolver, fd, status, flags, mode)
        except OSError:
            # Or the error's traceback keeps it open; otherwise it goes with this frame.
            found.close()
            raise
    except OSError as error:
        resolver.about(error, path)
        raise


def reopen_number(
    resolver: Resolver, fd: int, flags: int, status: os.stat_result
) -> tuple[int, os.stat_result]:
    """Open what ``fd``, of this ``status``, holds; return its number, as that of ``bare_openat``,
    and its status. ``flags`` create nothing, and are not about the lookup.
    """
    if status.st_mode & _S_IFMT != stat.S_IFREG:
        opened = reopen_found(resolver, fd, status, flags)
        with closed_on_error(opened) as number:
            status = os.fstat(number)
        return opened.detach(), status
    try:
        return reopen_by_default(fd, flags, status)
    except UnverifiedProcError as error:
        raise _unverified(resolver, error) from error


def reopen_found(
    resolver: Resolver, fd: int, status: os.stat_result, flags: int, mode: int = 0
) -> Descriptor:
    """Open what the ``O_PATH`` descriptor ``fd``, of this ``status``, holds. ``ELOOP``: a link."""
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFLNK:
        raise os_error(ELOOP)
    if kind == stat.S_IFDIR:
        if is_tmpfile(flags):
            resolver.require_changeable(fd)
        try:
            return openat(fd, b".", flags, mode)
        except PermissionError:
            # Opening a directory takes no right to search it, but its "." does.
            if is_tmpfile(flags):
                raise
    try:
        self_fd = VerifiedProc.default().self_fd()
    except OSError as error:
        raise _unverified(resolver, error) from error
    try:
        return self_fd.reopened(fd, flags & ~_ONLY_FOR_THE_LOOKUP, status)
    except UnverifiedProcError as error:
        raise _unverified(resolver, error) from error


def _unverified(resolver: Resolver, error: OSError) -> UnverifiedProcError:
    reason = f"a file is opened through procfs after a look at it: {error.strerror}"
    if not resolver.rules.special_files:
        reason += '; special_files="allow" opens files without that'
    return UnverifiedProcError(reason, error.filename)


def _open_or_create(
    resolver: Resolver, path: bytes, flags: int, mode: int, check: Check
) -> Descriptor:
    follows = not flags & (os.O_NOFOLLOW | os.O_EXCL)
    if follows:
        opened = _open_own_file(resolver, path, flags, check)
        if opened is not None:
            return opened
    for _ in range(_ATTEMPTS):
        parent = resolver.open_parent_of_target(path) if follows else resolver.open_parent(path)
        with parent.dirfd:
            try:
                opened = _open_or_create_in(resolver, parent, flags, mode, check)
            except FileExistsError:
                if flags & os.O_EXCL:
                    raise
                continue
        if opened is not None:
            return opened
    raise os_error(EAGAIN)


def _open_own_file(resolver: Resolver, path: bytes, flags: int, check: Check) -> Descriptor | None:
    """Open a regular file of our own that exists, as ``O_CREAT`` does: the common case.

    None for anything else, of which the directory has to be looked at too.
    """
    found = resolver.try_find(path)
    fd = found.value
    if fd < 0:
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return None
        check(fd, status)
        return reopen_found(resolver, fd, status, flags)
    except OSError:
        found.close()
        raise


def _open_or_create_in(
    resolver: Resolver, parent: Parent, flags: int, mode: int, check: Check
) -> Descriptor | None:
    """One attempt; None (or ``EEXIST``) where the name was swapped between two looks at it."""
    dirfd, name = parent.dirfd.value, parent.name
    if name == b".":
        raise os_error(EEXIST if flags & os.O_EXCL else EISDIR)
    if parent.must_be_directory:
        require_search(dirfd)
        raise os_error(EISDIR)
    try:
        found = openat(dirfd, name, FIND_NOFOLLOW)
    except FileNotFoundError:
        # Nothing special can be here: O_EXCL makes a new regular file or fails.
        return openat(dirfd, name, flags | os.O_EXCL | os.O_NOFOLLOW, mode)
    with found as fd:
        if not resolver.rules.cross_mounts and mount_id(fd) != mount_id(resolver.rootfd):
            raise os_error(EXDEV)
        if flags & os.O_EXCL:
            raise os_error(EEXIST)
        status = os.fstat(fd)
        if stat.S_ISLNK(status.st_mode):
            if flags & os.O_NOFOLLOW:
                require_creatable(os.fstat(dirfd), status)
                raise os_error(ELOOP)
            return None
        if stat.S_ISDIR(status.st_mode):
            raise os_error(EISDIR)
        check(fd, status)
        require_creatable(os.fstat(dirfd), status)
        return reopen_found(resolver, fd, status, flags)


def require_creatable(parent: os.stat_result, file: os.stat_result) -> None:
    """Refuse ``O_CREAT`` of somebody else's file in a sticky directory (``EACCES``).

    ``fs.protected_regular`` and ``fs.protected_fifos`` of proc_sys_fs(5), by the rules
    of may_create_in_sticky() in fs/namei.c, which does not see the directory when a
    file is opened by descriptor; for other kinds of files no setting lifts them.
    """
    if not parent.st_mode & stat.S_ISVTX or file.st_uid in (parent.st_uid, os.geteuid()):
        return
    if stat.S_ISREG(file.st_mode):
        setting = sysctl_fs("protected_regular")
    elif stat.S_ISFIFO(file.st_mode):
        setting = sysctl_fs("protected_fifos")
    else:
        setting = 1
    everyone, group = parent.st_mode & stat.S_IWOTH, parent.st_mode & stat.S_IWGRP
    if (setting >= 1 and everyone) or (setting >= 2 and group):
        raise os_error(EACCES)
