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
import struct
from collections.abc import Callable
from errno import EINTR, EINVAL
from functools import lru_cache
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, NewType, NoReturn

from procpath import uapi
from procpath.errors import os_error
from procpath.uapi import SYS_openat2

_MACHINE = os.uname().machine
try:
    _SYS = uapi.OLDER_SYSCALLS[_MACHINE]
except KeyError:
    raise ImportError(
        f"procpath knows the system calls of x86-64 and aarch64, not of {_MACHINE}"
    ) from None
if sys.maxsize < 2**32:
    raise ImportError("procpath needs a 64-bit Python: it calls the 64-bit system calls")

_method_of_c: Any = ctypes.pythonapi.PyInstanceMethod_New
_method_of_c.argtypes = (ctypes.py_object,)
_method_of_c.restype = ctypes.py_object

untrack: Any = ctypes.pythonapi["PyObject_GC_UnTrack"]
untrack.argtypes = (ctypes.py_object,)
untrack.restype = None
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

    value: int

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
    __del__: ClassVar[Callable[..., object]] = _method_of_c(ctypes.CDLL(None)["close"])

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
get_errno: Callable[[], int] = ctypes.get_errno
_set_errno = ctypes.set_errno
_TRY_AGAIN = (EINTR, 0)
"""No call fails with 0: a signal handler has set it."""

OPEN_HOW_SIZE = ctypes.sizeof(_open_how)

# Looking a symbol up by index makes a new function object each time, so this one and
# the typed ones below do not share their settings. Without `argtypes` ctypes hands
# ints, bytes and prepared references over as they are, which saves 0.7 of 4.1 us on
# every lookup; so whoever calls _openat2 must hand it exactly these.
_openat2: Any = _libc["syscall"]
_openat2.restype = Descriptor

# The same goes for openat(), by which trees are walked and copied.
_openat: Any = _libc["openat"]
_openat.restype = Descriptor

# The same two for bare numbers, without the owner, which takes as long as a system call, and
# without errno: whoever gets -1 asks again by the functions below. Only so,
# with nothing but comparisons between the two statements:
#
#     (fd,) = starmap(linux.bare_openat, ((dirfd, name, flags),))
#     try: ... finally: os.close(fd)
#
# Python runs signal handlers where a function of Python begins, where a loop begins again and after
# a call. Here the call is made by the assignment, so no handler runs before the number is kept; nor
# where it is what a function of Python returns, or before the first call of an except or finally
# block. ``fd = linux.bare_openat(...)`` would lose it to an interrupt, as os.open() does.
_libc_without_errno = ctypes.CDLL(None)
bare_openat2: Any = _libc_without_errno["syscall"]
bare_openat: Any = _libc_without_errno["openat"]
bare_openat2_with_errno: Any = _libc["syscall"]
OF_OUR_OWN = os.O_CLOEXEC | os.O_NOCTTY
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
    before = get_errno()
    while True:
        fd: Descriptor = _openat2(SYS_openat2, dirfd, path, how, OPEN_HOW_SIZE)
        if fd.value >= 0:
            untrack(fd)
            return fd
        number = taken_errno(before)
        if number not in _TRY_AGAIN:
            fd.value = -number
            return fd


def taken_errno(before: int) -> int:
    """The errno of the call that has just failed; the thread's is ``before`` again.

    Python runs signal handlers between the call and this look at its errno. A handler that
    makes such calls too must leave the errno as it found it.
    """
    number = get_errno()
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
    before = get_errno()
    while True:
        result: int = function(*arguments)
        if result >= 0:
            return result
        number = taken_errno(before)
        if number not in _TRY_AGAIN:
            raise os_error(number, path)


def _opened(function: Any, *arguments: Any, path: str | bytes | None = None) -> Descriptor:
    """Call a function whose result is a :class:`Descriptor`."""
    before = get_errno()
    while True:
        fd: Descriptor = function(*arguments)
        if fd.value >= 0:
            untrack(fd)
            return fd
        number = taken_errno(before)
        if number not in _TRY_AGAIN:
            raise os_error(number, path)


_int, _uint, _ulong = ctypes.c_int, ctypes.c_uint, ctypes.c_ulong
_str, _ptr = ctypes.c_char_p, ctypes.c_void_p
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
_removexattrat = _syscall(_int, _str, _uint, _str)
_syncfs = _typed("syncfs", _int)
_pivot_root = _syscall(_str, _str)
_mount = _typed("mount", _str, _str, _str, _ulong, _str)
_umount2 = _typed("umount2", _str, _int)
_unshare = _typed("unshare", _int)
_setns = _typed("setns", _int, _int)


def openat(dirfd: int, name: str | bytes, flags: int, mode: int = 0o777) -> Descriptor:
    """openat(2); ``O_NOCTTY`` too, so that no file becomes the controlling terminal."""
    path = name if isinstance(name, bytes) else name.encode(_FS_ENCODING, _FS_ERRORS)
    if b"\0" in path:
        raise ValueError("embedded null byte")
    before = get_errno()
    while True:
        fd: Descriptor = _openat(dirfd, path, flags | OF_OUR_OWN, mode)
        if fd.value >= 0:
            untrack(fd)
            return fd
        number = taken_errno(before)
        if number not in _TRY_AGAIN:
            raise os_error(number, path)


def dup(fd: int) -> Descriptor:
    """fcntl(2), ``F_DUPFD_CLOEXEC``."""
    return _opened(_dup, fd, fcntl.F_DUPFD_CLOEXEC, 0)


def pidfd_open(pid: int) -> Descriptor:
    """pidfd_open(2) (Linux 5.3)."""
    return _opened(_pidfd_open, uapi.SYS_pidfd_open, pid, 0)


class Statx(NamedTuple):
    """The fields of ``struct statx`` that :func:`os.stat` lacks, and those to compare by."""

    mask: int
    """which of the optional fields the kernel filled in (``STATX_*``)"""
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
_STATX_LAYOUT = struct.Struct("=I4xQ12xH2xQ16xQ16xqI4x32x8xIIQ")
_STATX_BRIEF = struct.Struct("=28xH2xQ96xIIQ")
_StatxBuffer = ctypes.c_char * 256
# Without `argtypes` and errno, as above.
_bare_statx: Any = _libc_without_errno["syscall"]


def statx(dirfd: int, path: bytes, flags: int = 0, mask: int = uapi.STATX_BASIC_STATS) -> Statx:
    """statx(2) (Linux 4.11). An empty path with ``AT_EMPTY_PATH`` asks for ``dirfd`` itself."""
    buffer = _StatxBuffer()
    _checked(_statx, _SYS["statx"], dirfd, path, flags, mask, buffer, path=path)
    got, attributes, mode, ino, attributes_mask, sec, nsec, major, minor, mnt_id = (
        _STATX_LAYOUT.unpack_from(buffer)
    )
    if not mnt_id:
        # No mount has this ID: qemu-user sets the bits of the mask and leaves it at 0.
        got &= ~(uapi.STATX_MNT_ID | uapi.STATX_MNT_ID_UNIQUE)
    born = sec * 1_000_000_000 + nsec if got & uapi.STATX_BTIME else 0
    return Statx(got, mode, ino, attributes, attributes_mask, major, minor, mnt_id, born)


def brief_statx(dirfd: int, path: bytes, flags: int, mask: int) -> tuple[int, ...]:
    """Mode, inode, major, minor and mount ID alone, in half the time; 0 where it fails."""
    buffer = _StatxBuffer()
    _bare_statx(_SYS["statx"], dirfd, path, flags, mask, buffer)
    return _STATX_BRIEF.unpack_from(buffer)


def statx_or_none(fd: int, mask: int) -> Statx | None:
    """statx(2) of what ``fd`` holds, or None where it is denied or missing (``DENIED``)."""
    try:
        return statx(fd, b"", uapi.AT_EMPTY_PATH, mask)
    except OSError as error:
        if error.errno not in uapi.DENIED:
            raise
        return None


class Statfs(NamedTuple):
    """The file system's type (``*_SUPER_MAGIC``) and its mount flags (``ST_*``)."""

    type: int
    flags: int


# struct statfs of 64-bit Linux, 15 words: type, bsize, five counts, fsid, namelen, frsize,
# flags, spare.
_StatfsWords = ctypes.c_int64 * 15
# Without `argtypes`, as above: an int and an array.
_fstatfs: Any = _libc["fstatfs"]
_bare_fstatfs: Any = _libc_without_errno["fstatfs"]


def fstatfs(fd: int) -> Statfs:
    """fstatfs(2); works on ``O_PATH`` descriptors too (Linux 3.12)."""
    words = _StatfsWords()
    _checked(_fstatfs, fd, words)
    return Statfs(words[0], words[10])


def file_system_type(fd: int) -> int:
    """The type alone of :func:`fstatfs`, in half the time: asked before every file is opened."""
    words = _StatfsWords()
    if _bare_fstatfs(fd, words) < 0:
        return fstatfs(fd).type
    file_system: int = words[0]
    return file_system


def fsopen(fsname: bytes) -> Descriptor:
    """fsopen(2) (Linux 5.2): a descriptor of a file system that is yet to be configured."""
    return _opened(_fsopen, uapi.SYS_fsopen, fsname, uapi.FSOPEN_CLOEXEC, path=fsname)


def fsconfig(fd: int, command: int, key: bytes | None = None, value: bytes | None = None) -> None:
    """fsconfig(2) (Linux 5.2), with ``FSCONFIG_SET_FLAG``, ``FSCONFIG_SET_STRING`` or
    ``FSCONFIG_CMD_CREATE``.
    """
    _checked(_fsconfig, uapi.SYS_fsconfig, fd, command, key, value, 0, path=key)


def fsmount(fd: int, attributes: int = 0) -> Descriptor:
    """fsmount(2) (Linux 5.2): a detached mount of it, with ``MOUNT_ATTR_*``, as an ``O_PATH``
    descriptor.
    """
    return _opened(_fsmount, uapi.SYS_fsmount, fd, uapi.FSMOUNT_CLOEXEC, attributes)


def open_tree(dirfd: int, path: bytes, flags: int) -> Descriptor:
    """open_tree(2) (Linux 5.2): a mount, or with ``OPEN_TREE_CLONE`` a detached copy of it."""
    return _opened(_open_tree, uapi.SYS_open_tree, dirfd, path, flags | os.O_CLOEXEC, path=path)


def move_mount(mount_fd: int, dirfd: int, path: bytes) -> None:
    """move_mount(2) (Linux 5.2): attach the mount ``mount_fd`` at ``path``."""
    _checked(
        _move_mount,
        uapi.SYS_move_mount,
        mount_fd,
        b"",
        dirfd,
        path,
        uapi.MOVE_MOUNT_F_EMPTY_PATH,
        path=path,
    )


def renameat2(olddirfd: int, old: bytes, newdirfd: int, new: bytes, flags: int = 0) -> None:
    """renameat2(2) (Linux 3.15), with ``RENAME_NOREPLACE`` or ``RENAME_EXCHANGE``."""
    _checked(_renameat2, _SYS["renameat2"], olddirfd, old, newdirfd, new, flags, path=old)


def fchmodat2(dirfd: int, path: bytes, mode: int, flags: int) -> None:
    """fchmodat2(2) (Linux 6.6): chmod that knows ``AT_SYMLINK_NOFOLLOW`` and ``AT_EMPTY_PATH``."""
    _checked(_fchmodat2, uapi.SYS_fchmodat2, dirfd, path, mode, flags, path=path)


_XATTR_SIZE_MAX = 65536
"""of a value, and of the list of names (xattr(7))"""

# struct xattr_args (include/uapi/linux/xattr.h): value, size, flags.
_XATTR_ARGS = struct.Struct("=QII")


def listxattrat(dirfd: int, path: bytes, flags: int) -> list[bytes]:
    """listxattrat(2) (Linux 6.13): the names of all extended attributes."""
    names = ctypes.create_string_buffer(_XATTR_SIZE_MAX)
    size = _checked(
        _listxattrat, uapi.SYS_listxattrat, dirfd, path, flags, names, _XATTR_SIZE_MAX, path=path
    )
    return names.raw[:size].split(b"\0")[:-1]


def getxattrat(dirfd: int, path: bytes, flags: int, name: bytes) -> bytes:
    """getxattrat(2) (Linux 6.13): the value of one extended attribute."""
    value = ctypes.create_string_buffer(_XATTR_SIZE_MAX)
    args = _XATTR_ARGS.pack(ctypes.addressof(value), _XATTR_SIZE_MAX, 0)
    size = _checked(
        _getxattrat, uapi.SYS_getxattrat, dirfd, path, flags, name, args, len(args), path=path
    )
    return value.raw[:size]


def setxattrat(
    dirfd: int, path: bytes, flags: int, name: bytes, value: bytes, how: int = 0
) -> None:
    """setxattrat(2) (Linux 6.13): set one extended attribute; ``how`` is ``XATTR_CREATE`` …"""
    buffer = ctypes.create_string_buffer(value, len(value))
    args = _XATTR_ARGS.pack(ctypes.addressof(buffer), len(value), how)
    _checked(_setxattrat, uapi.SYS_setxattrat, dirfd, path, flags, name, args, len(args), path=path)


def removexattrat(dirfd: int, path: bytes, flags: int, name: bytes) -> None:
    """removexattrat(2) (Linux 6.13): remove one extended attribute."""
    _checked(_removexattrat, uapi.SYS_removexattrat, dirfd, path, flags, name, path=path)


def syncfs(fd: int) -> None:
    """syncfs(2): write everything of the file system of ``fd`` to the disk."""
    _checked(_syncfs, fd)


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
    _checked(prctl, uapi.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are.
    fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    seccomp = _syscall(_uint, _uint, _str, restype=Descriptor)
    flags = uapi.SECCOMP_FILTER_FLAG_NEW_LISTENER | uapi.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
    try:
        return _opened(seccomp, _SYS["seccomp"], uapi.SECCOMP_SET_MODE_FILTER, flags, fprog)
    except OSError as error:
        if error.errno != EINVAL:
            raise
    flags = uapi.SECCOMP_FILTER_FLAG_NEW_LISTENER
    return _opened(seccomp, _SYS["seccomp"], uapi.SECCOMP_SET_MODE_FILTER, flags, fprog)


def seccomp_receive(listener: int) -> StoppedCall:
    """Return the next stopped call; ENOENT if it was interrupted before."""
    buffer = bytearray(_SECCOMP_NOTIF.size)  # must be zeroes
    fcntl.ioctl(listener, uapi.SECCOMP_IOCTL_NOTIF_RECV, buffer)
    id_, tid, _, number, arch, _, *arguments = _SECCOMP_NOTIF.unpack(buffer)
    return StoppedCall(id_, tid, number, arch, tuple(arguments))


def seccomp_is_stopped(listener: int, id_: int) -> bool:
    """Whether the call still waits, so that what was read of its process is the process's."""
    try:
        fcntl.ioctl(listener, uapi.SECCOMP_IOCTL_NOTIF_ID_VALID, struct.pack("=Q", id_))
    except FileNotFoundError:
        return False
    return True


def seccomp_continue(listener: int, id_: int) -> None:
    """Let the stopped call be made (Linux 5.5)."""
    answer = _SECCOMP_NOTIF_RESP.pack(id_, 0, 0, uapi.SECCOMP_USER_NOTIF_FLAG_CONTINUE)
    fcntl.ioctl(listener, uapi.SECCOMP_IOCTL_NOTIF_SEND, answer)


def seccomp_fail(listener: int, id_: int, number: int) -> None:
    """Let the stopped call fail with the errno ``number``, without being made."""
    answer = _SECCOMP_NOTIF_RESP.pack(id_, 0, -number, 0)
    fcntl.ioctl(listener, uapi.SECCOMP_IOCTL_NOTIF_SEND, answer)


_INOTIFY_EVENT = struct.Struct("=iIII")  # watch, mask, cookie, length of the name


def inotify_init() -> Descriptor:
    """inotify_init1(2): a queue of events, to be read without waiting."""
    init = _typed("inotify_init1", _int, restype=Descriptor)
    return _opened(init, os.O_CLOEXEC | os.O_NONBLOCK)


def inotify_add_watch(queue: int, directory: bytes, mask: int) -> int:
    """inotify_add_watch(2) of a directory; return the number of the watch."""
    add = _typed("inotify_add_watch", _int, _str, ctypes.c_uint32)
    flags = mask | uapi.IN_ONLYDIR | uapi.IN_DONT_FOLLOW
    return _checked(add, queue, directory, flags, path=directory)


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
