"""The kind of file at a path.

:class:`PathInfo` and :class:`EntryInfo` follow the ``PathInfo`` protocol of ``pathlib.types``
(Python 3.14): they ask when they are first asked, and remember. The type of a directory's entry
is known without a system call.
"""

from __future__ import annotations

import os
import stat
from functools import cached_property

from procpath.errors import about, tells_of_path
from procpath.linux import statx_or_none
from procpath.root import Root
from procpath.uapi import STATX_ATTR_MOUNT_ROOT, STATX_BASIC_STATS


class PathInfo:
    """The kind of file at a path, as it was when first asked for."""

    __slots__ = ("__dict__", "_raw", "_root")

    def __init__(self, root: Root, raw: bytes | None) -> None:
        """``raw`` is None for a path with a NUL in it, which does not exist."""
        self._root = root
        self._raw = raw

    @cached_property
    def _own_mode(self) -> int:
        return 0 if self._raw is None else mode_of_last(self._root, self._raw)

    @cached_property
    def _mode(self) -> int:
        own = self._own_mode
        if self._raw is None or not stat.S_ISLNK(own):
            return own
        return mode_of(self._root, self._raw)

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Return whether the path exists, or with ``follow_symlinks`` what it leads to."""
        return bool(self._mode if follow_symlinks else self._own_mode)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Return whether it is a directory or, with ``follow_symlinks``, a link to one."""
        return stat.S_ISDIR(self._mode if follow_symlinks else self._own_mode)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Return whether it is a regular file or, with ``follow_symlinks``, a link to one."""
        return stat.S_ISREG(self._mode if follow_symlinks else self._own_mode)

    def is_symlink(self) -> bool:
        """Return whether the path is a symbolic link."""
        return stat.S_ISLNK(self._own_mode)


class EntryInfo:
    """The kind of file of a directory's entry."""

    __slots__ = ("_entry", "_path", "_root", "_target_")

    _target_: PathInfo

    def __init__(self, root: Root, path: str, entry: os.DirEntry[str]) -> None:
        """``path`` is the entry's in-root path."""
        self._root = root
        self._path = path
        self._entry = entry

    @property
    def _target(self) -> PathInfo:
        try:
            return self._target_
        except AttributeError:
            self._target_ = PathInfo(self._root, os.fsencode(self._path))
            return self._target_

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Return whether the path exists, or with ``follow_symlinks`` what it leads to."""
        return self._target.exists() if follow_symlinks and self._entry.is_symlink() else True

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Return whether it is a directory or, with ``follow_symlinks``, a link to one."""
        if follow_symlinks and self._entry.is_symlink():
            return self._target.is_dir()
        return self._entry.is_dir(follow_symlinks=False)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Return whether it is a regular file or, with ``follow_symlinks``, a link to one."""
        if follow_symlinks and self._entry.is_symlink():
            return self._target.is_file()
        return self._entry.is_file(follow_symlinks=False)

    def is_symlink(self) -> bool:
        """Return whether the path is a symbolic link."""
        return self._entry.is_symlink()


def mode_of(root: Root, raw: bytes) -> int:
    """Return ``st_mode`` of what ``raw`` leads to; 0 if it leads nowhere, or has a NUL in it."""
    return 0 if b"\0" in raw else root.resolver.mode(raw, True)


def mode_of_last(root: Root, raw: bytes) -> int:
    """Return ``st_mode`` of what ``raw`` names, even if it is a link; 0 as for :func:`mode_of`."""
    return 0 if b"\0" in raw else root.resolver.mode(raw, False)


def is_mount(root: Root, raw: bytes) -> bool:
    """Return whether ``raw`` names a mount point or the root itself, not following a link."""
    try:
        found = root.find_last(raw)
    except OSError as error:
        if tells_of_path(error):
            return False
        raise
    try:
        with found as fd:
            return _is_mount_point(root, fd)
    except OSError as error:
        raise about(error, raw, root.note) from None


def _is_mount_point(root: Root, fd: int) -> bool:
    status = os.fstat(fd)
    if stat.S_ISLNK(status.st_mode):
        return False
    dev, ino, _ = root.identity
    if (status.st_dev, status.st_ino) == (dev, ino):
        return True
    answer = statx_or_none(fd, STATX_BASIC_STATS)
    if answer is not None and answer.attributes_mask & STATX_ATTR_MOUNT_ROOT:
        return bool(answer.attributes & STATX_ATTR_MOUNT_ROOT)
    if not stat.S_ISDIR(status.st_mode):
        return False
    parent = os.stat("..", dir_fd=fd)
    return parent.st_dev != status.st_dev or parent.st_ino == status.st_ino
