"""One file as commands show it: what it is, whose, how large, where a link leads.

Promises that a file is only looked at, through an ``O_PATH`` descriptor: no FIFO, socket or
device is opened by being listed. Owners have the names that the container gives them.
"""

from __future__ import annotations

import os
import stat
import time
from typing import Any, Final, NamedTuple, Self

from procpath import Root, RootedPath
from procpath.accounts import Accounts
from procpath.commands.output import Cell, Output
from procpath.commands.session import Address

KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}
"""What each type of file is called, in JSON too."""

_DEVICES: Final = (stat.S_IFCHR, stat.S_IFBLK)


class Entry(NamedTuple):
    """A file as it was at one moment."""

    path: str
    """in-root path"""
    status: os.stat_result
    target: str | None
    """the text of a link"""

    @classmethod
    def of(cls, path: RootedPath) -> Self:
        """What ``path`` names: the link itself where it is one."""
        return cls._held(path, os.O_PATH | os.O_NOFOLLOW)

    @classmethod
    def of_target(cls, path: RootedPath) -> Self:
        """What ``path`` leads to, under the name of ``path``."""
        return cls._held(path, os.O_PATH)

    @classmethod
    def _held(cls, path: RootedPath, flags: int) -> Self:
        fd = path.root_handle.open(str(path), flags)
        try:
            status = os.fstat(fd)
            target = os.readlink("", dir_fd=fd) if stat.S_ISLNK(status.st_mode) else None
        finally:
            os.close(fd)
        return cls(str(path), status, target)

    @property
    def name(self) -> str:
        """The last component of the path; ``/`` of the root."""
        return os.path.basename(self.path) or "/"

    @property
    def kind(self) -> str:
        """One of :data:`KINDS`; ``unknown`` of what has no type, as some kernel objects."""
        return KINDS.get(stat.S_IFMT(self.status.st_mode), "unknown")

    @property
    def device(self) -> str | None:
        """Of a device file ``major:minor``, else None."""
        if stat.S_IFMT(self.status.st_mode) not in _DEVICES:
            return None
        return device_number(self.status.st_rdev)

    @property
    def style(self) -> str:
        """How its name is printed where there are colours."""
        mode = self.status.st_mode
        if stat.S_ISREG(mode):
            return "executable" if mode & 0o111 else ""
        return self.kind if stat.S_ISDIR(mode) or stat.S_ISLNK(mode) else "special"

    def cell(self, out: Output) -> Cell:
        """Its name."""
        return Cell(out.name(self.name), self.style)

    def pointing(self, out: Output) -> str:
        """Of a link ``" -> "`` and where it says it leads, else nothing."""
        return "" if self.target is None else f" -> {out.name(self.target)}"

    def record(self, address: Address, owners: Owners) -> dict[str, Any]:
        """For JSON. Times are seconds since 1970; ``uid`` and ``gid`` are numbers inside."""
        status = self.status
        user, group = owners.user(status.st_uid), owners.group(status.st_gid)
        return {
            "address": address.at(self.path),
            "path": self.path,
            "name": self.name,
            "type": self.kind,
            "mode": permissions(status),
            "links": status.st_nlink,
            "uid": user.inside,
            "gid": group.inside,
            "owner": user.name,
            "group": group.name,
            "host_uid": status.st_uid,
            "host_gid": status.st_gid,
            "size": status.st_size,
            "atime": status.st_atime,
            "mtime": status.st_mtime,
            "ctime": status.st_ctime,
            "inode": status.st_ino,
            "filesystem": device_number(status.st_dev),
            "device": self.device,
            "target": self.target,
        }


class Owner(NamedTuple):
    """A user or a group."""

    name: str | None
    """by the container's accounts"""
    inside: int
    """the number inside its user namespace"""
    outside: int
    """the number in ours"""

    def __str__(self) -> str:
        return str(self.inside) if self.name is None else self.name


class Owners:
    """The users and groups of one root, each looked up once."""

    def __init__(self, root: Root) -> None:
        self._accounts = Accounts(root)
        self._users: dict[int, Owner] = {}
        self._groups: dict[int, Owner] = {}

    def user(self, uid: int) -> Owner:
        """The user that ``stat()`` shows us as ``uid``."""
        if uid not in self._users:
            self._users[uid] = Owner(self._user_name(uid), self._accounts.uid_inside(uid), uid)
        return self._users[uid]

    def group(self, gid: int) -> Owner:
        """The group that ``stat()`` shows us as ``gid``."""
        if gid not in self._groups:
            self._groups[gid] = Owner(self._group_name(gid), self._accounts.gid_inside(gid), gid)
        return self._groups[gid]

    def _user_name(self, uid: int) -> str | None:
        try:
            return self._accounts.user_name(uid)
        # A container may have no accounts, or ones that cannot be read: a FIFO, say.
        except (KeyError, OSError):
            return None

    def _group_name(self, gid: int) -> str | None:
        try:
            return self._accounts.group_name(gid)
        except (KeyError, OSError):
            return None


def permissions(status: os.stat_result) -> str:
    """The permission bits in octal, as chmod(1) takes them."""
    return f"{stat.S_IMODE(status.st_mode):04o}"


def device_number(device: int) -> str:
    """``major:minor``."""
    return f"{os.major(device)}:{os.minor(device)}"


def local_time(nanoseconds: int, form: str) -> str:
    """A time of a file by the local clock, as strftime(3) writes ``form``.

    Who owns a file may set any time, years that no calendar has included: those are
    ``@SECONDS``, as date(1) takes them.
    """
    seconds = nanoseconds // 1_000_000_000
    try:
        return time.strftime(form, time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"@{seconds}"
