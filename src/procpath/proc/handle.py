"""VerifiedProc: a procfs whose answers can be trusted, from where it comes to what it opens.

``/proc`` is a path like any other: whoever may mount can put something else there, or over
any file in it, and a container runtime that believes what it reads or writes there gives its
host away (CVE-2019-16884, CVE-2019-19921, CVE-2025-31133, CVE-2025-52565, CVE-2025-52881).
:class:`VerifiedProc` promises that what it opens is an entry of a real procfs, or raises
:class:`procpath.UnverifiedProcError`. It takes, best first, a procfs instance of its own that
nobody else can mount on; a copy of the mount without what is mounted on top of it; or the
mounted one, checked entry by entry. Rests on :mod:`procpath.proc.lookup`.
"""

from __future__ import annotations

import errno
import operator
import os
import re
import stat
from collections.abc import Callable
from types import TracebackType
from typing import IO, Any, BinaryIO, Final, Literal, Self, TextIO, TypeVar, overload

from procpath import linux
from procpath.errors import ProcessGoneError, UnverifiedProcError, os_error
from procpath.linux import Descriptor
from procpath.proc import checks
from procpath.proc.checks import Check, Kind
from procpath.proc.lookup import DIRECTORY_FLAGS, Held, Lookup, components
from procpath.proc.process import ProcessDir, buffered_reader, open_file, raw_file

__all__ = ["SelfFd", "Source", "VerifiedProc"]

Source = Literal["fsopen", "open_tree", "mounted"]

_DEFAULT_PATH: Final = "/proc"

# What a kernel or a policy says when it does not let us have a source: the feature is missing
# (ENOSYS, ENODEV, EOPNOTSUPP), or forbidden by a seccomp filter, a missing capability, a
# security module, or because it would show what is masked in our mount namespace (EPERM,
# EACCES). A clone without its submounts is EINVAL where those are locked (mount_namespaces(7)).
_NOT_TO_BE_HAD: Final = frozenset(
    (errno.ENOSYS, errno.ENODEV, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES, errno.EINVAL)
)

# The root's links that name a path within the procfs instead of jumping to an object.
_PLAIN_LINKS: Final = frozenset(("self", "thread-self", "mounts", "net"))

_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


def _this_process() -> tuple[int, int]:
    """What changes when this process becomes another one by a fork.

    The PID alone would not do: the first process of a PID namespace, 1, may be forked by
    another 1. The count alone misses a fork by C code.
    """
    return _forks, os.getpid()


_T = TypeVar("_T")


def _keep(by_process: dict[tuple[int, int], _T], key: tuple[int, int], made: _T) -> _T:
    """Keep ``made`` for this process, unless another thread was faster; forget the parent's.

    Without a lock, which a fork could leave locked for ever: setdefault() and pop() are
    atomic, also without the GIL.
    """
    kept = by_process.setdefault(key, made)
    for other in list(by_process):
        if other != key:
            by_process.pop(other, None)
    return kept


class VerifiedProc:
    """A procfs whose answers can be trusted. A context manager; closes with its last user too.

    Parameters:
        path: Where a procfs is mounted, a host path: ``/proc``, or ``/host/proc`` in an agent's
            container. It must be the mount point itself and no link.
        source: ``"fsopen"``, a new instance of our own (Linux 5.2, needs CAP_SYS_ADMIN), which
            shows the processes of our own PID namespace and nobody can mount on; only for
            ``/proc``. ``"open_tree"``, a clone of the mount at ``path`` without the mounts in
            it (the same needs). ``"mounted"``, the mount at ``path`` as it is, each entry
            checked. ``"auto"``, the first of them that is to be had; for another path than
            ``/proc`` never ``"fsopen"``, for that mount may show another PID namespace.

    Falling back is silent (and told by :attr:`checks`); a failing check never is. Names are
    relative to the procfs, without ``..``: ``"version"``, ``"sys/fs/protected_symlinks"``,
    ``"self/status"``, ``"mounts"``. Its plain links ``self``, ``thread-self``, ``mounts`` and
    ``net`` are followed, magic links never (``MagicLinkError``).

    An instance is good for many threads and for children made by ``fork``, where everything
    about this process is found anew. It goes on to show the PID namespace that it was made in.

    Raises ``UnverifiedProcError`` when a check fails, ``ValueError`` for an unknown source or
    ``"fsopen"`` with another path, and the ``OSError`` of the last source that was tried.
    """

    __slots__ = ("__weakref__", "_checks", "_lookup", "_own", "_path", "_self_fd", "_source")

    def __init__(
        self,
        path: str | os.PathLike[str] = _DEFAULT_PATH,
        *,
        source: Literal["auto", "fsopen", "open_tree", "mounted"] = "auto",
    ) -> None:
        self._path = os.fsdecode(path)
        root, chosen, choice = _open_root(self._path, source)
        self._source: Source = chosen
        detached = self._source != "mounted"
        try:
            root_checks = _check_root(root.fileno(), self._path, detached=detached)
            self._lookup = Lookup(root, self._path, detached=detached)
        except BaseException:
            root.close()
            raise
        self._checks = (*choice, *root_checks, self._lookup.describe())
        self._own = _OwnDirectories(self._lookup)
        self._self_fd = SelfFd(self._lookup, self._own)

    @staticmethod
    def default() -> VerifiedProc:
        """The one of this process for ``/proc``, made when it is first asked for.

        After ``fork`` the child gets another, for it may be in another PID namespace.
        """
        key = _this_process()
        found = _defaults.get(key)
        if found is None or found.closed:
            _defaults.pop(key, None)
            found = _keep(_defaults, key, VerifiedProc())
        return found

    def __repr__(self) -> str:
        closed = " closed" if self.closed else ""
        return f"<{type(self).__name__} {self._path!r} source={self._source!r}{closed}>"

    def __enter__(self) -> Self:
        self.fileno()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def path(self) -> str:
        """The host path that was given, by which messages name entries."""
        return self._path

    @property
    def source(self) -> Source:
        """Where the procfs came from: ``fsopen``, ``open_tree`` or ``mounted``."""
        return self._source

    @property
    def checks(self) -> tuple[Check, ...]:
        """What was chosen and verified when it was opened, and of this process's own
        directories when they were first used. Each prints as a line for people.
        """
        return (*self._checks, *self._own.checks())

    def fileno(self) -> int:
        """The held root, an ``O_PATH`` descriptor. What is opened with it is not checked."""
        return self._lookup.root.fileno()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._lookup.root.closed

    def close(self) -> None:
        """Let go of the procfs; a second time it does nothing.

        What was made by :meth:`process` and :meth:`open` goes on working.
        """
        self._lookup.root.close()
        self._own.close()

    def process(self, pid: int | None = None) -> ProcessDir:
        """Hold the directory of the process ``pid``, or without one of this process.

        ``pid`` counts in the PID namespace that the procfs shows; this process is found there
        by the link ``self``, whatever its number (dotnet/runtime #99887). The id of a thread
        is taken too, as the kernel does.

        Raises ``ProcessGoneError`` when there is none; ``PermissionError`` when the mount
        option ``hidepid`` hides it; ``ValueError`` for a ``bool`` or a number below 1;
        ``TypeError`` for what is no integer; ``FileNotFoundError`` without ``pid``, when this
        process is not in the procfs's PID namespace; and ``UnverifiedProcError``.
        """
        if pid is None:
            return self._own.open_process()
        if isinstance(pid, bool):
            raise ValueError(f"a PID is a number, not {pid}")
        number = operator.index(pid)
        if number < 1:
            raise ValueError(f"a PID is 1 or more, not {number}")
        where = f"{self._path}/{number}"
        try:
            fd = self._lookup.open(
                self._lookup.root.fileno(), str(number), DIRECTORY_FLAGS, checks.PROCESS, where
            )
        except (FileNotFoundError, ProcessLookupError):
            if self._hides(number):
                raise PermissionError(
                    errno.EACCES,
                    f"process {number} is hidden from this one: the procfs is mounted with "
                    f"hidepid (proc(5)); needs CAP_SYS_PTRACE in the user namespace of process "
                    f"{number}, or membership in the mount's group gid=",
                    where,
                ) from None
            raise ProcessGoneError(number, where) from None
        return ProcessDir(self._lookup, fd, number)

    def pids(self) -> list[int]:
        """The ids of all processes that the procfs lists, in ascending order.

        ``hidepid`` hides some, and each may have ended before it is asked for.
        """
        names = self._lookup.list(self._lookup.root.fileno(), self._path)
        return sorted(int(name) for name in names if name.isdecimal())

    def self_fd(self) -> SelfFd:
        """This process's directory ``fd``, for reopening descriptors."""
        return self._self_fd

    def self_fdinfo(self, fd: int) -> BinaryIO:
        """What the kernel tells of the descriptor ``fd`` (proc_pid_fdinfo(5)), for reading."""
        name = _descriptor_name(fd)
        directory = self._own.directory("fdinfo", checks.FDINFO)
        where = f"{self._path}/self/fdinfo/{name}"
        try:
            opened = self._lookup.open(directory, name, os.O_RDONLY, checks.FILE, where)
        except FileNotFoundError:
            raise os_error(errno.EBADF, where) from None
        return buffered_reader(opened, where)

    def self_pagemap(self) -> BinaryIO:
        """This process's page table (proc_pid_pagemap(5)), unbuffered: 8 bytes a page."""
        return raw_file(self._own.open_file("pagemap"), "r", f"{self._path}/self/pagemap")

    def self_maps(self) -> BinaryIO:
        """This process's memory mappings (proc_pid_maps(5)), for reading."""
        return self._own_file("maps")

    def self_status(self) -> BinaryIO:
        """This process's status (proc_pid_status(5)), for reading."""
        return self._own_file("status")

    @overload
    def open(self, name: str, mode: Literal["r", "rt", "w", "wt"] = "r") -> TextIO: ...
    @overload
    def open(self, name: str, mode: Literal["rb", "wb"]) -> BinaryIO: ...
    @overload
    def open(self, name: str, mode: str) -> IO[Any]: ...
    def open(self, name: str, mode: str = "r") -> IO[Any]:
        """Open the file ``name`` of the procfs; modes as for :meth:`ProcessDir.open`.

        ``/proc/sys`` and some files are overmounted in most containers, to protect the host
        from them; there the mounted source raises ``UnverifiedProcError``.
        """
        beneath = self._beneath(components(name))
        where = f"{self._path}/{name}"
        root = self._lookup.root.fileno()
        return open_file(
            mode, where, lambda flags: self._lookup.open(root, beneath, flags, checks.FILE, where)
        )

    def readlink(self, name: str) -> str:
        """The text of the link ``name`` of the procfs."""
        parts = components(name)
        beneath = name if len(parts) == 1 else self._beneath(parts)
        return self._lookup.readlink(self._lookup.root.fileno(), beneath, f"{self._path}/{name}")

    def _own_file(self, name: str) -> BinaryIO:
        return buffered_reader(self._own.open_file(name), f"{self._path}/self/{name}")

    def _beneath(self, parts: list[str]) -> str:
        """``parts`` with the root's plain links replaced by what they say."""
        root = self._lookup.root.fileno()
        while parts[0] in _PLAIN_LINKS:
            where = f"{self._path}/{parts[0]}"
            parts = components(self._lookup.readlink(root, parts[0], where)) + parts[1:]
        return "/".join(parts)

    def _hides(self, pid: int) -> bool:
        """Whether a process that the procfs does not show exists nevertheless (``hidepid``).

        kill(2) with signal 0 tells, if the procfs numbers processes as our PID namespace does.
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


_defaults: dict[tuple[int, int], VerifiedProc] = {}


class SelfFd:
    """The directory ``/proc/self/fd`` of this process, found anew after ``fork``.

    Good as ``dir_fd=`` for one call; so used, its names are descriptors' numbers and its
    entries magic links. Made by :meth:`VerifiedProc.self_fd`, and closed with that.
    """

    __slots__ = ("_lookup", "_own")

    def __init__(self, lookup: Lookup, own: _OwnDirectories) -> None:
        self._lookup = lookup
        self._own = own

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._where('')!r}>"

    def fileno(self) -> int:
        """The held directory; in a child made by ``fork``, the child's."""
        return self._own.directory("fd", checks.FD)

    __index__ = fileno

    def readlink(self, fd: int) -> str:
        """What ``fd`` refers to, as the kernel words it: a host path, ``pipe:[1234]``."""
        name = _descriptor_name(fd)
        directory = self.fileno()
        try:
            if self._lookup.detached:
                return os.readlink(name, dir_fd=directory)
            return self._lookup.readlink(directory, name, self._where(name))
        except FileNotFoundError:
            raise os_error(errno.EBADF, self._where(name)) from None

    def entry(self, fd: int) -> str:
        """The name of ``fd``'s magic link here, for calls that take a name and follow it.

        So ``os.chmod(self_fd.entry(fd), mode, dir_fd=self_fd)`` changes the very file that an
        ``O_PATH`` descriptor holds.
        """
        name = _descriptor_name(fd)
        if not self._lookup.detached:
            self._lookup.require_link(self.fileno(), name, self._where(name))
        return name

    def reopen(self, fd: int, flags: int) -> int:
        """Open the object of ``fd`` (``O_PATH`` too) once more, with other ``flags``.

        The permissions of the object are checked anew, its path is not walked. Adds
        ``O_CLOEXEC`` and ``O_NOCTTY``; drops ``O_NOFOLLOW``, as there is no path whose end
        could be a link. Returns a descriptor that is the caller's.
        """
        return self.reopened(fd, flags).detach()

    def reopened(self, fd: int, flags: int) -> Descriptor:
        """As :meth:`reopen`; the descriptor belongs to the object returned."""
        name = _descriptor_name(fd)
        directory = self.fileno()
        where = self._where(name)
        try:
            if not self._lookup.detached:
                self._lookup.require_link(directory, name, where)
            opened = linux.openat(directory, name, flags & ~os.O_NOFOLLOW)
        except FileNotFoundError:
            raise os_error(errno.EBADF, where) from None
        except OSError as error:
            error.filename = where
            raise
        if not self._lookup.detached:
            _check_same_object(fd, opened.value, where)
        return opened

    def _where(self, name: str) -> str:
        return f"{self._lookup.where}/self/fd/{name}"


class _OwnDirectories:
    """This process's directories in one procfs, held once found, found anew after a fork."""

    __slots__ = ("_by_process", "_lookup")

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._by_process: dict[tuple[int, int], _Own] = {}

    def directory(self, name: str, kind: Kind) -> int:
        """The descriptor of our directory ``name``, held until the next fork or ``close``."""
        return self._current().directory(name, kind)

    def open_file(self, name: str) -> int:
        """A descriptor of our file ``name``, opened for reading."""
        return self._current().open_file(name)

    def open_process(self) -> ProcessDir:
        """A new hold on our own directory."""
        lookup = self._lookup
        where = f"{lookup.where}/self"
        root = lookup.root.fileno()
        try:
            text = lookup.readlink(root, "self", where)
        except FileNotFoundError:
            # proc_self_get_link() of fs/proc/self.c, for a reader whom the namespace lacks.
            raise FileNotFoundError(
                errno.ENOENT,
                "this process is not in the PID namespace that this procfs shows",
                where,
            ) from None
        if not (text.isascii() and text.isdecimal()):
            raise UnverifiedProcError(f"leads to {text!r}, which is no process's number", where)
        fd = lookup.open(root, text, DIRECTORY_FLAGS, checks.PROCESS, f"{lookup.where}/{text}")
        return ProcessDir(lookup, fd, int(text))

    def checks(self) -> tuple[Check, ...]:
        own = self._by_process.get(_this_process())
        # A copy, for another thread may be adding one.
        return tuple(own.checks.copy().values()) if own is not None else ()

    def close(self) -> None:
        while self._by_process:
            self._by_process.popitem()[1].close()

    def _current(self) -> _Own:
        key = _this_process()
        own = self._by_process.get(key)
        if own is None:
            own = _keep(self._by_process, key, _Own(self._lookup, self.open_process()))
        return own


class _Own:
    """The directories of one process that was this one when they were opened."""

    __slots__ = ("_directories", "_lookup", "_process", "checks")

    def __init__(self, lookup: Lookup, process: ProcessDir) -> None:
        self._lookup = lookup
        self._process = process
        self._directories: dict[str, Held] = {}
        where = f"{lookup.where}/self"
        self.checks = {"": _describe_pid_namespace(process.pid, where)}

    def directory(self, name: str, kind: Kind) -> int:
        held = self._directories.get(name)
        if held is None:
            where = f"{self._lookup.where}/self/{name}"
            fd = self._lookup.open(self._process.fileno(), name, DIRECTORY_FLAGS, kind, where)
            self.checks[name] = _describe_entry(kind, fd, where)
            held = self._directories.setdefault(name, Held(fd, where))
        return held.fileno()

    def open_file(self, name: str) -> int:
        where = f"{self._lookup.where}/self/{name}"
        return self._lookup.open(self._process.fileno(), name, os.O_RDONLY, checks.FILE, where)

    def close(self) -> None:
        self._process.close()
        for held in self._directories.values():
            held.close()


def _private_instance(path: str) -> int:
    """A procfs instance of our own, as a mount that is in no mount namespace.

    It has the mount flags that ``/proc`` has everywhere. A kernel whose mounted ``/proc`` is
    partly masked refuses it to a user namespace (``mount_too_revealing``: EPERM).
    """
    _require_mount_calls()
    with linux.fsopen(b"proc") as context:
        linux.fsconfig(context, linux.FSCONFIG_CMD_CREATE)
        return linux.fsmount(
            context, linux.MOUNT_ATTR_NOSUID | linux.MOUNT_ATTR_NODEV | linux.MOUNT_ATTR_NOEXEC
        ).detach()


def _clone(path: str) -> int:
    """The mount at ``path`` once more, in no mount namespace, without the mounts on top of it.

    It is not recursive (no ``AT_RECURSIVE``), so what is mounted in it is not copied. What is
    mounted over ``path`` itself is what gets cloned: the checks of the root tell.
    """
    _require_mount_calls()
    mounted = _mounted(path)
    try:
        return linux.open_tree(mounted, b"", linux.OPEN_TREE_CLONE | linux.AT_EMPTY_PATH).detach()
    finally:
        os.close(mounted)


def _mounted(path: str) -> int:
    return os.open(path, DIRECTORY_FLAGS)


def _require_mount_calls() -> None:
    """The calls are of Linux 5.2. RHEL 8 ported them back to 4.18, where they take so long
    that they must not be used (libpathrs 0.2.4); only the version tells.
    """
    release = os.uname().release
    version = re.match(r"(\d+)\.(\d+)", release)
    if version is None or (int(version[1]), int(version[2])) < (5, 2):
        raise OSError(errno.ENOSYS, f"needs Linux 5.2, and this is {release}")


_OPENERS: Final[dict[Source, Callable[[str], int]]] = {
    "fsopen": _private_instance,
    "open_tree": _clone,
    "mounted": _mounted,
}
_SOURCES: Final[dict[Source, str]] = {
    "fsopen": "a new procfs instance that nobody else can mount on",
    "open_tree": "a clone of the mount, without the mounts in it",
    "mounted": "the mount as it is, each entry checked when it is opened",
}


def _candidates(path: str, source: str) -> tuple[Source, ...]:
    """The sources to try for ``path``, best first.

    A new instance shows our own PID namespace. Who names another place than ``/proc`` means
    the procfs that is mounted there, perhaps the host's (psutil #1132, blazesym #1629).
    """
    is_default = os.path.normpath(path) in (_DEFAULT_PATH, f"/{_DEFAULT_PATH}")
    if source == "auto":
        return ("fsopen", "open_tree", "mounted") if is_default else ("open_tree", "mounted")
    if source == "fsopen":
        if not is_default:
            raise ValueError(
                f"source 'fsopen' is a new procfs instance and cannot be the one at {path!r}: "
                f"use 'auto', 'open_tree' or 'mounted'"
            )
        return ("fsopen",)
    if source == "open_tree":
        return ("open_tree",)
    if source == "mounted":
        return ("mounted",)
    raise ValueError(f"source must be auto, fsopen, open_tree or mounted, not {source!r}")


def _open_root(path: str, source: str) -> tuple[Held, Source, list[Check]]:
    """The root of a procfs, where it came from, and which better sources were not to be had."""
    *better, last = _candidates(path, source)
    choice: list[Check] = []
    for candidate in better:
        try:
            return _obtain(candidate, path, choice)
        except OSError as error:
            if error.errno not in _NOT_TO_BE_HAD:
                raise
            detail = f"{errno.errorcode[error.errno]}: {error.strerror}"
            choice.append(Check(path, f"source {candidate}", "unavailable", detail))
    return _obtain(last, path, choice)


def _obtain(
    source: Source, path: str, unavailable: list[Check]
) -> tuple[Held, Source, list[Check]]:
    held = Held(_OPENERS[source](path), f"the procfs {path}")
    return held, source, [*unavailable, Check(path, f"source {source}", "passed", _SOURCES[source])]


def _check_root(fd: int, where: str, *, detached: bool) -> list[Check]:
    """Every check of a root; ``UnverifiedProcError`` says which one it did not pass."""
    # First of all: the other checks only mean something on procfs.
    magic = checks.is_on_procfs(fd, where)
    st = os.fstat(fd)
    checks.is_of_kind(checks.ROOT, st, where)
    found = {
        "is procfs": magic,
        "is the whole procfs": checks.is_inode_one(st, where),
        "has no block device": checks.is_on_unnamed_device(st, where),
    }
    if not detached:
        found["is a mount point"] = checks.is_mount_root(fd, where)
    checks.has_usual_mode(checks.ROOT, st, where)
    checks.has_usual_link_count(checks.ROOT, st, where)
    found["usual mode and links"] = f"{stat.filemode(st.st_mode)}, {st.st_nlink} links"
    return [Check(where, name, "passed", detail) for name, detail in found.items()]


def _describe_entry(kind: Kind, fd: int, where: str) -> Check:
    """For people: what the checks saw that ``fd`` passed when it was opened."""
    st = os.fstat(fd)
    detail = (
        f"inode {st.st_ino} on device {os.major(st.st_dev)}:{os.minor(st.st_dev)}, "
        f"{stat.filemode(st.st_mode)}, {st.st_nlink} links"
    )
    return Check(where, f"is {kind.words} of this procfs", "passed", detail)


def _describe_pid_namespace(pid: int, where: str) -> Check:
    """Whether the procfs numbers this process as getpid(2) does; neither is wrong."""
    if pid == os.getpid():
        return Check(where, "PID namespace", "passed", f"is {pid}, as getpid() says")
    detail = f"is {pid} and getpid() says {os.getpid()}: the procfs shows another PID namespace"
    return Check(where, "PID namespace", "note", detail)


def _descriptor_name(fd: int) -> str:
    """The name of a descriptor's entry in ``fd`` and ``fdinfo``."""
    if isinstance(fd, bool):
        raise ValueError(f"a descriptor is a number, not {fd}")
    number = operator.index(fd)
    if number < 0:
        raise os_error(errno.EBADF, str(number))
    return str(number)


def _check_same_object(fd: int, reopened: int, where: str) -> None:
    """The reopened descriptor refers to what ``fd`` does, so nothing was mounted over the link
    itself in the meantime (the shape of CVE-2025-31133).
    """
    before, after = os.fstat(fd), os.fstat(reopened)
    if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino):
        raise UnverifiedProcError(
            "led to another object than the descriptor's: something was mounted over it", where
        )
