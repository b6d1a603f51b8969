"""``procpath roots``: list the containers of this machine, one for each mount namespace."""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from errno import EACCES, EPERM, ESTALE
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, NoReturn

from procpath.commands.output import Cell, printable, quoted, shortened
from procpath.commands.session import Session, add_json
from procpath.inventory import Container, containers

if TYPE_CHECKING:
    from procpath import VerifiedProc

_SECONDS = 1.0
"""How long a mount namespace may take."""

_LIMITS = {4: 40, 5: 60}
"""Widths of the columns of operating systems and commands, where the output is not a terminal."""

_ID_COLUMNS = 24
_ID_CHARACTERS = 12
"""of an ID, as docker-ps(1) and crictl show it"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_json(parser)


def run(args: argparse.Namespace, session: Session) -> None:
    """Print every mount namespace that can be seen."""
    proc = session.proc
    if proc is None:
        return
    denied = 0

    def on_error(error: OSError) -> None:
        nonlocal denied
        if error.errno in (EACCES, EPERM):
            denied += 1
        else:
            session.complain(os.fsdecode(error.filename or session.proc_path), error)

    ours = _our_mount_namespace(proc)
    records = []
    for container in containers(all=True, proc=proc, on_error=on_error):
        known, problem = answer_in_time(partial(_describe, container))
        if problem:
            session.complain(f"process {container.pid}", problem)
        if known:
            records.append(_record(container, ours, *known))
    if args.json:
        with session.out.json_array() as emit:
            for record in records:
                emit(record)
    else:
        _print(records, session)
    if denied:
        many = f"{denied} processes" if denied > 1 else "1 process"
        session.note(f"skipped {many}: permission denied")


def _our_mount_namespace(proc: VerifiedProc) -> int | None:
    try:
        with proc.process() as ourselves:
            return ourselves.mount_namespace
    except FileNotFoundError:
        return None  # The procfs is of a PID namespace that we are not in.


def _describe(container: Container) -> Iterator[tuple[list[str], dict[str, str] | None]]:
    """Yield command line and os-release, each time more; nothing if the process has ended."""
    try:
        arguments = container.arguments
        yield arguments, None
        yield arguments, container.os_release
    except OSError as error:
        if not isinstance(error, ProcessLookupError) and error.errno != ESTALE:
            raise


def answer_in_time(ask: Callable[[], Iterator[object]]) -> tuple[Any, str]:
    """Return the last that ``ask`` yields within a second, and what went wrong.

    A child asks, and what it yields comes back as JSON. A child that waits for a FUSE server may
    not even end when it is killed (``request_wait_answer()`` of ``fs/fuse/dev.c``), so nobody waits
    for it.
    """
    answer, problem = None, f"no answer within {_SECONDS:.0f} second"
    deadline = monotonic() + _SECONDS
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as answers:
        try:
            pid = os.fork()
            if pid == 0:
                _answer(ask, writer)
        finally:
            os.close(writer)
        try:
            data = b""
            poll = select.poll()
            poll.register(answers)
            while poll.poll(max(0, deadline - monotonic()) * 1000):
                chunk = answers.read(1 << 16)
                data += chunk
                if not chunk:
                    problem = ""
                    break
        finally:
            # ECHILD: we were started with SIGCHLD ignored, so the kernel has reaped it (wait(2)).
            with suppress(ChildProcessError, ProcessLookupError):
                if problem:
                    os.kill(pid, signal.SIGKILL)
                for _ in range(10):
                    if os.waitpid(pid, os.WNOHANG)[0]:
                        break
                    sleep(0.01)
    for line in data.split(b"\n")[:-1]:
        better, trouble = json.loads(line)
        answer, problem = better or answer, trouble or problem
    return answer, problem


def _answer(ask: Callable[[], Iterator[object]], writer: int) -> NoReturn:
    try:
        signal.alarm(10)  # ends the child too if we are killed first
        with open(writer, "w") as out:
            try:
                for answer in ask():
                    print(json.dumps([answer, ""]), file=out, flush=True)
            except Exception as error:
                # Whatever one process brings about, the others are to be listed.
                reason = isinstance(error, OSError) and error.strerror
                print(json.dumps([None, reason or f"{type(error).__name__}: {error}"]), file=out)
    finally:
        os._exit(0)


def _record(
    container: Container,
    ours: int | None,
    arguments: list[str],
    os_release: dict[str, str] | None,
) -> dict[str, Any]:
    return {
        "mount_namespace": container.mount_namespace,
        "processes": container.processes,
        "pid": container.pid,
        "command": " ".join(map(quoted, arguments)) or f"[{container.name}]",
        "os": _os(os_release or {}),
        "id": container.id,
        "runtime": container.runtime,
        "pod_uid": container.pod_uid,
        "is_ours": container.is_ours,
        "is_our_namespace": container.mount_namespace == ours,
    }


def _os(variables: dict[str, str]) -> str | None:
    """Return the name of an operating system (os-release(5))."""
    name, version = variables.get("NAME"), variables.get("VERSION")
    return variables.get("PRETTY_NAME") or " ".join(filter(None, (name, version))) or None


def _container(record: dict[str, Any]) -> str:
    if record["is_our_namespace"]:
        return "(ours)"
    if record["is_ours"]:
        return "(our /)"
    name = record["id"] or ("" if record["runtime"] else "-")
    shown = printable(name)
    if len(shown) == 64:
        shown = shown[:_ID_CHARACTERS]
    runtime = record["runtime"]
    return shortened(f"{runtime}:{shown}" if runtime else shown, _ID_COLUMNS)


def _print(records: list[dict[str, Any]], session: Session) -> None:
    heading = [
        Cell(text, "heading")
        for text in ("PID", "MOUNT NAMESPACE", "PROCESSES", "CONTAINER", "OS", "COMMAND")
    ]
    rows = [
        [
            Cell(str(record["pid"])),
            Cell(str(record["mount_namespace"])),
            Cell(str(record["processes"])),
            Cell(_container(record), "note" if record["is_ours"] else ""),
            Cell(printable(record["os"] or "-")),
            Cell(printable(record["command"])),
        ]
        for record in records
    ]
    session.out.table([heading, *rows], right=(0, 1, 2), limits=_LIMITS)
