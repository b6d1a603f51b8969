"""``procpath cp``: copy files and trees into a root, out of it, or from one root to another.

It is used like cp(1) and ``docker cp``. Whatever somebody in the container puts in the way
meanwhile, nothing is read or written outside the root: see
:mod:`procpath.tree.copy.directories`.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from errno import ELOOP, ENOENT
from time import monotonic
from typing import Any, Literal, TypeAlias

from procpath.commands.output import shortened
from procpath.commands.session import Address, Session, add_special, parse_address
from procpath.errors import os_error
from procpath.tree.copy import Choices, CopyProgress
from procpath.tree.copy.files import FileCopier, Original
from procpath.tree.copy.report import Errors
from procpath.tree.copy.staging import TargetLinks, parent_to_write, remove_leftovers
from procpath.tree.copy.tree import Manner, copy_over, file_copier, merge
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
a directory is merged with a directory; one never replaces the other. Each file appears when it
is whole, or not at all. What cannot be copied is reported, the rest is copied, and the exit
status is 1; what vanishes meanwhile is left out.

A TARGET of - writes one SOURCE to standard output as a tar stream, and a SOURCE of - extracts one
from standard input, compressed or not, into the directory TARGET. It has modes, owners, times,
attributes and hard links without -a; devices and FIFOs are extracted with --special only.

New files have the mode of their source less the umask, and belong to whoever runs procpath: in a
container with user IDs of its own, to the same user there. -a keeps modes and owners; into a
container those are the same users there. FIFOs and sockets are created, not opened; devices
with -a only. Out of a root devices, set-ID bits and file capabilities are left out, and a
directory that exists keeps its mode and owner, unless --special is given. Kernel file systems
in a tree (/proc, /sys) are left out, too."""

_OF_A_PROCESS = re.compile(r"[0-9]+:")
_ALL_IN_IT = ("", ".", "..")
"""Last components that give a copy no name: what is in the directory is copied."""

_STREAM = "-"
"""Standard input or output, as a tar stream. A file of this name is ./-"""

_SUMMARIES = (
    (
        ("device nodes", "set-ID bits", "file capabilities"),
        "; --special keeps them",
    ),
    (("mount points",), ": with -x they are empty"),
    (("mount points of kernel file systems",), ": they are empty; --special copies them"),
    (("hard links",), ": they are files of their own"),
    (("growth",), " of files while they were copied"),
)
"""What was left out, as it is counted, and what there is to say of it."""

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
    parser.add_argument(
        "-x",
        "--one-file-system",
        action="store_true",
        help="leave out what is mounted in a tree; its mount points become empty",
    )
    parser.add_argument(
        "-n", "--no-clobber", action="store_true", help="leave files alone that exist"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print what is copied")
    parser.add_argument(
        "--numeric",
        action="store_true",
        help="keep the host's numbers of owners also into another user namespace",
    )
    parser.add_argument(
        "--fsync", action="store_true", help="write each file to the disk before it gets its name"
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
    with _ending_on_signals():
        try:
            with ExitStack() as held:
                run = _Run(args, session, progress)
                run.copy_all(held)
        finally:
            progress.erase()
    run.summarize()


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Remove what is unfinished when a signal ends the command, and let no second one prevent it.

    SIGHUP stays ignored under nohup(1). Signals reach the main thread alone.
    """

    ended = False

    def end(number: int, _: object) -> None:
        nonlocal ended
        if ended:
            return
        ended = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    handled: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(each) is not signal.SIG_IGN:
                handled[each] = signal.signal(each, end)
    try:
        yield
    finally:
        for each, handler in handled.items():
            signal.signal(each, handler)


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
        self._choices = Choices(
            follow_symlinks=False,
            preserve_metadata=args.archive,
            special="keep" if args.special_files == "allow" else "skip",
            owners="host" if args.numeric else "mapped",
            cross_mounts="skip" if args.one_file_system else True,
            durable=args.fsync,
        )
        self._manner = Manner(new_mode=0o777, keep_existing=args.no_clobber)
        self._verbose: bool = args.verbose
        self._errors = Errors(lambda error: self._complain(os.fsdecode(error.filename), error))
        self._done = CopyProgress()
        self._printed = 0
        """how many entries were printed"""
        self._made: dict[str, str] = {}
        """the source of each name copied into the target"""

    def copy_all(self, held: ExitStack) -> None:
        """Copy every source; ``held`` closes what is open for as long as the target is."""
        target = self._open(self._target, held)
        if target is None:
            return
        with self._complaining(target.text):
            directory = self._existing_directory(target, held)
            if directory is None and len(self._sources) > 1:
                self._complain(target.text, "not a directory, which several sources need")
                return
            for end in self._sources:
                self._copy_source(end, target, directory)

    def summarize(self) -> None:
        """Say in one line for each kind what was left out."""
        left_out = self._done.left_out
        for kinds, remedy in _SUMMARIES:
            counted = [f"{left_out[kind]:,} {kind}" for kind in kinds if left_out[kind]]
            if counted:
                self._session.note(f"left out {', '.join(counted)}{remedy}")

    def _copy_source(self, end: _End, target: Place, directory: int | None) -> None:
        with ExitStack() as held, self._complaining(str(end)):
            source = self._open(end, held)
            if source is None:
                return
            found = held.enter_context(source.find_last() if self._archive else source.find())
            status = os.fstat(found)
            with source.blame:
                source.require_copyable(found, status)
            original = Original(found, status)
            if stat.S_ISDIR(status.st_mode) and not self._recursive:
                self._complain(source.text, "is a directory (use -r)")
            elif directory is not None:
                self._copy_into(source, original, _name(end), target, directory)
            elif target.text.endswith("/") and not stat.S_ISDIR(status.st_mode):
                raise os_error(ENOENT, target.text)
            else:
                self._copy_to(source, original, target, held)

    def _copy_into(
        self, source: Place, original: Original, name: str, target: Place, directory: int
    ) -> None:
        """Copy a source into the directory that is at ``target``."""
        if name in _ALL_IN_IT:
            merge(self._copier(source, target), original, directory)
            return
        entry = target.entry(name)
        if name in self._made:
            reason = f"will not overwrite {entry.text}, just copied from {self._made[name]}"
            self._complain(source.text, reason)
            return
        self._made[name] = source.text
        copy_over(self._copier(source, entry), original, directory, name)

    def _copy_to(self, source: Place, original: Original, target: Place, held: ExitStack) -> None:
        """Copy a source to ``target``, which is not a directory."""
        if stat.S_ISREG(original.status.st_mode):
            parent = parent_to_write(target, self._target_links)
        else:
            parent = target.open_parent()
        dirfd = held.enter_context(parent.dirfd)
        files = self._copier(source, target)
        files.remove_leftovers(dirfd)
        copy_over(files, original, dirfd, os.fsdecode(parent.name))

    def _copier(self, source: Place, target: Place) -> FileCopier:
        shown = self._count if self._verbose or self._progress.is_shown else None
        files = file_copier(
            source, target, self._choices, self._errors, shown, self._done, self._manner
        )
        files.on_leftover = self._note_leftover
        return files

    def _existing_directory(self, target: Place, held: ExitStack) -> int | None:
        """Hold the directory that ``target`` leads to. None if it leads to none."""
        follow = self._target_links is not TargetLinks.REFUSED or target.text.endswith("/")
        try:
            found = target.find() if follow else target.find_last()
        except FileNotFoundError:
            return None
        fd = held.enter_context(found)
        mode = os.fstat(fd).st_mode
        if stat.S_ISLNK(mode):
            reason = "a symbolic link; with a slash at its end it is followed"
            raise OSError(ELOOP, reason, target.text)
        if not stat.S_ISDIR(mode):
            return None
        with target.blame:
            target.require_changeable(fd)
        if target.root is None:
            for name in remove_leftovers(fd):
                self._note_leftover(target.below([name]))
        return fd

    def _note_leftover(self, path: str) -> None:
        self._progress.erase()
        self._session.note(f"{path}: removed, which a copy that was killed had left")

    def _count(self, done: CopyProgress) -> None:
        if self._verbose and done.entries > self._printed:
            self._printed = done.entries
            self._progress.erase()
            out = self._session.out
            out.print(f"{out.name(done.source)} -> {out.name(done.target)}")
        self._progress.count(done)

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

    @property
    def is_shown(self) -> bool:
        """Whether there is a terminal to show it on."""
        return self._stream is not None

    def count(self, done: CopyProgress) -> None:
        """Show how far it is, if somebody has been waiting for some time."""
        if self._stream is not None and monotonic() >= self._next:
            self._show(done)

    def erase(self) -> None:
        """Remove the line."""
        if self._stream is not None and self._width:
            self._put("")

    def _show(self, done: CopyProgress) -> None:
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


def _size(count: float) -> str:
    """Return a number of bytes in the unit that fits."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"
