"""``procpath cp``: copy files and trees into a root, out of it, or from one root to another.

It is used like cp(1) and ``docker cp``. Whatever somebody in the container puts in the way
meanwhile, nothing is read or written outside the root: see :mod:`procpath.tree.copy.merge`.
"""

from __future__ import annotations

import argparse
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from errno import ELOOP, ENOENT
from time import monotonic
from typing import Literal, TypeAlias

from procpath.commands.output import shortened
from procpath.commands.session import Address, Session, add_special, parse_address
from procpath.errors import os_error
from procpath.tree.copy import Choices, Tally
from procpath.tree.copy.merge import Merge, MergedDirectory
from procpath.tree.copy.staging import TargetLinks
from procpath.tree.places import HostPlace, Place, RootedPlace

_EPILOG = """\
SOURCE and TARGET are each PID:/path, DIR:/path or a local path, and not all of them local. A
local path that contains ":/" is written /:/PATH. Where TARGET is a directory, the copy goes into
it, and from a SOURCE that ends in /. all that is in it; several SOURCEs need such a directory.

Links: a SOURCE that is a link is followed, inside its root, but not with -a. Links in a tree
are copied as links. A TARGET on this machine that is a link is refused, and so is any with -a,
unless it ends in /: a copy made before may have put it there. In a root it is followed to what
exists. What already is in a directory that is copied into is not followed: a link there is
replaced, or is an error where it stands for a directory.

What is there already: a file is replaced by a file, keeping its own mode and owner without -a;
a directory is merged with a directory and keeps its own; one never replaces the other. A tree
that is new appears when it is whole, or not at all.

A TARGET of - writes one SOURCE to standard output as a tar stream, and a SOURCE of - extracts one
from standard input, compressed or not, into the directory TARGET. It has modes, owners, times,
attributes and hard links without -a; devices and FIFOs are extracted with --special only.

New files belong to whoever runs procpath; -a keeps the owners, by their numbers outside of any
user namespace. FIFOs and sockets are created, not opened; devices with -a only."""

_OF_A_PROCESS = re.compile(r"[0-9]+:")
_ALL_IN_IT = ("", ".", "..")
"""Last components that give a copy no name: what is in the directory is copied."""

_STREAM = "-"
"""Standard input or output, as a tar stream. A file of this name is ./-"""

_PATIENCE = 1.0
"""seconds without a progress line"""
_INTERVAL = 0.1

_End: TypeAlias = "Address | str"
"""What a SOURCE or TARGET is: an address, or a host path."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "sources", metavar="SOURCE", nargs="+", type=_end, help="what is copied; see below"
    )
    parser.add_argument(
        "target", metavar="TARGET", type=_end, action=_Target, help="where to; see below"
    )
    parser.add_argument(
        "-r", "-R", "--recursive", action="store_true", help="directories too, with all in them"
    )
    parser.add_argument(
        "-a",
        "--archive",
        action="store_true",
        help="as -r, and keep modes, times, extended attributes, owners, and links as links",
    )
    add_special(parser)


def run(args: argparse.Namespace, session: Session) -> None:
    """Copy every source to the target."""
    if _STREAM in (args.sources[0], args.target):
        from procpath.commands import tar_stream

        if args.target == _STREAM:
            [source] = args.sources
            name = "" if _name(source) in _ALL_IN_IT else _name(source)
            tar_stream.write(source, name, args, session)
        else:
            tar_stream.extract_into(args.target, args, session)
        return
    progress = _Progress()
    try:
        with ExitStack() as held:
            _Run(args, session, progress).copy_all(held)
    finally:
        progress.erase()


class _Target(argparse.Action):
    """Take the target, and require that the ends are not all local."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        if _STREAM in namespace.sources[1:] or (
            _STREAM in (values, namespace.sources[0]) and len(namespace.sources) > 1
        ):
            parser.error("a tar stream (-) goes with one other path")
        if not any(isinstance(end, Address) for end in (*namespace.sources, values)):
            parser.error("no PID:/path or DIR:/path among them; for local files there is cp(1)")


class _Run:
    """One run of the command."""

    def __init__(self, args: argparse.Namespace, session: Session, progress: _Progress) -> None:
        self._sources: list[_End] = args.sources
        self._target: _End = args.target
        self._archive: bool = args.archive
        self._recursive: bool = args.recursive or args.archive
        self._special_files: Literal["refuse", "allow"] = args.special_files
        # A copy of a link, made before, can have put any link at a target on the host.
        self._target_links = (
            TargetLinks.REFUSED
            if args.archive or isinstance(args.target, str)
            else TargetLinks.TO_FILES
        )
        self._session = session
        self._progress = progress
        self._merge = Merge(
            Choices(False, args.archive, target_links=self._target_links),
            lambda error: self._complain(os.fsdecode(error.filename), error),
            progress.count,
        )
        self._made: dict[str, str] = {}
        """the source of each name copied into the target"""

    def copy_all(self, held: ExitStack) -> None:
        """Copy every source; ``held`` closes what is open for as long as the target is."""
        target = self._open(self._target, held)
        if target is None:
            return
        with self._complaining(target.text):
            directory = _existing_directory(target, held, self._target_links)
            if directory is None and len(self._sources) > 1:
                self._complain(target.text, "not a directory, which several sources need")
                return
            for end in self._sources:
                self._copy_source(end, target, directory)

    def _copy_source(self, end: _End, target: Place, directory: MergedDirectory | None) -> None:
        with ExitStack() as held, self._complaining(str(end)):
            source = self._open(end, held)
            if source is None:
                return
            found = held.enter_context(source.find_last() if self._archive else source.find())
            is_directory = stat.S_ISDIR(os.fstat(found).st_mode)
            if is_directory and not self._recursive:
                self._complain(source.text, "is a directory (use -r)")
            elif directory is not None:
                self._copy_into(source, found, _name(end), directory)
            elif target.text.endswith("/") and not is_directory:
                raise os_error(ENOENT, target.text)
            else:
                self._merge.copy(source, found, target)

    def _copy_into(self, source: Place, found: int, name: str, directory: MergedDirectory) -> None:
        if name in _ALL_IN_IT:
            self._merge.copy_contents(source, found, directory)
            return
        target = directory.entry(name)
        if name in self._made:
            reason = f"will not overwrite {target.text}, just copied from {self._made[name]}"
            self._complain(source.text, reason)
            return
        self._made[name] = source.text
        self._merge.copy(source, found, target)

    def _open(self, end: _End, held: ExitStack) -> Place | None:
        """Return the place of a source or target. None, after a message, without a root."""
        if isinstance(end, str):
            return HostPlace(end)
        self._progress.erase()
        root = self._session.open_root(end, special_files=self._special_files)
        if root is None:
            return None
        held.enter_context(root)
        return RootedPlace(root, str(end), os.fsencode(end.path))

    @contextmanager
    def _complaining(self, where: str) -> Iterator[None]:
        """Report an ``OSError`` of the block by its own path or ``where``, and go on after it."""
        try:
            yield
        except OSError as error:
            self._complain(os.fsdecode(error.filename or where), error)

    def _complain(self, where: str, reason: OSError | str) -> None:
        self._progress.erase()
        self._session.complain(where, reason)


class _Progress:
    """A progress line on standard error, if that is a terminal."""

    def __init__(self) -> None:
        # None where it was closed (2>&-).
        self._stream = sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
        self._start = monotonic()
        self._next = self._start + _PATIENCE
        self._width = 0
        """of the line that is on the terminal"""

    def count(self, done: Tally) -> None:
        """Show how far it is, if somebody has been waiting for some time."""
        if self._stream is not None and monotonic() >= self._next:
            self._show(done)

    def erase(self) -> None:
        """Remove the line."""
        if self._stream is not None and self._width:
            self._put("")

    def _show(self, done: Tally) -> None:
        now = monotonic()
        self._next = now + _INTERVAL
        rate = _size(done.bytes / max(now - self._start, _INTERVAL))
        entries = "entry" if done.entries == 1 else "entries"
        self._put(f"{done.entries:,} {entries}, {_size(done.bytes)}, {rate}/s")

    def _put(self, text: str) -> None:
        """Show ``text`` in place of the line that is there."""
        if self._stream is None:
            return
        try:
            # One less than there are, since in the last column some terminals go to the next
            # line; 0 is of a terminal that does not know.
            columns = os.get_terminal_size(self._stream.fileno()).columns or 80
            line = shortened(text, max(columns - 1, 3))
            # Spaces, because not every terminal knows a sequence to erase by.
            rest = " " * (self._width - len(line))
            self._stream.write(f"\r{line}{rest}" if line else f"\r{rest}\r")
            self._stream.flush()
            self._width = len(line)
        except OSError:
            # The terminal was closed. The copy goes on.
            self._stream = None


def _end(text: str) -> _End:
    """Parse a source or target, for ``argparse``."""
    if ":/" in text:
        return parse_address(text)
    if not text:
        raise argparse.ArgumentTypeError("an empty path")
    if _OF_A_PROCESS.match(text):
        # Rather than make a local file of this name.
        raise argparse.ArgumentTypeError(f"not a PID:/path: {text!r}; a local file is ./{text}")
    return text


def _name(end: _End) -> str:
    """Return the last component as it was typed."""
    path = end if isinstance(end, str) else end.path
    return path.rstrip("/").rpartition("/")[2]


def _existing_directory(
    target: Place, held: ExitStack, links: TargetLinks
) -> MergedDirectory | None:
    """Return the directory that ``target`` leads to, or None if it leads to none."""
    follow = links is not TargetLinks.REFUSED or target.text.endswith("/")
    try:
        found = target.find() if follow else target.find_last()
    except FileNotFoundError:
        return None
    with found as fd:
        mode = os.fstat(fd).st_mode
        if stat.S_ISLNK(mode):
            reason = "a symbolic link; with a slash at its end it is followed"
            raise OSError(ELOOP, reason, target.text)
        if not stat.S_ISDIR(mode):
            return None
        return held.enter_context(MergedDirectory(fd, target))


def _size(count: float) -> str:
    """Return a number of bytes in the unit that fits."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"
