"""One file as commands show it: type, owner, size, and where a link leads.

A file is looked at through an ``O_PATH`` descriptor, so listing opens no FIFO and no device.
Owners have the names that the container gives them.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from errno import ENOENT
from typing import Any, NamedTuple, Self, TypeAlias

from procpath import Root, RootedPath
from procpath.accounts import Accounts
from procpath.commands.output import Cell, Output
from procpath.commands.session import Address
from procpath.linux import Descriptor

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}
"""What each type of file is called, in JSON too."""

_DEVICES = (stat.S_IFCHR, stat.S_IFBLK)

OnError: TypeAlias = Callable[[OSError], None]
"""Reports an error."""


class Entry(NamedTuple):
    """A file as it was at one moment."""

    path: str
    """in-root path"""
    status: os.stat_result
    target: str | None
    """the text of a link, if it was asked for and could be read"""

    @classmethod
    def of(cls, path: RootedPath, on_error: OnError | None = None) -> Self:
        """Look at ``path``, at the link itself if it is one.

        ``on_error`` is called with the error if the text of the link cannot be read; without it the
        text is not read.
        """
        fd = path.root_handle.open(str(path), os.O_PATH | os.O_NOFOLLOW)
        return cls._held(fd, str(path), on_error)

    @classmethod
    def of_target(cls, path: RootedPath) -> Self:
        """Look at what ``path`` leads to."""
        return cls._held(path.root_handle.open(str(path), os.O_PATH), str(path), None)

    @classmethod
    def of_child(cls, directory: int, path: str, on_error: OnError | None = None) -> Self:
        """Look at the last name of ``path`` in a held directory, as :meth:`of` does."""
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(os.path.basename(path), flags, dir_fd=directory)
        except OSError as error:
            error.filename = path
            raise
        return cls._held(fd, path, on_error)

    @classmethod
    def _held(cls, fd: int, path: str, on_error: OnError | None) -> Self:
        with Descriptor(fd):
            status = os.fstat(fd)
            target = None
            if on_error is not None and stat.S_ISLNK(status.st_mode):
                try:
                    target = os.readlink("", dir_fd=fd)
                except OSError as error:
                    # ENOENT: a link of procfs without a text for us, such as `exe` of a kernel
                    # thread, or `self` in a PID namespace that we are not in (proc(5)).
                    if error.errno != ENOENT:
                        error.filename = path
                        on_error(error)
        return cls(path, status, target)

    @property
    def name(self) -> str:
        """The last component of the path, or ``/``."""
        return os.path.basename(self.path) or "/"

    @property
    def kind(self) -> str:
        """One of :data:`KINDS`, or ``unknown``: some kernel objects have no type."""
        return KINDS.get(stat.S_IFMT(self.status.st_mode), "unknown")

    @property
    def device(self) -> str | None:
        """``major:minor`` of a device file, or None."""
        if stat.S_IFMT(self.status.st_mode) not in _DEVICES:
            return None
        return device_number(self.status.st_rdev)

    @property
    def style(self) -> str:
        """How its name is printed, if there are colours."""
        mode = self.status.st_mode
        if stat.S_ISREG(mode):
            return "executable" if mode & 0o111 else ""
        return self.kind if stat.S_ISDIR(mode) or stat.S_ISLNK(mode) else "special"

    def cell(self, out: Output) -> Cell:
        """Return its name."""
        return Cell(out.name(self.name), self.style)

    def pointing(self, out: Output) -> str:
        """Return ``" -> "`` and the text of a link, or nothing."""
        return "" if self.target is None else f" -> {out.name(self.target)}"

    def record(self, address: Address, owners: Owners) -> dict[str, Any]:
        """Return it for JSON. Times are seconds since 1970; ``uid`` and ``gid`` count inside."""
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
        """Return the user that ``stat()`` shows us as ``uid``."""
        if uid not in self._users:
            name = _name(self._accounts.user_name, uid)
            self._users[uid] = Owner(name, self._accounts.uid_inside(uid), uid)
        return self._users[uid]

    def group(self, gid: int) -> Owner:
        """Return the group that ``stat()`` shows us as ``gid``."""
        if gid not in self._groups:
            name = _name(self._accounts.group_name, gid)
            self._groups[gid] = Owner(name, self._accounts.gid_inside(gid), gid)
        return self._groups[gid]


def _name(look_up: Callable[[int], str], number: int) -> str | None:
    try:
        return look_up(number)
    except (KeyError, OSError):
        # A container may have no accounts, or ones that cannot be read: a FIFO, say.
        return None


def permissions(status: os.stat_result) -> str:
    """Return the permission bits in octal, as chmod(1) takes them."""
    return f"{stat.S_IMODE(status.st_mode):04o}"


def device_number(device: int) -> str:
    """Return a device as ``major:minor``."""
    return f"{os.major(device)}:{os.minor(device)}"


def local_time(seconds: int, form: str) -> str:
    """Return a file's time in the local time zone, in a format of strftime(3).

    Any 64-bit time can be set. One that no calendar has is ``@SECONDS``, as date(1) takes it.
    """
    try:
        return time.strftime(form, time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"@{seconds}"
