"""A name beneath a held procfs directory -> a descriptor that is truly procfs's.

It promises that no mount, no link and no ``..`` takes part in a lookup: with openat2(2) the
kernel refuses them (``RESOLVE_NO_XDEV``, ``RESOLVE_NO_SYMLINKS``, ``RESOLVE_BENEATH``);
without it every component is opened by itself and checked. What was opened is checked once
more by what fstat(2) says of it. Rests on :mod:`procpath.proc.checks`.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from procpath import linux
from procpath.errors import MagicLinkError, UnverifiedProcError, os_error
from procpath.proc import checks
from procpath.proc.checks import Check, Kind

__all__ = ["DIRECTORY_FLAGS", "LINK_FLAGS", "Held", "Lookup", "components"]

DIRECTORY_FLAGS: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
"""``O_PATH``: a descriptor that cannot be read has no read position that threads would share."""
LINK_FLAGS: Final = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW

_FOLLOW_ATTEMPTS: Final = 100
_LINK_ON_THE_WAY: Final = "a link of procfs stands on the way, and is not followed"
_ALWAYS: Final = os.O_CLOEXEC | os.O_NOFOLLOW
_RESOLVE: Final = linux.RESOLVE_NO_XDEV | linux.RESOLVE_NO_SYMLINKS | linux.RESOLVE_BENEATH


class Held:
    """A descriptor that is closed by its last user, or before by :meth:`close`."""

    __slots__ = ("__weakref__", "_close", "_fd", "_what")

    def __init__(self, fd: int, what: str) -> None:
        self._fd = fd
        self._what = what
        self._close = weakref.finalize(self, os.close, fd)
        # At exit the kernel closes descriptors faster than we could.
        self._close.atexit = False

    def fileno(self) -> int:
        """The descriptor. Raises ``ValueError`` when it is closed, as a file does."""
        if self._fd < 0:
            raise ValueError(f"{self._what} is closed")
        return self._fd

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def close(self) -> None:
        """Close the descriptor; a second time it does nothing."""
        self._fd = -1
        self._close()

    def __reduce__(self) -> NoReturn:
        # A copy would close the descriptor a second time, whoever had got its number by then.
        raise TypeError(f"{self._what}: a held descriptor can be neither copied nor pickled")


def components(name: str | os.PathLike[str]) -> list[str]:
    """The components of a relative name such as ``ns/mnt``, none of which leads elsewhere.

    Raises ``ValueError`` for an absolute or empty name, empty components, ``.``, ``..`` and
    NUL; ``TypeError`` for what is no name.
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
    """One verified procfs: the descriptor of its root, and how to open what is beneath it.

    Serves many threads: after construction only ``_openat2`` ever changes, from true to false.
    """

    __slots__ = ("_mount", "_openat2", "detached", "device", "root", "where")

    def __init__(self, root: Held, where: str, *, detached: bool) -> None:
        """Look beneath ``root``, which passed the checks of a root.

        ``where`` is its host path for messages. ``detached`` says that it is a mount of our
        own that no mount namespace contains, so that nobody else can mount anything in it.
        """
        self.root = root
        self.where = where
        self.detached = detached
        self.device = os.fstat(root.fileno()).st_dev
        self._mount = checks.mount_id(root.fileno())
        self._openat2 = self._openat2_works()

    def _openat2_works(self) -> bool:
        """Whether openat2(2) is there (Linux 5.6) and not forbidden by a seccomp filter.

        Such filters answer ENOSYS or EPERM (systemd-nspawn, old Docker: cap-std #147). Opening
        the root itself cannot be refused by rights, so a refusal here is a filter's.
        """
        how = linux.open_how(DIRECTORY_FLAGS, 0, _RESOLVE)
        fd = linux.try_openat2(self.root.fileno(), b".", how).detach()
        if fd >= 0:
            os.close(fd)
            return True
        if -fd in checks.NOT_LET:
            return False
        raise os_error(-fd, self.where)

    def describe(self) -> Check:
        """How overmounts beneath the root are found at each lookup."""
        if self._openat2:
            return Check(
                self.where,
                "nothing mounted over its entries",
                "passed",
                "the kernel refuses it at each lookup: openat2 RESOLVE_NO_XDEV",
            )
        if self._mount is not None:
            how = "each component's mount number is compared"
        else:
            how = "each file is compared with its directory's listing, each directory probed"
        return Check(
            self.where, "nothing mounted over its entries", "unavailable", f"no openat2 here: {how}"
        )

    def open(self, dirfd: int, name: str, flags: int, kind: Kind, where: str) -> int:
        """Open ``name``, one or more components as :func:`components` allows, beneath ``dirfd``.

        ``dirfd`` is a held directory of this procfs, ``kind`` what is expected there and
        ``where`` its host path for messages. Returns a close-on-exec descriptor. Raises
        ``UnverifiedProcError``, ``MagicLinkError`` when a link stands on the way, and the
        operating system's own errors.
        """
        flags |= _ALWAYS
        if self._openat2:
            how = linux.open_how(flags, 0, _RESOLVE)
            fd = linux.try_openat2(dirfd, os.fsencode(name), how).detach()
            # A seccomp filter may have come later than we did; or hidepid forbids it, or ptrace.
            if -fd in checks.NOT_LET and not self._openat2_works():
                self._openat2 = False
                fd = self._walk(dirfd, name, flags, where)
        else:
            fd = self._walk(dirfd, name, flags, where)
        if fd < 0:
            raise self._refusal(-fd, dirfd, name, where)
        try:
            self._check(kind, os.fstat(fd), where)
        except BaseException as error:
            os.close(fd)
            if isinstance(error, OSError) and error.filename is None:
                error.filename = where
            raise
        return fd

    def readlink(self, dirfd: int, name: str, where: str) -> str:
        """The text of the link ``name`` beneath ``dirfd``; the link itself is held meanwhile."""
        fd = self.open(dirfd, name, LINK_FLAGS, checks.LINK, where)
        try:
            return os.readlink("", dir_fd=fd)
        except OSError as error:
            error.filename = where
            raise
        finally:
            os.close(fd)

    def follow(self, dirfd: int, name: str, flags: int, where: str) -> int:
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
                fd = _open_followed(dirfd, name, flags, where)
                try:
                    # Without a watch this finds what was mounted since and is still there.
                    self.require_link(dirfd, name, where)
                    if undisturbed():
                        kept, fd = fd, -1
                        return kept
                finally:
                    if fd >= 0:
                        os.close(fd)
        raise UnverifiedProcError("mounts kept changing while the link was followed", where)

    @contextmanager
    def _watch_mounts(self) -> Iterator[Callable[[], bool]]:
        """Gives a function that says whether no mount of our namespace has changed since.

        ``mountinfo`` polls as exceptional after any change (proc_pid_mounts(5)), once for each
        opening. The kernel counts the change under the lock by which it makes it visible
        (``touch_mnt_namespace`` under ``mount_lock``, fs/namespace.c), so whoever was led
        astray by a mount finds it counted, also if it is gone again.

        A procfs that shows a PID namespace without us has no ``mountinfo`` of ours: there the
        function always says yes.
        """
        try:
            pid = self.readlink(self.root.fileno(), "self", f"{self.where}/self")
        except FileNotFoundError:
            yield lambda: True
            return
        name = f"{pid}/mountinfo"
        mountinfo = self.open(
            self.root.fileno(), name, os.O_RDONLY, checks.FILE, f"{self.where}/{name}"
        )
        try:
            poll = select.poll()
            poll.register(mountinfo, select.POLLPRI)
            yield lambda: not poll.poll(0)
        finally:
            os.close(mountinfo)

    def require_link(self, dirfd: int, name: str, where: str) -> None:
        """Raise unless ``name`` in ``dirfd`` is a link of procfs with nothing mounted over it."""
        os.close(self.open(dirfd, name, LINK_FLAGS, checks.LINK, where))

    def list(self, dirfd: int, where: str) -> list[str]:
        """The names in the held directory ``dirfd``, read through a descriptor of its own.

        A shared one would keep its read position (rustix #994). ``.`` cannot cross a mount.
        """
        try:
            scan = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dirfd)
            try:
                return os.listdir(scan)
            finally:
                os.close(scan)
        except OSError as error:
            error.filename = where
            raise

    def _check(self, kind: Kind, st: os.stat_result, where: str) -> None:
        checks.is_on_device(st, self.device, where)
        checks.is_not_inode_one(st, where)
        # Entries of procfs that the caller took for something else are no attack.
        if kind is checks.LINK and not stat.S_ISLNK(st.st_mode):
            raise OSError(errno.EINVAL, "is not a link", where)
        if kind is checks.FILE and stat.S_ISDIR(st.st_mode):
            raise os_error(errno.EISDIR, where)
        if kind is checks.DIRECTORY and stat.S_ISLNK(st.st_mode):
            raise MagicLinkError(where, _LINK_ON_THE_WAY)
        if kind is checks.DIRECTORY and stat.S_ISREG(st.st_mode):
            raise os_error(errno.ENOTDIR, where)
        checks.is_of_kind(kind, st, where)
        checks.has_usual_mode(kind, st, where)
        checks.has_usual_link_count(kind, st, where)

    def _walk(self, dirfd: int, name: str, flags: int, where: str) -> int:
        """What openat2 does in one call, component by component; in its own convention."""
        *directories, last = name.split("/")
        held: int | None = None
        try:
            for component in directories:
                below = self._enter(dirfd if held is None else held, component, where)
                if held is not None:
                    os.close(held)
                held = below
            return self._open_last(dirfd if held is None else held, last, flags, where)
        except UnverifiedProcError:
            raise
        except OSError as error:
            if error.errno is None:
                raise
            return -error.errno
        finally:
            if held is not None:
                os.close(held)

    def _enter(self, dirfd: int, name: str, where: str) -> int:
        fd = os.open(name, LINK_FLAGS, dir_fd=dirfd)
        try:
            self._check_overmount(fd, dirfd, name, where)
            mode = os.fstat(fd).st_mode
            if stat.S_ISLNK(mode):
                raise os_error(errno.ELOOP, where)
            if not stat.S_ISDIR(mode):
                raise os_error(errno.ENOTDIR, where)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _open_last(self, dirfd: int, name: str, flags: int, where: str) -> int:
        held = os.open(name, LINK_FLAGS | (flags & os.O_DIRECTORY), dir_fd=dirfd)
        try:
            # Looked at before it is opened for reading: opening a FIFO or a device that is
            # mounted there could hang or do something.
            self._check_overmount(held, dirfd, name, where)
            if flags & os.O_PATH:
                fd, held = held, -1
                return fd
        finally:
            if held >= 0:
                os.close(held)
        # Looked at again afterwards, for it is this descriptor that is handed out.
        fd = os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=dirfd)
        try:
            self._check_overmount(fd, dirfd, name, where)
            if not flags & os.O_NONBLOCK:
                os.set_blocking(fd, True)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _check_overmount(self, fd: int, dirfd: int, name: str, where: str) -> None:
        """``fd``, opened as ``name`` in ``dirfd``, is not something mounted over it."""
        st = os.fstat(fd)
        checks.is_on_device(st, self.device, where)
        found = checks.mount_id(fd) if self._mount is not None else None
        if found is not None and self._mount is not None:
            checks.is_on_mount(found, self._mount, where)
            return
        if stat.S_ISDIR(st.st_mode):
            checks.is_no_mount_point(fd, where)
            if name.isdecimal():
                # Of processes the list leaves out those that hidepid hides, and threads (proc(5)).
                return
        # Directories too: a mount that was detached meanwhile is a mount point no more.
        checks.is_listed(dirfd, name, st, where)

    def _refusal(self, number: int, dirfd: int, name: str, where: str) -> OSError:
        if number == errno.EXDEV:
            at = self._overmounted(dirfd, name)
            return UnverifiedProcError(
                f"something is mounted over {at!r}, so that this is not procfs's own "
                f"(openat2 RESOLVE_NO_XDEV: EXDEV)",
                where,
            )
        if number == errno.ELOOP:
            return MagicLinkError(where, _LINK_ON_THE_WAY)
        return os_error(number, where)

    def _overmounted(self, dirfd: int, name: str) -> str:
        """The first part of ``name`` that another mount covers, to tell people."""
        how = linux.open_how(LINK_FLAGS, 0, _RESOLVE)
        parts = name.split("/")
        for count in range(1, len(parts)):
            part = "/".join(parts[:count])
            fd = linux.try_openat2(dirfd, os.fsencode(part), how).detach()
            if fd == -errno.EXDEV:
                return part
            if fd >= 0:
                os.close(fd)
        return name


def _open_followed(dirfd: int, name: str, flags: int, where: str) -> int:
    try:
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOCTTY, dir_fd=dirfd)
    except OSError as error:
        error.filename = where
        raise
