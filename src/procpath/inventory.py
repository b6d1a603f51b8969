"""The containers of this machine: one for each mount namespace that a process can be inspected in.

What a container says about itself, its ID, its command and its os-release(5), is a claim.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from errno import ESRCH, ESTALE
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from procpath.cgroups import Claim, claim_of
from procpath.errors import OnError, ProcessGoneError, UnverifiedProcError
from procpath.linux import statx
from procpath.proc import ProcessDir, VerifiedProc
from procpath.root import Root
from procpath.uapi import AT_EMPTY_PATH, AT_FDCWD, AT_STATX_DONT_SYNC, DENIED, FIND_DIRECTORY

if TYPE_CHECKING:
    from typing import Unpack

    from procpath.options import OptionArguments

_Report: TypeAlias = "Callable[[OSError], object]"

_OS_RELEASES = ("/etc/os-release", "/usr/lib/os-release")
_ASSIGNMENT = re.compile(rb"([A-Z][A-Z0-9_]*)=(.*)")
_ESCAPED = re.compile(rb"\\([\\\"$`])")
"""What os-release(5) allows in double quotes."""
_BACKSLASHED = re.compile(rb"\\(.)")

_MOST_OF_AN_OS_RELEASE = 1 << 16
_MOST_OF_A_COMMAND = 1 << 12
_MOST_OF_CGROUPS = 1 << 17

_PF_KTHREAD = 0x00200000  # include/linux/sched.h

_HEX_ID = re.compile("[0-9a-f]{64}")


class Container:
    """One mount namespace and the oldest process in it. Made by :func:`procpath.containers`.

    It holds no descriptors. What it reads later, it reads from the same process, and raises
    ``ProcessGoneError`` if that has ended, ``OSError`` (``ESTALE``) if it has left the container.

    Attributes:
        pid: the oldest process that could be opened, or a thread of it if its main thread has
            ended. A process with the right to join other mount namespaces (setns(2)), such as an
            agent's, stands for one that it has joined if it is older than what runs there; the
            cgroup and the ID are then its own.
        processes: how many processes of the mount namespace can be inspected.
        name: the name of its process (proc_pid_comm(5)).
        mount_namespace: the inode number that ``/proc/PID/ns/mnt`` shows (namespaces(7)).
        id: the container's ID by the name of its cgroup, or its name (lxc, systemd-nspawn), or
            None. It is a claim: whoever may make cgroups outside of a container can name one so.
            Good for finding a container, not for deciding what it may do.
        runtime: ``"docker"``, ``"containerd"``, ``"cri-o"``, ``"podman"``, ``"lxc"``,
            ``"systemd-nspawn"``, or None if the name of the cgroup does not say; a claim as well.
        pod_uid: the UID of its Kubernetes pod, or None; a claim as well.
        is_ours: whether its root is our own ``/``, by device and inode.
    """

    __slots__ = (
        "_cgroups",
        "_proc",
        "_start_time",
        "id",
        "is_ours",
        "mount_namespace",
        "name",
        "pid",
        "pod_uid",
        "processes",
        "runtime",
    )

    pid: int
    processes: int
    mount_namespace: int
    name: str
    id: str | None
    runtime: str | None
    pod_uid: str | None
    is_ours: bool

    def __init__(
        self,
        process: ProcessDir,
        stat: _Stat,
        mount_namespace: int,
        processes: int,
        proc: VerifiedProc | None,
        report: _Report,
    ) -> None:
        """Describe ``mount_namespace``, in which ``process`` and ``processes`` in all are."""
        self._proc = proc
        self._start_time = stat.start_time
        self.pid = process.pid
        self.name = stat.name
        self.processes = processes
        self.mount_namespace = mount_namespace
        claim = _claim(process, report)
        self.id = claim.id
        self.runtime = claim.runtime
        self.pod_uid = claim.pod_uid
        self._cgroups = claim.cgroups
        self.is_ours = _root_of(process) == _our_root()

    def __repr__(self) -> str:
        words = [f"pid={self.pid}"]
        if self.id is not None:
            words.append(f"id={self.id!r}")
        if self.runtime is not None:
            words.append(f"runtime={self.runtime!r}")
        return f"<{type(self).__name__} {' '.join(words)}>"

    @property
    def arguments(self) -> list[str]:
        """The start of the command line of ``pid`` (proc_pid_cmdline(5)).

        Empty for a kernel thread. Reading it may block for ever: a process can map its memory
        from a FUSE server of its own.

        Examples:
            >>> [container] = [each for each in containers() if each.pid == 23309]
            >>> container.arguments
            ['sleep', '3600']
        """
        with self._process() as process, process.open("cmdline", "rb") as file:
            raw = file.read(_MOST_OF_A_COMMAND)
        return [os.fsdecode(word) for word in raw.rstrip(b"\0").split(b"\0")] if raw else []

    @property
    def command(self) -> str:
        """The command line of ``pid`` as a shell reads it, or the process's name in brackets.

        It is read when it is asked for, as :attr:`arguments` are. Anything can be in it, control
        characters too.

        Examples:
            >>> [container] = [each for each in containers() if each.pid == 23309]
            >>> container.command
            'sleep 3600'
        """
        from shlex import join

        return join(self.arguments) or f"[{self.name}]"

    @property
    def os_release(self) -> dict[str, str]:
        """The variables in its os-release(5); empty if it has none.

        The file is read when this is asked for, 64 KiB at most. Reading it may block for ever:
        a container can have its files on a FUSE server of its own.

        Examples:
            >>> [container] = [each for each in containers() if each.pid == 23309]
            >>> container.os_release["PRETTY_NAME"]
            'Cellar Linux 7'
        """
        with self.root() as root:
            for path in _OS_RELEASES:
                try:
                    with open(root.open(path, os.O_RDONLY), "rb") as file:
                        variables = parse_os_release(file.read(_MOST_OF_AN_OS_RELEASE))
                    break
                except UnverifiedProcError:
                    raise
                except OSError:
                    continue
            else:
                variables = {}
            # The mounts of a container come apart when it ends (tracee #3200).
            if root.process is not None and not root.process.is_alive():
                raise ProcessGoneError(self.pid, root.process.path)
        return variables

    def root(self, **options: Unpack[OptionArguments]) -> Root:
        """Open the container's root, with the options of :class:`Root`.

        Raises ``ProcessGoneError``, ``OSError`` (``ESTALE``) if the process has left the container
        meanwhile, and what :meth:`Root.of_process` raises.

        Examples:
            >>> [container] = [each for each in containers() if each.pid == 23309]
            >>> with container.root() as root:
            ...     RootedPath(root, "etc/hostname").read_text()
            'cellar\\n'
        """
        root = Root._owning(self._process(), options)
        try:
            assert root.process is not None
            # Again: it may have been in another namespace while its root was opened.
            self._require_same(root.process)
            if not self.is_ours and root.identity[:2] == _our_root():
                raise self._left(root.process)
        except BaseException:
            root.close()
            raise
        return root

    def _process(self) -> ProcessDir:
        process = (self._proc or VerifiedProc.default()).process(self.pid)
        try:
            if process.start_time != self._start_time:
                raise ProcessGoneError(self.pid, process.path)
            self._require_same(process)
        except BaseException:
            process.close()
            raise
        return process

    def _require_same(self, process: ProcessDir) -> None:
        if (
            process.mount_namespace != self.mount_namespace
            or _claim(process, _ignore).cgroups != self._cgroups
        ):
            raise self._left(process)

    def _where(self) -> str:
        return " and ".join(repr(os.fsdecode(cgroup)) for cgroup in self._cgroups)

    def _left(self, process: ProcessDir) -> OSError:
        return OSError(ESTALE, f"process {self.pid} has left the container", process.path)


def containers(
    *,
    all: bool = False,  # noqa: A002  # as in ps(1) and docker-ps(1)
    proc: VerifiedProc | None = None,
    on_error: OnError = None,
) -> Iterator[Container]:
    """Yield a :class:`Container` for each mount namespace that a process can be inspected in.

    Those whose root is our own ``/``, ours and what ``unshare -m`` makes, are left out.

    Parameters:
        all: do not leave these out; ``Container.is_ours`` is true for them.
        proc: the procfs to look in (default: :meth:`VerifiedProc.default`).
        on_error: is called with the ``OSError`` of each process that cannot be inspected.
            ``PermissionError`` is one we may not trace (ptrace(2)). Without it these are left
            out, but ``UnverifiedProcError`` is raised.

    Examples:
        >>> [each.os_release["ID"] for each in containers() if each.pid == 23309]
        ['cellar']
    """
    held = proc or VerifiedProc.default()
    report = on_error or _raise_unverified
    for mount_namespace, members in _members(held, report).items():
        container = _oldest(held, mount_namespace, members, proc, report)
        if container is not None and (all or not container.is_ours):
            yield container


def container_by_id(id_prefix: str, proc: VerifiedProc | None = None) -> Container:
    """Return the one container whose ID begins with ``id_prefix``, or whose name is that.

    If it has several mount namespaces, that of the oldest process. Raises ``ProcessLookupError``
    if there is none, ``ValueError`` if there are several, or one ID under two cgroups.
    """
    if not isinstance(id_prefix, str):
        raise TypeError(f"a container's ID is a str, not {type(id_prefix).__name__!r}")
    if not id_prefix:
        raise ValueError("the start of a container's ID is empty")
    found = [
        each
        for each in containers(proc=proc)
        if each.id is not None
        # The start of a name is another name: "web" is not "web-2".
        and (each.id == id_prefix or (_HEX_ID.fullmatch(each.id) and each.id.startswith(id_prefix)))
    ]
    if not found:
        raise ProcessLookupError(ESRCH, "no container has an ID that begins so", id_prefix)
    if len({(each.id, each._cgroups) for each in found}) > 1:
        choices = sorted({f"{each.id!r} in the cgroup {each._where()}" for each in found})
        raise ValueError(f"{id_prefix!r} is ambiguous: {'; '.join(choices)}")
    return min(found, key=lambda each: (each._start_time, each.pid))


def _members(proc: VerifiedProc, report: _Report) -> dict[int, list[tuple[int, int]]]:
    """Return start time and PID of the processes in each mount namespace."""
    members: dict[int, list[tuple[int, int]]] = {}
    for pid in proc.pids():
        try:
            with proc.process(pid) as process:
                place = process.mount_namespace, process.start_time
        except (ProcessLookupError, FileNotFoundError):
            continue  # It has ended meanwhile, or is about to: its namespaces go first.
        except OSError as error:
            report(error)
        else:
            members.setdefault(place[0], []).append((place[1], pid))
    return members


def _oldest(
    held: VerifiedProc,
    mount_namespace: int,
    members: list[tuple[int, int]],
    proc: VerifiedProc | None,
    report: _Report,
) -> Container | None:
    """Describe a mount namespace by the oldest of its processes that can still be opened."""
    # By start time: PIDs wrap around.
    todo: deque[tuple[int | None, int]] = deque(sorted(members))
    kernel_threads: deque[tuple[int | None, int]] = deque()
    while todo or kernel_threads:
        is_last_resort = not todo
        start_time, pid = (todo or kernel_threads).popleft()
        try:
            with held.process(pid) as process:
                stat = _Stat.of(process)
                if stat.is_kernel_thread and not is_last_resort:
                    kernel_threads.append((start_time, pid))
                elif stat.is_zombie:
                    # Most of what a main thread shows is gone when it has ended.
                    threads = process.living_threads()
                    todo.extendleft((None, thread) for thread in reversed(threads))
                elif start_time in (None, stat.start_time):
                    # Otherwise the PID is another process's by now.
                    container = Container(
                        process, stat, mount_namespace, len(members), proc, report
                    )
                    if process.mount_namespace == mount_namespace:
                        return container
        except (ProcessLookupError, FileNotFoundError):
            continue
        except OSError as error:
            report(error)
    return None


class _Stat(NamedTuple):
    """What is needed of a ``stat`` (proc_pid_stat(5))."""

    name: str
    is_zombie: bool
    is_kernel_thread: bool
    start_time: int

    @classmethod
    def of(cls, process: ProcessDir) -> _Stat:
        data = process.read_bytes("stat")
        # A name may contain spaces and parentheses; no later field does.
        end = data.rindex(b")")
        name = os.fsdecode(data[data.index(b"(") + 1 : end])
        fields = data[end + 1 :].split()  # from the third on
        flags, start_time = int(fields[9 - 3]), int(fields[22 - 3])
        return cls(name, fields[0] == b"Z", bool(flags & _PF_KTHREAD), start_time)


def _claim(process: ProcessDir, report: _Report) -> Claim:
    try:
        with process.open("cgroup", "rb") as file:
            return claim_of(file.read(_MOST_OF_CGROUPS))
    except (ProcessLookupError, UnverifiedProcError):
        raise
    except FileNotFoundError:
        return Claim()  # A kernel without cgroups.
    except OSError as error:
        # ENAMETOOLONG: a container that nests cgroups in cgroups would hide itself otherwise.
        report(error)
        return Claim()


def _root_of(process: ProcessDir) -> tuple[int, int]:
    with process.opened_link("root", FIND_DIRECTORY) as directory:
        return _device_and_inode(directory, b"")


def _our_root() -> tuple[int, int]:
    return _device_and_inode(AT_FDCWD, b"/")


def _device_and_inode(dirfd: int, path: bytes) -> tuple[int, int]:
    """Return what st_dev and st_ino are, without asking a FUSE server, which may not answer."""
    try:
        found = statx(dirfd, path, AT_EMPTY_PATH | AT_STATX_DONT_SYNC)
    except OSError as error:
        if error.errno not in DENIED:
            raise
        status = os.stat(path) if path else os.fstat(dirfd)
        return status.st_dev, status.st_ino
    return os.makedev(found.dev_major, found.dev_minor), found.ino


def _raise_unverified(error: OSError) -> None:
    if isinstance(error, UnverifiedProcError):
        raise error


def _ignore(error: OSError) -> None:
    pass


def parse_os_release(data: bytes) -> dict[str, str]:
    """Return the variables in an os-release(5). The last assignment to one counts."""
    variables = {}
    for line in data.split(b"\n"):
        if assignment := _ASSIGNMENT.fullmatch(line):
            name, value = assignment[1], assignment[2].strip(b" \t\r")
            if len(value) > 1 and value[:1] == value[-1:] == b"'":
                value = value[1:-1]
            elif len(value) > 1 and value[:1] == value[-1:] == b'"':
                value = _ESCAPED.sub(rb"\1", value[1:-1])
            else:
                value = _BACKSLASHED.sub(rb"\1", value)
            variables[name.decode()] = value.decode("utf-8", "surrogateescape")
    return variables
