"""Root: the held directory that stands for ``/``.

Whatever is opened through it lies inside, and it goes on working after the process that it
was taken from has ended. Its descriptors belong to its resolver, so that they close when the
root is closed, or goes with its last path, and no operation uses them any more.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from errno import ENOTDIR
from typing import NamedTuple, Self, TypeAlias, TypeVar, Unpack, cast

from procpath import linux
from procpath.descriptors import Closing, closed_on_error
from procpath.errors import ClosedRootError, ProcessGoneError, RootNote, os_error
from procpath.linux import Descriptor, dup, openat
from procpath.options import OptionArguments, Options
from procpath.origin import Beneath, HandedOver, HostDirectory, OfProcess, Origin, note, unpickled
from procpath.proc import IdMapping, ProcessDir, VerifiedProc
from procpath.proc.process import status_fields
from procpath.resolve.identity import Identity, identity
from procpath.resolve.interface import Resolver, Rules
from procpath.resolve.kernel import KernelResolver, openat2_refusal
from procpath.resolve.walk import Observer, Walk, Walker
from procpath.uapi import AT_FDCWD, FIND_DIRECTORY, PID_FS_MAGIC

T = TypeVar("T")

StrOrBytesPath: TypeAlias = "str | bytes | os.PathLike[str] | os.PathLike[bytes]"
"""A path as text, bytes or an ``os.PathLike`` object of either."""


class UserNamespace(NamedTuple):
    """Whose files a process's root holds.

    Taken when the root is made: the process may end first.
    """

    uid: int
    """the process's real UID, as our own user namespace numbers it"""
    uid_map: tuple[IdMapping, ...]
    gid_map: tuple[IdMapping, ...]

    @classmethod
    def of(cls, process: ProcessDir) -> UserNamespace:
        """Read that of ``process`` from ``/proc/PID`` (user_namespaces(7), proc_pid_status(5))."""
        uid = status_fields(process.read_bytes("status"))[b"Uid"].split()[0]
        return cls(int(uid), process.uid_map, process.gid_map)


class Root(Closing):
    """A held directory that stands for ``/``.

    Make one by :meth:`of_process`, :meth:`of_pidfd`, :meth:`at` or :meth:`from_fd`. All take
    the same options:

    * ``resolver``: ``"openat2"`` asks the kernel to resolve paths (Linux 5.6), ``"walk"`` does it
      here, ``"auto"`` takes the first that works. They give the same answers.
    * ``on_escape``: a ``..`` above the root stays at the root (``"clamp"``, as in a chroot) or
      raises :class:`EscapeError` (``"raise"``).
    * ``symlinks=False``: a symbolic link on the way is ``ELOOP``.
    * ``cross_mounts=False``: a mount point on the way is ``EXDEV``.
    * ``special_files``: ``"refuse"``, the default, raises :class:`SpecialFileError` instead of
      opening a FIFO, socket, device or file of a kernel file system (procfs, sysfs, cgroup …),
      and of changing anything on a kernel file system. ``"allow"`` does what ``open()`` does:
      what others laid out there can block, speak for whoever reads it, or change the host.

    Two roots are equal if they hold the same directory: device, inode and mount. One root may
    be used from many threads, and in the child after ``fork()``; close it when none uses it.

    Examples:
        >>> with Root.of_process(23309, on_escape="raise") as root:
        ...     RootedPath(root, "../etc").exists()
        False
    """

    __slots__ = (
        "__weakref__",
        "_origin",
        "_owned_process",
        "find",
        "find_last",
        "identity",
        "note",
        "open_raw",
        "options",
        "process",
        "resolver",
        "try_find",
        "user_namespace",
    )

    # For this package: docs/reference/roots.md leaves them out.
    # The resolver's methods, bound here because every operation begins with one.
    find: Callable[[bytes], Descriptor]
    find_last: Callable[[bytes], Descriptor]
    try_find: Callable[[bytes], Descriptor]
    # open() of a path that is bytes already and has no NUL in it.
    open_raw: Callable[[bytes, int, int], Descriptor]
    # Added to every error.
    note: RootNote

    options: Options
    """the options of the root"""
    identity: Identity
    """device, inode and mount of the directory, by which roots are equal"""
    process: ProcessDir | None
    """the process, if the root was made from one"""
    user_namespace: UserNamespace | None
    """the user namespace of the process, which says whose numbers the owners are"""

    def __init__(
        self,
        directory: Descriptor,
        origin: Origin,
        options: OptionArguments,
        process: ProcessDir | None = None,
        user_namespace: UserNamespace | None = None,
        mount_namespace: Descriptor | None = None,
    ) -> None:
        """Take over the descriptors; for the class methods, which are the ways to make a root."""
        with closed_on_error(directory) as dirfd:
            self.options = Options(**options)
            self.note = RootNote(note(origin, process), self.options.refusals())
            self.identity = identity(dirfd)
            resolver = _resolver(directory, self.options, self.note)
        resolver.mount_namespace = mount_namespace
        self._use(resolver)
        self.process = process
        self.user_namespace = user_namespace
        self._owned_process: ProcessDir | None = None
        self._origin = origin

    def _use(self, resolver: Walker | KernelResolver) -> None:
        self.resolver: Walker | KernelResolver = resolver
        self.find = resolver.find
        self.find_last = resolver.find_last
        self.try_find = resolver.try_find
        self.open_raw = resolver.open

    @classmethod
    def of_process(
        cls,
        pid: int | ProcessDir,
        *,
        proc: VerifiedProc | None = None,
        **options: Unpack[OptionArguments],
    ) -> Self:
        """Return the root of the process ``pid``, as procfs shows it at ``/proc/PID/root``.

        ``pid`` may be a :class:`ProcessDir`, which stays the caller's to close. ``proc``
        is the procfs to look in (default: :meth:`VerifiedProc.default`).

        Raises ``ProcessGoneError`` where there is no such process, ``PermissionError``
        where it may not be traced (ptrace(2), ``PTRACE_MODE_READ_FSCREDS``), ``ValueError`` for
        a PID that cannot be one.

        Examples:
            >>> with Root.of_process(23309, on_escape="raise") as root:
            ...     RootedPath(root, "etc/hostname").read_text()
            'cellar\\n'
        """
        if isinstance(pid, ProcessDir):
            return cls._of_process(pid, options)
        return cls._owning((proc or VerifiedProc.default()).process(pid), options)

    @classmethod
    def of_pidfd(
        cls,
        pidfd: int,
        *,
        proc: VerifiedProc | None = None,
        **options: Unpack[OptionArguments],
    ) -> Self:
        """Return the root of the process that ``pidfd`` refers to (pidfd_open(2)).

        ``proc`` is the procfs to look in (default: :meth:`VerifiedProc.default`). Unlike a PID, a
        pidfd cannot pass to another process. Raises as :meth:`of_process`, and ``ValueError`` for
        a descriptor that is not a pidfd.

        Examples:
            >>> pidfd = os.pidfd_open(23309)
            >>> Root.of_pidfd(pidfd)
            <Root '/proc/23309/root'>
            >>> os.close(pidfd)
        """
        proc = proc or VerifiedProc.default()
        pid = _pid_of(proc, pidfd)
        process = proc.process(pid)
        try:
            # Its number cannot have passed to another process before the directory was opened, if
            # it has that number still.
            if _pid_of(proc, pidfd) != pid:
                raise ProcessGoneError(pid)
        except BaseException:
            process.close()
            raise
        return cls._owning(process, options)

    @classmethod
    def at(cls, host_directory: StrOrBytesPath, **options: Unpack[OptionArguments]) -> Self:
        """Return the host's directory ``host_directory`` as a root, for files without a process.

        The host path is resolved once, here, by our own process's rules; whatever it names
        later, the root stays the same directory. Raises what opening a directory raises, such
        as ``NotADirectoryError``.

        Examples:
            >>> Root.at("/usr")
            <Root '/usr'>
        """
        path = os.fsdecode(host_directory)
        directory = openat(AT_FDCWD, path, FIND_DIRECTORY)
        return cls(directory, HostDirectory(os.path.abspath(path)), options)

    @classmethod
    def from_fd(cls, dirfd: int, **options: Unpack[OptionArguments]) -> Self:
        """Return the directory that ``dirfd`` holds as a root.

        The descriptor is duplicated and stays the caller's. Raises ``NotADirectoryError`` where it
        holds something else.

        Examples:
            >>> dirfd = os.open("/usr", os.O_PATH)
            >>> Root.from_fd(dirfd) == Root.at("/usr")
            True
            >>> os.close(dirfd)
        """
        if not stat.S_ISDIR(os.fstat(dirfd).st_mode):
            raise os_error(ENOTDIR, f"descriptor {dirfd}")
        label = VerifiedProc.default().self_fd().readlink(dirfd)
        return cls(dup(dirfd), HandedOver(label), options)

    def beneath(self, path: StrOrBytesPath, **options: Unpack[OptionArguments]) -> Root:
        """Return the directory at the in-root path ``path`` as a root of its own.

        It belongs to the same process, and has the same options but for those given.

        Examples:
            >>> with Root.of_process(23309) as root:
            ...     str(RootedPath(root.beneath("/etc"), "passwd"))
            '/passwd'
        """
        raw = _raw(path)
        mounts = self.resolver.mount_namespace
        fd = self.open_raw(raw, FIND_DIRECTORY, 0)
        inherited = cast(OptionArguments, self.options._asdict() | options)
        return Root(fd, Beneath(self, raw), inherited, self.process, self.user_namespace, mounts)

    def resolver_below(self, dirfd: int) -> Resolver:
        """Return a resolver of paths below ``dirfd``, a directory of this root, with its rules.

        No link is followed.

        Examples:
            >>> with Root.of_process(23309) as root:
            ...     dirfd = root.open("/etc", os.O_PATH)
            ...     with root.resolver_below(dirfd).find(b"hostname") as fd:
            ...         os.fstat(fd).st_size
            ...     os.close(dirfd)
            7
        """
        resolver = self.resolver
        if isinstance(resolver, _ClosedResolver):
            raise resolver.error()
        return type(resolver)(dup(dirfd), self.options.rules()._replace(symlinks=False), self.note)

    @classmethod
    def _of_process(cls, process: ProcessDir, options: OptionArguments) -> Self:
        directory = process.opened_link("root", FIND_DIRECTORY)
        with closed_on_error(directory):
            namespace = UserNamespace.of(process)
            # A mount namespace comes apart with its last process: what was mounted in it
            # would be gone from a root that is still held (mount_namespaces(7)).
            mounts = process.opened_link("ns/mnt", os.O_RDONLY)
        with closed_on_error(mounts):
            origin = OfProcess.of(process)
            return cls(directory, origin, options, process, namespace, mounts)

    @classmethod
    def _owning(cls, process: ProcessDir, options: OptionArguments) -> Self:
        """Return the root of ``process``, which it closes."""
        try:
            root = cls._of_process(process, options)
        except BaseException:
            process.close()
            raise
        root._owned_process = process
        return root

    @property
    def origin(self) -> str:
        """Where the root came from: ``/proc/1/root``, or a host path. For messages.

        Examples:
            >>> with Root.of_process(23309) as root:
            ...     root.origin
            '/proc/23309/root'
        """
        return str(self._origin)

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called.

        Examples:
            >>> with Root.of_process(23309) as root:
            ...     pass
            >>> root.closed
            True
        """
        return isinstance(self.resolver, _ClosedResolver)

    @property
    def walker(self) -> Walker:
        """The walker of this root, whichever resolver it uses.

        Examples:
            >>> with Root.of_process(23309) as root:
            ...     with root.walker.find(b"/etc/hostname") as fd:
            ...         os.fstat(fd).st_size
            7
        """
        resolver = self.resolver
        return resolver.walker if isinstance(resolver, KernelResolver) else resolver

    def fileno(self) -> int:
        """Return the held ``O_PATH`` descriptor. It stays the root's: do not close it.

        Examples:
            >>> with Root.of_process(23309) as root:
            ...     os.listdir(f"/proc/self/fd/{root.fileno()}") == os.listdir("/proc/23309/root")
            True
        """
        resolver = self.resolver
        if isinstance(resolver, _ClosedResolver):
            raise resolver.error()
        return resolver.rootfd

    def open(self, path: StrOrBytesPath, flags: int, mode: int = 0o777) -> int:
        """Open the in-root path ``path`` like ``os.open()``, and return the descriptor.

        ``flags`` are those of open(2), taken to the byte: trailing slashes, ``O_NOFOLLOW``,
        ``O_CREAT``, ``O_TMPFILE`` mean what they mean to a process chrooted here. A new file gets
        ``mode`` and the umask. The descriptor is close-on-exec and never becomes a controlling
        terminal.

        Raises the operating system's ``OSError`` with ``path`` as its filename,
        :class:`EscapeError`, :class:`MagicLinkError`, :class:`SpecialFileError`,
        :class:`ClosedRootError`.

        Examples:
            >>> with Root.of_process(23309) as root:
            ...     with open(root.open("/etc/hostname", os.O_RDONLY)) as file:
            ...         file.read()
            'cellar\\n'
        """
        return self.open_raw(_raw(path), flags, mode).detach()

    def opener(self, path: StrOrBytesPath, flags: int) -> int:
        """Open ``path``: for ``open(path, opener=root.opener)``, in code that takes plain paths.

        As :meth:`open` with ``flags`` as they are, and 0o666 for a new file.

        Examples:
            >>> with Root.of_process(23309) as root:
            ...     with open("/etc/hostname", opener=root.opener) as file:
            ...         file.read()
            'cellar\\n'
        """
        return self.open(path, flags, 0o666)

    def close(self) -> None:
        """Close the root and, unless the caller gave it, its process. Twice does no harm.

        Examples:
            >>> root = Root.of_process(23309)
            >>> root.close()
            >>> RootedPath(root)
            Traceback (most recent call last):
            procpath.errors.ClosedRootError: the root /proc/23309/root is closed
        """
        # The descriptors close with the resolver: operations under way still have it.
        self._use(_ClosedResolver(self.origin))
        if self._owned_process is not None:
            self._owned_process.close()

    def __enter__(self) -> Self:
        self.fileno()
        return self

    def __eq__(self, other: object) -> bool:
        return self.identity == other.identity if isinstance(other, Root) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.identity)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.origin!r}{' (closed)' if self.closed else ''}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        if isinstance(self._origin, HandedOver):
            raise TypeError(f"a root made by Root.from_fd cannot be pickled: {self!r}")
        dev, ino, _ = self.identity
        return unpickled, (type(self), self._origin, self.options._asdict(), dev, ino)


class _ClosedResolver(Walker):
    """What a closed root resolves by: not at all."""

    def __init__(self, origin: str) -> None:
        super().__init__(Descriptor(-1), Rules())
        self._origin = origin

    def open(self, path: bytes, flags: int, mode: int = 0o777) -> Descriptor:
        raise self.error()

    def _walk(
        self, path: bytes, finish: Callable[[Walk], T], observer: Observer | None = None
    ) -> T:
        raise self.error()

    def require_openable(self, fd: int, status: os.stat_result) -> None:
        raise self.error()

    def require_changeable(self, fd: int) -> None:
        raise self.error()

    def error(self) -> ClosedRootError:
        return ClosedRootError(f"the root {self._origin} is closed")


def _resolver(directory: Descriptor, options: Options, note: RootNote) -> Walker | KernelResolver:
    if options.resolver == "walk":
        return Walker(directory, options.rules(), note)
    refusal = openat2_refusal()
    if not refusal:
        return KernelResolver(directory, options.rules(), note)
    if options.resolver == "openat2":
        raise OSError(refusal, f"openat2 cannot be used here ({os.strerror(refusal)})")
    return Walker(directory, options.rules(), note)


def _raw(path: StrOrBytesPath) -> bytes:
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise ValueError("embedded null byte")
    return raw


_PIDFD = "anon_inode:[pidfd]"
"""What the link of a pidfd says before Linux 6.9. That of a file begins with a slash."""


def _pid_of(proc: VerifiedProc, pidfd: int) -> int:
    """Return the PID that ``pidfd`` refers to, by its ``Pid`` line (pidfd_open(2))."""
    # A dma-buf has such a line too, if who made it gave it a name with a newline.
    if linux.fstatfs(pidfd).type != PID_FS_MAGIC and proc.self_fd().readlink(pidfd) != _PIDFD:
        raise ValueError(f"descriptor {pidfd} is not a pidfd")
    with proc.self_fdinfo(pidfd) as fdinfo:
        for line in fdinfo:
            if line.startswith(b"Pid:"):
                pid = int(line.split()[1])
                # -1: it has ended; 0: it is not in the PID namespace of this procfs.
                if pid <= 0:
                    raise ProcessGoneError(None)
                return pid
    raise ValueError(f"descriptor {pidfd} is not a pidfd")
