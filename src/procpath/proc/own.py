"""The entries of this very process and thread in a verified procfs.

What is held is found once by each thread, and again after ``fork``: ``/proc/self`` as the parent
saw it stays the parent's.
"""

from __future__ import annotations

import operator
import os
import re
import threading
from collections.abc import Callable
from errno import EBADF, ENOENT
from itertools import starmap
from stat import filemode

from procpath import linux
from procpath.errors import UnverifiedProcError, about, os_error
from procpath.linux import Descriptor
from procpath.proc import checks
from procpath.proc.checks import Check, Kind
from procpath.proc.lookup import Lookup
from procpath.proc.process import ProcessDir
from procpath.uapi import FIND_DIRECTORY_NOFOLLOW

_ANOTHER_OBJECT = "led to another object than the descriptor's: something was mounted over it"

_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


def this_process() -> tuple[int, int]:
    """Return what changes when a fork makes another process of this one.

    The PID alone does not: the first process of a PID namespace, 1, may be forked by another 1.
    The count alone does not after a fork by C code.
    """
    return _forks, os.getpid()


_THREAD_SELF = re.compile(r"([0-9]+)/task/[0-9]+")


class _Found:
    """What one thread has found about itself."""

    __slots__ = ("_held", "_thread_id", "checks", "fd", "process", "this", "thread")

    def __init__(self, lookup: Lookup) -> None:
        self._held: dict[str, tuple[Descriptor, os.stat_result]] = {}
        self.fd: Descriptor | None = None
        """the directory ``fd``, where it is held"""
        self._thread_id = threading.get_native_id()
        self.this = this_process()
        where = f"{lookup.where}/thread-self"
        try:
            # A thread may have descriptors of its own (unshare(2), CLONE_FILES): "self" has those
            # of the main thread.
            self.thread = lookup.readlink(lookup.root.value, "thread-self", where)
        except FileNotFoundError:
            # proc_thread_self_get_link() of fs/proc/thread_self.c, for a reader whom the
            # namespace lacks.
            raise FileNotFoundError(
                ENOENT,
                "this process is not in the PID namespace that this procfs shows",
                f"{lookup.where}/self",
            ) from None
        match = _THREAD_SELF.fullmatch(self.thread)
        if match is None:
            raise UnverifiedProcError(f"leads to {self.thread!r}, which is not a thread", where)
        self.process = match[1]
        self.checks = {"": _describe_pid_namespace(int(self.process), f"{lookup.where}/self")}

    def directory(self, lookup: Lookup, name: str, kind: Kind) -> Descriptor:
        """Return this thread's directory ``name``, which is opened once."""
        if name not in self._held:
            where = f"{lookup.where}/self/{name}"
            beneath = f"{self.thread}/{name}"
            held = lookup.open(lookup.root.value, beneath, FIND_DIRECTORY_NOFOLLOW, kind, where)
            status = os.fstat(held.value)
            self._held[name] = held, status
            if name == "fd":
                self.fd = held
            self.checks[name] = _describe_entry(kind, status, where)
        return self._held[name][0]


class _FoundByThread(_Found):
    """The same, which another thread may drop: that one closes numbers in its own table."""

    __slots__ = ()

    # Defaults, since module globals may be gone when the interpreter exits.
    def __del__(
        self,
        _this_thread: Callable[[], int] = threading.get_native_id,
        _fstat: Callable[[int], os.stat_result] = os.fstat,
        _samestat: Callable[[os.stat_result, os.stat_result], bool] = os.path.samestat,
    ) -> None:
        if _this_thread() == self._thread_id:
            return
        for held, status in self._held.values():
            try:
                is_ours = _samestat(_fstat(held.value), status)
            except OSError:
                is_ours = False
            if not is_ours:
                held.detach()


class _Threads(threading.local):
    found: _Found | None = None
    """what this thread has found"""


class Own:
    """Finds and holds the entries of this process and thread, until it is closed."""

    __slots__ = ("_lookup", "_threads", "_where")

    def __init__(self, lookup: Lookup | None, where: str) -> None:
        """Look in the procfs of ``lookup``, which is at ``where``; None is a closed one."""
        self._lookup = lookup
        self._where = where
        self._threads = _Threads()

    def lookup(self) -> Lookup:
        """Return the lookup. Raises ``ValueError`` when this is closed."""
        lookup = self._lookup
        if lookup is None:
            raise ValueError(f"the procfs {self._where} is closed")
        return lookup

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._lookup is None

    def close(self) -> None:
        """Find nothing more. What is held is closed when nobody refers to this any more."""
        self._lookup = None
        found = self._threads.found
        if found is not None:
            # What a signal handler raises in __del__ is lost; this thread, dropping it, needs none.
            found.__class__ = _Found

    def directory(self, name: str, kind: Kind) -> Descriptor:
        """Return this thread's directory ``name``."""
        return self._found().directory(self.lookup(), name, kind)

    def open_file(self, name: str) -> Descriptor:
        """Open this process's file ``name`` for reading."""
        lookup = self.lookup()
        where = f"{self._where}/self/{name}"
        beneath = f"{self._found().process}/{name}"
        return lookup.open(lookup.root.value, beneath, os.O_RDONLY, checks.FILE, where)

    def open_process(self) -> ProcessDir:
        """Open this process's directory."""
        lookup = self.lookup()
        pid = self._found().process
        where = f"{self._where}/{pid}"
        directory = lookup.open(
            lookup.root.value, pid, FIND_DIRECTORY_NOFOLLOW, checks.PROCESS, where
        )
        return ProcessDir(lookup, directory, int(pid))

    def checks(self) -> tuple[Check, ...]:
        """Return what this thread has checked of its own entries."""
        found = self._threads.found
        if found is None or found.this != this_process():
            return ()
        return tuple(found.checks.values())

    def _found(self) -> _Found:
        found = self._threads.found
        if found is None or found.this != this_process():
            found = _Found(self.lookup())
            found.__class__ = _FoundByThread
            self._threads.found = found
        return found


class SelfFd:
    """The directory ``/proc/thread-self/fd`` of this thread, found again after ``fork``.

    Good as ``dir_fd=`` for one call; so used, its names are descriptors' numbers and its
    entries magic links. Made by :meth:`VerifiedProc.self_fd`, and closed with that.
    """

    __slots__ = ("_own",)

    def __init__(self, own: Own) -> None:
        self._own = own

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._where('')!r}>"

    def descriptor(self) -> Descriptor:
        """Return the held directory; in a child made by ``fork``, the child's.

        Keep it in a variable while its number is used: it stays open then whatever is closed
        meanwhile.
        """
        return self._own.directory("fd", checks.FD)

    def fileno(self) -> int:
        """Return the number of the held directory; in a child made by ``fork``, the child's."""
        return self.descriptor().value

    __index__ = fileno

    def readlink(self, fd: int) -> str:
        """Return what ``fd`` refers to, as the kernel words it: a host path, ``pipe:[1234]``."""
        name = descriptor_name(fd)
        status_of(fd, self._where(name))
        return self.readlink_of_held(fd)

    def readlink_of_held(self, fd: int) -> str:
        """As :meth:`readlink`, for a caller who holds ``fd`` open."""
        name = str(fd)
        directory = self.descriptor()
        lookup = self._own.lookup()
        try:
            if lookup.detached:
                return os.readlink(name, dir_fd=directory.value)
            return lookup.readlink(directory.value, name, self._where(name))
        except FileNotFoundError:
            raise os_error(EBADF, self._where(name)) from None

    def entry(self, fd: int) -> str:
        """Return the name of ``fd``'s magic link here, for calls that take a name and follow it.

        So ``os.chmod(self_fd.entry(fd), mode, dir_fd=self_fd)`` changes the very file that an
        ``O_PATH`` descriptor holds.
        """
        name = descriptor_name(fd)
        held = status_of(fd, self._where(name))
        directory = self.descriptor()
        self._require_link(directory, name)
        found = os.stat(name, dir_fd=directory.value)
        self._require_same(fd, held, found, name)
        return name

    def reopen(self, fd: int, flags: int) -> int:
        """Open the object of ``fd`` (``O_PATH`` too) once more, with other ``flags``.

        The permissions of the object are checked again, its path is not walked. Adds
        ``O_CLOEXEC`` and ``O_NOCTTY``; drops ``O_NOFOLLOW``, as there is no path whose end
        could be a link. Returns a descriptor that is the caller's.
        """
        return self.reopened(fd, flags).detach()

    def reopened(self, fd: int, flags: int, held: os.stat_result | None = None) -> Descriptor:
        """As :meth:`reopen`; the descriptor belongs to the object returned.

        ``held`` is fstat(2) of ``fd``, for a caller who has it.
        """
        name = descriptor_name(fd)
        if held is None:
            # First of all: the directory could get the number of a closed descriptor.
            held = status_of(fd, self._where(name))
        reopened = Descriptor(self.reopen_number(fd, flags, held, this_process())[0])
        linux.untrack(reopened)
        return reopened

    def reopen_number(
        self, fd: int, flags: int, held: os.stat_result, this: tuple[int, int]
    ) -> tuple[int, os.stat_result]:
        """As :meth:`reopened`; the number is as that of ``linux.bare_openat``, with its status.

        ``this`` is :func:`this_process`.
        """
        own = self._own
        lookup = own._lookup
        found_here = own._threads.found
        if lookup is None or found_here is None or found_here.this != this:
            directory, lookup = self.descriptor(), own.lookup()
        else:
            directory = found_here.fd or self.descriptor()
        try:
            if not lookup.detached:
                self._require_link(directory, str(fd))
            flags = flags & ~os.O_NOFOLLOW | linux.OF_OUR_OWN
            (number,) = starmap(linux.bare_openat, ((directory.value, b"%d" % fd, flags),))
            if number < 0:
                number = linux.openat(directory.value, str(fd), flags).detach()
        except FileNotFoundError:
            raise os_error(EBADF, self._where(str(fd))) from None
        except OSError as error:
            raise about(error, self._where(str(fd))) from None
        try:
            found = os.fstat(number)
            if found.st_ino != held.st_ino or found.st_dev != held.st_dev:
                self._require_same(fd, held, found, str(fd))
            if not lookup.detached and checks.mount_id(fd) != checks.mount_id(number):
                raise UnverifiedProcError(_ANOTHER_OBJECT, self._where(str(fd)))
        except BaseException:
            os.close(number)
            raise
        return number, found

    def _require_link(self, directory: Descriptor, name: str) -> None:
        """Where others may mount, require that nothing is mounted over a link."""
        lookup = self._own.lookup()
        if not lookup.detached:
            lookup.require_link(directory.value, name, self._where(name))

    def _require_same(
        self, fd: int, held: os.stat_result, found: os.stat_result, name: str
    ) -> None:
        """Require that the link of ``fd`` led to what that holds (as in CVE-2025-31133)."""
        # An overlay may give a file another number when it is opened for writing, and copied up.
        if not os.path.samestat(held, found) and not os.path.samestat(os.fstat(fd), found):
            raise UnverifiedProcError(_ANOTHER_OBJECT, self._where(name))

    def _where(self, name: str) -> str:
        return f"{self._own._where}/self/fd/{name}"


def descriptor_name(fd: int) -> str:
    """Return the name of a descriptor's entry in ``fd`` and ``fdinfo``."""
    if isinstance(fd, bool):
        raise ValueError(f"a descriptor is a number, not {fd}")
    number = operator.index(fd)
    if number < 0:
        raise os_error(EBADF, str(number))
    return str(number)


def status_of(fd: int, where: str) -> os.stat_result:
    """Return fstat(2) of a descriptor, the entry ``where``."""
    try:
        return os.fstat(fd)
    except OSError as error:
        raise about(error, where) from None


def _describe_entry(kind: Kind, st: os.stat_result, where: str) -> Check:
    """Return what the checks saw that the entry passed when it was opened."""
    detail = (
        f"inode {st.st_ino} on device {os.major(st.st_dev)}:{os.minor(st.st_dev)}, "
        f"{filemode(st.st_mode)}, {st.st_nlink} links"
    )
    return Check(where, f"is {kind.words} of this procfs", "passed", detail)


def _describe_pid_namespace(pid: int, where: str) -> Check:
    """Return whether the procfs numbers this process as getpid(2) does; neither is wrong."""
    if pid == os.getpid():
        return Check(where, "PID namespace", "passed", f"is {pid}, as getpid() says")
    detail = f"is {pid} and getpid() says {os.getpid()}: the procfs shows another PID namespace"
    return Check(where, "PID namespace", "note", detail)
