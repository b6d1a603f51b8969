"""Running ``procpath`` as its users do: in a process of its own, on a terminal, or as somebody
without rights; and within this process, where a test needs a child that is special.
"""

from __future__ import annotations

import ctypes
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple, NoReturn, ParamSpec, TypeVar

from helpers.support import run_in_child
from procpath.cli import main

# A name that sets a terminal's title, paints, breaks the line, turns the direction of writing,
# and is not UTF-8.
HOSTILE = os.fsdecode(b"\x1b]0;pwned\x07\x1b[31m\n\xe2\x80\xae'\\\xff.txt")

# What no terminal may get from a name.
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

P = ParamSpec("P")
T = TypeVar("T")

NOBODY = 1000
"""a user without any rights"""

_PR_SET_DUMPABLE = 4  # prctl(2)


class Ran(NamedTuple):
    """How a run of ``procpath`` came out."""

    status: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of its output, as file names are decoded."""
        return os.fsdecode(self.out).splitlines()


def procpath(*arguments: str, **environment: str) -> Ran:
    """Run ``procpath`` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "procpath", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
        timeout=60,
    )
    return Ran(done.returncode, done.stdout, done.stderr.decode(errors="surrogateescape"))


def here(*arguments: str) -> Ran:
    """Run ``procpath`` within this process."""
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(arguments)
    out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    return Ran(status, out.buffer.getvalue(), err.getvalue())


def printed(*arguments: str) -> list[str]:
    """The lines that a run within this process prints which goes well."""
    ran = here(*arguments)
    assert (ran.status, ran.err) == (0, "")
    return ran.lines


def shown(*arguments: str, columns: int = 80, **environment: str) -> str:
    """What a run shows on a terminal, standard error too."""
    ours, theirs = pty.openpty()
    size = struct.pack("4H", 24, columns, 0, 0)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)  # ioctl_tty(2)
    pid = os.fork()
    if pid == 0:
        _run_on(theirs, arguments, environment)
    os.close(theirs)
    data = bytearray()
    with open(ours, "rb", buffering=0) as terminal:
        while True:
            try:
                data += terminal.read(65536)
            except OSError:
                # EIO: nobody has the other side any more (pty(7)).
                break
    os.waitpid(pid, 0)
    return data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


def _run_on(terminal: int, arguments: tuple[str, ...], environment: dict[str, str]) -> NoReturn:
    try:
        for name in ("TERM", "NO_COLOR", "COLUMNS"):
            os.environ.pop(name, None)
        os.environ.update(environment)
        for standard in range(3):
            os.dup2(terminal, standard)
        os.close(terminal)
        with open(1, "w", closefd=False) as sys.stdout, open(2, "w", closefd=False) as sys.stderr:
            main(arguments)
    finally:
        os._exit(0)


def as_nobody(func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """:func:`support.run_in_child` as a user without rights."""

    def inside() -> T:
        drop_rights()
        return func(*args, **kwargs)

    return run_in_child(inside)


def drop_rights() -> None:
    """Become :data:`NOBODY`, as a program does that this user has started."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # A process that changes its user becomes one that is not dumpable, whose /proc/self belongs
    # to root; one that was started as this user is not like that.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
