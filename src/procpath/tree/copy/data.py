"""Copying the content of one regular file to another, the fastest way that the kernel offers.

It is copied up to the end of file and not just to ``st_size``, which procfs and sysfs do not
know; holes stay holes. A clone that shares the blocks (FICLONE of ioctl_ficlonerange(2)) is
tried first, then copy_file_range(2), sendfile(2), and read(2) and write(2).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from errno import (
    EBADF,
    EINVAL,
    EIO,
    ENOSYS,
    ENOTSOCK,
    ENOTTY,
    ENXIO,
    EOPNOTSUPP,
    EOVERFLOW,
    EPERM,
    ETXTBSY,
    EXDEV,
)

from procpath.errors import os_error

OnData = Callable[[int], object]
"""Called with the number of bytes just copied."""

_FICLONE = 0x40049409
"""include/uapi/linux/fs.h; in :mod:`fcntl` from Python 3.12 on."""

_PIECE = 1 << 24
"""Bytes to copy in one system call: few enough for a signal and a progress line."""

_BUFFER = 1 << 20

_NOT_THIS_WAY = frozenset(
    (
        # No such call, or a seccomp filter.
        *(ENOSYS, EPERM),
        # Not between these two files (EXDEV), or not on this file system.
        *(EXDEV, EBADF, EINVAL, ENOTTY, EOPNOTSUPP),
        # copy_file_range(2) on CIFS (EIO), of swap files (ETXTBSY), or too far in the file.
        *(EIO, ETXTBSY, EOVERFLOW),
        # sendfile(2) on old kernels, whose target must be a socket.
        ENOTSOCK,
    )
)


def copy_data(source: int, target: int, on_data: OnData) -> None:
    """Copy the content of ``source`` to the empty file ``target``."""
    status = os.fstat(source)
    size = status.st_size
    if size and _clone(source, target):
        on_data(size)
        return
    copier = _Copier(source, target, on_data)
    sparse = status.st_blocks * 512 < size
    reached = 0
    for start, stop in _data_ranges(source, size) if sparse else [(0, size)]:
        reached = copier.copy(start, stop)
        if reached < stop:
            # It is shorter by now, or shorter than its size from the start, as in sysfs.
            break
    else:
        if reached < size:
            os.ftruncate(target, size)
            reached = size
    copier.copy_rest(reached)


def _clone(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _NOT_THIS_WAY:
            raise
        return False
    return True


def _data_ranges(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each part that is not a hole (lseek(2), ``SEEK_DATA``)."""
    stop = 0
    while stop < size:
        try:
            start = os.lseek(fd, stop, os.SEEK_DATA)
        except OSError as error:
            if error.errno == ENXIO:
                return
            raise
        hole = os.lseek(fd, start, os.SEEK_HOLE)
        if start < stop or hole <= start:
            # A file system in user space (FUSE) answers what it likes, and could go on for ever.
            raise os_error(EIO)
        stop = min(hole, size)
        if start < stop:
            yield start, stop


class _Copier:
    """Copies ranges, and remembers which ways do not work for the two files."""

    def __init__(self, source: int, target: int, on_data: OnData) -> None:
        self._source = source
        self._target = target
        self._on_data = on_data
        self._ways = [self._copy_file_range, self._sendfile]

    def copy(self, start: int, stop: int) -> int:
        """Copy from ``start`` to ``stop``, or to the end of file, and return where that was."""
        position = start
        while position < stop:
            count = self._copy_some(position, min(stop - position, _PIECE))
            if not count:
                break
            position += count
            self._on_data(count)
        return position

    def copy_rest(self, start: int) -> None:
        """Copy from ``start`` to the end of file."""
        position = start
        while count := self._read_and_write(position, _BUFFER):
            position += count
            self._on_data(count)

    def _copy_some(self, position: int, count: int) -> int:
        while self._ways:
            try:
                copied = self._ways[0](position, count)
            except OSError as error:
                if error.errno not in _NOT_THIS_WAY:
                    raise
            else:
                if copied:
                    return copied
                # 0 is the end of file, or the answer of a file system that generates content
                # while it is read (copy_file_range(2), BUGS): only read(2) can tell.
            self._ways.pop(0)
        return self._read_and_write(position, min(count, _BUFFER))

    def _copy_file_range(self, position: int, count: int) -> int:
        return os.copy_file_range(self._source, self._target, count, position, position)

    def _sendfile(self, position: int, count: int) -> int:
        os.lseek(self._target, position, os.SEEK_SET)
        return os.sendfile(self._target, self._source, position, count)

    def _read_and_write(self, position: int, count: int) -> int:
        # Not pread(2): the seq_files of old kernels and some drivers only read on.
        os.lseek(self._source, position, os.SEEK_SET)
        data = os.read(self._source, count)
        rest = memoryview(data)
        while rest:
            rest = rest[os.pwrite(self._target, rest, position + len(data) - len(rest)) :]
        return len(data)
