"""Copying one file, link or special file to a new name in a held directory.

The source is held (``O_PATH``) and opened through its descriptor, and only if it is a regular
file. What is created is created exclusively.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from errno import EDQUOT, EFBIG, ENOSPC, EPERM, EROFS, ESTALE
from typing import NamedTuple

from procpath.errors import SpecialFileError
from procpath.linux import openat
from procpath.resolve.reopen import reopen
from procpath.tree.copy import metadata
from procpath.tree.copy.data import copy_data
from procpath.tree.copy.staging import OURS_ALONE, NewFile
from procpath.tree.places import Blame, Place
from procpath.uapi import FIND_NOFOLLOW

_FAULT_OF_THE_TARGET = frozenset((ENOSPC, EDQUOT, EFBIG, EROFS))


@dataclass(slots=True)
class Tally:
    """How much has been copied so far."""

    entries: int = 0
    """files, directories, links"""
    bytes: int = 0


OnProgress = Callable[[Tally], object]


class Rules(NamedTuple):
    """What a copy follows and keeps."""

    follow_symlinks: bool
    within: bool
    """copy links that lead out of the copied tree as links, even so"""
    preserve_metadata: bool
    mount: int | None = None
    """the ID of the only mount to copy from; None: cross mounts"""


class Original(NamedTuple):
    """A file to copy, held (``O_PATH``) by the caller."""

    fd: int
    status: os.stat_result
    by_link: bool = False
    """found by following a link in the tree"""


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
        on_progress: OnProgress | None,
        tally: Tally | None = None,
    ) -> None:
        self.source = source
        self.target = target
        self.rules = rules
        self.names: list[str] = []
        """the way from both ends to the file that is being copied"""
        self.blame_source = Blame(lambda: source.below(self.names))
        self.blame_target = Blame(lambda: target.below(self.names))
        self._tally = Tally() if tally is None else tally
        self._on_progress = on_progress

    def count(self, data: int = 0) -> None:
        """Count so many more bytes, or one more entry."""
        self._tally.bytes += data
        self._tally.entries += not data
        if self._on_progress is not None:
            self._on_progress(self._tally)

    def copy(self, original: Original, dirfd: int, name: str, replaced: int | None = None) -> None:
        """Copy anything but a directory to ``name`` in the directory ``dirfd``.

        The copy of a regular file takes mode and owner from ``replaced``, an open file.
        """
        if stat.S_ISREG(original.status.st_mode):
            self._copy_regular(original, dirfd, name, replaced)
        else:
            self._copy_unopened(original, dirfd, name)
        self.count()

    def _copy_regular(
        self, original: Original, dirfd: int, name: str, replaced: int | None
    ) -> None:
        preserve = self.rules.preserve_metadata
        with self.blame_source:
            opened = reopen(original.fd, os.O_RDONLY)
        mode = OURS_ALONE if preserve or replaced is not None else 0o666
        with opened as source, NewFile(dirfd, name, mode, self.blame_target) as target:
            if replaced is not None and not preserve:
                with self.blame_target:
                    # Before the data: the kernel then clears set-ID bits and capabilities as
                    # it does when a file is written to.
                    metadata.adopt(replaced, target)
            try:
                copy_data(source, target, self.count)
            except OSError as error:
                copied, copy = self.source.below(self.names), self.target.below(self.names)
                if error.errno in _FAULT_OF_THE_TARGET:
                    error.filename = copy
                else:
                    error.filename, error.filename2 = copied, copy
                raise
            if preserve:
                with self.blame_target:
                    metadata.preserve(source, original.status, target)

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
                if stat.S_IFMT(os.fstat(made).st_mode) != stat.S_IFMT(status.st_mode):
                    raise replaced_meanwhile()
                metadata.preserve_unopened(original.fd, status, made)

    def _create_special(self, status: os.stat_result, dirfd: int, name: str) -> None:
        """Create a FIFO, socket or device of the same kind (mknod(2)); nothing is read."""
        preserve = self.rules.preserve_metadata
        is_device = stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
        if is_device and not preserve:
            raise SpecialFileError(
                self.source.below(self.names),
                "will not read a device, and creates one only with preserve_metadata=True",
            )
        mode = stat.S_IFMT(status.st_mode) | (OURS_ALONE if preserve else 0o666)
        with self.blame_target:
            try:
                os.mknod(name, mode, status.st_rdev, dir_fd=dirfd)
            except PermissionError as error:
                if is_device and error.errno == EPERM:
                    raise SpecialFileError(reason="creating a device needs CAP_MKNOD") from error
                raise


def replaced_meanwhile() -> OSError:
    """Return the ESTALE for something new that is another file by now."""
    return OSError(ESTALE, "replaced by another file during the copy")
