"""A layer of faults between the library and its system calls.

The library makes every system call through the ``os`` module or through the functions that
``procpath.linux`` has from libc. While the layer is on, those are counted, and one of them
fails with a chosen ``errno`` instead of being made. close() can only fail for what was open for
writing, and then it has closed (close(2)). Uses nothing of the library but those names.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EINTR
from typing import Any

from procpath import linux
from procpath.resolve import kernel

OS_CALLS = (
    *("open", "close", "fstat", "stat", "readlink", "read", "write", "dup", "scandir", "mkdir"),
    *(
        "unlink",
        "rmdir",
        "rename",
        "link",
        "symlink",
        "chmod",
        "chown",
        "utime",
        "fchmod",
        "mkfifo",
    ),
    *("fchown", "listdir", "copy_file_range", "sendfile", "lseek", "ftruncate", "fchdir", "mknod"),
    *("getxattr", "setxattr", "listxattr"),
)
LIBC_CALLS = (
    *("_openat2", "_statx", "_fsopen", "_fsconfig", "_fsmount", "_open_tree", "_renameat2"),
    *("_fstatfs", "_unshare", "_fchmodat2", "_getxattrat", "_setxattrat", "_listxattrat"),
    *("_openat", "_dup", "bare_openat2", "bare_openat2_with_errno", "bare_openat", "_bare_fstatfs"),
    "_bare_statx",
)
OPENING = ("_openat2", "_openat", "_dup", "_fsopen", "_fsmount", "_open_tree")
"""those of them that return a descriptor and its owner"""


@dataclass
class Faults:
    """What was called, and which call is to fail."""

    failing: int | None = None
    """the number of the call that fails, from 0 on"""
    errno: int = 0
    calls: list[str] = field(default_factory=list)

    def is_next(self, name: str) -> bool:
        """Count a call; whether it is the one to fail."""
        self.calls.append(name)
        return len(self.calls) - 1 == self.failing


@contextmanager
def faults(layer: Faults) -> Iterator[Faults]:
    """The layer, on while the block runs."""
    undo: list[tuple[Any, str, Any]] = []

    def put(module: Any, name: str, function: Callable[..., Any]) -> None:
        undo.append((module, name, getattr(module, name)))
        setattr(module, name, function)

    for name in OS_CALLS:
        put(os, name, _failing_os_call(layer, name, getattr(os, name)))
    for name in LIBC_CALLS:
        put(linux, name, _failing_libc_call(layer, name, getattr(linux, name)))
    try:
        yield layer
    finally:
        for module, name, function in reversed(undo):
            setattr(module, name, function)
        # A missing openat2 is remembered for ever, which is right but for a fault of ours.
        kernel._availability.refusal = 0


def _failing_os_call(layer: Faults, name: str, original: Any) -> Callable[..., Any]:
    def call(*arguments: Any, **keywords: Any) -> Any:
        closes = name == "close"
        if closes and not _is_open_for_writing(arguments[0]):
            return original(*arguments)
        # The os module itself tries again after EINTR (PEP 475).
        fails = _of_the_library() and layer.is_next(name) and layer.errno != EINTR
        if not fails:
            return original(*arguments, **keywords)
        if closes:
            original(*arguments)
        raise OSError(layer.errno, os.strerror(layer.errno), *arguments[:1])

    return call


def _failing_libc_call(layer: Faults, name: str, original: Any) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        if not layer.is_next(name):
            return original(*arguments)
        ctypes.set_errno(layer.errno)
        return linux.Descriptor(-1) if name in OPENING else -1

    return call


def _is_open_for_writing(fd: int) -> bool:
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    return not flags & os.O_PATH and flags & os.O_ACCMODE != os.O_RDONLY


def _of_the_library() -> bool:
    """Whether the call comes from the library itself, and not from the standard library's files."""
    caller = sys._getframe(2).f_globals.get("__name__", "")
    return str(caller).partition(".")[0] == "procpath"
