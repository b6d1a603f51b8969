"""The command line: parse it, and run the one command of :mod:`procpath.commands` it names.

Exit status: 0; 1 after an error, reported on standard error in one line (``procpath: PATH:
reason``, never a traceback); 2 after wrong usage; and after an interrupt or a closed pipe,
without a word, the status that a shell reports for the signal.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from procpath.commands.output import Output, OutputFailedError, discard, printable
from procpath.commands.session import Session, complain

COMMANDS = {
    "resolve": "print where a path leads, without links, as realpath(1) does inside",
    "cat": "print files as they are; opens no FIFO, socket or device without --special",
    "ls": "list directories; owners have their names in the container",
    "stat": "print all that is known about a file, or about a link itself",
    "tree": "draw what is below a directory; follows no links",
    "find": "find files by name, type, mode, size, age, owner; follows no links",
    "tail": "print the ends of files, and follow them through rotation",
    "du": "print how much space directories take; follows no links",
    "cp": "copy files and trees, out of a root and into it",
    "roots": "list every mount namespace: a process, its container, its operating system",
    "check": "report what procfs, kernel and privileges offer here",
    "demo": "start a container, and see where plain pathlib goes wrong in it",
}
"""Each command's module in :mod:`procpath.commands`, and its summary."""

_FAILURE = 1
_USAGE = 2
_DIED_OF = 128
"""Plus a signal's number: how a shell reports a program that the signal ended."""

_DESCRIPTION = """\
Look at the files of another process, a container's usually, as the process itself sees them:
no link, absolute or climbing, leads out of its root."""

_EPILOG = """\
An ADDRESS is PID:/path; ID:/path with 8 to 64 digits of a container's ID, as `procpath roots`
shows it; or DIR:/path for a directory of the host (a DIR that could be a PID or an ID is written
./123). On a terminal, names that contain control characters are quoted as for a shell.
In JSON, the bytes of names that are not UTF-8 are \\udc80 to \\udcff; Python's os.fsencode()
gives the bytes back."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``procpath`` with these arguments (default: those of the process).

    Returns the exit status.
    """
    try:
        return _run(argv)
    except OutputFailedError as failure:
        discard(sys.stdout)
        if isinstance(failure.cause, BrokenPipeError):
            # The reader has had enough (`| head`); a program in C dies of SIGPIPE.
            return _DIED_OF + signal.SIGPIPE
        complain("standard output", failure.cause)
        return _FAILURE
    except KeyboardInterrupt:
        discard(sys.stdout)
        return _DIED_OF + signal.SIGINT


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
        args.run(args, session)
    except OSError as error:
        # Of the procfs: errors at an address are reported there.
        session.complain(os.fsdecode(error.filename or session.proc_path), error)
    out.flush()
    return session.status


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
    commands = parser.add_subparsers(
        dest="command",
        metavar="COMMAND",
        required=True,
        parser_class=_CommandParser,
        prog=parser.prog,  # otherwise argparse formats the usage, for which it imports shutil
    )
    for name, summary in COMMANDS.items():
        commands.add_parser(
            name, help=summary, description=f"{summary}.", allow_abbrev=False, add_help=False
        )
    return parser


def whole_parser() -> argparse.ArgumentParser:
    """Return a parser with the arguments of all commands, for what is made from it."""
    parser = _parser()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                command.add_arguments()
    return parser


class _Parser(argparse.ArgumentParser):
    """Report usage errors on one line, with control characters escaped."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # As before Python 3.14, which takes no word that begins as a number (-1:/x) for an option.
        self._negative_number_matcher = re.compile(r"-\d+$|-\d*\.\d+$")

    def print_help(self, file: object = None) -> None:
        """Print the help text. Unlike argparse's, fail if that fails."""
        _print(self.format_help())

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in COMMANDS:
            from difflib import get_close_matches

            meant = get_close_matches(value, COMMANDS, 1)
            question = (
                f"did you mean {meant[0]}?" if meant else f"choose from {', '.join(COMMANDS)}"
            )
            raise argparse.ArgumentError(action, f"unknown command: {value!r}; {question}")
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message on standard error, and exit with status 2."""
        self.exit(_USAGE, f"{self.format_usage()}{self.prog}: {printable(message)}\n")


class _CommandParser(_Parser):
    """The arguments of one command, whose module is imported when they are parsed."""

    def add_arguments(self) -> None:
        """Add the arguments; ``run`` of what is parsed is the function of the command."""
        command = import_module(f"procpath.commands.{self.prog.rpartition(' ')[2]}")
        command.add_arguments(self)
        # After the command, where -h may mean something else.
        names = ["--help"] if "-h" in self._option_string_actions else ["-h", "--help"]
        self.add_argument(*names, action="help", help="show this help message and exit")
        self.set_defaults(run=command.run)

    def parse_known_args(  # type: ignore[override]  # typeshed has overloads for a None
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse the arguments, and report those that are unknown with the command's usage."""
        self.add_arguments()
        parsed, unknown = super().parse_known_args(args, namespace or argparse.Namespace())
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed, unknown


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
