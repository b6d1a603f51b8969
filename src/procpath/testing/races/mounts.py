"""Mounts that only a victim sees: its mount namespace, and what is mounted in it.

Needs CAP_SYS_ADMIN, if only in a user namespace. Everything is done by children, because a
process with several threads cannot join a mount namespace (setns(2)).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from procpath import linux, uapi
from procpath.errors import os_error
from procpath.testing.tree import name_of, parent_of

_UMOUNT_NOFOLLOW = 8  # umount2(2)


def enter_own_namespace() -> None:
    """Put this process into a mount namespace of its own, from which nothing propagates."""
    linux.unshare(uapi.CLONE_NEWNS)
    linux.mount(None, b"/", None, uapi.MS_REC | uapi.MS_PRIVATE)


@cache
def refusal() -> int:
    """Return the errno with which this process is refused to mount for a victim, 0 if it is not."""

    def try_it() -> None:
        enter_own_namespace()
        with _tmpfs():
            pass

    return _in_child(try_it)


def mount(victim: int, root: Path, path: str) -> None:
    """Mount an empty tmpfs on the directory at the in-root ``path``, for the victim alone."""

    def act() -> None:
        _join(victim)
        with held_directory(root, parent_of(path)) as parent, _tmpfs() as mounted:
            linux.move_mount(mounted, parent, os.fsencode(name_of(path)))

    _require(_in_child(act), path)


def unmount(victim: int, root: Path, path: str) -> None:
    """Unmount what :func:`mount` has mounted."""

    def act() -> None:
        _join(victim)
        with held_directory(root, parent_of(path)) as parent:
            target = b"/proc/self/fd/%d/%s" % (parent, os.fsencode(name_of(path)))
            linux.umount2(target, uapi.MNT_DETACH | _UMOUNT_NOFOLLOW)

    _require(_in_child(act), path)


@contextmanager
def held_directory(root: Path, path: str) -> Iterator[int]:
    """Hold the directory at the in-root ``path``; no link is followed on the way."""
    held = linux.openat(uapi.AT_FDCWD, os.fsencode(root), uapi.FIND_DIRECTORY)
    for name in path.split("/"):
        if name:
            held = linux.openat(held.value, name, uapi.FIND_DIRECTORY_NOFOLLOW)
    with held as fd:
        yield fd


@contextmanager
def _tmpfs() -> Iterator[int]:
    with linux.fsopen(b"tmpfs") as fs:
        linux.fsconfig(fs, uapi.FSCONFIG_CMD_CREATE)
        with linux.fsmount(fs) as mounted:
            yield mounted


def _join(victim: int) -> None:
    with open(f"/proc/{victim}/ns/mnt", "rb") as namespace:
        linux.setns(namespace.fileno(), uapi.CLONE_NEWNS)


def _in_child(act: Callable[[], None]) -> int:
    """Call ``act`` in a forked child; return the errno that it fails with, 0 if it does not."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        except OSError as error:
            code = error.errno or 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _require(code: int, path: str) -> None:
    if code != 0:
        raise os_error(code, path)
