"""One run of ``procpath``: addresses, output, procfs and exit status.

An error at one address is reported on standard error in one line, sets the exit status, and
stops no other address.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Unpack

import procpath
from procpath.commands.output import Output, discard, printable
from procpath.errors import SpecialFileError, UnverifiedProcError

if TYPE_CHECKING:
    from procpath import Root, RootedPath, VerifiedProc
    from procpath.options import OptionArguments

_OF_PROCESS = re.compile(r"([0-9]{1,7}):(/.*)", re.DOTALL)
"""No PID has more digits (proc_sys_kernel(5), pid_max)."""
_OF_CONTAINER = re.compile(r"([0-9A-Fa-f]{8,64}):(/.*)", re.DOTALL)
_ALMOST = re.compile(
    r"(?:/proc/(?P<wormhole>[1-9][0-9]{,6})/root|"
    r"(?P<holder>[1-9][0-9]{,6}|[0-9a-f]{8,64})(?=[:/]|$)):?"
    r"(?P<path>.*)",
    re.DOTALL,
)
"""What was meant for an address: ``12``, ``12/x``, ``12:x``, ``/proc/12/root/x``."""

_OPTIONS = {
    "preserve_metadata=True": "-a",
    'special_files="allow"': "--special",
    'special="keep"': "--special",
}
"""What errors advise, and the option that does it."""


class ContainerID(str):
    """The start of a container's ID, in an address."""

    __slots__ = ()


class Address(NamedTuple):
    """``PID:/path``, ``ID:/path`` or ``DIR:/path``: an in-root path, and whose root."""

    holder: int | str | ContainerID
    """a PID, the start of a container's ID, or the host path of a directory"""
    path: str
    """with one slash at its start"""

    def __str__(self) -> str:
        return f"{self.holder}:{self.path}"

    def at(self, path: object) -> str:
        """Return the address of another path in the same root."""
        return f"{self.holder}:{path}"


class Session:
    """One run of ``procpath``."""

    def __init__(self, out: Output, proc_path: str | None = None) -> None:
        """``proc_path``: where the procfs is mounted, if not at ``/proc``."""
        self.out = out
        self.status: int = 0
        """what to exit with"""
        self._proc_path = proc_path

    @cached_property
    def proc(self) -> VerifiedProc | None:
        """The procfs to look for processes in. None, after a message, if there is none."""
        try:
            if self._proc_path is None:
                return procpath.VerifiedProc.default()
            return procpath.VerifiedProc(self._proc_path)
        except OSError as error:
            self.complain(os.fsdecode(error.filename or self.proc_path), error)
            return None

    @property
    def proc_path(self) -> str:
        """Where the procfs is mounted, or should be."""
        return "/proc" if self._proc_path is None else self._proc_path

    def paths(
        self, addresses: Iterable[Address], **options: Unpack[OptionArguments]
    ) -> Iterator[tuple[Address, RootedPath]]:
        """Yield each address with its path, whose root is open until the next one is asked for.

        A root that cannot be opened is reported and left out.
        """
        for address, root in self.roots(addresses, **options):
            yield address, procpath.RootedPath(root, address.path)

    def roots(
        self, addresses: Iterable[Address], **options: Unpack[OptionArguments]
    ) -> Iterator[tuple[Address, Root]]:
        """Yield each address with its root, as :meth:`paths` does."""
        for address in addresses:
            root = self.open_root(address, **options)
            if root is not None:
                with root:
                    yield address, root

    def open_root(self, address: Address, **options: Unpack[OptionArguments]) -> Root | None:
        """Open the root of an address. Return None, after a message, if that fails."""
        holder = address.holder
        try:
            if isinstance(holder, ContainerID):
                return self._open_container(address, holder, **options)
            if isinstance(holder, str):
                return procpath.Root.at(holder, **options)
            if self.proc is not None:
                return procpath.Root.of_process(holder, proc=self.proc, **options)
        except UnverifiedProcError as error:
            self.complain(os.fsdecode(error.filename or self.proc_path), error)
        except FileNotFoundError as error:
            self.complain(str(holder), f"{error.strerror}{self._meant(address)}")
        except OSError as error:
            is_directory = isinstance(holder, str) and not isinstance(holder, ContainerID)
            self.complain(str(holder if is_directory else address), error)
        return None

    def _open_container(
        self, address: Address, id_prefix: str, **options: Unpack[OptionArguments]
    ) -> Root | None:
        from procpath.inventory import container_by_id

        if self.proc is None:
            return None
        try:
            container = container_by_id(id_prefix, self.proc)
        except ProcessLookupError:
            from procpath.commands.suggestions import similar_container

            reason = f"no container has an ID that begins with {id_prefix}"
            self.complain(str(address), reason + similar_container(self.proc, address))
        except ValueError as error:
            self.complain(str(address), str(error))
            self.status = 2  # wrong usage: the address does not say which
        else:
            return container.root(**options)
        return None

    def _meant(self, address: Address) -> str:
        """Return which process is called as the directory that does not exist, as a question."""
        if not isinstance(address.holder, str) or "/" in address.holder or self.proc is None:
            return ""
        from procpath.commands.suggestions import process_of_name

        return process_of_name(self.proc, address)

    @contextmanager
    def telling(self, address: Address) -> Iterator[None]:
        """Report an ``OSError`` of the block, and go on after it."""
        try:
            yield
        except OSError as error:
            self.blame(address, error)

    def blame(self, address: Address, error: OSError) -> None:
        """Report an error at ``address``, or at the path below it that the error names."""
        filename = error.filename
        if not filename or not isinstance(filename, (str, bytes)):
            self.complain(str(address), error)
        elif isinstance(error, UnverifiedProcError):
            self.complain(os.fsdecode(filename), error)
        else:
            self.complain(address.at(os.fsdecode(filename)), error)

    def blame_of_walk(self, address: Address, error: OSError) -> None:
        """Do as :meth:`blame`, but only note what a walk leaves out on purpose."""
        if isinstance(error, SpecialFileError):
            self.note(f"{address.at(os.fsdecode(error.filename))}: {error.strerror}")
        else:
            self.blame(address, error)

    def complain(self, where: str, reason: OSError | str) -> None:
        """Report an error in one line, and exit with 1 in the end."""
        # Where both go to one terminal, what was printed before comes before.
        self.out.flush()
        complain(where, reason)
        self.status = self.status or 1

    def note(self, text: str) -> None:
        """Print one line on standard error that is not about an error."""
        self.out.flush()
        _to_stderr(text)


def parse_address(text: str) -> Address:
    """Parse an address, for ``argparse``."""
    if of_process := _OF_PROCESS.fullmatch(text):
        if not int(of_process[1]):
            raise argparse.ArgumentTypeError(f"{of_process[1]} cannot be a PID")
        return Address(int(of_process[1]), _absolute(of_process[2]))
    if of_container := _OF_CONTAINER.fullmatch(text):
        return Address(ContainerID(of_container[1].lower()), _absolute(of_container[2]))
    directory, colon, path = text.partition(":/")
    if not (directory and colon):
        if almost := _ALMOST.fullmatch(text):
            holder = almost["wormhole"] or almost["holder"]
            meant = f"did you mean {holder}:{_absolute(almost['path'])}?"
        else:
            meant = "use PID:/path, ID:/path of a container, or DIR:/path of a host directory"
        raise argparse.ArgumentTypeError(f"not an address: {text!r}; {meant}")
    if directory.isdecimal() and directory.isascii():
        raise argparse.ArgumentTypeError(f"{directory} can be neither a PID nor a container's ID")
    return Address(directory, _absolute(path))


def depth(text: str) -> int:
    """Parse a number of levels, for ``argparse``."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"not a number of levels: {text!r}")
    return int(text)


def add_addresses(parser: argparse.ArgumentParser) -> None:
    """Add one or more ADDRESS arguments, as ``addresses``."""
    parser.add_argument(
        "addresses",
        metavar="ADDRESS",
        nargs="+",
        type=parse_address,
        help="PID:/path, ID:/path of a container, or DIR:/path of a host directory",
    )


def add_json(parser: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def add_human(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``-h``, as ``human``; the help is then printed by ``--help`` alone."""
    parser.add_argument("-h", dest="human", action="store_true", help=text)


def add_special(
    parser: argparse.ArgumentParser,
    text: str = "open FIFOs, sockets, devices and files of kernel file systems (/proc, /sys) too",
) -> None:
    """Add ``--special``, as ``special_files``, an option of the roots."""
    parser.add_argument(
        "--special",
        dest="special_files",
        action="store_const",
        const="allow",
        default="refuse",
        help=text,
    )


def complain(where: str, reason: OSError | str) -> None:
    """Print ``procpath: WHERE: REASON`` in one line on standard error."""
    if isinstance(reason, OSError):
        reason = reason.strerror or str(reason)
        for argument, option in _OPTIONS.items():
            reason = reason.replace(argument, option)
    _to_stderr(f"{where}: {reason}")


def _to_stderr(text: str) -> None:
    # None if it was closed (2>&-); print() would write to standard output then.
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"procpath: {printable(text)}\n")
        sys.stderr.flush()
    except OSError:
        # Only the exit status can report it.
        discard(sys.stderr)


def _absolute(path: str) -> str:
    """Return ``path`` with one slash at its start: two may mean something else (POSIX)."""
    return "/" + path.lstrip("/")
