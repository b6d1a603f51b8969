"""System calls that fail as they do where a sandbox forbids them or an old kernel lacks them.

:func:`forbid` puts a real seccomp filter (seccomp(2)) on the calling process; it cannot be
taken off again, so it is for a forked child alone.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from collections.abc import Mapping
from typing import Final

_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2
_SECCOMP_RET_ERRNO: Final = 0x00050000
_SECCOMP_RET_ALLOW: Final = 0x7FFF0000
_LOAD_SYSCALL_NUMBER: Final = (0x20, 0, 0, 0)  # BPF_LD | BPF_W | BPF_ABS, seccomp_data.nr
_JUMP_IF_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_NUMBERS: Final = {
    "open_tree": 428,
    "fsopen": 430,
    "pidfd_send_signal": 424,
    "pidfd_open": 434,
    "openat2": 437,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    **{
        "x86_64": {"renameat": 264, "renameat2": 316, "seccomp": 317, "statx": 332},
        "aarch64": {"renameat": 38, "renameat2": 276, "seccomp": 277, "statx": 291},
    }[platform.machine()],
}


class _Program(ctypes.Structure):
    """``struct sock_fprog`` of include/uapi/linux/filter.h."""

    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def forbid(calls: Mapping[str, int]) -> None:
    """Let each of the named system calls fail with its ``errno`` in this process from now on."""
    code = [_LOAD_SYSCALL_NUMBER]
    for name, number in calls.items():
        code.append((_JUMP_IF_EQUAL, 0, 1, _NUMBERS[name]))
        code.append((_RETURN, 0, 0, _SECCOMP_RET_ERRNO | number))
    code.append((_RETURN, 0, 0, _SECCOMP_RET_ALLOW))
    program = _Program(len(code), b"".join(struct.pack("=HBBI", *line) for line in code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


NO_OPENAT2: Final = {"openat2": errno.ENOSYS}
"""as before Linux 5.6: lookups compare mount numbers"""

NO_MOUNT_IDS: Final = {"openat2": errno.EPERM, "statx": errno.ENOSYS}
"""as before Linux 5.8, or under an old container engine: lookups compare with listings"""
