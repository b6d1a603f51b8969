"""Names of owners as a process inside the root would see them.

Promises the container's own ``passwd`` and ``group``, read inside the root, and numbers
as its user namespace numbers them. A hostile ``/etc/passwd`` gets nothing but a wrong name
in its own container: only a regular file is read, and not without end. Rests on
:class:`procpath.Root`, passwd(5), group(5) and user_namespaces(7).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from errno import EFBIG, EINVAL
from functools import cached_property

from procpath.errors import os_error
from procpath.proc import IdMapping
from procpath.resolve.reopen import open_checked_first
from procpath.root import Root

_OVERFLOW_ID = 65534
"""What the kernel shows for an owner that the user namespace does not map (proc_sys_kernel(5))."""

_TOO_LARGE = 4 << 20
"""Bytes of an account file; a larger one is an attack."""


def id_inside(outside: int, maps: tuple[IdMapping, ...]) -> int:
    """The UID or GID by which a user namespace with these ``maps`` knows ``outside``."""
    for inside, start, count in maps:
        if start <= outside < start + count:
            return inside + outside - start
    return _OVERFLOW_ID


class Accounts:
    """The accounts of one root. The files are read when first asked for, and then kept."""

    def __init__(self, root: Root) -> None:
        self._root = root

    @cached_property
    def _users(self) -> dict[int, str]:
        """Names by UID, from ``/etc/passwd``; the first line of a UID counts."""
        return _names_by_id(_lines(self._root, b"/etc/passwd"))

    @cached_property
    def _groups(self) -> dict[int, str]:
        """Names by GID, from ``/etc/group``; the first line of a GID counts."""
        return _names_by_id(_lines(self._root, b"/etc/group"))

    def user_name(self, uid: int) -> str:
        """The name inside of the owner that ``stat()`` shows us as ``uid``.

        ``KeyError`` if it has none; ``OSError`` where ``/etc/passwd`` cannot be read.
        """
        inside = self.uid_inside(uid)
        try:
            return self._users[inside]
        except KeyError:
            raise KeyError(f"uid not found in {self._root.origin}: {inside}") from None

    def group_name(self, gid: int) -> str:
        """The name inside of the group that ``stat()`` shows us as ``gid``.

        ``KeyError`` if it has none; ``OSError`` where ``/etc/group`` cannot be read.
        """
        inside = self.gid_inside(gid)
        try:
            return self._groups[inside]
        except KeyError:
            raise KeyError(f"gid not found in {self._root.origin}: {inside}") from None

    def home_of_user(self, name: str) -> str | None:
        """The home directory of ``name``, or None."""
        return next(
            (fields[5] for fields in self._passwd() if fields[0] == name and len(fields) > 5), None
        )

    def own_home(self) -> str | None:
        """The home of the root's process, or of our own user where the root has none."""
        namespace = self._root.user_namespace
        inside = self.uid_inside(os.getuid() if namespace is None else namespace.uid)
        return next(
            (fields[5] for fields in self._passwd() if _id(fields) == inside and len(fields) > 5),
            None,
        )

    def _passwd(self) -> Iterator[list[str]]:
        return _lines(self._root, b"/etc/passwd")

    def uid_inside(self, uid: int) -> int:
        """``uid`` as the root's user namespace numbers it."""
        namespace = self._root.user_namespace
        return uid if namespace is None else id_inside(uid, namespace.uid_map)

    def gid_inside(self, gid: int) -> int:
        """``gid`` as the root's user namespace numbers it."""
        namespace = self._root.user_namespace
        return gid if namespace is None else id_inside(gid, namespace.gid_map)


def _names_by_id(lines: Iterator[list[str]]) -> dict[int, str]:
    names: dict[int, str] = {}
    for fields in lines:
        number = _id(fields)
        if number is not None:
            names.setdefault(number, fields[0])
    return names


def _id(fields: list[str]) -> int | None:
    """The UID or GID of a line, which is its third field; None where it is none."""
    text = fields[2] if len(fields) > 2 else ""
    # 32 bits; int() of thousands of digits is an error of its own.
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else None


def _lines(root: Root, path: bytes) -> Iterator[list[str]]:
    """The fields of each line of an account file; of none where there is no such file."""
    try:
        data = _read(root, path)
    except FileNotFoundError:
        return
    for line in data.split(b"\n"):
        if line and not line.startswith(b"#"):
            yield line.decode("utf-8", "surrogateescape").split(":")


def _read(root: Root, path: bytes) -> bytes:
    fd = open_checked_first(root.resolver, path, os.O_RDONLY, 0, _require_regular)
    with open(fd.detach(), "rb") as file:
        # Files of procfs and tracefs say that they are empty and may block when read.
        return file.read(min(os.fstat(file.fileno()).st_size, _TOO_LARGE))


def _require_regular(fd: int) -> None:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise os_error(EINVAL)
    if status.st_size > _TOO_LARGE:
        raise os_error(EFBIG)
