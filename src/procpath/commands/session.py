"""What a command has at hand while it runs, and what an address on the command line means.

:class:`Session` promises that a failure at one address is told in one line on standard error
(``procpath: PATH: reason``), sets the exit status and stops no other address. Rests on
:class:`procpath.Root`.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple, Unpack

from procpath import Root, RootedPath, UnverifiedProcError, VerifiedProc
from procpath.commands.output import Output, printable
from procpath.root import OptionArguments

_OF_PROCESS = re.compile(r"([0-9]+):(/.*)", re.DOTALL)


class Address(NamedTuple):
    """``PID:/path`` or ``DIR:/path``: an in-root path, and whose."""

    holder: int | str
    """a PID, or a directory by its host path"""
    path: str
    """with one slash at its start"""

    def __str__(self) -> str:
        return f"{self.holder}:{self.path}"

    def at(self, path: object) -> str:
        """The address of another path in the same root."""
        return f"{self.holder}:{path}"


class Session:
    """One run of ``procpath``: its output, its procfs, and how it will exit."""

    def __init__(self, out: Output, proc_path: str | None = None) -> None:
        """``proc_path``: where the procfs is mounted, if not at ``/proc``."""
        self.out = out
        self.status = 0
        """what to exit with"""
        self._proc_path = proc_path

    @cached_property
    def proc(self) -> VerifiedProc:
        """The procfs in which processes are looked for."""
        if self._proc_path is None:
            return VerifiedProc.default()
        return VerifiedProc(self._proc_path)

    @property
    def proc_path(self) -> str:
        """Where it is mounted, or should be."""
        return "/proc" if self._proc_path is None else self._proc_path

    def complain(self, where: str, reason: OSError | str) -> None:
        """Say in one line what failed, and exit with 1 in the end."""
        # Where both go to one terminal, what was printed before comes before.
        self.out.flush()
        complain(where, reason)
        self.status = 1

    def blame(self, address: Address, error: OSError) -> None:
        """:meth:`complain` of what failed at ``address``, or below it, as the error names it."""
        filename = error.filename
        if not filename or not isinstance(filename, (str, bytes)):
            self.complain(str(address), error)
        elif isinstance(error, UnverifiedProcError):
            self.complain(os.fsdecode(filename), error)
        else:
            self.complain(address.at(os.fsdecode(filename)), error)

    def note(self, text: str) -> None:
        """Say in one line of standard error what is worth knowing and no failure."""
        self.out.flush()
        _to_stderr(text)

    def each(
        self,
        addresses: Iterable[Address],
        act: Callable[[Address, RootedPath], None],
        **options: Unpack[OptionArguments],
    ) -> None:
        """Call ``act`` with the path of each address, whose root has these ``options``.

        Raises ``OSError`` where no process can be looked for, because there is no procfs.
        """
        for address in addresses:
            root = self.open_root(address, **options)
            if root is None:
                continue
            with root:
                try:
                    act(address, RootedPath(root, address.path))
                except OSError as error:
                    self.blame(address, error)

    def open_root(self, address: Address, **options: Unpack[OptionArguments]) -> Root | None:
        """The root of an address with these ``options``, or None and a complaint.

        Raises ``OSError`` where no process can be looked for, because there is no procfs.
        """
        holder = address.holder
        if isinstance(holder, str):
            try:
                return Root.at(holder, **options)
            except OSError as error:
                self.complain(holder, error)
                return None
        proc = self.proc
        try:
            return Root.of_process(holder, proc=proc, **options)
        except OSError as error:
            unverified = isinstance(error, UnverifiedProcError)
            self.complain(error.filename if unverified else str(address), error)
            return None


def parse_address(text: str) -> Address:
    """An address by what was typed, for ``argparse``."""
    of_process = _OF_PROCESS.fullmatch(text)
    if of_process is not None:
        # More digits than int() takes, and than any PID has (proc_sys_kernel(5), pid_max).
        pid = int(of_process[1]) if len(of_process[1]) < 20 else 0
        if pid < 1:
            raise argparse.ArgumentTypeError(f"{of_process[1]} cannot be a PID")
        return Address(pid, _absolute(of_process[2]))
    directory, colon, path = text.partition(":/")
    if not (directory and colon):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no address: PID:/path, or DIR:/path for a directory of the host"
        )
    return Address(directory, _absolute(path))


def add_addresses(parser: argparse.ArgumentParser) -> None:
    """Let the command take one or more addresses, as ``addresses``."""
    parser.add_argument(
        "addresses",
        metavar="ADDRESS",
        nargs="+",
        type=parse_address,
        help="PID:/path, or DIR:/path for a directory of the host",
    )


def add_json(parser: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup) -> None:
    """Let the command have ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def complain(where: str, reason: OSError | str) -> None:
    """Print ``procpath: WHERE: REASON`` in one line on standard error."""
    if isinstance(reason, OSError):
        reason = reason.strerror or str(reason)
    _to_stderr(f"{where}: {reason}")


def _to_stderr(text: str) -> None:
    # None where it was closed (2>&-); print() would take standard output then.
    if sys.stderr is not None:
        sys.stderr.write(f"procpath: {printable(text)}\n")


def _absolute(path: str) -> str:
    """``path`` with one slash at its start, not the two that POSIX lets mean something else."""
    return "/" + path.lstrip("/")
