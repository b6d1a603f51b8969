"""Copying one file, link or special file to a new name in a held directory.

The source is held (``O_PATH``) and opened through its descriptor, and only if it is a regular
file. What is created is created exclusively.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from errno import EACCES, EDQUOT, EFBIG, ENOSPC, EPERM, EROFS, ESTALE
from typing import Literal, NamedTuple, Protocol

from procpath.descriptors import open_number
from procpath.errors import SpecialFileError
from procpath.linux import openat
from procpath.proc import VerifiedProc
from procpath.tree.copy import metadata
from procpath.tree.copy.data import copy_data
from procpath.tree.copy.leases import LeasePatience
from procpath.tree.copy.metadata import Keeping
from procpath.tree.copy.owners import Owners
from procpath.tree.copy.report import CopyProgress, Errors, OnProgress, SourceBlame, UnreadableError
from procpath.tree.copy.staging import (
    FILE_OURS_ALONE,
    OURS_ALONE,
    PREFIX,
    remove_leftovers,
)
from procpath.tree.places import Blame, Place
from procpath.uapi import CREATE_NEW, FIND_NOFOLLOW, LISTING

_FAULT_OF_THE_TARGET = frozenset((ENOSPC, EDQUOT, EFBIG, EROFS))


class Copied(Protocol):
    """What keeps account of what was copied."""

    def add(self, status: os.stat_result) -> None: ...


class Rules(NamedTuple):
    """What a copy follows and keeps."""

    follow_symlinks: bool
    within: bool
    """copy links that lead out of the copied tree as links, even so"""
    preserve_metadata: bool
    new_mode: int = 0o666
    """the bits of the source's mode that a new file gets without ``preserve_metadata``"""
    mounts: Literal["cross", "refuse", "skip"] = "cross"
    without_privileges: bool = False
    """leave out devices, set-ID bits and capabilities, which have power on the host"""
    owners: Owners | None = None
    keep_existing: bool = False
    """leave files alone that exist"""
    durable: bool = False
    """sync each file and directory"""
    strict: bool = False
    """report owners and attributes too that only root could keep"""

    @property
    def finishes_merged(self) -> bool:
        """Whether a directory that was there gets the metadata of the one merged with it.

        Not from a root to the host: its owner would choose who may write to the host's directory.
        """
        return self.preserve_metadata and not self.without_privileges


class Original(NamedTuple):
    """A file to copy, held (``O_PATH``) by the caller."""

    fd: int
    status: os.stat_result
    by_link: bool = False
    """found by following a link in the tree"""
    hollow: bool = False
    """copied without its content: it is on a mount that is left out"""


class FileCopier:
    """Copies files one by one, and counts them.

    ``source`` and ``target`` are the two ends of the whole copy. Errors name them, with
    :attr:`names` below them.
    """

    def __init__(
        self,
        source: Place,
        target: Place,
        rules: Rules,
        errors: Errors,
        on_progress: OnProgress | None = None,
        progress: CopyProgress | None = None,
    ) -> None:
        self.source = source
        self.target = target
        self.rules = rules
        self.errors = errors
        self.names: list[str] = []
        """the way from both ends to the file that is being copied"""
        # By the names and not by self, which would be a cycle that keeps the root.
        names = self.names
        self.blame_source: Blame = SourceBlame(lambda: source.below(names))
        self.blame_target: Blame = Blame(lambda: target.below(names))
        self.copied: Copied | None = None
        """what was copied, where somebody asks for it"""
        self.on_leftover: Callable[[str], object] | None = None
        """called with the path of what an earlier copy has left and this one has removed"""
        self._progress = progress or CopyProgress()
        self._progress._paths = lambda: (source.below(names), target.below(names))
        self._on_progress = on_progress
        self.locks: bool = target.root is None
        """whether what has a temporary name is locked (flock(2))"""
        self.patience: LeasePatience = LeasePatience()
        self.uncloned: set[int] = set()
        """devices whose files cannot be cloned"""
        self.new_owner: tuple[int, int] | None = None
        """whom what we create belongs to, without ``preserve_metadata``"""
        if rules.owners is not None:
            self.new_owner = self._owner_of_ours(rules.owners)

    @property
    def keeping(self) -> Keeping:
        """What is kept of the metadata."""
        rules = self.rules
        on_privilege = self.leave_out if rules.without_privileges else None
        return Keeping(self._lose, rules.owners, on_privilege)

    def count(self, data: int) -> None:
        """Count so many more bytes."""
        self._progress.bytes += data
        if self._on_progress is not None:
            self._on_progress(self._progress)

    def leave_out(self, kind: str) -> None:
        """Count one thing of this kind that is left out on purpose."""
        self._progress.left_out[kind] += 1

    def note_growth(self) -> None:
        """Count a file that grew meanwhile: only what it had first was copied."""
        self.leave_out("growth")

    def note_second_file(self) -> None:
        """Count a hard link that the target's file system refuses."""
        self.leave_out("hard links")

    def copy(self, original: Original, dirfd: int, name: str, replaced: int | None = None) -> None:
        """Copy anything but a directory to ``name`` in the directory ``dirfd``.

        The copy of a regular file takes mode and owner from ``replaced``, an open file.
        """
        if stat.S_ISREG(original.status.st_mode):
            self._copy_regular(original, dirfd, name, replaced)
        else:
            self._copy_unopened(original, dirfd, name)
        self.finish(original.status)

    def finish(self, status: os.stat_result) -> None:
        """Count the copy of a file of this status, from before it was read."""
        if self.copied is not None:
            self.copied.add(status)
        self._progress.entries += 1
        if self._on_progress is not None:
            self._on_progress(self._progress)

    def remove_leftovers(self, dirfd: int) -> None:
        """Remove what copies that were killed have left in a directory of the host."""
        if self.on_leftover is not None and self.target.root is None:
            for name in remove_leftovers(dirfd):
                self.on_leftover(self.target.below([*self.names, name]))

    def is_left_out(self, status: os.stat_result) -> bool:
        """Return whether a file of this status is a device that is left out."""
        return self.rules.without_privileges and _is_device(status)

    def new_mode(self, status: os.stat_result) -> int:
        """Return the mode to create the copy of a file with."""
        if self.rules.preserve_metadata:
            return OURS_ALONE if stat.S_ISDIR(status.st_mode) else FILE_OURS_ALONE
        bits = 0o777 if stat.S_ISDIR(status.st_mode) else self.rules.new_mode
        return status.st_mode & bits

    def own_directory(self, fd: int) -> None:
        """Give a new directory, held by ``O_PATH``, to whom what we create belongs."""
        if self.new_owner is not None and not self.rules.preserve_metadata:
            self_fd = VerifiedProc.default().self_fd()
            os.chown(self_fd.entry(fd), *self.new_owner, dir_fd=self_fd.fileno())

    def finish_directory(self, source: int, status: os.stat_result, target: int) -> None:
        """Give a directory that is complete the metadata of ``source``, or at least its mode.

        A ``source`` of -1 has no attributes. ``target`` may be held by ``O_PATH``.
        """
        preserve, durable = self.rules.preserve_metadata, self.rules.durable
        # Until now it had all rights of its owner.
        denied = ~status.st_mode & stat.S_IRWXU
        if not (preserve or durable or denied):
            return
        with openat(target, ".", LISTING) as opened:
            if preserve:
                metadata.preserve(source, status, opened, self.keeping)
            elif denied:
                os.fchmod(opened, stat.S_IMODE(os.fstat(opened).st_mode) & ~denied)
            if durable:
                os.fsync(opened)

    def finish_hollow(self, directory: Original, target: int) -> None:
        """Do as :meth:`finish_directory` for a mount point that is left out."""
        if not self.rules.preserve_metadata:
            self.finish_directory(-1, directory.status, target)
            return
        with openat(target, ".", LISTING) as opened:
            metadata.preserve_hollow(directory.fd, directory.status, opened, self.keeping)
            if self.rules.durable:
                os.fsync(opened)

    def sync_directory(self, dirfd: int) -> None:
        """Write a directory to the disk (fsync(2))."""
        with openat(dirfd, ".", LISTING) as opened:
            os.fsync(opened)

    # Neither ``with`` nor an owner for a descriptor, which would cost as much as the system calls.
    # In a block that opened a number, ``finally`` follows at once (linux.bare_openat).

    def _copy_regular(
        self, original: Original, dirfd: int, name: str, replaced: int | None
    ) -> None:
        if original.hollow:
            self._create(-1, original.status, original, dirfd, name, replaced)
            return
        try:
            source, opened = self.patience.open_number(original.fd, original.status)
        except OSError as error:
            self.blame_source.name_in(error)
            raise
        try:
            self._create(source, opened, original, dirfd, name, replaced)
        finally:
            os.close(source)

    def _create(
        self,
        source: int,
        opened: os.stat_result,
        original: Original,
        dirfd: int,
        name: str,
        replaced: int | None,
    ) -> None:
        """Create a file with the content of ``source``, which has the status ``opened``."""
        mode = self.new_mode(original.status) if replaced is None else FILE_OURS_ALONE
        try:
            target = open_number(dirfd, name, CREATE_NEW, mode & 0o777)
        except OSError as error:
            self.blame_target.name_in(error)
            raise
        try:
            try:
                self._fill(source, opened, original, target, name, replaced)
            finally:
                os.close(target)
        except OSError as error:
            self.discard(error, dirfd, name)
            if error.filename is None:
                # From close(2), which can report that an earlier write failed.
                self.blame_target.name_in(error)
            raise

    def discard(self, error: BaseException, dirfd: int, name: str | bytes) -> None:
        """Remove a file that an error has left incomplete, also if its tree goes on without it."""
        try:
            os.unlink(name, dir_fd=dirfd)
        except FileNotFoundError:
            return
        except OSError as left_behind:
            error.add_note(f"an incomplete file could not be removed: {left_behind}")

    def _fill(
        self,
        source: int,
        opened: os.stat_result,
        original: Original,
        target: int,
        name: str,
        replaced: int | None,
    ) -> None:
        """Give a new file the content of ``source``, and the metadata that it is to have."""
        rules = self.rules
        preserve = rules.preserve_metadata
        try:
            if self.locks and name.startswith(PREFIX):
                # So that it is not taken for a leftover (remove_leftovers).
                fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if replaced is not None and not preserve:
                # Before the data: the kernel then clears set-ID bits and capabilities as
                # it does when a file is written to.
                metadata.adopt(replaced, target)
            elif self.new_owner is not None and not preserve:
                os.fchown(target, *self.new_owner)
        except OSError as error:
            self.blame_target.name_in(error)
            raise
        if source >= 0:
            self._copy_data(source, opened, target)
        try:
            if preserve and original.hollow:
                metadata.preserve_hollow(original.fd, original.status, target, self.keeping)
            elif preserve:
                metadata.preserve(source, original.status, target, self.keeping)
            if rules.durable:
                os.fsync(target)
        except OSError as error:
            self.blame_target.name_in(error)
            raise

    def _copy_data(self, source: int, opened: os.stat_result, target: int) -> None:
        try:
            if copy_data(source, target, self.count, self.uncloned, opened):
                self.note_growth()
        except OSError as error:
            copied, copy = self.source.below(self.names), self.target.below(self.names)
            if error.errno in _FAULT_OF_THE_TARGET and not isinstance(error, UnreadableError):
                error.filename = copy
            else:
                error.filename, error.filename2 = copied, copy
            raise

    def _copy_unopened(self, original: Original, dirfd: int, name: str) -> None:
        """Copy a link or a special file."""
        status = original.status
        if stat.S_ISLNK(status.st_mode):
            with self.blame_source:
                text = os.readlink("", dir_fd=original.fd)
            with self.blame_target:
                os.symlink(text, name, dir_fd=dirfd)
        else:
            self._create_special(status, dirfd, name)
        if self.rules.preserve_metadata:
            with self.blame_target, openat(dirfd, name, FIND_NOFOLLOW) as made:
                new = os.fstat(made)
                is_same_kind = stat.S_IFMT(new.st_mode) == stat.S_IFMT(status.st_mode)
                if not is_same_kind or (_is_device(status) and new.st_rdev != status.st_rdev):
                    raise replaced_meanwhile()
                metadata.preserve_unopened(original.fd, status, made, self.keeping)
        elif self.new_owner is not None:
            with self.blame_target, openat(dirfd, name, FIND_NOFOLLOW) as made:
                self_fd = VerifiedProc.default().self_fd()
                os.chown(self_fd.entry(made), *self.new_owner, dir_fd=self_fd.fileno())

    def _create_special(self, status: os.stat_result, dirfd: int, name: str) -> None:
        """Create a FIFO, socket or device of the same kind (mknod(2)); nothing is read."""
        is_device = _is_device(status)
        path = self.source.below(self.names)
        if is_device and not self.rules.preserve_metadata:
            raise SpecialFileError(
                path, "will not read a device, and creates one only with preserve_metadata=True"
            )
        mode = stat.S_IFMT(status.st_mode) | (self.new_mode(status) & 0o777)
        with self.blame_target:
            try:
                os.mknod(name, mode, status.st_rdev, dir_fd=dirfd)
            except PermissionError as error:
                if is_device and error.errno == EPERM:
                    raise SpecialFileError(reason="creating a device needs CAP_MKNOD") from error
                raise

    def _lose(self, error: OSError) -> None:
        """Report what could not be kept, unless that takes the rights of root."""
        if error.errno in (EPERM, EACCES) and os.geteuid() != 0 and not self.rules.strict:
            return
        error.filename = self.target.below(self.names)
        self.errors.report_loss(error)

    @staticmethod
    def _owner_of_ours(owners: Owners) -> tuple[int, int] | None:
        """Return whom our new files belong to there. None: only root can give them away."""
        if os.geteuid() != 0:
            return None
        try:
            return owners.of(os.geteuid(), os.getegid())
        except OSError:
            # We have no ID there, so what we create stays ours.
            return None


def replaced_meanwhile() -> OSError:
    """Return the ESTALE for something new that is another file by now."""
    return OSError(ESTALE, "replaced by another file during the copy")


def _is_device(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
