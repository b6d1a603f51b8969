"""What kind of file a path leads to, asked once and remembered.

Promises the ``PathInfo`` protocol of ``pathlib.types`` (Python 3.14). Of an entry of a list the
type is known without a system call; of anything else, and of what a link leads to, it is
asked inside the root when first needed.
"""

from __future__ import annotations

import os
import stat
from functools import cached_property

from procpath.errors import NO_ANSWER, os_error, tells_of_path
from procpath.root import Root


class PathInfo:
    """The kind of file at a path, as it was when first asked for."""

    __slots__ = ("__dict__", "_raw", "_root")

    def __init__(self, root: Root, raw: bytes | None) -> None:
        """``raw`` is None for a path that no system call takes, where nothing can be."""
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
        """Whether there is anything."""
        return bool(self._mode if follow_symlinks else self._own_mode)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self._mode if follow_symlinks else self._own_mode)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self._mode if follow_symlinks else self._own_mode)

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self._own_mode)


class EntryInfo:
    """The kind of file that an entry of a list is."""

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
        """Whether there is anything: of a link, at its end."""
        return self._target.exists() if follow_symlinks and self._entry.is_symlink() else True

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a directory."""
        if follow_symlinks and self._entry.is_symlink():
            return self._target.is_dir()
        return self._entry.is_dir(follow_symlinks=False)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a regular file."""
        if follow_symlinks and self._entry.is_symlink():
            return self._target.is_file()
        return self._entry.is_file(follow_symlinks=False)

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return self._entry.is_symlink()


def mode_of(root: Root, raw: bytes) -> int:
    """The ``st_mode`` of what ``raw`` leads to; 0 where it leads nowhere, and with a NUL in it."""
    if b"\0" in raw:
        return 0
    fd = root.try_find(raw)
    number = fd.value
    if number < 0:
        if -number in NO_ANSWER:
            raise os_error(-number, raw)
        return 0
    try:
        return os.fstat(number).st_mode
    finally:
        fd.close()


def mode_of_last(root: Root, raw: bytes) -> int:
    """The ``st_mode`` of what ``raw`` names, a link for itself; 0 as for :func:`mode_of`."""
    if b"\0" in raw:
        return 0
    try:
        fd = root.find_last(raw)
    except OSError as error:
        if tells_of_path(error):
            return 0
        raise
    try:
        return os.fstat(fd.value).st_mode
    finally:
        fd.close()
