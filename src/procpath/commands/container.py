"""The small container of ``procpath demo``, made with nothing but Linux.

Two processes with a mount namespace of their own and a tmpfs as root, in which the usual traps
are set. Without privileges they have a user namespace too. Nothing is left of it: its mounts are
in no other namespace, and its processes wait for the end of a pipe that their maker holds, so
they end when it closes the container or ends itself.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from errno import ECHILD
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from procpath import VerifiedProc, linux, uapi
from procpath.descriptors import Closing

SECRET = "a secret of the host"

_ROOT = "root"
_SECRET = "secret"

_NEEDS = (
    "needs CAP_SYS_ADMIN or user namespaces (which the sysctl user.max_user_namespaces, a seccomp "
    "filter or a security module may forbid), and no chroot"
)

_DIRECTORIES = ("etc", "proc", "run", "srv", "tmp", "usr", "usr/lib", "var")
_FILES = {
    "etc/hostname": "demo\n",
    "usr/lib/os-release": 'NAME="Demo Linux"\nPRETTY_NAME="Demo Linux 1"\n',
}
_PID_FILE = "/run/app.pid"


def _links(secret: Path) -> dict[str, str]:
    """Return the traps. Two of them lead to a file that only the host has."""
    return {
        "etc/os-release": "/usr/lib/os-release",
        "var/run": "/run",
        # The first `..` behind /var/run climbs from wherever that has led.
        "etc/leak": f"../var/run/../..{secret}",
        "srv/self": f"../proc/self/root{secret}",
    }


class _Pipe(NamedTuple):
    """pipe(2)."""

    reader: int
    writer: int


class Container(Closing):
    """A running container; a context manager that ends it.

    ``paths`` are what a process inside is to read, for :attr:`inside`. Raises ``OSError`` that
    says what is missing if no container can be started.
    """

    pid: int
    """the first process"""
    app_pid: int
    """another process, which holds ``/run/app.pid`` open"""
    inside: dict[str, str]
    """the outcome of reading each of the paths inside (:func:`outcome`)"""

    def __init__(self, paths: Sequence[str]) -> None:
        self.pid = 0
        with ExitStack() as stack:
            directory = Path(tempfile.mkdtemp(prefix="procpath-demo-"))
            stack.callback(shutil.rmtree, directory)
            (directory / _ROOT).mkdir()
            (directory / _SECRET).write_text(f"{SECRET}\n")
            stack.callback(self._wait)
            lifeline, report = _Pipe(*os.pipe()), _Pipe(*os.pipe())
            stack.callback(os.close, lifeline.writer)
            with open(report.reader, "rb") as reports:
                try:
                    first = partial(_be_the_first, directory, paths, lifeline, report)
                    self.pid = _fork(first)
                finally:
                    os.close(lifeline.reader)
                    os.close(report.writer)
                told: dict[str, Any] = json.loads(reports.readline() or "{}")
            if "app_pid" not in told:
                number, why = told.get("error", (ECHILD, "its first process ended"))
                raise OSError(number, f"no container can be started here: {why}; {_NEEDS}")
            self.app_pid = told["app_pid"]
            self.inside = told["inside"]
            self._cleanup = stack.pop_all()

    def close(self) -> None:
        """End its processes, and its mounts with them, and wait for that."""
        self._cleanup.close()

    def _wait(self) -> None:
        if self.pid:
            os.waitpid(self.pid, 0)


def outcome(read: Callable[[], str]) -> str:
    """Return the first line that ``read`` returns, or the name of the error that it raises."""
    try:
        return read().partition("\n")[0]
    except OSError as error:
        return type(error).__name__


def _fork(run: Callable[[], None]) -> int:
    """Start a child that calls ``run`` and ends, and return its PID."""
    pid = os.fork()
    if pid == 0:
        try:
            # An interrupt at the terminal goes to the whole process group, of which the maker
            # ends the others.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            run()
        finally:
            os._exit(0)
    return pid


def _be_the_first(directory: Path, paths: Sequence[str], lifeline: _Pipe, report: _Pipe) -> None:
    """Run the container's first process."""
    os.close(lifeline.writer)
    os.close(report.reader)
    try:
        _enter_namespaces()
        _make_root(directory / _ROOT, directory / _SECRET)
        app_pid = _start_app(lifeline, report)
    except OSError as error:
        _tell(report, {"error": (error.errno, error.strerror)})
        return
    inside = {path: outcome(Path(path).read_text) for path in paths}
    _tell(report, {"app_pid": app_pid, "inside": inside})
    _wait_for_end(lifeline)
    os.waitpid(app_pid, 0)


def _tell(report: _Pipe, message: dict[str, Any]) -> None:
    with open(report.writer, "wb") as file:
        file.write(json.dumps(message).encode() + b"\n")


def _wait_for_end(lifeline: _Pipe) -> None:
    """Wait until nobody holds the other end of the pipe, to which nothing is written."""
    os.read(lifeline.reader, 1)


def _start_app(lifeline: _Pipe, report: _Pipe) -> int:
    """Start the second process, which holds its PID file open as daemons do."""
    fd = os.open(_PID_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)

    def be_the_app() -> None:
        os.close(report.writer)
        _wait_for_end(lifeline)

    try:
        pid = _fork(be_the_app)
        os.write(fd, f"{pid}\n".encode())
    finally:
        os.close(fd)
    return pid


def _enter_namespaces() -> None:
    """Enter a new mount namespace, and without privileges a new user namespace with it."""
    with VerifiedProc.default().process() as me:
        try:
            linux.unshare(uapi.CLONE_NEWNS)
        except PermissionError:
            enter_user_namespace(uapi.CLONE_NEWNS, lambda name: me.open(name, "w"))
    linux.mount(None, b"/", None, uapi.MS_REC | uapi.MS_PRIVATE)


def enter_user_namespace(flags: int, open_own: Callable[[str], IO[str]]) -> None:
    """Enter a new user namespace, in which we are root, and the new ones that ``flags`` name.

    ``open_own`` opens a file of our ``/proc/PID`` for writing.
    """
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare(uapi.CLONE_NEWUSER | flags)
    # Without privileges a group is mapped only if setgroups(2) is denied (user_namespaces(7)).
    maps = {"setgroups": "deny", "uid_map": f"0 {uid} 1", "gid_map": f"0 {gid} 1"}
    for name, text in maps.items():
        with open_own(name) as file:
            file.write(text)


def _make_root(root: Path, secret: Path) -> None:
    """Fill a tmpfs at ``root``, and make it our root and the only file system that we see."""
    raw = os.fsencode(root)
    linux.mount(b"tmpfs", raw, b"tmpfs", uapi.MS_NOSUID | uapi.MS_NODEV, b"mode=755,size=1m")
    for name in _DIRECTORIES:
        (root / name).mkdir()
    for name, text in _FILES.items():
        (root / name).write_text(text)
    for name, target in _links(secret).items():
        (root / name).symlink_to(target)
    # In a user namespace without a PID namespace of its own, a new procfs may not be mounted.
    # Monitoring agents get the host's in this way.
    linux.mount(b"/proc", raw + b"/proc", None, uapi.MS_BIND | uapi.MS_REC)
    os.chdir(root)
    # pivot_root(2), NOTES: the old root is then mounted on top of the new one.
    linux.pivot_root(b".", b".")
    linux.umount2(b".", uapi.MNT_DETACH)
    os.chdir("/")
