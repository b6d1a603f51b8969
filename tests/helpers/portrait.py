"""All that a copy of a tree should have in common with it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any


def portrait(top: Path) -> dict[str, tuple[Any, ...]]:
    """Each entry's kind, mode, owner, times, content, extended attributes, and which are one file.

    Of ``top`` too, by the name ``""``. Access times are those before the look.
    """
    found: dict[str, tuple[Any, ...]] = {"": _face(top)}
    names: dict[tuple[int, int], str] = {}
    for directory, below, files in os.walk(top):
        for name in sorted(below + files):
            path = Path(directory, name)
            status = path.lstat()
            first = names.setdefault((status.st_dev, status.st_ino), str(path.relative_to(top)))
            same = "" if path.is_dir() and not path.is_symlink() else first
            found[str(path.relative_to(top))] = (*_face(path), same)
    return found


def _face(path: Path) -> tuple[Any, ...]:
    status = path.lstat()
    attributes = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
    }
    content: str | bytes | int = status.st_rdev
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        content = path.read_bytes()
    return (
        stat.filemode(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns,
        content,
        attributes,
    )


def holes(path: Path) -> bool:
    """Whether the file takes less room than its size."""
    status = path.stat()
    return status.st_blocks * 512 < status.st_size
