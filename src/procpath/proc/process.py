"""One process's directory of a verified procfs, held by descriptor.

The kernel ties the held directory to the process and not to its number, so each answer of
:class:`ProcessDir` is about the process that it was made for: once that has ended every read
raises :class:`procpath.ProcessGoneError`, even when the number was given to a new process.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from errno import EACCES, EINVAL, ENOENT, EPERM, ESRCH
from typing import (
    IO,
    TYPE_CHECKING,
    Any,
    BinaryIO,
    Literal,
    NamedTuple,
    Self,
    TextIO,
    TypeVar,
    overload,
)

from procpath import linux, uapi
from procpath.descriptors import Closing, Held, closed_on_error
from procpath.errors import MagicLinkError, ProcessGoneError, UnverifiedProcError
from procpath.linux import Descriptor
from procpath.proc import checks
from procpath.proc.lookup import Lookup, components, read_all
from procpath.proc.source import DEFAULT_PATH, open_procfs
from procpath.reading import require_limit
from procpath.uapi import FIND_NOFOLLOW

if TYPE_CHECKING:
    from typing_extensions import Buffer

T = TypeVar("T")

_CAP_SYS_PTRACE = 1 << 19  # include/uapi/linux/capability.h

# Fields of proc_pid_stat(5), counted from the third, where ProcessDir._stat() begins.
_STATE = 3 - 3
_NUM_THREADS = 20 - 3
_START_TIME = 22 - 3


class IdMapping(NamedTuple):
    """One line of a ``uid_map`` or ``gid_map`` (user_namespaces(7)): a range of ids."""

    inside: int
    """the first id of the range in the process's user namespace"""
    outside: int
    """the id that the first one stands for in the reader's user namespace"""
    length: int
    """how many ids follow each other"""


class ProcessDir(Closing):
    """The held ``/proc/PID`` of one process. Made by :meth:`procpath.VerifiedProc.process`.

    A context manager; it closes with its last user too. The names that its methods take are
    relative (``"status"``, ``"ns/mnt"``, ``"task/12/stat"``); absolute and empty ones and
    ``..`` are ``ValueError``. All methods raise ``ValueError`` once it is closed, and

    - ``ProcessGoneError`` when the process has ended. A zombie has ended; its ``stat`` and
      ``status`` can still be read until its parent has waited for it, and everything that
      the kernel keeps no longer (``root``, ``exe``, ``fd/3``, ``maps``) raises. Where only the
      main thread has ended, links are those of a thread that goes on; files are in ``task/TID``.
    - ``PermissionError`` that says which right is missing, when we may not trace it;
    - ``UnverifiedProcError`` when something is mounted over the entry;
    - ``FileNotFoundError`` when a living process has no such entry.

    Made for a thread's id, which the kernel lets through though it lists none, it is about
    that thread: it ends with the thread. After ``fork`` it stays what it was, the directory
    of the same process.

    Examples:
        >>> with VerifiedProc.default().process(23309) as process:
        ...     process.pid, process.is_alive(), process.read_bytes("comm")
        (23309, True, b'sleep\\n')
    """

    __slots__ = ("__weakref__", "_held", "_lookup", "_pid", "_where")

    def __init__(self, lookup: Lookup, directory: Descriptor, pid: int) -> None:
        """Take over ``directory``, that of ``pid`` in the procfs of ``lookup``."""
        self._lookup = lookup
        self._pid = pid
        self._where = f"{lookup.where}/{pid}"
        self._held = Held(directory, self._where)

    def __repr__(self) -> str:
        closed = " closed" if self.closed else ""
        return f"<{type(self).__name__} {self._where!r}{closed}>"

    def __enter__(self) -> Self:
        self._held.fileno()
        return self

    @property
    def pid(self) -> int:
        """The process's id, as this procfs's PID namespace numbers it."""
        return self._pid

    @property
    def path(self) -> str:
        """The host path where it was found: ``/proc/1``."""
        return self._where

    def fileno(self) -> int:
        """Return the held directory, an ``O_PATH`` descriptor.

        It is good as ``dir_fd=``, not for reading. What is opened with it is not checked;
        :meth:`open` and :meth:`open_link` do that.
        """
        return self._held.fileno()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._held.closed

    def close(self) -> None:
        """Close the directory. What another thread is doing with it still completes."""
        self._held.close()

    @overload
    def open(self, name: str, mode: Literal["r", "rt", "w", "wt"] = "r") -> TextIO: ...
    @overload
    def open(self, name: str, mode: Literal["rb", "wb"]) -> BinaryIO: ...
    @overload
    def open(self, name: str, mode: str) -> IO[Any]: ...
    def open(self, name: str, mode: str = "r") -> IO[Any]:
        """Open the file ``name``; ``mode`` is ``r`` or ``rb`` to read, ``w`` or ``wb`` to write.

        Text is UTF-8 with ``surrogateescape``. Writing neither creates nor truncates; what
        is written goes to the kernel in one piece at ``flush()`` or ``close()``, and with
        ``wb`` at each ``write()``. Links are not followed (``MagicLinkError``). A file that
        is open when the process ends raises ``ProcessGoneError`` in its ``read()``, where
        the kernel says so.
        """
        return open_file(
            mode,
            self._path(name),
            lambda flags: self._open(name, flags),
            self._pid,
        )

    def read_bytes(self, name: str, *, limit: int | None = None) -> bytes:
        """Return all of the file ``name``. ``EFBIG`` if it has more than ``limit`` bytes.

        A process chooses what its ``cmdline`` and ``environ`` have, and how much.
        """
        components(name)
        require_limit(limit)
        try:
            data = self._read(name, limit)
        except OSError as error:
            raise self._explained(error, name) from None
        # The memory of a process that ends between open() and read() is an empty file: an answer
        # about nobody.
        if not data and not self.is_alive():
            raise ProcessGoneError(self._pid, self._path(name))
        return data

    def read_text(self, name: str, *, limit: int | None = None) -> str:
        """Return all of the file ``name``, as UTF-8 with ``surrogateescape``.

        ``limit`` as in :meth:`read_bytes`.
        """
        return self.read_bytes(name, limit=limit).decode("utf-8", "surrogateescape")

    def readlink(self, name: str) -> str:
        """Return the text of the link ``name``: where it leads, as far as a text can say that."""
        components(name)
        directory = self._held.descriptor()
        return self._answer(
            name, lambda each: self._lookup.readlink(directory.value, each, self._path(each))
        )

    def open_link(self, name: str, flags: int) -> int:
        """Follow the magic link ``name`` (``root``, ``cwd``, ``exe``, ``fd/3``, ``ns/mnt``).

        Only its last component may be a link. ``flags`` as for ``os.open``; ``O_CLOEXEC`` and
        ``O_NOCTTY`` are added, ``O_NOFOLLOW`` is a ``ValueError``. Returns a descriptor that
        is the caller's, of an object that need not be of procfs. An ``OSError`` with
        ``EINVAL`` means that ``name`` is not a link.
        """
        return self.opened_link(name, flags).detach()

    def opened_link(self, name: str, flags: int) -> Descriptor:
        """As :meth:`open_link`; the descriptor belongs to the object returned."""
        if flags & os.O_NOFOLLOW:
            raise ValueError("open_link() follows a link: O_NOFOLLOW contradicts that")
        components(name)
        directory = self._held.descriptor()

        def follow(each: str) -> Descriptor:
            above, _, last = each.rpartition("/")
            if not above:
                return self._lookup.follow(directory.value, last, flags, self._path(each))
            with self._open_directory(above) as parent:
                return self._lookup.follow(parent, last, flags, self._path(each))

        return self._answer(name, follow)

    def listdir(self, name: str | None = None) -> list[str]:
        """Return the names in the directory ``name`` (``task``, ``fd``), or in this one."""
        directory = self._held.descriptor()
        try:
            if name is None:
                return self._lookup.list(directory.value, self._where)
            components(name)
            with self._open_directory(name) as below:
                return self._lookup.list(below, self._path(name))
        except OSError as error:
            raise self._explained(error, name or "") from None

    def is_alive(self) -> bool:
        """Return whether the process has not ended. A zombie has, unless other threads go on."""
        try:
            fields = self._stat()
        except ProcessGoneError:
            return False
        state, threads = fields[_STATE], int(fields[_NUM_THREADS])
        return state not in (b"Z", b"X", b"x") or threads > 1

    @property
    def start_time(self) -> int:
        """When the process started: clock ticks (``os.sysconf("SC_CLK_TCK")`` in a second)
        after the machine's start, in this time namespace. With the PID it names a process
        for good, within the resolution of a tick. Field 22 of ``stat`` (proc_pid_stat(5)).
        """
        return int(self._stat()[_START_TIME])

    @property
    def mount_namespace(self) -> int:
        """The mount namespace's identity: the inode number that ``ns/mnt`` shows.

        Two processes see the same mounts if it is the same (namespaces(7)). To ask for it
        needs the right to trace the process.
        """
        text = self.readlink("ns/mnt")
        return int(text.removeprefix("mnt:[").removesuffix("]"))

    @property
    def uid_map(self) -> tuple[IdMapping, ...]:
        """What the user IDs of the process's user namespace stand for in ours."""
        return self._id_map("uid_map")

    @property
    def gid_map(self) -> tuple[IdMapping, ...]:
        """What the group IDs of the process's user namespace stand for in ours."""
        return self._id_map("gid_map")

    def _id_map(self, name: str) -> tuple[IdMapping, ...]:
        data = self.read_bytes(name)
        maps = tuple(IdMapping(*map(int, line.split())) for line in data.split(b"\n") if line)
        if all(each.inside == each.outside for each in maps):
            return maps
        # To a reader in the same user namespace the kernel shows what the IDs stand for in its
        # parent (user_namespaces(7)). One map alone does not say that: a namespace and a child
        # of it can have the same.
        lookup, us = self._us()
        if data != _read_beneath(lookup, us, name):
            return maps
        own = lookup.readlink(lookup.root.value, f"{us}/ns/user", f"{lookup.where}/{us}/ns/user")
        if self.readlink("ns/user") != own:
            return maps
        return tuple(each._replace(outside=each.inside) for each in maps)

    def living_threads(self) -> list[int]:
        """Return the threads that go on after the main thread has ended; none if that has not."""
        fields = self._stat()
        if fields[_STATE] != b"Z" or int(fields[_NUM_THREADS]) < 2:
            return []
        return sorted({int(name) for name in self.listdir("task")} - {self._pid})

    def number_since_boot(self) -> int:
        """Return a number that no other process has had since the machine's start.

        It is the inode number of a pidfd (Linux 6.9). 0 where there is none, or where the procfs
        numbers processes otherwise than our PID namespace.
        """
        try:
            pidfd = linux.pidfd_open(self._pid)
        except OSError as error:
            # EINVAL, ENOENT from Linux 6.15 on: a thread; ESRCH: not in our PID namespace.
            if error.errno not in uapi.DENIED | {EINVAL, ENOENT, ESRCH}:
                raise
            return 0
        with pidfd as fd:
            if linux.fstatfs(fd).type != uapi.PID_FS_MAGIC:
                return 0
            try:
                fdinfo = _read_beneath(*self._us(), f"fdinfo/{fd}")
            except FileNotFoundError:
                return 0  # The thread has descriptors of its own.
            if b"Pid:\t%d" % self._pid not in fdinfo.split(b"\n"):
                return 0
            return os.fstat(fd).st_ino

    def _answer(self, name: str, ask: Callable[[str], T]) -> T:
        """Return ``ask(name)``, of a thread that goes on if the main thread has ended.

        What threads share is gone from ``/proc/PID`` when the main thread has ended, and is
        still in ``/proc/PID/task/TID``.
        """
        try:
            return ask(name)
        except OSError as error:
            if error.errno in (ENOENT, ESRCH) and not self._is_reaped():
                for thread in self.living_threads():
                    try:
                        return ask(f"task/{thread}/{name}")
                    except UnverifiedProcError:
                        raise
                    except OSError:
                        continue  # It has ended too, or has no such entry.
            raise self._explained(error, name) from None

    def _path(self, name: str) -> str:
        return f"{self._where}/{name}"

    def _open(self, name: str, flags: int) -> Descriptor:
        components(name)
        directory = self._held.descriptor()
        try:
            return self._lookup.open(directory.value, name, flags, checks.FILE, self._path(name))
        except OSError as error:
            raise self._explained(error, name, writing=flags & os.O_ACCMODE != 0) from None

    def _open_directory(self, name: str) -> Descriptor:
        directory = self._held.descriptor()
        return self._lookup.open(
            directory.value, name, FIND_NOFOLLOW, checks.DIRECTORY, self._path(name)
        )

    def _read(self, name: str, limit: int | None = None) -> bytes:
        """Return all of a file, with errors as the operating system words them."""
        directory = self._held.descriptor()
        path = self._path(name)
        found = self._lookup.open(directory.value, name, os.O_RDONLY, checks.FILE, path)
        return read_all(found, limit)

    def _stat(self) -> list[bytes]:
        """The fields of ``stat`` from the third on.

        The second is the program's name in parentheses, which may contain anything, ``) R``
        included; no later field contains a parenthesis.
        """
        try:
            data = self._read("stat")
        except OSError as error:
            raise self._explained(error, "stat") from None
        return data[data.rindex(b")") + 1 :].split()

    def _is_reaped(self) -> bool:
        """Return whether nothing of the process is left, not even a zombie.

        Every process has a ``stat`` that everybody may stat. In the directory of one that is
        no more, lookups give ESRCH or ENOENT (``proc_pid_permission`` and ``proc_pident_lookup``
        of ``fs/proc/base.c``), and they do so for good.
        """
        try:
            directory = self._held.descriptor()
            os.stat("stat", dir_fd=directory.value, follow_symlinks=False)
        except (ProcessLookupError, FileNotFoundError):
            return True
        except OSError:
            return False
        return False

    def _explained(self, error: OSError, name: str, *, writing: bool = False) -> OSError:
        """Return ``error`` with what it means here, or what to do."""
        if isinstance(error, UnverifiedProcError | MagicLinkError):
            return error
        if self._is_reaped():
            return ProcessGoneError(self._pid, self._where)
        path = self._path(name)
        if error.errno in (ENOENT, ESRCH) and name != "stat":
            if not self.is_alive():
                return ProcessGoneError(self._pid, path)
            return type(error)(error.errno, self._missing(error, name), path)
        if error.errno in (EACCES, EPERM) and not writing:
            return PermissionError(error.errno, self._refusal(), path)
        # An error of read() has none.
        error.filename = error.filename or path
        return error

    def _missing(self, error: OSError, name: str) -> str:
        """Return why a living process can lack what others have."""
        try:
            state = self._stat()[_STATE]
        except OSError:
            return str(error.strerror)
        if state == b"Z":
            return (
                f"{error.strerror}: the main thread of process {self._pid} has ended, "
                f"others go on: see task/TID/{name}"
            )
        return str(error.strerror)

    def _refusal(self) -> str:
        """Return which right is missing (ptrace(2), "access mode checking")."""
        who = f"no permission to inspect process {self._pid}"
        needs = f"needs CAP_SYS_PTRACE in the user namespace of process {self._pid}"
        try:
            theirs = status_fields(self._read("status"))
        except OSError:
            # Everybody may read a status, save where hidepid is on (proc(5)).
            return f"{who}: the procfs is mounted with hidepid; {needs}"
        try:
            ours = status_fields(_read_beneath(*self._us(), "status"))
        except OSError:
            # Our own status is overmounted.
            return f"{who}: {needs}"
        if int(ours[b"CapEff"], 16) & _CAP_SYS_PTRACE:
            return (
                f"{who}, although this one has CAP_SYS_PTRACE in its user namespace: that of "
                f"process {self._pid} must be the same or below it, and no security module (Yama's "
                f"kernel.yama.ptrace_scope, SELinux, AppArmor, Landlock) may forbid it"
            )
        their_uid, our_uid = int(theirs[b"Uid"].split()[0]), os.geteuid()
        if their_uid != our_uid:
            return f"{who}: it runs as uid {their_uid}, this one as uid {our_uid}; {needs}"
        return (
            f"{who}, though both run as uid {our_uid}: it has capabilities that this one lacks, is "
            f"in another user namespace, or is not dumpable (PR_SET_DUMPABLE, prctl(2)); {needs}"
        )

    def _us(self) -> tuple[Lookup, str]:
        """Return a procfs that shows this process, and its PID there."""
        lookup = self._lookup
        try:
            return lookup, lookup.readlink(lookup.root.value, "self", f"{lookup.where}/self")
        except FileNotFoundError:
            # The procfs shows a PID namespace without us.
            lookup, _, _ = open_procfs(DEFAULT_PATH, "auto")
            return lookup, lookup.readlink(lookup.root.value, "self", f"{lookup.where}/self")


class ProcFile(io.FileIO):
    """An unbuffered file of procfs.

    The descriptor keeps its one owner, so that no interrupt comes between two.
    """

    def __init__(self, descriptor: Descriptor, mode: str, where: str) -> None:
        self._descriptor = descriptor
        with closed_on_error(descriptor) as fd:
            super().__init__(fd, mode, closefd=False)
        self.name = where

    def close(self) -> None:
        """Close the file and its descriptor."""
        super().close()
        self._descriptor.close()


class _ProcessFile(ProcFile):
    """A file of a process, which raises ProcessGoneError when that has ended meanwhile."""

    def __init__(self, descriptor: Descriptor, mode: str, where: str, pid: int) -> None:
        super().__init__(descriptor, mode, where)
        self._pid = pid

    def _gone(self) -> ProcessGoneError:
        return ProcessGoneError(self._pid, str(self.name))

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            return super().read(size)
        except ProcessLookupError:
            raise self._gone() from None

    def readall(self) -> bytes:
        try:
            return super().readall()
        except ProcessLookupError:
            raise self._gone() from None

    def readinto(self, buffer: Buffer, /) -> int:
        try:
            return super().readinto(buffer)
        except ProcessLookupError:
            raise self._gone() from None

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except ProcessLookupError:
            raise self._gone() from None


def open_file(
    mode: str, where: str, open_descriptor: Callable[[int], Descriptor], pid: int | None = None
) -> IO[Any]:
    """Open a file object in one of the modes of :meth:`ProcessDir.open`, named ``where``.

    ``open_descriptor`` takes the flags of open(2); ``pid`` is the process that it is a file of.
    """
    if mode not in ("r", "rt", "rb", "w", "wt", "wb"):
        raise ValueError(f"the mode of a procfs file is r, rb, w or wb, not {mode!r}")
    writing = mode[0] == "w"
    descriptor = open_descriptor(os.O_WRONLY if writing else os.O_RDONLY)
    if pid is None:
        raw = ProcFile(descriptor, mode[0], where)
    else:
        raw = _ProcessFile(descriptor, mode[0], where, pid)
    if mode == "wb":
        return raw
    buffered = io.BufferedWriter(raw) if writing else io.BufferedReader(raw)
    if mode == "rb":
        return buffered
    return io.TextIOWrapper(buffered, encoding="utf-8", errors="surrogateescape", newline="\n")


def _read_beneath(lookup: Lookup, pid: str, name: str) -> bytes:
    where = f"{lookup.where}/{pid}/{name}"
    return read_all(
        lookup.open(lookup.root.value, f"{pid}/{name}", os.O_RDONLY, checks.FILE, where)
    )


def status_fields(status: bytes) -> dict[bytes, bytes]:
    """Return the lines of a ``status`` file (proc_pid_status(5)) by their names.

    Split at newlines alone, which the kernel escapes in ``Name``: a process names itself as it
    likes (PR_SET_NAME), and nothing else in a name begins a line.
    """
    return dict(line.split(b":\t", 1) for line in status.split(b"\n") if b":\t" in line)
