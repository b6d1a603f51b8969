"""A file system in user space whose directories list whatever a test wants (fuse(4))."""

from __future__ import annotations

import os
import stat
import struct
import threading
from errno import ENODEV, ENOENT, ENOSYS
from pathlib import Path

from procpath import linux

_TOP = 1
_HEADER = struct.Struct("=IIQQIIII")
# include/uapi/linux/fuse.h
_LOOKUP, _FORGET, _GETATTR, _OPEN, _INIT, _OPENDIR, _READDIR = 1, 2, 3, 14, 26, 27, 28
_DONE = frozenset((18, 25, 29, 30))
"""release, flush, releasedir, fsyncdir: nothing to do"""


class ListingFs:
    """A mounted directory that lists ``names``; each that can be looked up is a directory, which
    lists the same. For a private mount namespace.
    """

    def __init__(self, mount_point: Path, names: list[bytes]) -> None:
        self._names = names
        self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._fd},rootmode=40000,user_id=0,group_id=0"
        linux.mount(b"listing", os.fsencode(mount_point), b"fuse", 0, options.encode())
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._fd, 1 << 17)
            except OSError as error:
                if error.errno == ENODEV:
                    return
                continue
            _, operation, unique, *_ = _HEADER.unpack_from(request)
            if operation == _FORGET:
                continue
            error, answer = self._answer(operation, request[_HEADER.size :])
            os.write(self._fd, struct.pack("=IiQ", 16 + len(answer), -error, unique) + answer)

    def _answer(self, operation: int, body: bytes) -> tuple[int, bytes]:
        if operation == _INIT:
            return 0, struct.pack("=IIIIHHIIHH", 7, 31, 1 << 17, 0, 16, 12, 1 << 16, 1, 0, 0).ljust(
                64, b"\0"
            )
        if operation == _LOOKUP:
            if body.rstrip(b"\0") not in self._names:
                return ENOENT, b""
            return 0, struct.pack("=QQQQII", _TOP + 1, 0, 0, 0, 0, 0) + _attributes(_TOP + 1)
        if operation == _GETATTR:
            return 0, struct.pack("=QII", 0, 0, 0) + _attributes(_TOP)
        if operation in (_OPEN, _OPENDIR):
            return 0, struct.pack("=QII", 0, 0, 0)
        if operation == _READDIR:
            offset = struct.unpack_from("=QQ", body)[1]
            entries = [_entry(number, name) for number, name in enumerate(self._names, 1)]
            return 0, b"".join(entries[offset:])
        return (0, b"") if operation in _DONE else (ENOSYS, b"")


def _attributes(inode: int) -> bytes:
    mode = stat.S_IFDIR | 0o755
    return struct.pack("=6Q10I", inode, 0, 0, 0, 0, 0, 0, 0, 0, mode, 2, 0, 0, 0, 4096, 0)


def _entry(number: int, name: bytes) -> bytes:
    directory = stat.S_IFDIR >> 12
    entry = struct.pack("=QQII", _TOP + 1, number, len(name), directory) + name
    return entry + bytes(-len(entry) % 8)
