"""Linux system calls, named as the kernel names them, and the owner of a descriptor.

Each function is one call: arguments in the kernel's order, descriptors close-on-exec and
owned (:class:`Descriptor`), other results as plain values, failures as the ``OSError``
subclass of their ``errno`` with the path in ``filename``. ctypes releases the GIL around
each call, so a hanging file system hangs one thread and not the interpreter. This is the
only module that uses ctypes. Numbers and layouts are those of 64-bit Linux on x86-64 and
aarch64.
"""

from __future__ import annotations

import sys

if sys.platform != "linux":
    raise ImportError(
        "procpath needs Linux: it is built on procfs and openat2(2), which no other system has"
    )

import ctypes
import fcntl
import os
import platform
import struct
from collections.abc import Callable
from errno import EACCES, EINTR, EINVAL, ENOSYS, EPERM
from functools import lru_cache
from types import TracebackType
from typing import Any, NamedTuple, NewType, NoReturn

from procpath.errors import os_error

# The calls since Linux 5.0 have one number on every architecture
# (include/uapi/asm-generic/unistd.h); older ones differ.
_SYS_open_tree = 428
_SYS_move_mount = 429
_SYS_fsopen = 430
_SYS_fsconfig = 431
_SYS_fsmount = 432
_SYS_pidfd_open = 434
_SYS_openat2 = 437
_SYS_fchmodat2 = 452
_SYS_setxattrat = 463
_SYS_getxattrat = 464
_SYS_listxattrat = 465
_OLDER_SYSCALLS = {
    "x86_64": {"pivot_root": 155, "renameat2": 316, "seccomp": 317, "statx": 332},
    "aarch64": {"pivot_root": 41, "renameat2": 276, "seccomp": 277, "statx": 291},
}
try:
    _SYS = _OLDER_SYSCALLS[platform.machine()]
except KeyError:
    raise ImportError(
        f"procpath knows the system calls of x86-64 and aarch64, not of {platform.machine()}"
    ) from None
if sys.maxsize < 2**32:
    raise ImportError("procpath needs a 64-bit Python: it calls the 64-bit system calls")

# openat2(2)
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
RESOLVE_CACHED = 0x20  # Linux 5.12

# include/uapi/linux/fcntl.h
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_NO_AUTOMOUNT = 0x800
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

# statx(2)
STATX_BASIC_STATS = 0x07FF
STATX_BTIME = 0x0800
STATX_MNT_ID = 0x1000  # Linux 5.8
STATX_MNT_ID_UNIQUE = 0x4000  # Linux 6.8
STATX_ATTR_MOUNT_ROOT = 0x2000  # Linux 5.8

# fsopen(2), fsconfig(2), fsmount(2), open_tree(2), move_mount(2)
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
OPEN_TREE_CLONE = 1
MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOVE_MOUNT_F_EMPTY_PATH = 0x04

# renameat2(2)
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2

# mount(2), umount2(2)
MS_RDONLY = 0x01
MS_NOSUID = 0x02
MS_NODEV = 0x04
MS_NOEXEC = 0x08
MS_REMOUNT = 0x20
MS_NOSYMFOLLOW = 0x100
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2

# unshare(2), setns(2)
CLONE_FS = 0x00000200
CLONE_FILES = 0x00000400
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

# statfs(2)
PROC_SUPER_MAGIC = 0x9FA0
PID_FS_MAGIC = 0x50494446  # Linux 6.9
ST_NOSYMFOLLOW = 0x2000  # Linux 5.10, include/linux/statfs.h

# include/uapi/linux/magic.h, or the file system's own source where the name is in brackets.
KERNEL_FILE_SYSTEMS = {
    PROC_SUPER_MAGIC: "procfs",
    0x62656572: "sysfs",
    0x27E0EB: "cgroup",  # cpuset too
    0x63677270: "cgroup2",
    0x64626720: "debugfs",
    0x74726163: "tracefs",
    0x73636673: "securityfs",
    0x62656570: "configfs",  # (fs/configfs)
    0xCAFE4A11: "bpf",
    0x6165676C: "pstore",
    0xDE5E81E4: "efivarfs",
    0xF97CFF8C: "selinuxfs",
    0x43415D53: "smackfs",
    0x5A3C69F0: "apparmorfs",
    0x42494E4D: "binfmt_misc",
    0x6E736673: "nsfs",
    0x50494446: "pidfs",
    0x534F434B: "sockfs",
    0x50495045: "pipefs",
    0x09041934: "anon_inodefs",
    0x62646576: "bdevfs",
    0x19800202: "mqueue",  # (ipc/mqueue.c)
    0x65735543: "fusectl",  # (fs/fuse)
    0x67596969: "rpc_pipefs",  # (net/sunrpc)
    0x6E667364: "nfsd",  # (fs/nfsd)
    0x6C6F6F70: "binder",
    0x07655821: "resctrl",
    0xABBA1974: "xenfs",
    0x76A9F425: "ocfs2_dlmfs",  # (fs/ocfs2)
    0x0A647361: "functionfs",  # (drivers/usb/gadget)
    0xAEE71EE7: "gadgetfs",  # (drivers/usb/gadget)
    0x9FA1: "openpromfs",
    0x9FA2: "usbfs",
    0x23C9B64E: "spufs",  # (arch/powerpc)
    0x687970: "s390_hypfs",  # (arch/s390)
    0x64646178: "dax",
    0x444D4142: "dmabuf",
    0x454D444D: "devmem",
    0x5345434D: "secretmem",
    0x47504653: "aio",  # (fs/aio.c)
}
"""By their ``f_type``: the file systems whose files are the kernel's own. Most answer about whoever
reads them and obey whoever writes to them, and some block, or tell something only once.
"""


# Flags of open(2) for what this library opens itself.
FIND = os.O_PATH | os.O_CLOEXEC
"""hold what a path leads to; has no effect on it"""
FIND_NOFOLLOW = FIND | os.O_NOFOLLOW
"""hold what a name is, a link for itself"""
FIND_DIRECTORY = FIND | os.O_DIRECTORY
FIND_DIRECTORY_NOFOLLOW = FIND_NOFOLLOW | os.O_DIRECTORY
LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC
"""read the entries of a directory; O_NONBLOCK in case it is swapped for a FIFO"""
LISTING_NOFOLLOW = LISTING | os.O_NOFOLLOW
CREATE_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

DENIED = frozenset((ENOSYS, EPERM, EACCES))
"""Errnos of a system call that the kernel lacks, or that a seccomp filter or a security module
denies. A call that cannot fail with EPERM or EACCES otherwise is not to be had.
"""


_method_of_c: Any = ctypes.pythonapi.PyInstanceMethod_New
_method_of_c.argtypes = (ctypes.py_object,)
_method_of_c.restype = ctypes.py_object

_untrack: Any = ctypes.pythonapi["PyObject_GC_UnTrack"]
_untrack.argtypes = (ctypes.py_object,)
_untrack.restype = None
"""Hide a descriptor from the garbage collector, which calls each ``__del__`` of a cycle before it
takes the cycle apart: a ``__del__`` of the user's could then act on a closed root's number. So it
is closed with the last reference alone.
"""


class Descriptor(ctypes.c_int):
    """A file descriptor and its owner: closed once, by close() or with the last reference.

    The functions of this module have the C library's result wrapped by ctypes, so no signal
    handler runs between the system call and the owner: an interrupted lookup leaks nothing.
    To hand it over is to pass the object on. Use the number while a variable holds the object:
    ``os.fstat(openat(...).value)`` would close it first.

    Close it from the one place that owns it alone. What threads share is let go instead
    (:class:`procpath.descriptors.Held`): reference counts are atomic, close() is not.
    """

    __slots__ = ()

    # os.close by a default value: when the interpreter exits, module globals may be gone.
    def close(self, _close: Callable[[int], None] = os.close) -> None:
        """Close the descriptor; do nothing if it is closed or was never open."""
        fd = self.value
        if fd >= 0:
            # No call stands between these two lines, so no signal handler runs there.
            self.value = -1
            _close(fd)

    # Python runs signal handlers where a function of Python begins, and loses what they raise
    # if that is __del__. So this is close(2) itself; of a closed descriptor it does nothing
    # (EBADF). Its library has no use_errno, so it changes no errno that is yet to be read.
    __del__ = _method_of_c(ctypes.CDLL(None)["close"])

    def detach(self) -> int:
        """Return the number, which is the caller's to close from now on."""
        fd = self.value
        self.value = -1
        return fd

    def __enter__(self) -> int:
        return self.value

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a descriptor can be neither copied nor pickled")


class _open_how(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


_libc = ctypes.CDLL(None, use_errno=True)
_get_errno = ctypes.get_errno
_set_errno = ctypes.set_errno
_TRY_AGAIN = (EINTR, 0)
"""No call fails with 0: a signal handler has set it."""

_OPEN_HOW_SIZE = ctypes.sizeof(_open_how)

# Looking a symbol up by index makes a new function object each time, so this one and
# the typed ones below do not share their settings. Without `argtypes` ctypes hands
# ints, bytes and prepared references over as they are, which saves 0.7 of 4.1 us on
# every lookup; so whoever calls _openat2 must hand it exactly these.
_openat2: Any = _libc["syscall"]
_openat2.restype = Descriptor

# The same goes for openat(), by which trees are walked and copied.
_openat: Any = _libc["openat"]
_openat.restype = Descriptor
_OF_OUR_OWN = os.O_CLOEXEC | os.O_NOCTTY
_FS_ENCODING, _FS_ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()

OpenHow = NewType("OpenHow", object)


@lru_cache(maxsize=256)
def open_how(flags: int, mode: int, resolve: int) -> OpenHow:
    """A prepared ``struct open_how``, to be used over and over: making one costs a microsecond."""
    # byref() keeps the structure alive.
    return OpenHow(ctypes.byref(_open_how(flags, mode, resolve)))


def try_openat2(dirfd: int, path: bytes, how: OpenHow) -> Descriptor:
    """openat2(2) in the kernel's own convention: failed, ``value`` is the negated ``errno``.

    A failing lookup is an everyday answer (``exists()``), and an exception costs more
    than the system call. ``how`` must carry ``O_CLOEXEC``, ``path`` no NUL.
    """
    before = _get_errno()
    while True:
        fd: Descriptor = _openat2(_SYS_openat2, dirfd, path, how, _OPEN_HOW_SIZE)
        if fd.value >= 0:
            _untrack(fd)
            return fd
        number = _taken_errno(before)
        if number not in _TRY_AGAIN:
            fd.value = -number
            return fd


def _taken_errno(before: int) -> int:
    """The errno of the call that has just failed; the thread's is ``before`` again.

    Python runs signal handlers between the call and this look at its errno. A handler that
    makes such calls too must leave the errno as it found it.
    """
    number = _get_errno()
    _set_errno(before)
    return number


def openat2(dirfd: int, path: bytes, flags: int, mode: int = 0, resolve: int = 0) -> Descriptor:
    """openat2(2) (Linux 5.6)."""
    fd = try_openat2(dirfd, path, open_how(flags | os.O_CLOEXEC, mode, resolve))
    if fd.value < 0:
        raise os_error(-fd.value, path)
    return fd


def _typed(symbol: str, *argtypes: Any, restype: Any = ctypes.c_int) -> Any:
    function = _libc[symbol]
    function.argtypes = argtypes
    function.restype = restype
    return function


def _syscall(*argtypes: Any, restype: Any = ctypes.c_long) -> Any:
    return _typed("syscall", ctypes.c_long, *argtypes, restype=restype)


def _checked(function: Any, *arguments: Any, path: str | bytes | None = None) -> int:
    before = _get_errno()
    while True:
        result: int = function(*arguments)
        if result >= 0:
            return result
        number = _taken_errno(before)
        if number not in _TRY_AGAIN:
            raise os_error(number, path)


def _opened(function: Any, *arguments: Any, path: str | bytes | None = None) -> Descriptor:
    """Call a function whose result is a :class:`Descriptor`."""
    before = _get_errno()
    while True:
        fd: Descriptor = function(*arguments)
        if fd.value >= 0:
            _untrack(fd)
            return fd
        number = _taken_errno(before)
        if number not in _TRY_AGAIN:
            raise os_error(number, path)


_int, _uint, _ulong, _str, _ptr = (
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_ulong,
    ctypes.c_char_p,
    ctypes.c_void_p,
)
_statx = _syscall(_int, _str, _int, _uint, _ptr)
_dup = _typed("fcntl", _int, _int, _int, restype=Descriptor)
_pidfd_open = _syscall(_int, _uint, restype=Descriptor)
_fsopen = _syscall(_str, _uint, restype=Descriptor)
_fsconfig = _syscall(_int, _uint, _str, _str, _int)
_fsmount = _syscall(_int, _uint, _uint, restype=Descriptor)
_open_tree = _syscall(_int, _str, _uint, restype=Descriptor)
_move_mount = _syscall(_int, _str, _int, _str, _uint)
_renameat2 = _syscall(_int, _str, _int, _str, _uint)
_fchmodat2 = _syscall(_int, _str, _uint, _uint)
_setxattrat = _syscall(_int, _str, _uint, _str, _ptr, _ulong)
_getxattrat = _syscall(_int, _str, _uint, _str, _ptr, _ulong)
_listxattrat = _syscall(_int, _str, _uint, _ptr, _ulong)
_pivot_root = _syscall(_str, _str)
_mount = _typed("mount", _str, _str, _str, _ulong, _str)
_umount2 = _typed("umount2", _str, _int)
_unshare = _typed("unshare", _int)
_setns = _typed("setns", _int, _int)
_fstatfs = _typed("fstatfs", _int, _ptr)


def openat(dirfd: int, name: str | bytes, flags: int, mode: int = 0o777) -> Descriptor:
    """openat(2); ``O_NOCTTY`` too, so that no file becomes the controlling terminal."""
    path = name if isinstance(name, bytes) else name.encode(_FS_ENCODING, _FS_ERRORS)
    if b"\0" in path:
        raise ValueError("embedded null byte")
    before = _get_errno()
    while True:
        fd: Descriptor = _openat(dirfd, path, flags | _OF_OUR_OWN, mode)
        if fd.value >= 0:
            _untrack(fd)
            return fd
        number = _taken_errno(before)
        if number not in _TRY_AGAIN:
            raise os_error(number, path)


def dup(fd: int) -> Descriptor:
    """fcntl(2), ``F_DUPFD_CLOEXEC``."""
    return _opened(_dup, fd, fcntl.F_DUPFD_CLOEXEC, 0)


def pidfd_open(pid: int) -> Descriptor:
    """pidfd_open(2) (Linux 5.3)."""
    return _opened(_pidfd_open, _SYS_pidfd_open, pid, 0)


class Statx(NamedTuple):
    """The fields of ``struct statx`` that :func:`os.stat` does not give, and those to compare
    by.
    """

    mask: int
    """which of the optional fields the kernel filled in (``STATX_*``)"""
    nlink: int
    mode: int
    ino: int
    attributes: int
    attributes_mask: int
    """which attributes this file system can tell of"""
    dev_major: int
    dev_minor: int
    mnt_id: int
    btime_ns: int
    """when the file was made, in nanoseconds since the epoch; 0 where that is not known"""


# struct statx (include/uapi/linux/stat.h), 256 bytes: mask, blksize, attributes, nlink,
# uid, gid, mode, ino, size, blocks, attributes_mask; atime, btime, ctime and mtime of 16
# bytes each (seconds, nanoseconds); rdev and dev as major and minor, mnt_id.
_STATX_LAYOUT = struct.Struct("=I4xQI8xH2xQ16xQ16xqI4x32x8xIIQ")
_STATX_SIZE = 256


def statx(dirfd: int, path: bytes, flags: int = 0, mask: int = STATX_BASIC_STATS) -> Statx:
    """statx(2) (Linux 4.11). An empty path with ``AT_EMPTY_PATH`` asks for ``dirfd`` itself."""
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    _checked(_statx, _SYS["statx"], dirfd, path, flags, mask, buffer, path=path)
    got, attributes, nlink, mode, ino, attributes_mask, sec, nsec, major, minor, mnt_id = (
        _STATX_LAYOUT.unpack_from(buffer)
    )
    if not mnt_id:
        # No mount has this ID: qemu-user sets the bits of the mask and leaves it at 0.
        got &= ~(STATX_MNT_ID | STATX_MNT_ID_UNIQUE)
    born = sec * 1_000_000_000 + nsec if got & STATX_BTIME else 0
    return Statx(got, nlink, mode, ino, attributes, attributes_mask, major, minor, mnt_id, born)


def statx_or_none(fd: int, mask: int) -> Statx | None:
    """statx(2) of what ``fd`` holds, or None where it is denied or missing (``DENIED``)."""
    try:
        return statx(fd, b"", AT_EMPTY_PATH, mask)
    except OSError as error:
        if error.errno not in DENIED:
            raise
        return None


class Statfs(NamedTuple):
    """The file system's type (``*_SUPER_MAGIC``) and its mount flags (``ST_*``)."""

    type: int
    flags: int


# struct statfs of 64-bit Linux, 15 words: type, bsize, five counts, fsid, namelen, frsize,
# flags, spare.
_StatfsWords = ctypes.c_int64 * 15


def fstatfs(fd: int) -> Statfs:
    """fstatfs(2); works on ``O_PATH`` descriptors too (Linux 3.12)."""
    words = _StatfsWords()
    before = _get_errno()
    # Asked before every file is opened, so without a detour where it succeeds.
    if _fstatfs(fd, words) < 0:
        _set_errno(before)
        _checked(_fstatfs, fd, words)
    return Statfs(words[0], words[10])


def fsopen(fsname: bytes) -> Descriptor:
    """fsopen(2) (Linux 5.2): a descriptor of a file system that is yet to be configured."""
    return _opened(_fsopen, _SYS_fsopen, fsname, FSOPEN_CLOEXEC, path=fsname)


def fsconfig(fd: int, command: int, key: bytes | None = None, value: bytes | None = None) -> None:
    """fsconfig(2) (Linux 5.2), with ``FSCONFIG_SET_FLAG``, ``FSCONFIG_SET_STRING`` or
    ``FSCONFIG_CMD_CREATE``.
    """
    _checked(_fsconfig, _SYS_fsconfig, fd, command, key, value, 0, path=key)


def fsmount(fd: int, attributes: int = 0) -> Descriptor:
    """fsmount(2) (Linux 5.2): a detached mount of it, with ``MOUNT_ATTR_*``, as an ``O_PATH``
    descriptor.
    """
    return _opened(_fsmount, _SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributes)


def open_tree(dirfd: int, path: bytes, flags: int) -> Descriptor:
    """open_tree(2) (Linux 5.2): a mount, or with ``OPEN_TREE_CLONE`` a detached copy of it."""
    return _opened(_open_tree, _SYS_open_tree, dirfd, path, flags | os.O_CLOEXEC, path=path)


def move_mount(mount_fd: int, dirfd: int, path: bytes) -> None:
    """move_mount(2) (Linux 5.2): attach the mount ``mount_fd`` at ``path``."""
    _checked(
        _move_mount,
        _SYS_move_mount,
        mount_fd,
        b"",
        dirfd,
        path,
        MOVE_MOUNT_F_EMPTY_PATH,
        path=path,
    )


def renameat2(olddirfd: int, old: bytes, newdirfd: int, new: bytes, flags: int = 0) -> None:
    """renameat2(2) (Linux 3.15), with ``RENAME_NOREPLACE`` or ``RENAME_EXCHANGE``."""
    _checked(_renameat2, _SYS["renameat2"], olddirfd, old, newdirfd, new, flags, path=old)


def fchmodat2(dirfd: int, path: bytes, mode: int, flags: int) -> None:
    """fchmodat2(2) (Linux 6.6): chmod that knows ``AT_SYMLINK_NOFOLLOW`` and ``AT_EMPTY_PATH``."""
    _checked(_fchmodat2, _SYS_fchmodat2, dirfd, path, mode, flags, path=path)


_XATTR_SIZE_MAX = 65536
"""of a value, and of the list of names (xattr(7))"""

# struct xattr_args (include/uapi/linux/xattr.h): value, size, flags.
_XATTR_ARGS = struct.Struct("=QII")


def listxattrat(dirfd: int, path: bytes, flags: int) -> list[bytes]:
    """listxattrat(2) (Linux 6.13): the names of all extended attributes."""
    names = ctypes.create_string_buffer(_XATTR_SIZE_MAX)
    size = _checked(
        _listxattrat, _SYS_listxattrat, dirfd, path, flags, names, _XATTR_SIZE_MAX, path=path
    )
    return names.raw[:size].split(b"\0")[:-1]


def getxattrat(dirfd: int, path: bytes, flags: int, name: bytes) -> bytes:
    """getxattrat(2) (Linux 6.13): the value of one extended attribute."""
    value = ctypes.create_string_buffer(_XATTR_SIZE_MAX)
    args = _XATTR_ARGS.pack(ctypes.addressof(value), _XATTR_SIZE_MAX, 0)
    size = _checked(
        _getxattrat, _SYS_getxattrat, dirfd, path, flags, name, args, len(args), path=path
    )
    return value.raw[:size]


def setxattrat(dirfd: int, path: bytes, flags: int, name: bytes, value: bytes) -> None:
    """setxattrat(2) (Linux 6.13): set one extended attribute."""
    buffer = ctypes.create_string_buffer(value, len(value))
    args = _XATTR_ARGS.pack(ctypes.addressof(buffer), len(value), 0)
    _checked(_setxattrat, _SYS_setxattrat, dirfd, path, flags, name, args, len(args), path=path)


def mount(
    source: bytes | None,
    target: bytes,
    fstype: bytes | None = None,
    flags: int = 0,
    data: bytes | None = None,
) -> None:
    """mount(2)."""
    _checked(_mount, source, target, fstype, flags, data, path=target)


def umount2(target: bytes, flags: int = 0) -> None:
    """umount2(2)."""
    _checked(_umount2, target, flags, path=target)


def pivot_root(new_root: bytes, put_old: bytes) -> None:
    """pivot_root(2)."""
    _checked(_pivot_root, _SYS["pivot_root"], new_root, put_old, path=new_root)


def unshare(flags: int) -> None:
    """unshare(2); ``os.unshare`` is only in Python 3.12."""
    _checked(_unshare, flags)


def setns(fd: int, nstype: int = 0) -> None:
    """setns(2); ``os.setns`` is only in Python 3.12."""
    _checked(_setns, fd, nstype)


# seccomp(2) and inotify(7), for procpath.testing.races alone. Their C functions are looked up
# when they are called: users of the library pay nothing for them at import.

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[platform.machine()]
"""``seccomp_data.arch`` of 64-bit system calls"""

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_NEW_LISTENER = 0x08  # Linux 5.0
_SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 0x20  # Linux 5.19
_SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1  # Linux 5.5
_SECCOMP_IOCTL_NOTIF_RECV = 0xC0502100
_SECCOMP_IOCTL_NOTIF_SEND = 0xC0182101
_SECCOMP_IOCTL_NOTIF_ID_VALID = 0x40082102
SECCOMP_RET_USER_NOTIF = 0x7FC00000
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_ALLOW = 0x7FFF0000

# struct seccomp_notif: id, pid, flags; struct seccomp_data: nr, arch, instruction, six arguments.
# The numbers of the ioctls hold the sizes, so a kernel with longer structures has other numbers.
_SECCOMP_NOTIF = struct.Struct("=QIIiIQ6Q")
_SECCOMP_NOTIF_RESP = struct.Struct("=QqiI")


class StoppedCall(NamedTuple):
    """A system call that waits for an answer to its notification (seccomp_unotify(2))."""

    id: int
    tid: int
    """of the calling thread; 0 if it is not in our PID namespace"""
    number: int
    arch: int
    arguments: tuple[int, ...]


def seccomp_listener(program: bytes) -> Descriptor:
    """Filter this process's system calls from now on, and return the listener of the filter.

    ``program`` is made of ``struct sock_filter``. Sets no_new_privs, so it needs no privilege;
    neither can be undone. Where the kernel can, signals that do not kill leave a stopped call
    alone (Linux 5.19): it would be notified a second time otherwise.
    """
    prctl = _typed("prctl", _int, _ulong, _ulong, _ulong, _ulong)
    _checked(prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are.
    fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    seccomp = _syscall(_uint, _uint, _str, restype=Descriptor)
    flags = _SECCOMP_FILTER_FLAG_NEW_LISTENER | _SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
    try:
        return _opened(seccomp, _SYS["seccomp"], _SECCOMP_SET_MODE_FILTER, flags, fprog)
    except OSError as error:
        if error.errno != EINVAL:
            raise
    flags = _SECCOMP_FILTER_FLAG_NEW_LISTENER
    return _opened(seccomp, _SYS["seccomp"], _SECCOMP_SET_MODE_FILTER, flags, fprog)


def seccomp_receive(listener: int) -> StoppedCall:
    """Return the next stopped call; ENOENT if it was interrupted before."""
    buffer = bytearray(_SECCOMP_NOTIF.size)  # must be zeroes
    fcntl.ioctl(listener, _SECCOMP_IOCTL_NOTIF_RECV, buffer)
    id_, tid, _, number, arch, _, *arguments = _SECCOMP_NOTIF.unpack(buffer)
    return StoppedCall(id_, tid, number, arch, tuple(arguments))


def seccomp_is_stopped(listener: int, id_: int) -> bool:
    """Whether the call still waits, so that what was read of its process is the process's."""
    try:
        fcntl.ioctl(listener, _SECCOMP_IOCTL_NOTIF_ID_VALID, struct.pack("=Q", id_))
    except FileNotFoundError:
        return False
    return True


def seccomp_continue(listener: int, id_: int) -> None:
    """Let the stopped call be made (Linux 5.5)."""
    answer = _SECCOMP_NOTIF_RESP.pack(id_, 0, 0, _SECCOMP_USER_NOTIF_FLAG_CONTINUE)
    fcntl.ioctl(listener, _SECCOMP_IOCTL_NOTIF_SEND, answer)


def seccomp_fail(listener: int, id_: int, number: int) -> None:
    """Let the stopped call fail with the errno ``number``, without being made."""
    answer = _SECCOMP_NOTIF_RESP.pack(id_, 0, -number, 0)
    fcntl.ioctl(listener, _SECCOMP_IOCTL_NOTIF_SEND, answer)


IN_ACCESS = 0x001
IN_MODIFY = 0x002
IN_ATTRIB = 0x004
IN_OPEN = 0x020
IN_MOVED_FROM = 0x040
IN_MOVED_TO = 0x080
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x01000000
IN_DONT_FOLLOW = 0x02000000

_INOTIFY_EVENT = struct.Struct("=iIII")  # watch, mask, cookie, length of the name


def inotify_init() -> Descriptor:
    """inotify_init1(2): a queue of events, to be read without waiting."""
    init = _typed("inotify_init1", _int, restype=Descriptor)
    return _opened(init, os.O_CLOEXEC | os.O_NONBLOCK)


def inotify_add_watch(queue: int, directory: bytes, mask: int) -> int:
    """inotify_add_watch(2) of a directory; return the number of the watch."""
    add = _typed("inotify_add_watch", _int, _str, ctypes.c_uint32)
    return _checked(add, queue, directory, mask | IN_ONLYDIR | IN_DONT_FOLLOW, path=directory)


def inotify_read(queue: int) -> list[tuple[int, int, bytes]]:
    """Return the events that are there: watch, mask, and the name in the watched directory."""
    events: list[tuple[int, int, bytes]] = []
    while True:
        try:
            data = os.read(queue, 65536)
        except BlockingIOError:
            return events
        place = 0
        while place < len(data):
            watch, mask, _, length = _INOTIFY_EVENT.unpack_from(data, place)
            place += _INOTIFY_EVENT.size
            events.append((watch, mask, data[place : place + length].rstrip(b"\0")))
            place += length
