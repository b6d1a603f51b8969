"""Which errors mean that the tests themselves lack rights, and not that the package is wrong."""

from __future__ import annotations

import os
import subprocess
import traceback
from errno import EACCES, EINVAL, EPERM
from pathlib import Path

from procpath import linux

_TESTS = os.fspath(Path(__file__).parents[1])
_PACKAGE = os.path.dirname(linux.__file__)
# These fail with EINVAL for an ID that the user namespace does not map (user_namespaces(7)).
_TAKE_IDS = ("chown(", "setgroups(", "setresgid(", "setresuid(", "setuid(", "setgid(", "setxattr(")
_NOTED = "refused_to_the_test"


class PrivilegeError(PermissionError):
    """A test needs rights that its user does not have; :mod:`helpers.rights` skips it then."""


def note_refusal(error: BaseException) -> None:
    """Note on the error what :func:`refusal` says, for a traceback cannot be pickled."""
    if reason := refusal(error):
        error.__dict__[_NOTED] = reason


def refusal(error: BaseException) -> str | None:
    """Return which call of the tests' own was refused, if that is what the error is about."""
    if isinstance(error, PrivilegeError):
        return error.strerror
    if found := getattr(error, _NOTED, None):
        return str(found)
    is_mount = isinstance(error, subprocess.CalledProcessError) and error.cmd[0] == "mount"
    if not is_mount and not (isinstance(error, OSError) and error.errno in (EACCES, EINVAL, EPERM)):
        return None
    frames = traceback.extract_tb(error.__traceback__)
    # The standard library and the wrapper of system calls make a call for their caller.
    while frames and not frames[-1].filename.startswith(_TESTS):
        if _is_of_the_package(frames[-1].filename):
            return None
        frames.pop()
    if not frames:
        return None
    line = frames[-1].line or ""
    if isinstance(error, OSError) and error.errno != EPERM and not _is_refused(error.errno, line):
        return None
    where = f"{os.path.relpath(frames[-1].filename, _TESTS)}:{frames[-1].lineno}"
    why = error.strerror if isinstance(error, OSError) else "failed"
    return f"needs root's rights: {line} ({where}): {why}"


def _is_of_the_package(filename: str) -> bool:
    return filename.startswith(_PACKAGE) and filename != linux.__file__


def _is_refused(number: int | None, line: str) -> bool:
    if number == EINVAL:
        return any(name in line for name in _TAKE_IDS)
    return any(name in line for name in ("mount(", "/proc/self/", "/dev/fuse"))
