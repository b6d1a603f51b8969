"""The containers of this machine: one for each mount namespace that a process can be inspected in.

What a container says of itself, its command and its os-release(5), is a claim.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from procpath.errors import UnverifiedProcError
from procpath.proc import ProcessDir, VerifiedProc
from procpath.root import Root

_OS_RELEASES = ("/etc/os-release", "/usr/lib/os-release")
_ASSIGNMENT = re.compile(rb"([A-Z][A-Z0-9_]*)=(.*)")
_ESCAPED = re.compile(rb"\\([\\\"$`])")
"""What os-release(5) allows in double quotes."""

_MOST_OF_AN_OS_RELEASE = 1 << 16
_MOST_OF_A_COMMAND = 1 << 12


class Container(NamedTuple):
    """One mount namespace, and a process in it."""

    mount_namespace: int
    """the inode number that ``/proc/PID/ns/mnt`` shows (namespaces(7))"""
    processes: int
    """how many are in it, of those that can be inspected"""
    pid: int
    """the oldest process; a thread of it if its main thread has ended"""
    name: str
    """the name of the process (proc_pid_comm(5))"""
    arguments: list[str] | None = None
    """its command line; None if that is not known, empty for a kernel thread"""
    os_release: dict[str, str] | None = None
    """the variables in its os-release(5), or None if they are not known"""


def processes_by_mount_namespace(
    proc: VerifiedProc, on_error: Callable[[int, OSError], None]
) -> dict[int, list[int]]:
    """Return the PIDs in each mount namespace, oldest process first.

    ``on_error`` is called with the PID of a process that cannot be inspected, and the error.
    """
    members: dict[int, list[tuple[int, int]]] = {}
    for pid in proc.pids():
        try:
            namespace, start_time, found = _place(proc, pid)
        except (ProcessLookupError, FileNotFoundError):
            continue  # It has ended meanwhile, or is about to: its namespaces go first.
        except OSError as error:
            on_error(pid, error)
        else:
            members.setdefault(namespace, []).append((start_time, found))
    # Oldest first by start time: PIDs wrap around.
    return {each: [pid for _, pid in sorted(found)] for each, found in members.items()}


def _place(proc: VerifiedProc, pid: int) -> tuple[int, int, int]:
    """Return mount namespace, start time and PID of a process, or of one of its threads."""
    with proc.process(pid) as process:
        # Most of what the main thread shows is gone when it has ended.
        threads = process.living_threads()
        return process.mount_namespace, process.start_time, threads[0] if threads else pid


def describe(proc: VerifiedProc, mount_namespace: int, pids: list[int]) -> Iterator[Container]:
    """Yield what is known about a mount namespace, each time more; nothing if all have ended.

    ``pids`` are its processes. The first that can still be inspected stands for all, a kernel
    thread only if there is nothing else.

    Reading a command line or an os-release may block for ever: a process can map its memory, and
    a container its files, from a FUSE server of its own.
    """
    found_one = False
    for pid in pids:
        try:
            with proc.process(pid) as process:
                if process.mount_namespace != mount_namespace:
                    continue  # By now the PID is another process's.
                name = os.fsdecode(process.read_bytes("comm").removesuffix(b"\n"))
                container = Container(mount_namespace, len(pids), pid, name)
                if not found_one:
                    yield container
                arguments = _arguments(process)
                if found_one and not arguments:
                    continue
                container = container._replace(arguments=arguments)
                yield container
                container = container._replace(os_release=_os_release(process))
                # Its mounts come apart when it ends (tracee #3200).
                if process.is_alive():
                    found_one = True
                    yield container
                    if arguments:
                        return
        except UnverifiedProcError:
            raise
        except OSError:
            continue


def _arguments(process: ProcessDir) -> list[str]:
    """Read the start of its command line (proc_pid_cmdline(5))."""
    with process.open("cmdline", "rb") as file:
        raw = file.read(_MOST_OF_A_COMMAND)
    return [os.fsdecode(word) for word in raw.rstrip(b"\0").split(b"\0")] if raw else []


def _os_release(process: ProcessDir) -> dict[str, str]:
    with Root.of_process(process, special_files="refuse") as root:
        for path in _OS_RELEASES:
            try:
                with open(root.open(path, os.O_RDONLY), "rb") as file:
                    return parse_os_release(file.read(_MOST_OF_AN_OS_RELEASE))
            except UnverifiedProcError:
                raise
            except OSError:
                continue
    return {}


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
            variables[name.decode()] = value.decode("utf-8", "surrogateescape")
    return variables
