"""Copying the content of one regular file to another, the fastest way that the kernel offers.

A file is copied up to the size that it has when the copy begins, and one without a size, as
procfs has them, to its end; holes stay holes. A clone that shares the blocks (FICLONE of
ioctl_ficlonerange(2)) is tried first. Then small files are read and written, and for others
copy_file_range(2), sendfile(2), and read(2) and write(2) are tried.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from errno import (
    EBADF,
    EFBIG,
    EINVAL,
    EIO,
    ENOSYS,
    ENOTTY,
    ENXIO,
    EOPNOTSUPP,
    EPERM,
    ETXTBSY,
    EXDEV,
)

from procpath.errors import os_error
from procpath.reading import write_whole
from procpath.tree.copy.report import of_source

OnData = Callable[[int], object]
"""Called with the number of bytes just copied."""

_FICLONE = 0x40049409
"""include/uapi/linux/fs.h; in :mod:`fcntl` from Python 3.12 on."""

_PIECE = 1 << 24
"""Bytes to copy in one system call: few enough for a signal and a progress line."""

_BUFFER = 1 << 20

SMALL = 1 << 16
"""Bytes up to which a file is read and written in one call each."""

_MOST_WITHOUT_SIZE = 1 << 30
"""Bytes to copy of a file that has no size."""

_NOT_THIS_WAY = frozenset(
    (
        # No such call, or a seccomp filter.
        *(ENOSYS, EPERM),
        # Not between these two files (EXDEV), not of swap files (ETXTBSY), or not on this file
        # system.
        *(EXDEV, EBADF, EINVAL, EIO, ENOTTY, EOPNOTSUPP, ETXTBSY),
    )
)


def copy_data(
    source: int,
    target: int,
    on_data: OnData,
    uncloned: set[int] | None = None,
    status: os.stat_result | None = None,
) -> bool:
    """Copy the content of ``source``, with the size it has now, to the empty file ``target``.

    A file without a size, as in procfs, is copied to its end. Returns whether the file has grown
    meanwhile. What it has grown by is not copied: a file that grows all the time would never end.
    ``uncloned`` keeps the devices whose files could not be cloned, for the next call. ``status``
    is fstat(2) of the source, for a caller who has just asked.
    """
    if status is None:
        status = _status(source)
    size = status.st_size
    if size and (uncloned is None or status.st_dev not in uncloned):
        if _clone(source, target):
            # The clone has the size that the file had then, which may be larger.
            if os.fstat(target).st_size > size:
                os.ftruncate(target, size)
            on_data(size)
            return _status(source).st_size > size
        if uncloned is not None:
            uncloned.add(status.st_dev)
    sparse = status.st_blocks * 512 < size
    if size <= SMALL and not sparse:
        return _copy_small(source, target, size, on_data)
    _copy_ranges(source, target, size, sparse, on_data)
    return _status(source).st_size > size


def _status(source: int) -> os.stat_result:
    try:
        return os.fstat(source)
    except OSError as error:
        raise of_source(error) from None


def _read(source: int, count: int) -> bytes:
    try:
        return os.read(source, count)
    except OSError as error:
        raise of_source(error) from None


def _copy_small(source: int, target: int, size: int, on_data: OnData) -> bool:
    """Copy up to ``size`` bytes, or if that is 0, up to the end of file."""
    # One byte more shows whether it has grown, in the same call.
    data = _read(source, size + 1 if size else _BUFFER)
    copied = 0
    while data:
        wanted = data[: size - copied] if size else data
        copied += len(wanted)
        if copied > _MOST_WITHOUT_SIZE:
            raise OSError(EFBIG, "a file without a size does not end")
        write_whole(target, wanted)
        on_data(len(wanted))
        if size and copied == size:
            return len(data) > len(wanted)
        # Shorter than its size, as in sysfs, or a part: only an empty read is the end.
        data = _read(source, size - copied + 1 if size else _BUFFER)
    return False


def _copy_ranges(source: int, target: int, size: int, sparse: bool, on_data: OnData) -> None:
    copier = _Copier(source, target, on_data)
    for start, stop in _data_ranges(source, size) if sparse else [(0, size)]:
        if copier.copy(start, stop) < stop:
            # It is shorter by now, or shorter than its size from the start.
            return
    if os.fstat(target).st_size < size <= _status(source).st_size:
        # It ends in a hole.
        os.ftruncate(target, size)


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
            hole = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == EINVAL and not stop:
                # Not on this file system, such as procfs.
                yield 0, size
                return
            if error.errno == ENXIO:
                # The rest is a hole, or the file was truncated between the two calls.
                return
            raise of_source(error) from None
        if start < stop or hole <= start:
            # A file system in user space (FUSE) answers what it likes, and could go on for ever.
            raise of_source(os_error(EIO))
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

    def _copy_some(self, position: int, count: int) -> int:
        while self._ways:
            try:
                copied = self._ways[0](position, count)
            except OSError:
                # Whatever it is: of read(2) and write(2) it is known whose error it is.
                copied = 0
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
        data = _read(self._source, count)
        rest = memoryview(data)
        while rest:
            rest = rest[os.pwrite(self._target, rest, position + len(data) - len(rest)) :]
        return len(data)
