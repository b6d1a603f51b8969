"""Look names up beneath a held procfs directory, so that only entries of that procfs are found.

No mount, no link and no ``..`` takes part in a lookup: with openat2(2) the kernel refuses them
(``RESOLVE_NO_XDEV``, ``RESOLVE_NO_SYMLINKS``, ``RESOLVE_BENEATH``); without it each component is
opened by itself and checked. What was opened is checked once more by what fstat(2) says.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EINVAL, EISDIR, ELOOP, ENOTDIR, EXDEV

from procpath import linux, uapi
from procpath.descriptors import closed_on_error
from procpath.errors import MagicLinkError, UnverifiedProcError, about, os_error
from procpath.linux import Descriptor
from procpath.proc import checks
from procpath.proc.checks import Check, Kind
from procpath.reading import read_whole
from procpath.uapi import DENIED, FIND_DIRECTORY_NOFOLLOW, FIND_NOFOLLOW, LISTING

_FOLLOW_ATTEMPTS = 100
_LINK_ON_THE_WAY = "a link of procfs is on the way, and is not followed"
_RESOLVE = uapi.RESOLVE_NO_XDEV | uapi.RESOLVE_NO_SYMLINKS | uapi.RESOLVE_BENEATH


def components(name: str | os.PathLike[str]) -> list[str]:
    """Return the components of a relative name such as ``ns/mnt``.

    Raises ``ValueError`` for an absolute or empty name, empty components, ``.``, ``..`` and
    NUL; ``TypeError`` for what is not text.
    """
    text = os.fspath(name)
    if not isinstance(text, str):
        raise TypeError(f"a name in procfs must be str, not {type(text).__name__}")
    if "\0" in text:
        raise ValueError(f"a name in procfs cannot contain a NUL byte: {text!r}")
    parts = text.split("/")
    for part in parts:
        if part in ("", ".", ".."):
            raise ValueError(
                f"a name in procfs must be relative, without '.', '..' and empty components: "
                f"{text!r}"
            )
    return parts


class Lookup:
    """The held root of one verified procfs, and how to open what is beneath it.

    It lives as long as anybody uses it; only then the root is closed. Many threads may use it:
    after construction only ``_openat2`` changes, once, from true to false.
    """

    __slots__ = ("_mount", "_number", "_openat2", "detached", "device", "root", "where")

    def __init__(self, root: Descriptor, where: str, *, detached: bool) -> None:
        """Look beneath ``root``, which passed the checks of a root.

        ``where`` is its host path for messages. A ``detached`` mount is in no mount namespace,
        so that nobody can mount anything in it.
        """
        self.root: Descriptor = root
        self.where: str = where
        self.detached: bool = detached
        self.device: int = os.fstat(root.value).st_dev
        self._mount = checks.mount_id(root.value)
        self._number: bytes | None = None
        self._openat2 = self._openat2_works()

    def _openat2_works(self) -> bool:
        """Return whether openat2(2) exists (Linux 5.6) and no seccomp filter forbids it.

        Such filters answer ENOSYS or EPERM (systemd-nspawn, old Docker: cap-std #147). Missing
        rights cannot refuse to open the root itself, so a refusal here is a filter's.
        """
        how = linux.open_how(FIND_DIRECTORY_NOFOLLOW, 0, _RESOLVE)
        fd = linux.try_openat2(self.root.value, b".", how)
        if fd.value < 0 and -fd.value not in DENIED:
            raise os_error(-fd.value, self.where)
        return fd.value >= 0

    def is_open_here(self) -> bool:
        """Return whether this thread's descriptors include the root."""
        try:
            status = os.fstat(self.root.value)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == (self.device, checks.ROOT_INO)

    def describe(self) -> Check:
        """Return how overmounts beneath the root are found at each lookup."""
        if self._openat2:
            outcome = "passed"
            how = "the kernel refuses it at each lookup: openat2 RESOLVE_NO_XDEV"
        else:
            outcome = "unavailable"
            how = "no openat2 here: each component's mount number is compared"
            if self._mount is None:
                how = (
                    "no openat2 here: each file is compared with its directory's listing, each "
                    "directory probed"
                )
        return Check(self.where, "nothing mounted over its entries", outcome, how)

    def open(self, dirfd: int, name: str, flags: int, kind: Kind, where: str) -> Descriptor:
        """Open ``name``, one or more components as :func:`components` allows, beneath ``dirfd``.

        ``dirfd`` is a held directory of this procfs, ``kind`` what is expected there and
        ``where`` its host path for messages. Raises ``UnverifiedProcError``, ``MagicLinkError``
        when a link is on the way, and the operating system's own errors.
        """
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            found = self._look_up(dirfd, name, flags, where)
            with closed_on_error(found) as fd:
                self._require(kind, os.fstat(fd), where)
        except OSError as error:
            if error.errno == ELOOP:
                raise MagicLinkError(where, _LINK_ON_THE_WAY) from None
            raise about(error, where) from None
        return found

    def readlink(self, dirfd: int, name: str, where: str) -> str:
        """Return the text of the link ``name`` beneath ``dirfd``."""
        with self.open(dirfd, name, FIND_NOFOLLOW, checks.LINK, where) as link:
            try:
                return os.readlink("", dir_fd=link)
            except OSError as error:
                raise about(error, where) from None

    def follow(self, dirfd: int, name: str, flags: int, where: str) -> Descriptor:
        """Open what the magic link ``name``, one component in ``dirfd``, leads to.

        No system call follows a link that is held by descriptor, so the name is looked up
        twice: for the checks, and to be followed. Where others may mount, that is believed
        only if nothing was mounted or unmounted in the meantime; else it is tried again.
        """
        if self.detached:
            self.require_link(dirfd, name, where)
            return _open_followed(dirfd, name, flags, where)
        for _ in range(_FOLLOW_ATTEMPTS):
            with self._watch_mounts() as undisturbed:
                self.require_link(dirfd, name, where)
                opened = _open_followed(dirfd, name, flags, where)
                with closed_on_error(opened):
                    # Without a watch this finds what was mounted since and is still there.
                    self.require_link(dirfd, name, where)
                    if undisturbed():
                        return opened
        raise UnverifiedProcError("mounts kept changing while the link was followed", where)

    @contextmanager
    def _watch_mounts(self) -> Iterator[Callable[[], bool]]:
        """Give a function that returns whether no mount of our namespace has changed since.

        ``mountinfo`` polls as exceptional after any change (proc_pid_mounts(5)), once for each
        opening. The kernel counts the change under the lock by which it makes it visible
        (``touch_mnt_namespace`` under ``mount_lock``, fs/namespace.c), so whoever was led
        astray by a mount finds it counted, also if it is gone again.
        """
        thread = self._thread()
        with self._open_file(f"{thread}/mountinfo") as mountinfo:
            self._find_mount(mountinfo)
            poll = select.poll()
            poll.register(mountinfo, select.POLLPRI)
            yield lambda: not poll.poll(0)

    def _thread(self) -> str:
        """Return where this thread is: a thread can have a mount namespace of its own."""
        try:
            return self.readlink(self.root.value, "thread-self", f"{self.where}/thread-self")
        except FileNotFoundError:
            raise UnverifiedProcError(
                "shows a PID namespace without this process, so that its mounts cannot be watched "
                "(a clone needs no watch: source open_tree)",
                self.where,
            ) from None

    def _open_file(self, name: str) -> Descriptor:
        where = f"{self.where}/{name}"
        return self.open(self.root.value, name, os.O_RDONLY, checks.FILE, where)

    def require_our_mount(self) -> Check:
        """Require that the procfs is mounted in the mount namespace of this thread.

        One that is reached through ``/proc/PID/root`` of a container is in the namespace of that,
        whose owner can mount on it without our noticing.
        """
        thread = self._thread()
        self._number = self._mount_number(thread)
        with self._open_file(f"{thread}/mountinfo") as mountinfo:
            detail = f"mount {self._find_mount(mountinfo)} of mountinfo"
        return Check(self.where, "is in our mount namespace", "passed", detail)

    def _find_mount(self, mountinfo: int) -> str:
        """Return the mount ID of the procfs. Raises where ``mountinfo`` does not list it."""
        device = f"{os.major(self.device)}:{os.minor(self.device)}".encode()
        for line in read_whole(mountinfo, 0).split(b"\n"):
            fields = line.split(b" ")
            # Without a number only /proc itself is known: no link leads there.
            if fields[0] == self._number or (
                self._number is None
                and self.where == "/proc"
                and fields[2:5:2] == [device, b"/proc"]
            ):
                return os.fsdecode(fields[0])
        raise UnverifiedProcError(
            "not mounted in the mount namespace of this thread: mounts over its entries could "
            "not be noticed",
            self.where,
        )

    def _mount_number(self, thread: str) -> bytes | None:
        """Return the mount ID of the root as mountinfo has it; None if it is not known."""
        facts = linux.statx_or_none(self.root.value, uapi.STATX_MNT_ID)
        if facts is not None and facts.mask & uapi.STATX_MNT_ID:
            return b"%d" % facts.mnt_id
        try:
            fdinfo = read_all(self._open_file(f"{thread}/fdinfo/{self.root.value}"))
        except PermissionError:
            # It is root's alone, after we have changed our user (before Linux 5.14).
            return None
        return next(
            (line[7:].strip() for line in fdinfo.split(b"\n") if line.startswith(b"mnt_id:")), None
        )

    def require_link(self, dirfd: int, name: str, where: str) -> None:
        """Raise unless ``name`` in ``dirfd`` is a link of procfs with nothing mounted over it."""
        self.open(dirfd, name, FIND_NOFOLLOW, checks.LINK, where).close()

    def list(self, dirfd: int, where: str) -> list[str]:
        """Return the names in the held directory ``dirfd``.

        They are read through a descriptor of its own: a shared one would keep its read position
        (rustix #994). ``.`` cannot cross a mount.
        """
        try:
            with linux.openat(dirfd, ".", LISTING) as scan:
                return os.listdir(scan)
        except OSError as error:
            raise about(error, where) from None

    def _require(self, kind: Kind, st: os.stat_result, where: str) -> None:
        checks.require_device(st, self.device, where)
        # Entries of procfs that the caller took for something else are no attack.
        if kind is checks.LINK and not stat.S_ISLNK(st.st_mode):
            raise OSError(EINVAL, "is not a link", where)
        if kind is checks.FILE and stat.S_ISDIR(st.st_mode):
            raise os_error(EISDIR)
        if kind is checks.DIRECTORY and stat.S_ISLNK(st.st_mode):
            raise os_error(ELOOP)
        if kind is checks.DIRECTORY and stat.S_ISREG(st.st_mode):
            raise os_error(ENOTDIR)
        checks.require_usual(kind, st, where)

    def _look_up(self, dirfd: int, name: str, flags: int, where: str) -> Descriptor:
        if self._openat2:
            fd = linux.try_openat2(dirfd, os.fsencode(name), linux.open_how(flags, 0, _RESOLVE))
            number = -fd.value
            if fd.value >= 0:
                return fd
            if number == EXDEV:
                raise UnverifiedProcError(
                    f"something is mounted over {self._overmounted(dirfd, name)!r}, so that this "
                    f"is not procfs's own (openat2 RESOLVE_NO_XDEV: EXDEV)",
                    where,
                )
            # hidepid or ptrace(2) forbids it; or a seccomp filter that came later than we did.
            if number not in DENIED or self._openat2_works():
                raise os_error(number)
            self._openat2 = False
        return self._walk(dirfd, name, flags, where)

    def _walk(self, dirfd: int, name: str, flags: int, where: str) -> Descriptor:
        """Do by steps what openat2 does in one call."""
        first, _, rest = name.partition("/")
        if not rest:
            return self._open_last(dirfd, first, flags, where)
        with self._open_uncovered(dirfd, first, FIND_NOFOLLOW, where) as below:
            mode = os.fstat(below).st_mode
            if not stat.S_ISDIR(mode):
                raise os_error(ELOOP if stat.S_ISLNK(mode) else ENOTDIR)
            return self._walk(below, rest, flags, where)

    def _open_last(self, dirfd: int, name: str, flags: int, where: str) -> Descriptor:
        if flags & os.O_PATH:
            return self._open_uncovered(dirfd, name, flags, where)
        # Looked at before it is opened for reading: opening a FIFO or a device that is mounted
        # there could hang or do something. And again, for that descriptor is handed out.
        self._open_uncovered(dirfd, name, FIND_NOFOLLOW, where).close()
        opened = self._open_uncovered(dirfd, name, flags | os.O_NONBLOCK, where)
        if not flags & os.O_NONBLOCK:
            os.set_blocking(opened.value, True)
        return opened

    def _open_uncovered(self, dirfd: int, name: str, flags: int, where: str) -> Descriptor:
        """Open ``name`` in ``dirfd`` and require that it is not something mounted there."""
        opened = linux.openat(dirfd, name, flags)
        with closed_on_error(opened) as fd:
            st = os.fstat(fd)
            checks.require_device(st, self.device, where)
            found = None if self._mount is None else checks.mount_id(fd)
            if found is not None and self._mount is not None:
                checks.require_mount(found, self._mount, where)
                return opened
            if stat.S_ISDIR(st.st_mode):
                checks.require_no_mount_point(fd, where)
                if name.isdecimal() and self._has_number(fd, name, dirfd, where):
                    return opened
            # Directories too: a mount that was detached meanwhile is a mount point no more.
            checks.require_listed(dirfd, name, st, where)
            return opened

    def _has_number(self, fd: int, name: str, dirfd: int, where: str) -> bool:
        """Require that a process's directory is of the number by which it was found.

        Return whether it is such a directory. The list of its parent does not show: it leaves
        out processes that hidepid hides, and threads (proc(5)).
        """
        try:
            fields = read_all(self._open_last(fd, "stat", os.O_RDONLY, where))
        except FileNotFoundError:
            if os.fstat(dirfd).st_ino == checks.ROOT_INO:
                raise  # The process has ended.
            return False
        number = os.fsdecode(fields.partition(b" ")[0])
        if number != name:
            raise UnverifiedProcError(
                f"its stat is that of {number!r}: another process's directory is mounted over it",
                where,
            )
        return True

    def _overmounted(self, dirfd: int, name: str) -> str:
        """Return the first part of ``name`` that another mount covers, for the message."""
        how = linux.open_how(FIND_NOFOLLOW, 0, _RESOLVE)
        parts = name.split("/")
        for count in range(1, len(parts)):
            part = "/".join(parts[:count])
            if linux.try_openat2(dirfd, os.fsencode(part), how).value == -EXDEV:
                return part
        return name


def read_all(descriptor: Descriptor, limit: int | None = None) -> bytes:
    """Return everything that can be read, and close the descriptor.

    Raises ``EFBIG`` if that is more than ``limit`` bytes.
    """
    with descriptor as fd:
        return read_whole(fd, 0, limit)


def _open_followed(dirfd: int, name: str, flags: int, where: str) -> Descriptor:
    try:
        return linux.openat(dirfd, name, flags)
    except OSError as error:
        raise about(error, where) from None
