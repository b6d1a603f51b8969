"""The command line, ``procpath``: parses it and hands on to :mod:`procpath.commands`.

Promises an exit status of 0, of 1 with a line on standard error for everything that failed
(``procpath: PATH: reason``, never a traceback), of 2 for wrong usage, and after an interrupt
or a reader that went away the one that a shell reports for it, without a word.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn, Protocol

from procpath.commands import cat, check, cp, demo, find, ls, resolve, roots, stat, tree
from procpath.commands.output import (
    Output,
    OutputFailedError,
    discard_standard_output,
    printable,
)
from procpath.commands.session import Session, complain


class Command(Protocol):
    """A module with a command in it."""

    @property
    def SUMMARY(self) -> str:
        """What it does, in a few words."""
        ...

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Tell the parser what the command takes."""

    def run(self, args: argparse.Namespace, session: Session) -> None:
        """Do it."""


_COMMANDS: Final[dict[str, Command]] = {
    "resolve": resolve,
    "cat": cat,
    "ls": ls,
    "stat": stat,
    "tree": tree,
    "find": find,
    "cp": cp,
    "roots": roots,
    "check": check,
    "demo": demo,
}

_FAILURE: Final = 1
_USAGE: Final = 2
_DIED_OF: Final = 128
"""plus the signal's number: how a shell reports a program that a signal ended"""

_DESCRIPTION: Final = """\
Look at the files of another process, a container's usually, as the process itself sees them:
no link, absolute or climbing, leads out of its root."""

_EPILOG: Final = """\
An ADDRESS is PID:/path, or DIR:/path for a directory of the host (a DIR of digits alone is
written ./123). On a terminal, names that contain control characters are quoted as for a shell.
In JSON, the bytes of names that are not UTF-8 are \\udc80 to \\udcff; Python's os.fsencode()
gives the bytes back."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``procpath`` with these arguments (default: those of the process).

    Returns the exit status.
    """
    try:
        return _run(argv)
    except OutputFailedError as failure:
        discard_standard_output()
        if isinstance(failure.cause, BrokenPipeError):
            # The reader has had enough (`| head`); a program in C dies of SIGPIPE.
            return _DIED_OF + signal.SIGPIPE
        complain("standard output", failure.cause)
        return _FAILURE
    except KeyboardInterrupt:
        discard_standard_output()
        return _DIED_OF + signal.SIGINT


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints obey the rules of ours: one line, and nothing for a terminal
    to obey.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # From Python 3.14 on whatever begins like a number, "-1:/x" too, would be no option.
        self._negative_number_matcher = re.compile(r"-\d+$|-\d*\.\d+$")

    def print_help(self, file: object = None) -> None:
        """Print it; what argparse does is not to care whether that works."""
        _print(self.format_help())

    def error(self, message: str) -> NoReturn:
        self.exit(_USAGE, f"{self.format_usage()}{self.prog}: {printable(message)}\n")


class _ShowVersion(argparse.Action):
    """``--version``, looked up only when asked for: that takes longer than all the rest."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("rootedpath")
        except PackageNotFoundError:
            found = "(not installed)"
        _print(f"procpath {found}\n")
        parser.exit()


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
    except OSError as error:
        raise OutputFailedError(error) from None


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="procpath",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", nargs=0, action=_ShowVersion, help="print the version of rootedpath"
    )
    parser.add_argument(
        "--proc",
        metavar="DIR",
        help="where the procfs is mounted, such as /host/proc (default: /proc)",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in _COMMANDS.items():
        subparser = commands.add_parser(
            name, help=command.SUMMARY, description=f"{command.SUMMARY}.", allow_abbrev=False
        )
        command.add_arguments(subparser)
    return parser


def _run(argv: Sequence[str] | None) -> int:
    out = Output()
    try:
        args = _parser().parse_args(argv)
    except SystemExit as asked:
        # For help, which may not have reached the reader yet, or because of wrong usage.
        out.flush()
        return asked.code if isinstance(asked.code, int) else _FAILURE
    session = Session(out, args.proc)
    try:
        _COMMANDS[args.command].run(args, session)
    except OSError as error:
        # Of the procfs, since those of an address are told there.
        session.complain(os.fsdecode(error.filename or session.proc_path), error)
    out.flush()
    return session.status
