"""VerifiedProc: a procfs whose answers can be trusted, and what can be opened in it.

``/proc`` is a path like any other: whoever may mount can put something else there, or over
any file in it, and a container runtime that believes what it reads or writes there gives its
host away (CVE-2019-16884, CVE-2019-19921, CVE-2025-31133, CVE-2025-52565, CVE-2025-52881).
What :class:`VerifiedProc` opens is an entry of a real procfs, or it raises
:class:`procpath.UnverifiedProcError`.
"""

from __future__ import annotations

import io
import operator
import os
import threading
from collections.abc import Callable
from errno import EACCES, EBADF
from typing import IO, Any, BinaryIO, Literal, Self, TextIO, TypeVar, overload

from procpath.descriptors import Closing
from procpath.errors import ProcessGoneError, UnverifiedProcError, os_error
from procpath.proc import checks
from procpath.proc.checks import Check
from procpath.proc.lookup import Lookup, components
from procpath.proc.own import Own, SelfFd, descriptor_name, status_of, this_process
from procpath.proc.process import ProcessDir, ProcFile, open_file
from procpath.proc.source import DEFAULT_PATH, Source, open_procfs, open_whole_procfs
from procpath.uapi import FIND_DIRECTORY_NOFOLLOW

T = TypeVar("T")

# The root's links that name a path within the procfs instead of jumping to an object.
_SELF_LINKS = frozenset(("self", "thread-self"))
_PLAIN_LINKS = _SELF_LINKS | {"mounts", "net"}


class VerifiedProc(Closing):
    """A procfs whose answers can be trusted. A context manager; closes with its last user too.

    Parameters:
        path: Where a procfs is mounted, a host path: ``/proc``, or ``/host/proc`` in an agent's
            container. It must be the mount point itself, not a link, and mounted in our own mount
            namespace: a container's ``/proc/PID/root/proc`` is refused, for its owner can mount
            on it meanwhile.
        source: ``"fsopen"``, a new instance of our own (Linux 5.2, needs CAP_SYS_ADMIN), which
            shows the processes of our own PID namespace and nobody can mount on; only for
            ``/proc``. ``"open_tree"``, a clone of the mount at ``path`` without the mounts in
            it (the same needs). ``"mounted"``, the mount at ``path`` as it is, each entry
            checked. ``"auto"``, the first that is available; for another path than
            ``/proc`` never ``"fsopen"``, for that mount may show another PID namespace.

    Falling back is silent (:attr:`checks` shows it); a failing check never is. Names are
    relative to the procfs, without ``..``: ``"version"``, ``"sys/fs/protected_symlinks"``,
    ``"self/status"``, ``"mounts"``. Its plain links ``self``, ``thread-self``, ``mounts`` and
    ``net`` are followed, magic links never (``MagicLinkError``).

    An instance is good for many threads and for children made by ``fork``, where everything
    about this process is found again. It goes on showing the PID namespace that it was made in.

    Raises ``UnverifiedProcError`` when a check fails, ``ValueError`` for an unknown source or
    ``"fsopen"`` with another path, and the ``OSError`` of the last source that was tried.

    Examples:
        >>> with VerifiedProc() as proc, proc.process(23309) as process:
        ...     process.readlink("exe")
        '/bin/busybox'
    """

    __slots__ = (
        "__weakref__",
        "_checks",
        "_own",
        "_path",
        "_self_fd",
        "_source",
        "_wanted_source",
    )

    def __init__(
        self,
        path: str | os.PathLike[str] = DEFAULT_PATH,
        *,
        source: Literal["auto", "fsopen", "open_tree", "mounted"] = "auto",
    ) -> None:
        self._path = os.fsdecode(path)
        self._source: Source
        self._wanted_source = source
        lookup, self._source, self._checks = open_procfs(self._path, source)
        self._own = Own(lookup, self._path)
        self._self_fd = SelfFd(self._own)

    @staticmethod
    def default() -> VerifiedProc:
        """Return the one of this process for ``/proc``, made when it is first asked for.

        After ``fork`` the child gets another, for it may be in another PID namespace.

        Examples:
            >>> VerifiedProc.default().path
            '/proc'
        """
        this = this_process()
        held = _of_thread.default
        if held is not None and held[0] == this and not held[1].closed:
            return held[1]
        default = VerifiedProc._default_of(this)
        if not default._own.lookup().is_open_here():
            # The thread had descriptors of its own before (unshare(2), CLONE_FILES).
            default = VerifiedProc()
        _of_thread.default = this, default
        return default

    @staticmethod
    def _default_of(process: tuple[int, int]) -> VerifiedProc:
        found = _defaults.get(process)
        if found is None or found.closed:
            # Without a lock, which a fork could leave locked for ever. Each of these is atomic,
            # also without the GIL.
            if found is not None:
                _defaults.pop(process, None)
            found = _defaults.setdefault(process, VerifiedProc())
            for other in list(_defaults):
                if other != process:
                    _forget(_defaults.pop(other, None))
        return found

    def __repr__(self) -> str:
        closed = " closed" if self.closed else ""
        return f"<{type(self).__name__} {self._path!r} source={self._source!r}{closed}>"

    def __enter__(self) -> Self:
        self.fileno()
        return self

    @property
    def path(self) -> str:
        """The host path that was given, by which messages name entries.

        Examples:
            >>> with VerifiedProc() as proc:
            ...     proc.path
            '/proc'
        """
        return self._path

    @property
    def source(self) -> Source:
        """Where the procfs came from: ``fsopen``, ``open_tree`` or ``mounted``.

        Examples:
            >>> VerifiedProc(source="mounted").source
            'mounted'
        """
        return self._source

    @property
    def checks(self) -> tuple[Check, ...]:
        """What was chosen and verified when it was opened, and of this process's own
        directories when this thread first used them. Each prints as one line.

        Examples:
            >>> with VerifiedProc() as proc:
            ...     all(isinstance(str(check), str) for check in proc.checks)
            True
        """
        return (*self._checks, *self._own.checks())

    def fileno(self) -> int:
        """Return the held root, an ``O_PATH`` descriptor. What is opened with it is not checked.

        Examples:
            >>> with VerifiedProc() as proc:
            ...     "self" in os.listdir(f"/proc/self/fd/{proc.fileno()}")
            True
        """
        return self._own.lookup().root.value

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called.

        Examples:
            >>> with VerifiedProc() as proc:
            ...     pass
            >>> proc.closed
            True
        """
        return self._own.closed

    def close(self) -> None:
        """Close the procfs; a second time does nothing.

        What was made by :meth:`process` and :meth:`open` goes on working.

        Examples:
            >>> proc = VerifiedProc()
            >>> proc.close()
        """
        self._own.close()
        # Whoever is acting on one of its descriptors refers to it, and goes on.
        self._own = Own(None, self._path)
        self._self_fd = SelfFd(self._own)

    def process(self, pid: int | None = None) -> ProcessDir:
        """Hold the directory of the process ``pid``, or without one of this process.

        ``pid`` counts in the PID namespace that the procfs shows; this process is found there
        by the link ``self``, whatever its number (dotnet/runtime #99887). The id of a thread
        is taken too, as the kernel does.

        Raises ``ProcessGoneError`` when there is none; ``PermissionError`` when the mount
        option ``hidepid`` hides it; ``ValueError`` for a ``bool`` or a number below 1;
        ``TypeError`` for anything but an integer; ``FileNotFoundError`` without ``pid``, when this
        process is not in the procfs's PID namespace; and ``UnverifiedProcError``.

        Examples:
            >>> with VerifiedProc.default().process(23309) as process:
            ...     process.read_text("comm")
            'sleep\\n'
        """
        if pid is None:
            return self._own.open_process()
        if isinstance(pid, bool):
            raise ValueError(f"a PID is a number, not {pid}")
        number = operator.index(pid)
        if number < 1:
            raise ValueError(f"a PID is 1 or more, not {number}")
        where = f"{self._path}/{number}"
        lookup = self._own.lookup()
        try:
            directory = lookup.open(
                lookup.root.value, str(number), FIND_DIRECTORY_NOFOLLOW, checks.PROCESS, where
            )
        except (FileNotFoundError, ProcessLookupError):
            if self._hides(number):
                raise PermissionError(
                    EACCES,
                    f"process {number} is hidden from this one: the procfs is mounted with "
                    f"hidepid (proc(5)); needs CAP_SYS_PTRACE in the user namespace of process "
                    f"{number}, or membership in the mount's group gid=",
                    where,
                ) from None
            raise ProcessGoneError(number, where) from None
        return ProcessDir(lookup, directory, number)

    def pids(self) -> list[int]:
        """Return the IDs of all processes that the procfs lists, in ascending order.

        ``hidepid`` hides some, and each may have ended before it is asked for.

        Examples:
            >>> 23309 in VerifiedProc.default().pids()
            True
        """
        lookup = self._own.lookup()
        names = lookup.list(lookup.root.value, self._path)
        return sorted(int(name) for name in names if name.isdecimal())

    def self_fd(self) -> SelfFd:
        """Return this process's directory ``fd``, for reopening descriptors.

        Examples:
            >>> with open("/etc/passwd") as file:
            ...     VerifiedProc.default().self_fd().readlink(file.fileno())
            '/etc/passwd'
        """
        return self._self_fd

    def self_fdinfo(self, fd: int) -> BinaryIO:
        """Open what the kernel says about the descriptor ``fd`` (proc_pid_fdinfo(5)).

        Examples:
            >>> with VerifiedProc.default().self_fdinfo(0) as info:
            ...     next(info)[:4]
            b'pos:'
        """
        name = descriptor_name(fd)
        where = f"{self._path}/self/fdinfo/{name}"
        # First of all: the directory could get the number of a closed descriptor.
        status_of(fd, where)
        directory = self._own.directory("fdinfo", checks.FDINFO)
        try:
            opened = self._own.lookup().open(directory.value, name, os.O_RDONLY, checks.FILE, where)
        except FileNotFoundError:
            raise os_error(EBADF, where) from None
        return io.BufferedReader(ProcFile(opened, "r", where))

    def self_pagemap(self) -> BinaryIO:
        """Open this process's page table (proc_pid_pagemap(5)), unbuffered: 8 bytes a page.

        Examples:
            >>> with VerifiedProc.default().self_pagemap() as pagemap:
            ...     len(pagemap.read(8))
            8
        """
        return ProcFile(self._own.open_file("pagemap"), "r", f"{self._path}/self/pagemap")

    def self_maps(self) -> BinaryIO:
        """Open this process's memory mappings (proc_pid_maps(5)) for reading.

        Examples:
            >>> with VerifiedProc.default().self_maps() as maps:
            ...     b"[stack]" in maps.read()
            True
        """
        return self._own_file("maps")

    def self_status(self) -> BinaryIO:
        """Open this process's status (proc_pid_status(5)) for reading.

        Examples:
            >>> with VerifiedProc.default().self_status() as status:
            ...     next(status)[:5]
            b'Name:'
        """
        return self._own_file("status")

    @overload
    def open(self, name: str, mode: Literal["r", "rt", "w", "wt"] = "r") -> TextIO: ...
    @overload
    def open(self, name: str, mode: Literal["rb", "wb"]) -> BinaryIO: ...
    @overload
    def open(self, name: str, mode: str) -> IO[Any]: ...
    def open(self, name: str, mode: str = "r") -> IO[Any]:
        """Open the file ``name`` of the procfs; ``mode`` is as for :meth:`ProcessDir.open`.

        ``/proc/sys`` and some files are overmounted in most containers, to protect the host
        from them; there the mounted source raises ``UnverifiedProcError``.

        Examples:
            >>> with VerifiedProc.default().open("version") as file:
            ...     file.read(5)
            'Linux'
        """
        beneath = self._beneath(components(name))
        where = f"{self._path}/{name}"
        return open_file(
            mode,
            where,
            lambda flags: self._look_up(
                beneath,
                lambda lookup: lookup.open(lookup.root.value, beneath, flags, checks.FILE, where),
            ),
        )

    def readlink(self, name: str) -> str:
        """Return the text of the link ``name`` of the procfs.

        Examples:
            >>> VerifiedProc.default().readlink("mounts")
            'self/mounts'
        """
        parts = components(name)
        beneath = name if len(parts) == 1 else self._beneath(parts)
        where = f"{self._path}/{name}"
        return self._look_up(
            beneath, lambda lookup: lookup.readlink(lookup.root.value, beneath, where)
        )

    def _look_up(self, name: str, act: Callable[[Lookup], T]) -> T:
        """Return ``act``'s result for the held procfs, or for one that has more than processes.

        Such a one is opened for this call alone.
        """
        try:
            return act(self._own.lookup())
        except FileNotFoundError:
            first = name.partition("/")[0]
            if self._source != "fsopen" or first.isdecimal() or first in _SELF_LINKS:
                raise
        lookup = open_whole_procfs(self._path, self._wanted_source)
        with lookup.root:
            return act(lookup)

    def _own_file(self, name: str) -> BinaryIO:
        raw = ProcFile(self._own.open_file(name), "r", f"{self._path}/self/{name}")
        return io.BufferedReader(raw)

    def _beneath(self, parts: list[str]) -> str:
        """Return ``parts`` with the root's plain links replaced by their texts."""
        while parts[0] in _PLAIN_LINKS:
            parts = components(self.readlink(parts[0])) + parts[1:]
        return "/".join(parts)

    def _hides(self, pid: int) -> bool:
        """Return whether a process that the procfs does not show exists (``hidepid``).

        By kill(2) with signal 0, if the procfs numbers processes as our PID namespace does.
        """
        try:
            if self.readlink("self") != str(os.getpid()):
                return False
            os.kill(pid, 0)
        except PermissionError:
            return True
        except (OSError, OverflowError):
            return False
        return True


def reopen_by_default(fd: int, flags: int, held: os.stat_result) -> tuple[int, os.stat_result]:
    """Call :meth:`SelfFd.reopen_number` of :meth:`VerifiedProc.default`.

    This precedes the opening of every file, so the default of this thread is taken without a
    detour. Raises ``UnverifiedProcError`` where there is no procfs, too.
    """
    this = this_process()
    default = _of_thread.default
    if default is not None and default[0] == this and default[1]._own._lookup is not None:
        return default[1]._self_fd.reopen_number(fd, flags, held, this)
    try:
        self_fd = VerifiedProc.default().self_fd()
    except UnverifiedProcError:
        raise
    except OSError as error:
        raise UnverifiedProcError(error.strerror or str(error), error.filename) from error
    return self_fd.reopen_number(fd, flags, held, this)


def _forget(default: VerifiedProc | None) -> None:
    """Let go of the default of the parent, whose descriptor may by now be another file's here.

    A daemon closes all descriptors after ``fork``, and a thread of the parent may have had
    descriptors of its own (unshare(2), CLONE_FILES).
    """
    if default is not None and not default.closed:
        lookup = default._own.lookup()
        if not lookup.is_open_here():
            lookup.root.detach()


class _OfThread(threading.local):
    default: tuple[tuple[int, int], VerifiedProc] | None = None


_defaults: dict[tuple[int, int], VerifiedProc] = {}
_of_thread = _OfThread()
