"""Where a root came from: what names it in messages, and opens it again when it is unpickled."""

from __future__ import annotations

import os
from errno import ESTALE
from typing import Any, NamedTuple, NoReturn, Protocol, Unpack

from procpath.errors import ProcessGoneError, UnverifiedProcError, shown
from procpath.options import OptionArguments
from procpath.proc import ProcessDir, VerifiedProc
from procpath.resolve.identity import Identity


class AnyRoot(Protocol):
    """What is used here of :class:`procpath.Root`, whose module imports this one."""

    identity: Identity

    @property
    def origin(self) -> str: ...
    def beneath(self, path: bytes, **options: Unpack[OptionArguments]) -> Any: ...
    def close(self) -> None: ...


class RootClass(Protocol):
    """The same of the class itself."""

    def at(self, host_directory: str, **options: Unpack[OptionArguments]) -> Any: ...
    def _owning(self, process: ProcessDir, options: OptionArguments) -> Any: ...


class Origin(Protocol):
    """Where a root came from. ``str()`` is for messages."""

    def reopen(self, cls: RootClass, options: OptionArguments) -> Any:
        """Open the root again."""


class OfProcess(NamedTuple):
    """The root of a process, and what distinguishes it from a later one with the same PID."""

    path: str
    """of its directory in procfs"""
    pid: int
    start_time: int
    """in ticks, within which a PID may be given again"""
    mount_namespace: str
    """the text of ``ns/mnt``"""
    user_namespace: str
    since_boot: int
    """its number since the start of the machine; 0 where that is not known"""

    @classmethod
    def of(cls, process: ProcessDir) -> OfProcess:
        namespaces = process.readlink("ns/mnt"), process.readlink("ns/user")
        number = process.number_since_boot()
        # Last: as long as this can be read, the PID has not been given to another process.
        return cls(process.path, process.pid, process.start_time, *namespaces, number)

    def __str__(self) -> str:
        return f"{self.path}/root"

    def reopen(self, cls: RootClass, options: OptionArguments) -> Any:
        proc = VerifiedProc.default()
        if os.path.dirname(self.path) != proc.path:
            proc = VerifiedProc(os.path.dirname(self.path))
        process = proc.process(self.pid)
        try:
            found = OfProcess.of(process)
            if not (found.since_boot and self.since_boot):
                found = found._replace(since_boot=self.since_boot)
            if found != self:
                raise ProcessGoneError(self.pid, str(self))
        except BaseException:
            process.close()
            raise
        return cls._owning(process, options)

    def __reduce__(self) -> tuple[object, ...]:
        return _of_process_since_boot, (_boot_id(), tuple(self))


def _boot_id() -> str:
    """Return the ID of this boot (proc_sys_kernel(5)); nothing where ``/proc/sys`` is covered."""
    try:
        with VerifiedProc.default().open("sys/kernel/random/boot_id") as file:
            return file.read()
    except UnverifiedProcError:
        # As in most containers, read-only: no attack.
        return ""


def _of_process_since_boot(boot_id: str, fields: tuple[str, int, int, str, str, int]) -> OfProcess:
    process = OfProcess(*fields)
    if boot_id != _boot_id():
        raise ProcessGoneError(process.pid, str(process))
    return process


class HostDirectory(NamedTuple):
    """A directory by its host path."""

    path: str

    def __str__(self) -> str:
        return self.path

    def reopen(self, cls: RootClass, options: OptionArguments) -> Any:
        return cls.at(self.path, **options)


class Beneath(NamedTuple):
    """A directory in another root."""

    root: AnyRoot
    path: bytes

    def __str__(self) -> str:
        return os.path.join(self.root.origin, os.fsdecode(self.path.lstrip(b"/")))

    def reopen(self, cls: RootClass, options: OptionArguments) -> Any:
        return self.root.beneath(self.path, **options)


class HandedOver(NamedTuple):
    """A descriptor of the caller's; ``label`` is its name in procfs."""

    label: str

    def __str__(self) -> str:
        return self.label

    def reopen(self, cls: RootClass, options: OptionArguments) -> NoReturn:
        raise TypeError(f"a root made by Root.from_fd cannot be pickled: {self.label}")


def note(origin: Origin, process: ProcessDir | None) -> str:
    """Return the note that names a root in errors."""
    words = shown(str(origin))
    return (
        f"in the root {words}"
        if process is None
        else (f"in the root of process {process.pid} ({words})")
    )


def unpickled(
    cls: RootClass, origin: Origin, options: OptionArguments, dev: int, ino: int
) -> AnyRoot:
    """Open a root that was pickled again. Raises ``ESTALE`` if it is another directory now."""
    root: AnyRoot = origin.reopen(cls, options)
    if root.identity[:2] != (dev, ino):
        root.close()
        raise OSError(ESTALE, "no longer the directory that was pickled", str(origin))
    return root
