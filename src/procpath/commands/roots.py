"""``procpath roots``: the containers of this machine, one for each mount namespace.

Of each mount namespace the first process that can be looked into stands for all; when it ends
meanwhile, another of the same namespace does (tracee #3200). What a container says of itself
(os-release(5), the command) is shown, and believed by nobody.
"""

from __future__ import annotations

import argparse
import os
import re
from typing import Final, NamedTuple

from procpath import ProcessDir, Root, UnverifiedProcError
from procpath.commands.output import Cell, printable, quoted, shortened
from procpath.commands.session import Session, add_json

SUMMARY: Final = "list every mount namespace, with a process in it and its operating system"

_OS_RELEASES: Final = ("/etc/os-release", "/usr/lib/os-release")
_PRETTY_NAME = re.compile(r"^PRETTY_NAME=(.*)$", re.MULTILINE)
_ESCAPED = re.compile(r"\\([\\\"$`])")
"""What os-release(5) lets stand in double quotes."""

_ENOUGH: Final = 1 << 16
"""Bytes of a file of somebody else's that are read."""

_ENOUGH_OF_A_COMMAND: Final = 1 << 12

_OS_COLUMNS: Final = 40
_COMMAND_COLUMNS: Final = 60


class FoundRoot(NamedTuple):
    """One mount namespace, and a process that is in it."""

    mount_namespace: int
    """the inode number that ``/proc/PID/ns/mnt`` shows (namespaces(7))"""
    processes: int
    """how many are in it, as far as they may be looked into"""
    pid: int
    command: str
    os: str | None
    """``PRETTY_NAME`` of its os-release"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell the parser what the command takes."""
    add_json(parser)


def run(args: argparse.Namespace, session: Session) -> None:
    """Print every mount namespace that can be seen."""
    members, refusals = _by_mount_namespace(session)
    found = [root for each in members.items() if (root := describe(*each, session)) is not None]
    if args.json:
        with session.out.json_array() as emit:
            for root in found:
                emit(root._asdict())
    else:
        _print(found, session)
    if refusals:
        many = f"{len(refusals)} processes" if len(refusals) > 1 else "1 process"
        session.note(f"{many} left out that may not be looked into: {refusals[0].strerror}")


def _by_mount_namespace(session: Session) -> tuple[dict[int, list[int]], list[OSError]]:
    """The PIDs in each mount namespace, oldest process first, and why the others' is not known."""
    members: dict[int, list[tuple[int, int]]] = {}
    refusals: list[OSError] = []
    for pid in session.proc.pids():
        try:
            with session.proc.process(pid) as process:
                # By their age, since numbers start again from below at some time.
                member = (process.start_time, pid)
                members.setdefault(process.mount_namespace, []).append(member)
        except UnverifiedProcError:
            raise
        except ProcessLookupError:
            continue  # It has ended meanwhile.
        except OSError as error:
            refusals.append(error)
    by_age = {each: [pid for _, pid in sorted(found)] for each, found in members.items()}
    return by_age, refusals


def describe(mount_namespace: int, pids: list[int], session: Session) -> FoundRoot | None:
    """The namespace by the first process of it that still is there; kernel threads last.

    None where all have ended meanwhile.
    """
    kernel_thread: FoundRoot | None = None
    for pid in pids:
        try:
            with session.proc.process(pid) as process:
                command = _command(process)
                if not command and kernel_thread is not None:
                    continue
                found = FoundRoot(
                    process.mount_namespace,
                    len(pids),
                    pid,
                    command or f"[{process.read_text('comm').rstrip()}]",
                    _os_name(process),
                )
                # Its mounts come apart at its end, so what was read before counts only if it
                # still lives; and its number may have been another's when it was listed.
                if found.mount_namespace != mount_namespace or not process.is_alive():
                    continue
        except UnverifiedProcError:
            raise
        except OSError:
            continue
        if command:
            return found
        kernel_thread = found
    return kernel_thread


def _command(process: ProcessDir) -> str:
    """The command line, as a shell reads it; empty of a kernel thread (proc_pid_cmdline(5))."""
    with process.open("cmdline", "rb") as file:
        raw = file.read(_ENOUGH_OF_A_COMMAND)
    words = os.fsdecode(raw).rstrip("\0").split("\0")
    return " ".join(map(quoted, words)) if raw else ""


def _os_name(process: ProcessDir) -> str | None:
    with Root.of_process(process, special_files="refuse") as root:
        for path in _OS_RELEASES:
            try:
                fd = root.open(path, os.O_RDONLY)
                with open(fd, "rb") as file:
                    text = file.read(_ENOUGH).decode("utf-8", "surrogateescape")
            except UnverifiedProcError:
                raise
            except OSError:
                continue
            return pretty_name(text)
    return None


def pretty_name(os_release: str) -> str | None:
    """``PRETTY_NAME`` of the text of an os-release; None where it has none."""
    assigned = _PRETTY_NAME.findall(os_release)
    if not assigned:
        return None
    value: str = assigned[-1].strip()
    if len(value) > 1 and value[0] == value[-1] == "'":
        value = value[1:-1]
    elif len(value) > 1 and value[0] == value[-1] == '"':
        value = _ESCAPED.sub(r"\1", value[1:-1])
    return value or None


def _print(found: list[FoundRoot], session: Session) -> None:
    heading = [
        Cell(text, "heading") for text in ("PID", "MOUNT NAMESPACE", "PROCESSES", "OS", "COMMAND")
    ]
    rows = [
        [
            Cell(str(root.pid)),
            Cell(str(root.mount_namespace)),
            Cell(str(root.processes)),
            Cell(shortened(printable(root.os or "-"), _OS_COLUMNS)),
            Cell(shortened(printable(root.command), _COMMAND_COLUMNS)),
        ]
        for root in found
    ]
    session.out.table([heading, *rows], right=(0, 1, 2))
