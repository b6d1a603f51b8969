"""The file that a copy is going to replace.

Promises that what would refuse to be written to is not replaced either: directories, special
files, what is read-only, a running program, somebody else's file in a sticky directory.
Rests on :mod:`procpath.resolve.reopen`.
"""

from __future__ import annotations

import os
import stat
from errno import EBUSY, EEXIST, EISDIR, ELOOP

from procpath.errors import SpecialFileError, os_error
from procpath.resolve.identity import mount_id
from procpath.resolve.interface import Parent
from procpath.resolve.reopen import reopen, require_creatable
from procpath.tree.places import LOOK


def require_free(parent: Parent) -> None:
    """``EEXIST`` where something has the name already."""
    try:
        os.stat(parent.name, dir_fd=parent.dirfd.value, follow_symlinks=False)
    except FileNotFoundError:
        return
    raise os_error(EEXIST)


def find_replaced(parent: Parent) -> int | None:
    """An ``O_PATH`` descriptor of what has the name; None where there is nothing."""
    if parent.must_be_directory or parent.name == b".":
        raise os_error(EISDIR)
    try:
        return os.open(parent.name, LOOK, dir_fd=parent.dirfd.value)
    except FileNotFoundError:
        return None


def open_replaced(found: int, dirfd: int) -> int:
    """What was found in the directory ``dirfd``, opened as for writing into it."""
    status = os.fstat(found)
    if stat.S_ISDIR(status.st_mode):
        raise os_error(EISDIR)
    if stat.S_ISLNK(status.st_mode):
        # It was none when the path was resolved.
        raise os_error(ELOOP)
    if not stat.S_ISREG(status.st_mode):
        raise SpecialFileError(reason="a special file, which no copy replaces or writes to")
    if mount_id(found) != mount_id(dirfd):
        # In another mount namespace Linux would allow it, and detach what is mounted there.
        raise OSError(EBUSY, "a mount point, which cannot be replaced")
    require_creatable(os.fstat(dirfd), status)
    return reopen(found, os.O_WRONLY).detach()
