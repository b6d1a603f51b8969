"""Mounts over entries of a procfs, as somebody makes them who wants its reader deceived.

Each function of :data:`ATTACKS` is called in a process that has a mount namespace of its own,
and mounts something over one entry of its ``/proc``. Beside it stands the question whose
answer it falsifies. Uses mount(2) and, for links, move_mount(2).
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from procpath import linux, uapi
from procpath.proc import VerifiedProc

LIE: Final = "Name:\tliar\nPid:\t4711\n"
"""what the attackers' files say"""


def bind(source: str, target: str) -> None:
    """Bind-mount ``source`` over ``target``; both are followed to their ends."""
    linux.mount(source.encode(), target.encode(), None, uapi.MS_BIND)


def mount_over_link(source: str, target: str) -> None:
    """Mount ``source`` over the link ``target`` itself, which mount(2) would follow."""
    flags = uapi.OPEN_TREE_CLONE | uapi.AT_SYMLINK_NOFOLLOW
    with linux.open_tree(uapi.AT_FDCWD, source.encode(), flags) as fd:
        linux.move_mount(fd, uapi.AT_FDCWD, target.encode())


def own(name: str) -> str:
    """The host path of an entry of this process's directory; of descriptors, of this thread's."""
    thread = f"task/{threading.get_native_id()}/" if name in ("fd", "fdinfo", "fd/") else ""
    return f"/proc/{os.getpid()}/{thread}{name}"


def lying_file() -> str:
    """A regular file that says :data:`LIE`."""
    fd, path = tempfile.mkstemp()
    with open(fd, "w") as file:
        file.write(LIE)
    return path


def lying_link() -> str:
    """A link to a lying file."""
    path = os.path.join(tempfile.mkdtemp(), "link")
    os.symlink(lying_file(), path)
    return path


def lying_directory() -> str:
    """A directory that looks somewhat like a process's, and contains only lies."""
    path = tempfile.mkdtemp()
    for name in ("status", "maps", "stat"):
        os.rename(lying_file(), os.path.join(path, name))
    for name in ("fd", "fdinfo"):
        os.mkdir(os.path.join(path, name))
        for number in range(10):
            os.rename(lying_file(), os.path.join(path, name, str(number)))
    return path


def lying_proc() -> str:
    """A directory with :func:`lying_directory` for this process in it."""
    path = tempfile.mkdtemp()
    os.rename(lying_directory(), os.path.join(path, str(os.getpid())))
    os.symlink(str(os.getpid()), os.path.join(path, "self"))
    return path


def fifo() -> str:
    """A FIFO, whose reader waits for ever."""
    path = os.path.join(tempfile.mkdtemp(), "fifo")
    os.mkfifo(path)
    return path


def unix_socket() -> str:
    """A listening UNIX socket's file."""
    path = os.path.join(tempfile.mkdtemp(), "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
    return path


def mount_tmpfs(target: str) -> None:
    linux.mount(b"tmpfs", target.encode(), b"tmpfs")


def mount_proc(target: str) -> None:
    linux.mount(b"proc", target.encode(), b"proc")


Ask = Callable[[VerifiedProc], object]


def ask_status(proc: VerifiedProc) -> int:
    with proc.self_status() as status:
        return next(int(line.split()[1]) for line in status if line.startswith(b"Pid:"))


def ask_maps(proc: VerifiedProc) -> bool:
    with proc.self_maps() as maps:
        return b"[stack]" in maps.read()


def ask_pagemap(proc: VerifiedProc) -> int:
    with proc.self_pagemap() as pagemap:
        return len(pagemap.read(8))


def ask_fdinfo(proc: VerifiedProc) -> bytes:
    with open(__file__, "rb") as file, proc.self_fdinfo(file.fileno()) as fdinfo:
        file.seek(17)
        return fdinfo.readline()


def ask_fd(proc: VerifiedProc) -> str:
    with open(__file__, "rb") as file:
        return proc.self_fd().readlink(file.fileno())


def ask_reopened(proc: VerifiedProc) -> bytes:
    held = os.open(__file__, os.O_PATH | os.O_CLOEXEC)
    try:
        reopened = proc.self_fd().reopen(held, os.O_RDONLY)
    finally:
        os.close(held)
    with open(reopened, "rb") as file:
        return file.readline()


def ask_stat(proc: VerifiedProc) -> bool:
    with proc.process(os.getpid()) as process:
        return process.start_time > 0


def ask_number(proc: VerifiedProc) -> int:
    with proc.process() as process:
        return process.pid


def ask_self(proc: VerifiedProc) -> str:
    return proc.readlink("self")


def ask_numbered_status(proc: VerifiedProc) -> bool:
    with proc.process(os.getpid()) as process:
        return f"\nPid:\t{os.getpid()}\n" in process.read_text("status")


def ask_exe(proc: VerifiedProc) -> str:
    with proc.process(os.getpid()) as process:
        return process.readlink("exe")


def ask_root(proc: VerifiedProc) -> tuple[int, int]:
    with proc.process(os.getpid()) as process:
        fd = process.open_link("root", os.O_PATH | os.O_DIRECTORY)
    st = os.fstat(fd)
    os.close(fd)
    return st.st_dev, st.st_ino


def ask_mount_namespace(proc: VerifiedProc) -> bool:
    with proc.process(os.getpid()) as process:
        # The inode numbers of namespaces begin with 0xF0000000 (PROC_DYNAMIC_FIRST).
        return process.mount_namespace >= 0xF0000000


def ask_sysctl(proc: VerifiedProc) -> str:
    with proc.open("sys/kernel/ostype") as ostype:
        return ostype.read()


def ask_version(proc: VerifiedProc) -> str:
    with proc.open("version") as version:
        return version.read(6)


@dataclass(frozen=True)
class Attack:
    """Something that is mounted over an entry, and the question that it would answer wrongly."""

    name: str
    mount: Callable[[], None]
    ask: Ask


def _over_own_file(name: str, source: Callable[[], str]) -> Callable[[], None]:
    return lambda: bind(source(), own(name))


_FILES: Final[dict[str, Callable[[], str]]] = {
    "file": lying_file,
    "FIFO": fifo,
    "socket": unix_socket,
    "device": lambda: "/dev/zero",
    "sibling": lambda: own("environ"),
    "other process's": lambda: f"/proc/{os.getppid()}/status",
}
_DIRECTORIES: Final[dict[str, Callable[[str], None]]] = {
    "directory": lambda target: bind(lying_directory(), target),
    "tmpfs": mount_tmpfs,
    "other process's": lambda target: bind(f"/proc/{os.getppid()}", target),
    "other process's fd": lambda target: bind(f"/proc/{os.getppid()}/fd", target),
    "procfs itself": lambda target: bind("/proc", target),
    "new procfs": mount_proc,
    "sysctls": lambda target: bind("/proc/sys", target),
}


def _attacks() -> list[Attack]:
    attacks = []
    for entry, ask in {"status": ask_status, "maps": ask_maps, "pagemap": ask_pagemap}.items():
        for what, source in _FILES.items():
            attacks.append(Attack(f"{what} over {entry}", _over_own_file(entry, source), ask))
    for entry, ask in {
        "fd": ask_fd,
        "fd/": ask_reopened,
        "fdinfo": ask_fdinfo,
        "": ask_status,
        "./": ask_number,
        ".": ask_numbered_status,
    }.items():
        for what, mount in _DIRECTORIES.items():
            label = f"{what} over self/{entry}"
            attacks.append(Attack(label, lambda m=mount, e=entry: m(own(e)), ask))
    attacks += [
        Attack("file over stat", _over_own_file("stat", lying_file), ask_stat),
        Attack(
            "link over status", lambda: mount_over_link(lying_link(), own("status")), ask_status
        ),
        Attack("link over exe", lambda: mount_over_link(lying_link(), own("exe")), ask_exe),
        Attack(
            "other process's exe",
            lambda: mount_over_link(f"/proc/{os.getppid()}/exe", own("exe")),
            ask_exe,
        ),
        Attack("link over root", lambda: mount_over_link(lying_link(), own("root")), ask_root),
        Attack("file over root", lambda: mount_over_link(lying_file(), own("root")), ask_root),
        Attack(
            "sibling link over root", lambda: mount_over_link(own("cwd"), own("root")), ask_root
        ),
        Attack(
            "link over thread-self",
            lambda: mount_over_link(lying_link(), "/proc/thread-self"),
            ask_number,
        ),
        Attack(
            "sibling link over thread-self",
            lambda: mount_over_link("/proc/self", "/proc/thread-self"),
            ask_status,
        ),
        Attack("link over self", lambda: mount_over_link(lying_link(), "/proc/self"), ask_self),
        Attack(
            "link over ns/mnt",
            lambda: mount_over_link(own("ns/net"), own("ns/mnt")),
            ask_mount_namespace,
        ),
        Attack("tmpfs over ns", lambda: mount_tmpfs(own("ns")), ask_mount_namespace),
        Attack("read-only sysctls", lambda: bind("/proc/sys", "/proc/sys"), ask_sysctl),
        Attack("tmpfs over sysctls", lambda: mount_tmpfs("/proc/sys"), ask_sysctl),
        Attack(
            "file over a sysctl", lambda: bind(lying_file(), "/proc/sys/kernel/ostype"), ask_sysctl
        ),
        Attack("file over version", lambda: bind(lying_file(), "/proc/version"), ask_version),
    ]
    return attacks


ATTACKS: Final = {attack.name: attack for attack in _attacks()}

WHOLE_PROC: Final[dict[str, Callable[[], None]]] = {
    "tmpfs": lambda: mount_tmpfs("/proc"),
    "directory": lambda: bind(lying_proc(), "/proc"),
    "root directory": lambda: bind("/", "/proc"),
    "own directory": lambda: bind(f"/proc/{os.getpid()}", "/proc"),
    "other process": lambda: bind(f"/proc/{os.getppid()}", "/proc"),
    "sysctls": lambda: bind("/proc/sys", "/proc"),
    "sysfs": lambda: linux.mount(b"sysfs", b"/proc", b"sysfs"),
}
"""mounts over the whole of ``/proc``"""
