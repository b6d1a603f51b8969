"""The system calls that name files: their numbers, the filter that stops them, their paths."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from errno import ENOSYS
from functools import cache

from procpath import uapi
from procpath.linux import StoppedCall

_MACHINE = os.uname().machine
_OUR_ARCH = uapi.AUDIT_ARCH[_MACHINE]

# Where the paths of a call are: "1" is a path in argument 1, "01" the directory of argument 0
# and the path of argument 1, "d0" the directory of argument 0 itself, "s1" a UNIX socket address,
# "m1" that of a message, "v1" those of as many messages as argument 2 says.
_NEWER = {  # the same number on every architecture
    "open_tree": (428, "01"),
    "move_mount": (429, "01 23"),
    "fspick": (433, "01"),
    "openat2": (437, "01"),
    "faccessat2": (439, "01"),
    "mount_setattr": (442, "01"),
    "fchmodat2": (452, "01"),
    "setxattrat": (463, "01"),
    "getxattrat": (464, "01"),
    "listxattrat": (465, "01"),
    "removexattrat": (466, "01"),
    "open_tree_attr": (467, "01"),
    "file_getattr": (468, "01"),
    "file_setattr": (469, "01"),
}
_CALLS = {
    "x86_64": {
        "open": (2, "0"),
        "stat": (4, "0"),
        "lstat": (6, "0"),
        "access": (21, "0"),
        "connect": (42, "s1"),
        "sendto": (44, "s4"),
        "sendmsg": (46, "m1"),
        "bind": (49, "s1"),
        "execve": (59, "0"),
        "truncate": (76, "0"),
        "getdents": (78, "d0"),
        "chdir": (80, "0"),
        "fchdir": (81, "d0"),
        "rename": (82, "0 1"),
        "mkdir": (83, "0"),
        "rmdir": (84, "0"),
        "creat": (85, "0"),
        "link": (86, "0 1"),
        "unlink": (87, "0"),
        "symlink": (88, "1"),
        "readlink": (89, "0"),
        "chmod": (90, "0"),
        "chown": (92, "0"),
        "lchown": (94, "0"),
        "utime": (132, "0"),
        "mknod": (133, "0"),
        "statfs": (137, "0"),
        "pivot_root": (155, "0 1"),
        "chroot": (161, "0"),
        "mount": (165, "0 1"),
        "umount2": (166, "0"),
        "setxattr": (188, "0"),
        "lsetxattr": (189, "0"),
        "getxattr": (191, "0"),
        "lgetxattr": (192, "0"),
        "listxattr": (194, "0"),
        "llistxattr": (195, "0"),
        "removexattr": (197, "0"),
        "lremovexattr": (198, "0"),
        "getdents64": (217, "d0"),
        "utimes": (235, "0"),
        "inotify_add_watch": (254, "1"),
        "openat": (257, "01"),
        "mkdirat": (258, "01"),
        "mknodat": (259, "01"),
        "fchownat": (260, "01"),
        "futimesat": (261, "01"),
        "newfstatat": (262, "01"),
        "unlinkat": (263, "01"),
        "renameat": (264, "01 23"),
        "linkat": (265, "01 23"),
        "symlinkat": (266, "12"),
        "readlinkat": (267, "01"),
        "fchmodat": (268, "01"),
        "faccessat": (269, "01"),
        "utimensat": (280, "01"),
        "fanotify_mark": (301, "34"),
        "name_to_handle_at": (303, "01"),
        "sendmmsg": (307, "v1"),
        "renameat2": (316, "01 23"),
        "execveat": (322, "01"),
        "statx": (332, "01"),
    },
    "aarch64": {
        "setxattr": (5, "0"),
        "lsetxattr": (6, "0"),
        "getxattr": (8, "0"),
        "lgetxattr": (9, "0"),
        "listxattr": (11, "0"),
        "llistxattr": (12, "0"),
        "removexattr": (14, "0"),
        "lremovexattr": (15, "0"),
        "inotify_add_watch": (27, "1"),
        "mknodat": (33, "01"),
        "mkdirat": (34, "01"),
        "unlinkat": (35, "01"),
        "symlinkat": (36, "12"),
        "linkat": (37, "01 23"),
        "renameat": (38, "01 23"),
        "umount2": (39, "0"),
        "mount": (40, "0 1"),
        "pivot_root": (41, "0 1"),
        "statfs": (43, "0"),
        "truncate": (45, "0"),
        "faccessat": (48, "01"),
        "chdir": (49, "0"),
        "fchdir": (50, "d0"),
        "chroot": (51, "0"),
        "fchmodat": (53, "01"),
        "fchownat": (54, "01"),
        "openat": (56, "01"),
        "getdents64": (61, "d0"),
        "readlinkat": (78, "01"),
        "newfstatat": (79, "01"),
        "utimensat": (88, "01"),
        "bind": (200, "s1"),
        "execve": (221, "0"),
        "connect": (203, "s1"),
        "sendto": (206, "s4"),
        "sendmsg": (211, "m1"),
        "fanotify_mark": (263, "34"),
        "name_to_handle_at": (264, "01"),
        "sendmmsg": (269, "v1"),
        "renameat2": (276, "01 23"),
        "execveat": (281, "01"),
        "statx": (291, "01"),
    },
}
_NAMES = {
    number: (name, where.split())
    for name, (number, where) in {**_CALLS[_MACHINE], **_NEWER}.items()
}
_IO_URING_SETUP = 425
_X32_BIT = 0x40000000  # of a call by the x32 ABI, which has the arch of x86-64

_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCH, _SENDMSG_FLAGS = 0, 4, 32  # offsets in struct seccomp_data

HANDOVER_FLAGS = 0x4000 | 0x200 | 0x400 | 0x1000
"""Flags of the one sendmsg(2) that is not stopped: it hands over the listener, so nobody can answer
yet. MSG_NOSIGNAL with MSG_FIN, MSG_SYN and MSG_RST, which only the kernel uses, and not for UNIX
sockets: no program passes them."""

PATH_MAX = 4096


@cache
def stopping_filter() -> bytes:
    """Return the seccomp filter that stops each call that names a file.

    Calls of 32-bit programs are stopped too, whatever they are: they have other numbers.
    io_uring fails with ENOSYS, because what it does is not a system call to be stopped.
    """
    stop = (_RETURN, 0, 0, uapi.SECCOMP_RET_USER_NOTIF)
    code = [(_LOAD, 0, 0, _ARCH), (_JUMP_IF_EQUAL, 1, 0, _OUR_ARCH), stop]
    code += [(_LOAD, 0, 0, _NUMBER), (_JUMP_IF_SET, 0, 1, _X32_BIT), stop]
    code += [(_JUMP_IF_EQUAL, 0, 1, _IO_URING_SETUP)]
    code += [(_RETURN, 0, 0, uapi.SECCOMP_RET_ERRNO | ENOSYS)]
    allow = (_RETURN, 0, 0, uapi.SECCOMP_RET_ALLOW)
    sendmsg = _CALLS[_MACHINE]["sendmsg"][0]
    for number in _NAMES:
        if number != sendmsg:
            code += [(_JUMP_IF_EQUAL, 0, 1, number), stop]
    code += [(_JUMP_IF_EQUAL, 1, 0, sendmsg), allow]
    code += [(_LOAD, 0, 0, _SENDMSG_FLAGS), (_JUMP_IF_EQUAL, 0, 1, HANDOVER_FLAGS), allow, stop]
    return b"".join(struct.pack("=HBBI", *line) for line in code)


def is_32_bit(stopped: StoppedCall) -> bool:
    """Whether the call was made by a program that is not of this machine's 64-bit kind."""
    return stopped.arch != _OUR_ARCH or bool(stopped.number & _X32_BIT)


@dataclass(frozen=True)
class Call:
    """A system call of the victim: its name, and the paths that it got.

    A path that starts in a directory is shown behind that, as ``{root}/a : b``; ``{root}`` is
    the tree, ``{outside}`` what is around it.
    """

    name: str
    paths: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.paths)})"


class CallReader:
    """Reads what a stopped call is about, and whether it is about a tree or its surroundings."""

    def __init__(self, base: str, directory: str) -> None:
        self._base = base
        self._directory = directory

    def read(self, stopped: StoppedCall) -> Call | None:
        """Return the call, or None if no path of it is in the base directory.

        Raises OSError if the memory of the process cannot be read. The answer is good only if
        the call is still stopped afterwards.
        """
        name, places = _NAMES[stopped.number]
        counts = False
        paths = []
        for directory, path in _arguments(stopped, places):
            # Nothing is looked up: no path at all, or the descriptor itself is meant.
            if (not path and directory is None) or (path == "" and directory != uapi.AT_FDCWD):
                continue
            start, full = self._full_path(stopped.tid, directory, path)
            # By its text, and where that leads: `{root}/../..` starts inside, `../tmp/x` ends so.
            counts = counts or self._is_inside(full) or self._is_inside(os.path.normpath(full))
            paths.append(self._shown(start, path, full))
        return Call(name, tuple(paths)) if counts else None

    def _full_path(
        self, tid: int, directory: int | None, path: str | None
    ) -> tuple[str | None, str]:
        """Return where a path starts, None for the root, and where it leads by its text."""
        if path is not None and path.startswith("/"):
            root = os.readlink(f"/proc/{tid}/root").rstrip("/")
            return None, _through_magic_link(tid, path) or root + path
        if directory is None or directory == uapi.AT_FDCWD:
            start = _link(tid, "cwd")
        else:
            start = _link(tid, f"fd/{directory}")
        if path is None:
            return start, start
        if _FD_DIRECTORY.search(start) and path.split("/")[0].isdigit():
            # The magic link of a descriptor: it leads to what the descriptor holds.
            number, slash, rest = path.partition("/")
            return start, _link(tid, f"fd/{number}") + slash + rest
        full = os.path.join(start, path)
        return start, _through_magic_link(tid, full) or full

    def _is_inside(self, path: str) -> bool:
        return path == self._base or path.startswith(self._base + "/")

    def _shown(self, start: str | None, path: str | None, full: str) -> str:
        if path is None:
            return self._short(full)
        if start is not None and _FD_DIRECTORY.search(start):
            return f"/proc/self/fd/{path} = {self._short(full)}"
        return self._short(path) if start is None else f"{self._short(start)} : {path}"

    def _short(self, path: str) -> str:
        for prefix, name in ((self._directory, "{root}"), (self._base, "{outside}")):
            if path == prefix or path.startswith(prefix + "/"):
                return name + path[len(prefix) :]
        return path


_MAGIC_LINK = re.compile(
    r"(?:/proc/(?:self|thread-self|(?P<pid>\d+))(?:/task/\d+)?/(?P<link>cwd|root|fd/\d+)"
    r"|/dev/(?P<device_fd>fd/\d+))(?P<rest>/.*)?",
    re.DOTALL,
)
# Of a procfs that is mounted, or of a private one: /proc/7/fd, /7/task/7/fd.
_FD_DIRECTORY = re.compile(r"(?:^|/)\d+/fd$")


def _through_magic_link(tid: int, path: str) -> str | None:
    """Return where a path leads that begins with a magic link; None if it does not."""
    found = _MAGIC_LINK.fullmatch(path)
    if found is None:
        return None
    link, rest = found["link"] or found["device_fd"], found["rest"] or ""
    if found["pid"] is None or link.startswith("fd/"):
        # A descriptor is looked up in the thread itself: its procfs may have other PIDs.
        return _link(tid, link).rstrip("/") + rest
    try:
        return _link(int(found["pid"]), link).rstrip("/") + rest
    except PermissionError:
        return None  # of a process that is not the victim's to look into either


def _link(tid: int, name: str) -> str:
    """Return the target of a magic link of the thread; "" where the victim has no such."""
    try:
        return os.readlink(f"/proc/{tid}/{name}")
    except FileNotFoundError:
        return ""


def _arguments(stopped: StoppedCall, places: list[str]) -> Iterator[tuple[int | None, str | None]]:
    """Return each directory and path that the call got; None for what it has not."""
    tid, arguments = stopped.tid, stopped.arguments
    for kind, last in ((place[0], int(place[-1])) for place in places):
        address = arguments[last]
        if kind == "d":
            yield _int(address), None
        elif kind == "s":
            yield None, _unix_path(tid, address, arguments[last + 1])
        elif kind == "m":
            yield None, _path_of_message(tid, address)
        elif kind == "v":
            for number in range(min(arguments[2], _MOST_MESSAGES)):
                yield None, _path_of_message(tid, address + number * _SIZE_OF_MESSAGE)
        else:
            directory = None if int(kind) == last else _int(arguments[int(kind)])
            yield directory, _text(tid, address) if address else None


def _int(register: int) -> int:
    """Return a C int that was passed in a register."""
    low: int = struct.unpack("=i", struct.pack("=I", register & 0xFFFFFFFF))[0]
    return low


def _text(tid: int, address: int) -> str:
    return os.fsdecode(_memory(tid, address, PATH_MAX).partition(b"\0")[0])


_MOST_MESSAGES = 1024  # of one sendmmsg(2): UIO_MAXIOV
_SIZE_OF_MESSAGE = 64  # of struct mmsghdr on a 64-bit machine


def _path_of_message(tid: int, address: int) -> str:
    data = _memory(tid, address, 12)  # msg_name and msg_namelen of struct msghdr
    return _unix_path(tid, *struct.unpack("=QI", data)) if len(data) == 12 else ""


def _unix_path(tid: int, address: int, length: int) -> str:
    data = _memory(tid, address, min(length, 110))
    is_path = data[:2] == struct.pack("=H", 1) and data[2:3] != b"\0"  # AF_UNIX, not abstract
    return os.fsdecode(data[2:].partition(b"\0")[0]) if is_path else ""


def _memory(tid: int, address: int, size: int) -> bytes:
    """Read the memory of the victim, as far as it is mapped."""
    memory = os.open(f"/proc/{tid}/mem", os.O_RDONLY)
    try:
        return os.pread(memory, size, address)
    except (OSError, OverflowError):
        # EIO: a bad pointer. The call itself fails with EFAULT.
        return b""
    finally:
        os.close(memory)
