"""``procpath demo``: show why not to read a container's files through ``/proc/PID/root``.

Start a small container, read five paths in it with plain ``pathlib`` and with ``RootedPath``, and
explain the difference. Needs nothing but Linux, and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple, NoReturn

from procpath import Root, RootedPath
from procpath.commands.container import SECRET, Container, outcome
from procpath.commands.output import Cell, Output, printable, shortened
from procpath.commands.session import Session

_WIDTH = 78

_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})

_PLAINLY_COLUMNS = 27
_ROOTED_COLUMNS = 22

_WHY = {
    "/etc/os-release": (
        "is a link to /usr/lib/os-release. An absolute link starts at the root of the process "
        "that follows it, which for pathlib is the host's: so a scanner takes the container for "
        "another system than it is."
    ),
    "/var/run/app.pid": (
        "lies behind the link /var/run -> /run. pathlib looks into the host's /run."
    ),
    "/var/run/../etc/hostname": (
        "goes up from where that link has led to. For pathlib that is the host's root."
    ),
    "/etc/leak": (
        f"is an evil link: it climbs, by way of /var/run, to a file that only the host has. "
        f"pathlib hands out {SECRET}. For RootedPath the way ends inside, where there is no such "
        f"file."
    ),
    "/srv/self": (
        "leads through the magic link /proc/self/root, which names no path but jumps to the root "
        "of whoever follows it. RootedPath never follows a magic link."
    ),
}
"""The five paths, and what is wrong with them."""


class _Reading(NamedTuple):
    """The results of reading one path."""

    path: str
    plainly: str
    rooted: str
    inside: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command: there are none."""


def run(args: argparse.Namespace, session: Session) -> None:
    """Show the difference."""
    with _ended_by_signals(), _masked(signal.SIG_BLOCK):
        try:
            with Container(tuple(_WHY)) as container, _masked(signal.SIG_UNBLOCK):
                _print(container, _read(container), session.out)
        except OSError as error:
            session.complain("demo", error)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn the signals that ask to end into an exception, so that the container ends first."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    replaced = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


@contextmanager
def _masked(how: signal.Sigmasks) -> Iterator[None]:
    """Block the signals that ask to end, or let them in again.

    A container must never be without the ``with`` block that ends it.
    """
    before = signal.pthread_sigmask(how, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _read(container: Container) -> list[_Reading]:
    joined = Path(f"/proc/{container.pid}/root")
    with Root.of_process(container.pid) as root:
        rooted = RootedPath(root)
        return [
            _Reading(
                path,
                outcome((joined / path.lstrip("/")).read_text),
                outcome((rooted / path).read_text),
                container.inside[path],
            )
            for path in _WHY
        ]


def _print(container: Container, readings: list[_Reading], out: Output) -> None:
    out.print(
        f"A container is running: processes {container.pid} and {container.app_pid}, with a root "
        f"file system\nof their own. Five of its files, read from outside:\n"
    )
    pid = container.pid
    rows = [_row("", "PATH", f"Path('/proc/{pid}/root')", f"RootedPath({pid})", "heading")]
    for number, reading in enumerate(readings, 1):
        row = _row(f"{number}", reading.path, reading.plainly, reading.rooted)
        wrong = reading.plainly != reading.inside
        rows.append([*row[:2], row[2]._replace(style="bad" if wrong else ""), row[3]])
    out.table(rows)
    out.print()
    for number, reading in enumerate(readings, 1):
        out.print(_filled(f"{number}  {reading.path} {_WHY[reading.path]}"))
    rooted = sum(reading.rooted == reading.inside for reading in readings)
    plainly = sum(reading.plainly == reading.inside for reading in readings)
    out.print()
    out.print(
        textwrap.fill(
            f"Of the same five, a process inside reads {rooted} as RootedPath does, which refuses "
            f"the magic link, and {plainly} as pathlib does. RootedPath holds the container's root "
            f"by a descriptor, and resolves every link and every '..' in it as the kernel does for "
            f"the processes inside.",
            _WIDTH,
        )
    )


def _row(number: str, path: str, plainly: str, rooted: str, style: str = "") -> list[Cell]:
    plainly = shortened(printable(plainly), _PLAINLY_COLUMNS)
    rooted = shortened(printable(rooted), _ROOTED_COLUMNS)
    return [Cell(text, style) for text in (number, path, plainly, rooted)]


def _filled(text: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent="   ", break_on_hyphens=False)
