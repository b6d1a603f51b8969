"""Processes for tests to look at, made by fork(2)."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from helpers.refusals import PrivilegeError
from helpers.support import dump_error, raise_dumped
from procpath import linux, uapi

_READY = b"ready"


@contextmanager
def living(prepare: Callable[[], object] = lambda: None) -> Iterator[int]:
    """The PID of a child that has called ``prepare`` and now waits to be killed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            try:
                prepare()
            except BaseException as error:
                os.write(writer, dump_error(error))
                raise
            os.write(writer, _READY)
            signal.pause()
        finally:
            os._exit(1)
    try:
        os.close(writer)
        with open(reader, "rb", buffering=0) as pipe:
            # Not to its end: what ``prepare`` has forked has the pipe open too.
            report = pipe.read(len(_READY))
            if report != _READY:
                raise_dumped(report + pipe.read())
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def become_user(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


@contextmanager
def first_of_a_pid_namespace(place: str) -> Iterator[int]:
    """A waiting child that is the first process of a PID namespace, and has mounted the procfs
    of that at ``place``. Its PID is as the caller sees it, who is not in the namespace; what
    the caller forks from now on is.
    """
    linux.unshare(uapi.CLONE_NEWPID)
    with living(lambda: linux.mount(b"proc", place.encode(), b"proc")) as pid:
        yield pid


def end_after(seconds: int) -> None:
    """Let this process, a forked child, end by SIGALRM if it hangs."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)


UID_MAP = "0 100000 1000\n5000 300000 10\n"
GID_MAP = "0 200000 1000\n"


@contextmanager
def process_in(
    tree: Path, uid: int = 0, uid_map: str = UID_MAP, gid_map: str = GID_MAP
) -> Iterator[int]:
    """A process chrooted into ``tree``, which in a user namespace with these maps is ``uid``."""
    here, there = socket.socketpair()
    with here, there:
        pid = os.fork()
        if pid == 0:
            here.close()
            _wait_in_namespace(there, tree, uid)
        there.close()
        try:
            if here.recv(1) != b"u":
                raise PrivilegeError(errno.EPERM, "needs to make a user namespace")
            Path(f"/proc/{pid}/uid_map").write_text(uid_map)
            Path(f"/proc/{pid}/gid_map").write_text(gid_map)
            here.send(b"m")
            assert here.recv(1) == b"r"
            yield pid
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _wait_in_namespace(channel: socket.socket, tree: Path, uid: int) -> NoReturn:
    try:
        end_after(60)
        linux.unshare(uapi.CLONE_NEWUSER)
        channel.send(b"u")
        channel.recv(1)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        os.chroot(tree)
        os.chdir("/")
        os.setresuid(uid, uid, uid)
        channel.send(b"r")
        signal.pause()
    finally:
        os._exit(1)
