"""Moving between roots, and between a root and the host, as ``pathlib`` 3.14 moves.

A move is a rename(2) wherever the kernel can do it. Otherwise the source is copied completely
and the copy gets its name at once, before anything of the source is removed; and only what was
copied is removed.
"""

from __future__ import annotations

import os
import stat
from errno import EBUSY, EXDEV

from procpath.linux import openat
from procpath.resolve.identity import mount_id
from procpath.resolve.interface import Parent
from procpath.tree.copy.files import FileCopier, OnProgress, Original, Rules
from procpath.tree.copy.staging import Staged
from procpath.tree.copy.tree import copy_to
from procpath.tree.places import LEADS_NOWHERE, Place, both, lies_within
from procpath.tree.removing import mount_of_entry, remove_same
from procpath.uapi import FIND_NOFOLLOW


def move(source: Place, target: Place, on_progress: OnProgress | None = None) -> None:
    """Give the file or tree at ``source`` the path ``target``, replacing as rename(2) does.

    Links at either end are not followed. Raises the operating system's error; ``EINVAL`` if both
    are one file; ``EBUSY`` for a mount point; ``EXDEV`` if the source has to be copied and has
    a mount in it.
    """
    _require_different(source, target)
    old = source.open_parent()
    with old.dirfd as old_dirfd:
        _require_no_mount(source, old)
        new = target.open_parent()
        with new.dirfd as new_dirfd:
            _require_no_mount(target, new)
            try:
                os.rename(old.name, new.name, src_dir_fd=old_dirfd, dst_dir_fd=new_dirfd)
            except OSError as error:
                if error.errno != EXDEV:
                    error.filename, error.filename2 = source.text, target.text
                    raise
                _copy_and_remove(source, old, target, new, on_progress)


def _require_no_mount(place: Place, parent: Parent) -> None:
    """Linux refuses to rename only mount points of our own mount namespace (rename(2))."""
    with place.blame:
        try:
            mount = mount_of_entry(parent.dirfd.value, parent.name)
        except FileNotFoundError:
            return
        if mount != mount_id(parent.dirfd.value):
            raise OSError(EBUSY, "a mount point, which cannot be renamed or replaced")


def _copy_and_remove(
    source: Place, old: Parent, target: Place, new: Parent, on_progress: OnProgress | None
) -> None:
    with source.blame:
        found = openat(old.dirfd.value, old.name, FIND_NOFOLLOW)
    with found as fd:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode) and lies_within(new.dirfd.value, status):
            raise both("Source path is a parent of target path", source, target)
        rules = Rules(
            follow_symlinks=False,
            within=False,
            preserve_metadata=True,
            mount=mount_id(old.dirfd.value),
        )
        files = FileCopier(source, target, rules, on_progress)
        with Staged(new) as staged:
            copy_to(files, Original(fd, status), staged)
            with target.blame:
                staged.replace()
        # While it is held, its inode number is not given to another file.
        remove_same(source, old, status)


def _require_different(source: Place, target: Place) -> None:
    """Compare the two files, links followed, as pathlib does; rename(2) would do nothing."""
    found = _status(source)
    there = _status(target)
    if found is not None and there is not None and os.path.samestat(found, there):
        raise both("Source and target are the same file", source, target)


def _status(place: Place) -> os.stat_result | None:
    try:
        with place.find() as fd:
            return os.fstat(fd)
    except OSError as error:
        if error.errno not in LEADS_NOWHERE:
            raise
        return None
