"""New files and trees, made under a temporary name and renamed when they are complete.

Nothing incomplete is ever seen under the final name. The temporary name, ``.procpath-`` and 16
random digits in the same directory, is removed on every way out but the end of the process.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from errno import EBUSY, EEXIST, EINVAL, EISDIR, ELOOP, ENOSYS
from types import TracebackType
from typing import Self

from procpath.descriptors import closed_on_error
from procpath.errors import SpecialFileError, os_error
from procpath.linux import Descriptor, openat, renameat2
from procpath.resolve.identity import mount_id
from procpath.resolve.interface import Parent
from procpath.resolve.reopen import reopen, require_creatable
from procpath.tree.places import Blame, Place
from procpath.tree.removing import remove_own
from procpath.uapi import CREATE_NEW, FIND_DIRECTORY_NOFOLLOW, FIND_NOFOLLOW, RENAME_NOREPLACE

OURS_ALONE = 0o700
"""The mode of what gets its own at the end: until then nobody else can read it, or create
anything in it.
"""


class TargetLinks(Enum):
    """Which links at the end of the target's path are followed to the file to write to."""

    FOLLOWED = auto()
    """all of them: a dangling one leads to the file to create"""
    TO_FILES = auto()
    """those that lead to a file: nothing is created through a link"""
    REFUSED = auto()


class NewFile:
    """A regular file that is created, written to and closed by a ``with`` block.

    close(2) can report that an earlier write failed, so ``blame`` covers that too.
    """

    def __init__(self, dirfd: int, name: str, mode: int, blame: Blame) -> None:
        self._blame = blame
        with blame:
            self._fd = openat(dirfd, name, CREATE_NEW, mode & 0o666)

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


def new_directory(dirfd: int, name: str, mode: int) -> Descriptor:
    """Create a directory and hold it (``O_PATH``)."""
    os.mkdir(name, mode, dir_fd=dirfd)
    return openat(dirfd, name, FIND_DIRECTORY_NOFOLLOW)


class Staged:
    """A file or tree that is being made under the temporary :attr:`name`."""

    def __init__(self, parent: Parent, replaced: Descriptor | None = None) -> None:
        """``parent`` is where it gets its final name; ``replaced`` is taken over."""
        self._parent = parent
        self._replaced = replaced
        self.dirfd = parent.dirfd.value
        self.name = f".procpath-{secrets.token_hex(8)}"
        self.replaced = None if replaced is None else replaced.value
        """the file that it is going to replace, opened for writing"""
        self.made: os.stat_result | None = None
        """of the new directory, to recognize another one in its place"""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._replaced is not None:
            self._replaced.close()
        if error is None:
            return
        try:
            remove_own(self.dirfd, self.name, self.made)
        except OSError as left_behind:
            error.add_note(f"the incomplete copy could not be removed: {left_behind}")

    def replace(self) -> None:
        """Rename it to the final name, replacing what has that name as rename(2) does."""
        os.rename(self.name, self._parent.name, src_dir_fd=self.dirfd, dst_dir_fd=self.dirfd)

    def publish(self) -> None:
        """Rename it to the final name. Raises ``EEXIST`` if that is taken."""
        temporary = os.fsencode(self.name)
        try:
            renameat2(self.dirfd, temporary, self.dirfd, self._parent.name, RENAME_NOREPLACE)
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
            self._parent.name,
            src_dir_fd=self.dirfd,
            dst_dir_fd=self.dirfd,
            follow_symlinks=False,
        )
        os.unlink(temporary, dir_fd=self.dirfd)


@contextmanager
def replacing(
    parent: Parent, blame: Blame, require_other: Callable[[os.stat_result], None]
) -> Iterator[Staged]:
    """Stage a regular file, which then takes the place of the one that ``parent`` names.

    Takes ``parent`` over. What would refuse to be written to is not replaced either.
    ``require_other`` raises if a file, given by its status, must not be the one that is replaced.
    """
    with parent.dirfd:
        replaced = None
        with blame:
            found = _find_replaced(parent)
        if found is not None:
            with found as fd:
                require_other(os.fstat(fd))
                with blame:
                    replaced = _open_replaced(fd, parent.dirfd.value)
        with Staged(parent, replaced) as staged:
            yield staged
            with blame:
                staged.replace()


@contextmanager
def creating(target: Place, blame: Blame) -> Iterator[Staged]:
    """Stage anything, which then gets the name ``target``. Raises ``EEXIST`` if that is taken."""
    parent = target.open_parent()
    with parent.dirfd as dirfd:
        with blame:
            try:
                os.stat(parent.name, dir_fd=dirfd, follow_symlinks=False)
            except FileNotFoundError:
                pass
            else:
                raise os_error(EEXIST)
        with Staged(parent) as staged:
            yield staged
            with blame:
                staged.publish()


def parent_to_write(target: Place, links: TargetLinks) -> Parent:
    """Return where a file is created or replaced that is written to ``target``."""
    if links is TargetLinks.FOLLOWED:
        return target.open_parent_of_target()
    parent = target.open_parent()
    if links is TargetLinks.REFUSED:
        return parent
    with target.blame, closed_on_error(parent.dirfd) as dirfd:
        # What is not a link here is not followed later either, if it is a link by then.
        if not is_link(dirfd, parent.name):
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


def is_link(dirfd: int, name: bytes) -> bool:
    """Return whether ``name`` in ``dirfd`` is a symbolic link. False if there is nothing."""
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=dirfd, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _find_replaced(parent: Parent) -> Descriptor | None:
    if parent.must_be_directory or parent.name == b".":
        raise os_error(EISDIR)
    try:
        return openat(parent.dirfd.value, parent.name, FIND_NOFOLLOW)
    except FileNotFoundError:
        return None


def _open_replaced(found: int, dirfd: int) -> Descriptor:
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
    return reopen(found, os.O_WRONLY)
