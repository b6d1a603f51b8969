"""Which files are special: opened, and on the kernel's file systems changed, only by request.

A container that may not open a device can lay one out for the host's tool, and a procfs
answers and obeys whoever asks: ``/etc/app.conf -> /proc/sys/kernel/core_pattern``. No answer
is kept by ``st_dev``, which the kernel gives to another file system after an unmount.
"""

from __future__ import annotations

import os
import stat

from procpath.errors import SpecialFileError
from procpath.linux import file_system_type
from procpath.uapi import KERNEL_FILE_SYSTEMS

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


def kernel_file_system(fd: int, status: os.stat_result) -> str | None:
    """Return the name of the kernel's file system that ``fd`` lies on, or None on another."""
    # Those have no block device, so their device has major 0; others are not asked.
    return None if os.major(status.st_dev) else KERNEL_FILE_SYSTEMS.get(file_system_type(fd))


def special_kind(fd: int, status: os.stat_result) -> str | None:
    """Return what ``fd`` holds, in words, if that is a special file; None if not.

    A directory is none: listing one does nothing but on a file system that hangs.
    """
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        file_system = kernel_file_system(fd, status)
        return None if file_system is None else f"a file of {file_system}"
    return _KINDS.get(kind)


def refuse_special(fd: int, status: os.stat_result) -> None:
    """Raise :class:`SpecialFileError` for a special file."""
    # The common case first: a regular file that is not the kernel's.
    if stat.S_ISREG(status.st_mode) and (
        os.major(status.st_dev) or file_system_type(fd) not in KERNEL_FILE_SYSTEMS
    ):
        return
    kind = special_kind(fd, status)
    if kind is not None:
        raise SpecialFileError(reason=f'{kind} is opened only with special_files="allow"')


def refuse_kernel_file(fd: int) -> None:
    """Raise :class:`SpecialFileError` for a file on a file system of the kernel."""
    status = os.fstat(fd)
    file_system = kernel_file_system(fd, status)
    if file_system is not None:
        kind = "directory" if stat.S_ISDIR(status.st_mode) else "file"
        reason = f'a {kind} of {file_system} is changed only with special_files="allow"'
        raise SpecialFileError(reason=reason)
