"""Names of owners as a process inside the root would see them.

The names are those of the root's own passwd(5) and group(5), for IDs as the root's user
namespace numbers them (user_namespaces(7)). A hostile file can only give wrong names for its
own root: it has to be a regular file of at most 4 MiB, and names and homes have the lengths
that Linux allows.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable
from errno import EFBIG, EINVAL
from functools import cached_property
from typing import NamedTuple
from weakref import WeakKeyDictionary

from procpath.errors import about, os_error
from procpath.proc import IdMapping
from procpath.resolve.reopen import reopen
from procpath.resolve.special import kernel_file_system
from procpath.root import Root

_OVERFLOW_ID = 65534
"""What the kernel shows for an owner that the user namespace does not map (proc_sys_kernel(5))."""

_TOO_LARGE = 4 << 20
"""Bytes of an account file; a larger one is an attack."""

_SETTLED_NS = 2_000_000_000
"""A file that was last changed less than this ago can change again without a new time: file
systems keep times in steps of up to 2 seconds.
"""

# A line with a name of at most LOGIN_NAME_MAX and, in its third field, an ID of 32 bits:
# int() of thousands of digits would be an error of its own.
_NAME_AND_ID = rb"^(?!#)([^:\n]{1,255}):[^:\n]*:([0-9]{1,10})(?=[:\n]|\Z)"
_ACCOUNT = re.compile(_NAME_AND_ID, re.MULTILINE)
_NAME = rb"^(?!#)([^:\n]{1,255}):[^:\n]*:0{0,%d}%d(?=[:\n]|\Z)"
"""The same for one ID: how many zeros may be before it, and the ID."""

_SEARCHES = 6
"""How often one ID is searched for before the table of all is made, which takes as long.

A container that changes its file again and again makes no tables: of 4 MiB, one takes 0.2 s.
"""

# The home, of less than PATH_MAX, is the sixth field.
_USER = re.compile(_NAME_AND_ID + rb":[^:\n]*:[^:\n]*:([^:\n]{0,4095})(?=[:\n]|\Z)", re.MULTILINE)


def id_inside(outside: int, maps: tuple[IdMapping, ...]) -> int:
    """Return the UID or GID by which a user namespace with these ``maps`` knows ``outside``."""
    for inside, start, count in maps:
        if start <= outside < start + count:
            return inside + outside - start
    return _OVERFLOW_ID


class Accounts:
    """The accounts of one root. The files are read when first asked for, and then kept."""

    def __init__(self, root: Root) -> None:
        self._root = root

    @cached_property
    def _users(self) -> _AccountFile:
        return _account_file(self._root, b"/etc/passwd")

    @cached_property
    def _groups(self) -> _AccountFile:
        return _account_file(self._root, b"/etc/group")

    def user_name(self, uid: int) -> str:
        """Return the name inside of the owner that ``stat()`` shows us as ``uid``.

        Raises ``KeyError`` if it has none; ``OSError`` where ``/etc/passwd`` cannot be read.
        """
        inside = self.uid_inside(uid)
        try:
            return self._users.name(inside)
        except KeyError:
            raise KeyError(f"uid not found in {self._root.origin}: {inside}") from None

    def group_name(self, gid: int) -> str:
        """Return the name inside of the group that ``stat()`` shows us as ``gid``.

        Raises ``KeyError`` if it has none; ``OSError`` where ``/etc/group`` cannot be read.
        """
        inside = self.gid_inside(gid)
        try:
            return self._groups.name(inside)
        except KeyError:
            raise KeyError(f"gid not found in {self._root.origin}: {inside}") from None

    def home_of_user(self, name: str) -> str | None:
        """Return the home directory of ``name``, or None."""
        return self._users.home(lambda user, _: user == os.fsencode(name))

    def own_home(self) -> str | None:
        """Return the home of the root's process, or of our own user where the root has none."""
        namespace = self._root.user_namespace
        inside = self.uid_inside(os.getuid() if namespace is None else namespace.uid)
        return self._users.home(lambda _, uid: uid == inside)

    def uid_inside(self, uid: int) -> int:
        """Return ``uid`` as the root's user namespace numbers it."""
        namespace = self._root.user_namespace
        return uid if namespace is None else id_inside(uid, namespace.uid_map)

    def gid_inside(self, gid: int) -> int:
        """Return ``gid`` as the root's user namespace numbers it."""
        namespace = self._root.user_namespace
        return gid if namespace is None else id_inside(gid, namespace.gid_map)


class _AccountFile:
    """The content of a passwd(5) or group(5) file. Of several lines the first counts."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._searches = 0

    def name(self, number: int) -> str:
        """Return the name of a UID or GID. Raises ``KeyError`` if it has none."""
        if self._searches == _SEARCHES:
            return self._names[number]
        self._searches += 1
        pattern = _NAME % (10 - len(str(number)), number)
        found = re.search(pattern, self.data, re.MULTILINE)
        if found is None:
            raise KeyError(number)
        return os.fsdecode(found[1])

    @cached_property
    def _names(self) -> dict[int, str]:
        names: dict[int, str] = {}
        for line in _ACCOUNT.finditer(self.data):
            names.setdefault(int(line[2]), os.fsdecode(line[1]))
        return names

    def home(self, is_wanted: Callable[[bytes, int], bool]) -> str | None:
        """Return the home of the first user whose name and UID ``is_wanted``."""
        for line in _USER.finditer(self.data):
            if is_wanted(line[1], int(line[2])):
                return os.fsdecode(line[3])
        return None


class _Version(NamedTuple):
    """What differs between two files, and between a file before and after a change."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int


# Without a lock, which a signal handler would wait for that interrupts its holder, and a child of
# fork() for ever. Each use of it is atomic.
_kept: WeakKeyDictionary[Root, dict[bytes, tuple[_Version | None, _AccountFile]]] = (
    WeakKeyDictionary()
)


def _account_file(root: Root, path: bytes) -> _AccountFile:
    """Read an account file, unless it is the one that was read before."""
    try:
        found = root.find(path)
    except FileNotFoundError:
        return _AccountFile(b"")
    with found as fd:
        try:
            version = _version(fd)
            known, kept = _kept.get(root, {}).get(path, (None, None))
            if kept is not None and known == version:
                return kept
            now = time.time_ns()
            with reopen(fd, os.O_RDONLY) as number, open(number, "rb", closefd=False) as file:
                # No more than it says that it has: files of procfs and tracefs say that
                # they are empty, and may block when they are read.
                data = file.read(version.size)
            is_settled = version == _version(fd) and version.ctime_ns < now - _SETTLED_NS
        except OSError as error:
            raise about(error, path, root.note) from None
        # Touched again and again, a file is read each time, but not parsed.
        account_file = kept if kept is not None and kept.data == data else _AccountFile(data)
        _kept.setdefault(root, {})[path] = version if is_settled else None, account_file
        return account_file


def _version(fd: int) -> _Version:
    status = os.fstat(fd)
    if kernel_file_system(fd, status) is not None:
        # Opening a file of tracefs already has effects.
        raise os_error(EINVAL)
    if not stat.S_ISREG(status.st_mode):
        raise os_error(EINVAL)
    if status.st_size > _TOO_LARGE:
        raise os_error(EFBIG)
    return _Version(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )
