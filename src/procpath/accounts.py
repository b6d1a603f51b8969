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
from typing import NamedTuple

from procpath.errors import os_error
from procpath.proc import IdMapping
from procpath.resolve.reopen import open_checked_first
from procpath.root import Root

_OVERFLOW_ID = 65534
"""What the kernel shows for an owner that the user namespace does not map (proc_sys_kernel(5))."""

_TOO_LARGE = 64 << 20


class User(NamedTuple):
    """What this library asks of a line of passwd(5)."""

    name: str
    uid: int
    home: str


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
    def users(self) -> tuple[User, ...]:
        """Every well-formed line of ``/etc/passwd``; ``OSError`` where it cannot be read."""
        return tuple(_users(self._root))

    @cached_property
    def groups(self) -> dict[int, str]:
        """Names by GID, from ``/etc/group``; the first line of a GID counts."""
        names: dict[int, str] = {}
        for name, _, gid, *_ in _lines(self._root, b"/etc/group", 3):
            if gid.isdecimal():
                names.setdefault(int(gid), name)
        return names

    def user_name(self, uid: int) -> str:
        """The name inside of the owner that ``stat()`` shows us as ``uid``.

        ``KeyError`` if it has none.
        """
        return self._user(self.uid_inside(uid)).name

    def group_name(self, gid: int) -> str:
        """The name inside of the group that ``stat()`` shows us as ``gid``.

        ``KeyError`` if it has none.
        """
        inside = self.gid_inside(gid)
        try:
            return self.groups[inside]
        except (KeyError, FileNotFoundError):
            raise KeyError(f"gid not found in {self._root.origin}: {inside}") from None

    def home_of_user(self, name: str) -> str | None:
        """The home directory of ``name``, or None."""
        return next((user.home for user in self._known_users() if user.name == name), None)

    def own_home(self) -> str | None:
        """The home directory of the root's process, or of our own user where the root has none."""
        namespace = self._root.user_namespace
        uid = os.getuid() if namespace is None else namespace.uid
        inside = self.uid_inside(uid)
        return next((user.home for user in self._known_users() if user.uid == inside), None)

    def uid_inside(self, uid: int) -> int:
        """``uid`` as the root's user namespace numbers it."""
        namespace = self._root.user_namespace
        return uid if namespace is None else id_inside(uid, namespace.uid_map)

    def gid_inside(self, gid: int) -> int:
        """``gid`` as the root's user namespace numbers it."""
        namespace = self._root.user_namespace
        return gid if namespace is None else id_inside(gid, namespace.gid_map)

    def _known_users(self) -> tuple[User, ...]:
        try:
            return self.users
        except FileNotFoundError:
            return ()

    def _user(self, uid: int) -> User:
        for user in self._known_users():
            if user.uid == uid:
                return user
        raise KeyError(f"uid not found in {self._root.origin}: {uid}")


def _users(root: Root) -> Iterator[User]:
    for name, _, uid, _, _, home, *_ in _lines(root, b"/etc/passwd", 6):
        if uid.isdecimal():
            yield User(name, int(uid), home)


def _lines(root: Root, path: bytes, fields: int) -> Iterator[list[str]]:
    """The lines of an account file that have at least as many ``fields``, split."""
    for line in _read(root, path).splitlines():
        parts = line.split(":")
        if len(parts) >= fields and not line.startswith("#"):
            yield parts


def _read(root: Root, path: bytes) -> str:
    fd = open_checked_first(root.resolver, path, os.O_RDONLY, 0, _require_regular)
    with open(fd, "rb") as file:
        data = file.read(_TOO_LARGE + 1)
    if len(data) > _TOO_LARGE:
        raise os_error(EFBIG, path)
    return data.decode("utf-8", "surrogateescape")


def _require_regular(fd: int) -> None:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise os_error(EINVAL)
