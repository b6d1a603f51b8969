"""File systems in user space that answer whatever a test wants.

The protocol is that of include/uapi/linux/fuse.h, version 7.31; see fuse(4).
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import threading
from pathlib import Path
from typing import ClassVar

from procpath import linux, uapi

_HEADER = struct.Struct("=IIQQIIII")
_ROOT = 1
_FILE = 2
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _STATFS, _RELEASE, _FLUSH, _INIT = (
    *(1, 2, 3, 14, 15, 17, 18, 25, 26),
)
_OPENDIR, _READDIR, _RELEASEDIR = 27, 28, 29
_DIRECT_IO = 1


class _FileSystem:
    """Mounted at ``place``, in a mount namespace that ends with the test's child."""

    def __init__(self, place: Path) -> None:
        self._fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._fd},rootmode=40000,user_id=0,group_id=0,allow_other"
        linux.mount(b"test", bytes(place), b"fuse.test", uapi.MS_NODEV, options.encode())
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._fd, (1 << 20) + (1 << 16))
            except OSError:
                return
            _, operation, unique, node, *_ = _HEADER.unpack_from(request)
            if operation == _FORGET:
                continue
            answer = self._answer(operation, node, request[_HEADER.size :])
            code, data = (-answer, b"") if isinstance(answer, int) else (0, answer)
            os.write(self._fd, struct.pack("=IiQ", 16 + len(data), code, unique) + data)

    def _answer(self, operation: int, node: int, body: bytes) -> bytes | int:
        if operation == _INIT:
            sizes = (7, 31, 1 << 17, 0, 16, 12, 1 << 20, 1, 256, 0, 0)
            return struct.pack("=IIIIHHIIHHI", *sizes).ljust(64, b"\0")
        if operation == _GETATTR:
            return bytes(16) + self._status(node)
        if operation == _STATFS:
            return bytes(80)
        return b"" if operation in (_RELEASE, _FLUSH, _RELEASEDIR) else errno.ENOSYS

    def _found(self, node: int) -> bytes:
        return struct.pack("=QQ24x", node, 0) + self._status(node)

    def _status(self, node: int) -> bytes:
        return _attributes(node, stat.S_IFDIR | 0o755, 0)


class OneFile(_FileSystem):
    """A file system with ``file``, which says that it has ``size`` bytes and gives ``content``."""

    def __init__(self, place: Path, size: int, content: bytes) -> None:
        self._size = size
        self._content = content
        super().__init__(place)

    def _answer(self, operation: int, node: int, body: bytes) -> bytes | int:
        if operation == _LOOKUP:
            return self._found(_FILE) if body == b"file\0" else errno.ENOENT
        if operation == _OPEN:
            return struct.pack("=QII", 1, _DIRECT_IO, 0)
        if operation == _READ:
            _, offset, size = struct.unpack_from("=QQI", body)
            return self._content[offset : offset + size]
        return super()._answer(operation, node, body)

    def _status(self, node: int) -> bytes:
        if node == _FILE:
            return _attributes(node, stat.S_IFREG | 0o644, self._size)
        return super()._status(node)


class Failing(_FileSystem):
    """A file system with ``file``, where an operation fails with the errno ``failed``."""

    OPERATIONS: ClassVar = {
        "look up": _LOOKUP,
        "stat": _GETATTR,
        "open": _OPEN,
        "read": _READ,
        "list": _READDIR,
    }

    def __init__(self, place: Path, operation: str, failed: int) -> None:
        self._failing = self.OPERATIONS[operation]
        self._failed = failed
        super().__init__(place)

    def _answer(self, operation: int, node: int, body: bytes) -> bytes | int:
        if operation == self._failing and (node == _FILE or operation != _GETATTR):
            return self._failed
        if operation == _LOOKUP:
            return self._found(_FILE) if body == b"file\0" else errno.ENOENT
        if operation == _OPEN:
            return struct.pack("=QII", 1, _DIRECT_IO, 0)
        if operation == _OPENDIR:
            return bytes(16)
        if operation == _READDIR:
            is_end = struct.unpack_from("=QQ", body)[1] > 0
            entry = struct.pack("=QQII", _FILE, 1, len(b"file"), stat.S_IFREG >> 12) + b"file"
            return b"" if is_end else entry + bytes(-len(entry) % 8)
        return super()._answer(operation, node, body)

    def _status(self, node: int) -> bytes:
        if node == _FILE:
            return _attributes(node, stat.S_IFREG | 0o644, 1000)
        return super()._status(node)


class Names(_FileSystem):
    """A file system whose directories list ``names``; each name leads to such a directory."""

    def __init__(self, place: Path, names: list[bytes]) -> None:
        self._names = names
        super().__init__(place)

    def _answer(self, operation: int, node: int, body: bytes) -> bytes | int:
        if operation == _LOOKUP:
            return self._found(_ROOT + 1) if body[:-1] in self._names else errno.ENOENT
        if operation == _OPENDIR:
            return bytes(16)
        if operation == _READDIR:
            offset = struct.unpack_from("=QQ", body)[1]
            listed = [self._entry(number) for number in range(offset, len(self._names))]
            return b"".join(listed)
        return super()._answer(operation, node, body)

    def _entry(self, number: int) -> bytes:
        name = self._names[number]
        kind = stat.S_IFDIR >> 12
        entry = struct.pack("=QQII", _ROOT + 1, number + 1, len(name), kind) + name
        return entry + bytes(-len(entry) % 8)


class Untyped(Names):
    """A file system that lists names without types; looking one up fails with its ``errno``.

    An ``errno`` of 0 is none: the name leads to such a directory. Of several, each is the answer
    once, and the last from then on.
    """

    def __init__(self, place: Path, errnos: dict[bytes, int | list[int]]) -> None:
        self._errnos = {
            name: [one] if isinstance(one, int) else one for name, one in errnos.items()
        }
        super().__init__(place, list(errnos))

    def _answer(self, operation: int, node: int, body: bytes) -> bytes | int:
        if operation == _LOOKUP and (errnos := self._errnos.get(body[:-1])):
            failed = errnos.pop(0) if len(errnos) > 1 else errnos[0]
            if failed:
                return failed
        return super()._answer(operation, node, body)

    def _entry(self, number: int) -> bytes:
        name = self._names[number]
        entry = struct.pack("=QQII", _ROOT + 1, number + 1, len(name), 0) + name
        return entry + bytes(-len(entry) % 8)


def _attributes(node: int, mode: int, size: int) -> bytes:
    return struct.pack("=6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
