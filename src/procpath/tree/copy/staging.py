"""New files and trees, made under a temporary name and renamed when they are complete.

Nothing incomplete is ever seen under the final name. The temporary name, in the same directory,
is removed on every way out but the end of the process. What a killed process leaves has no lock
(flock(2)), and the next copy into a directory of the host removes it.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from errno import EBUSY, EEXIST, EINVAL, EISDIR, ELOOP, ENOSYS, EPERM
from itertools import count
from types import TracebackType
from typing import Self

from procpath.descriptors import closed_on_error
from procpath.errors import SpecialFileError, os_error
from procpath.linux import Descriptor, dup, openat, renameat2, statx_or_none
from procpath.resolve.identity import mount_id
from procpath.resolve.interface import Parent
from procpath.resolve.reopen import reopen, require_creatable
from procpath.tree.copy.leases import LeasePatience
from procpath.tree.places import Blame, Place
from procpath.tree.removing import remove_own
from procpath.uapi import (
    CREATE_NEW,
    FIND_DIRECTORY_NOFOLLOW,
    FIND_NOFOLLOW,
    LISTING,
    RENAME_NOREPLACE,
    STATX_ATTR_APPEND,
)

PREFIX = ".procpath-unfinished-copy-"
_TEMPORARY = re.compile(re.escape(PREFIX) + r"[0-9a-f]{16}")

OURS_ALONE = 0o700
"""The mode of what gets its own at the end: until then nobody else can read it, or create
anything in it.
"""


FILE_OURS_ALONE = 0o600

_FOR_REMOVAL = 6
"""Descriptors that the removal of a tree takes, also where statx(2) is forbidden."""


class TargetLinks(Enum):
    """Which links at the end of the target's path are followed to the file to write to."""

    FOLLOWED = auto()
    """all of them: a dangling one leads to the file to create"""
    TO_FILES = auto()
    """those that lead to a file: nothing is created through a link"""
    REFUSED = auto()


def temporary_names() -> Iterator[bytes]:
    """Return temporary names, of which nobody else has one."""
    return map(f"{PREFIX}%016x".encode().__mod__, count(int.from_bytes(os.urandom(7))))


class NewFile:
    """A regular file that is created, written to and closed by a ``with`` block.

    close(2) can report that an earlier write failed, so ``blame`` covers that too.
    """

    def __init__(self, dirfd: int, name: str, mode: int, blame: Blame) -> None:
        self._blame = blame
        with blame:
            self._fd = openat(dirfd, name, CREATE_NEW, mode & 0o777)

    def __enter__(self) -> int:
        return self._fd.value

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._blame:
            self._fd.close()


def new_directory(dirfd: int, name: str | bytes, mode: int) -> Descriptor:
    """Create a directory and hold it (``O_PATH``)."""
    os.mkdir(name, mode, dir_fd=dirfd)
    return openat(dirfd, name, FIND_DIRECTORY_NOFOLLOW)


def require_spare_descriptors(fd: int) -> None:
    """Raise ``EMFILE`` before a tree is made, if there are too few to remove it again."""
    spare = [dup(fd) for _ in range(_FOR_REMOVAL)]
    while spare:
        spare.pop().close()


class Staged:
    """A file or tree that is being made in a held directory under the temporary :attr:`name`.

    Where nothing can be renamed, in an append-only directory, it is made under its final name.
    It holds the directory itself: an interrupt where a ``with`` block ends leaves the removal to
    ``__del__`` (:class:`_Unfinished`), when the caller's descriptor may be closed.
    """

    def __init__(
        self,
        dirfd: int,
        final: bytes,
        replaced: Descriptor | None = None,
        append_only: bool | None = None,
    ) -> None:
        """``final`` is the name it gets in the end; ``replaced`` is taken over.

        ``append_only``: whether the directory is, for a caller who knows. Raises ``EPERM`` if
        it is to replace something in such a directory.
        """
        self._directory = dup(dirfd)
        self.dirfd: int = self._directory.value
        self._final = final
        self._replaced = replaced
        self.name: str = f"{PREFIX}{secrets.token_hex(8)}"
        self.replaced: int | None = None if replaced is None else replaced.value
        """the file that it is going to replace, opened for writing"""
        self.made: os.stat_result | None = None
        """of the new directory, to recognize another one in its place"""
        self._lock: Descriptor | None = None
        self._in_place = False
        if is_append_only(dirfd) if append_only is None else append_only:
            if replaced is not None:
                replaced.close()
                raise OSError(EPERM, "nothing can be replaced in an append-only directory")
            self._in_place = True
            self.name = os.fsdecode(final)
        _become(self, _Unfinished)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end(error)

    def lock(self) -> None:
        """Lock what was made (flock(2)): without its lock it is a leftover of a copy that ended.

        The lock goes with the end of the process, whichever that is.
        """
        fd = openat(self.dirfd, self.name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with closed_on_error(fd) as number:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._lock = fd

    def end(self, error: BaseException | None) -> None:
        """Remove what is under the temporary name, if there was an error."""
        # What a signal handler raises in __del__ is lost, and this needs none any more.
        _become(self, Staged)
        # First of all: the process may have run out of descriptors.
        for held in (self._replaced, self._lock):
            if held is not None:
                held.close()
        try:
            if error is not None and self._in_place:
                error.add_note("what an append-only directory has got cannot be removed")
            elif error is not None:
                remove_own(self.dirfd, self.name, self.made)
        except OSError as left_behind:
            if error is not None:
                error.add_note(f"the incomplete copy could not be removed: {left_behind}")
        self._directory.close()

    def replace(self) -> None:
        """Rename it to the final name, replacing what has that name as rename(2) does."""
        if not self._in_place:
            os.rename(self.name, self._final, src_dir_fd=self.dirfd, dst_dir_fd=self.dirfd)

    def publish(self) -> None:
        """Rename it to the final name. Raises ``EEXIST`` if that is taken."""
        if self._in_place:
            return
        temporary = os.fsencode(self.name)
        try:
            renameat2(self.dirfd, temporary, self.dirfd, self._final, RENAME_NOREPLACE)
        except OSError as error:
            # ENOSYS: old kernels; EINVAL: file systems such as NFS (rename(2)).
            if error.errno not in (ENOSYS, EINVAL):
                raise
        else:
            return
        if stat.S_ISDIR(os.stat(temporary, dir_fd=self.dirfd, follow_symlinks=False).st_mode):
            # A directory cannot be linked; but rename(2) replaces at most an empty one.
            self.replace()
            return
        os.link(
            temporary,
            self._final,
            src_dir_fd=self.dirfd,
            dst_dir_fd=self.dirfd,
            follow_symlinks=False,
        )
        os.unlink(temporary, dir_fd=self.dirfd)


class _Unfinished(Staged):
    """One whose :meth:`end` has not been called."""

    def __del__(self) -> None:
        self.end(InterruptedError())


def _become(staged: Staged, kind: type[Staged]) -> None:
    staged.__class__ = kind


@contextmanager
def replacing(
    dirfd: int,
    name: bytes,
    blame: Blame,
    require_other: Callable[[os.stat_result], None],
    patience: LeasePatience,
    append_only: bool | None = None,
) -> Iterator[Staged]:
    """Stage a regular file, which then takes the place of ``name`` in ``dirfd``.

    What would refuse to be written to is not replaced either. ``require_other`` raises if a
    file, given by its status, must not be the one that is replaced.
    """
    replaced = None
    with blame:
        try:
            found = openat(dirfd, name, FIND_NOFOLLOW)
        except FileNotFoundError:
            found = None
    if found is not None:
        with found as fd:
            require_other(os.fstat(fd))
            with blame:
                replaced = _open_replaced(fd, dirfd, patience)
    with blame:
        staged = Staged(dirfd, name, replaced, append_only)
    with staged:
        yield staged
        with blame:
            staged.replace()


@contextmanager
def creating(dirfd: int, name: bytes, blame: Blame) -> Iterator[Staged]:
    """Stage anything, which then gets the name in ``dirfd``. Raises ``EEXIST`` if it is taken."""
    with blame:
        try:
            os.stat(name, dir_fd=dirfd, follow_symlinks=False)
        except FileNotFoundError:
            pass
        else:
            raise os_error(EEXIST)
        staged = Staged(dirfd, name)
    with staged:
        yield staged
        with blame:
            staged.publish()


def remove_leftovers(dirfd: int) -> list[str]:
    """Remove what copies that were killed have left in a directory, and return its names.

    A file or directory is a leftover by its name, if it is our own, on the same mount, and not
    locked. Not by a process ID in the name: other PID namespaces have other processes.
    """
    with openat(dirfd, ".", LISTING) as listing:
        names = [name for name in os.listdir(listing) if _TEMPORARY.fullmatch(name)]
    return [name for name in sorted(names) if _remove_leftover(dirfd, name)]


def _remove_leftover(dirfd: int, name: str) -> bool:
    try:
        with openat(dirfd, name, FIND_NOFOLLOW) as fd:
            status = os.fstat(fd)
            is_ours = status.st_uid == os.geteuid() and mount_id(fd) == mount_id(dirfd)
            if not is_ours or stat.S_IFMT(status.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
                return False
            with reopen(fd, os.O_RDONLY | os.O_NONBLOCK) as opened:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_own(dirfd, name, status)
                return True
    except OSError:
        # It is in use (EWOULDBLOCK), was just finished (ENOENT), or cannot be removed. The copy
        # that is to be made needs none of this.
        return False


def is_append_only(dirfd: int) -> bool:
    """Return whether files can be created in a directory, but not renamed (chattr(1), ``a``)."""
    answer = statx_or_none(dirfd, 0)
    return answer is not None and bool(answer.attributes & STATX_ATTR_APPEND)


def parent_to_write(target: Place, links: TargetLinks) -> Parent:
    """Return where a file is created or replaced that is written to ``target``."""
    parent = _parent_to_write(target, links)
    if parent.must_be_directory or parent.name == b".":
        parent.dirfd.close()
        raise os_error(EISDIR, target.text)
    return parent


def _parent_to_write(target: Place, links: TargetLinks) -> Parent:
    if links is TargetLinks.FOLLOWED:
        return target.open_parent_of_target()
    parent = target.open_parent()
    if links is TargetLinks.REFUSED:
        return parent
    with target.blame, closed_on_error(parent.dirfd) as dirfd:
        # What is not a link here is not followed later either, if it is a link by then.
        if not _is_link(dirfd, parent.name):
            return parent
    parent.dirfd.close()
    parent = target.open_parent_of_target()
    with target.blame, closed_on_error(parent.dirfd) as dirfd:
        try:
            os.stat(parent.name, dir_fd=dirfd, follow_symlinks=False)
        except FileNotFoundError:
            reason = "not writing through a dangling symbolic link"
            raise OSError(ELOOP, reason) from None
    return parent


def _is_link(dirfd: int, name: bytes) -> bool:
    """Return whether ``name`` in ``dirfd`` is a symbolic link. False if there is nothing."""
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=dirfd, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _open_replaced(found: int, dirfd: int, patience: LeasePatience) -> Descriptor:
    """Open what was found in ``dirfd`` as ``open(..., "w")`` does, but do not truncate it."""
    status = os.fstat(found)
    if stat.S_ISDIR(status.st_mode):
        raise os_error(EISDIR)
    if stat.S_ISLNK(status.st_mode):
        raise OSError(ELOOP, "a symbolic link, which is not followed")
    if not stat.S_ISREG(status.st_mode):
        raise SpecialFileError(reason="will not replace a special file")
    if mount_id(found) != mount_id(dirfd):
        # From another mount namespace Linux allows it, and detaches the mount (rename(2)).
        raise OSError(EBUSY, "a mount point, which cannot be replaced")
    require_creatable(os.fstat(dirfd), status)
    return patience.open(found, status, os.O_WRONLY)
