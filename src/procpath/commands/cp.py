"""``procpath cp``: files and trees into a root, out of it, or from one root to another.

It is used as cp(1) and ``docker cp`` are, and promises more than they do: whatever somebody in
the container puts in the way meanwhile, nothing is read or written outside the root. A
source is held from the moment it was found, and so is a directory that is copied into; below
both no link is ever followed, not even one that an earlier copy has left there. What is new
appears only when it is whole. Rests on :mod:`procpath.tree.copying`.
"""

from __future__ import annotations

import argparse
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from errno import EBUSY, EEXIST, ELOOP, ENOENT
from time import monotonic
from typing import ClassVar, Final, TypeAlias

from procpath import Root
from procpath.commands.output import shortened
from procpath.commands.session import Address, Session, parse_address
from procpath.errors import os_error
from procpath.linux import Descriptor, dup
from procpath.resolve.identity import mount_id
from procpath.resolve.interface import Parent
from procpath.tree import copying
from procpath.tree.held import Closing, lies_within
from procpath.tree.places import Blame, HostPlace, Place, RootedPlace, both
from procpath.tree.removing import mount_of_entry
from procpath.tree.staging import Staged

_EPILOG: Final = """\
SOURCE and TARGET are each PID:/path, DIR:/path or a local path, and not all of them local. A
local path that contains ":/" is written /:/PATH. Where TARGET is a directory, the copy goes into
it, and from a SOURCE that ends in /. all that is in it; several SOURCEs need such a directory.

Links: a SOURCE that is a link is followed, inside its root, but not with -a. Links in a tree
are copied as links. A TARGET that is a link is followed too; what already lies in a
directory that is copied into is not, so a link there is replaced, or an error where it stands
for a directory.

What is there already: a file is replaced by a file, keeping its own mode and owner without -a;
a directory is merged with a directory and keeps its own; one never replaces the other. A tree
that is new appears when it is whole, or not at all.

New files belong to whoever runs procpath; -a keeps the owners, by their numbers outside of any
user namespace. FIFOs and sockets are made anew, devices with -a only; none is ever opened."""

_OF_A_PROCESS = re.compile(r"[0-9]+:")
_ALL_IN_IT: Final = ("", ".", "..")
"""Last components that give a copy no name: what is in the directory is copied."""

_LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW

_PATIENCE: Final = 1.0
"""Seconds without a line on how far it is."""
_INTERVAL: Final = 0.1

_End: TypeAlias = "Address | str"
"""What a SOURCE or TARGET is: an address, or a host path."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell the parser what the command takes."""
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


def run(args: argparse.Namespace, session: Session) -> None:
    """Copy every source to the target."""
    progress = _Progress()
    try:
        with ExitStack() as held:
            _Run(args, session, progress).copy_all(held)
    finally:
        progress.erase()


class _Target(argparse.Action):
    """Takes the target, after which all ends are known."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        if not any(isinstance(end, Address) for end in (*namespace.sources, values)):
            parser.error("no PID:/path or DIR:/path among them; for local files there is cp(1)")


class _Typed(Place):
    """A place that errors name as the command line does, such as ``1:/etc``."""

    in_the_way: ClassVar[Sequence[int]] = (EEXIST,)
    """what a copy to it says where there is something that cannot be written to"""

    def __init__(self, text: str, place: Place) -> None:
        super().__init__(text)
        self._place = place
        self.blame = Blame(lambda: text)

    def find(self) -> Descriptor:
        with self.blame:
            return self._place.find()

    def find_last(self) -> Descriptor:
        with self.blame:
            return self._place.find_last()

    def open_parent(self) -> Parent:
        with self.blame:
            return self._place.open_parent()

    def open_parent_of_target(self) -> Parent:
        with self.blame:
            return self._place.open_parent_of_target()

    def follow(self, dirfd: int, names: list[str]) -> int:
        return self._place.follow(dirfd, names)

    def follow_within(self, dirfd: int, names: list[str], top: os.stat_result) -> int | None:
        return self._place.follow_within(dirfd, names, top)

    def require_enterable(self, fd: int) -> None:
        self._place.require_enterable(fd)


class _Source(_Typed):
    """What is copied: ``fd``, an ``O_PATH`` descriptor that stays the caller's."""

    def __init__(self, place: _Typed, fd: int) -> None:
        super().__init__(place.text, place)
        self.fd = fd
        self.status = os.fstat(fd)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    def find_last(self) -> Descriptor:
        # Whatever has its name by now.
        return dup(self.fd)


class _Entry(_Typed):
    """A place in a :class:`_Directory`."""

    # A link there is not followed.
    in_the_way = (EEXIST, ELOOP)


class _Directory:
    """A held directory, below which no link is followed; ``fd`` stays the caller's."""

    def __init__(self, fd: int, text: str, held: ExitStack) -> None:
        self.fd = fd
        self.text = text
        self._root = held.enter_context(Root.from_fd(fd, symlinks=False))
        self._top = _Typed(text, RootedPlace(self._root, "/", b"/"))

    def entry(self, names: str) -> _Entry:
        """What lies in it by ``names``, with slashes between."""
        path = f"/{names}"
        place = RootedPlace(self._root, path, os.fsencode(path))
        return _Entry(self._top.below([names]), place)

    def names_in(self, names: str) -> list[str]:
        """What the directory there holds; empty ``names`` are the held one."""
        blame = Blame(lambda: self._top.below([names] if names else []))
        with blame, Closing(self._root.open(f"/{names}", _LISTING)) as fd:
            return sorted(os.listdir(fd))


class _Run:
    """One run of the command."""

    def __init__(self, args: argparse.Namespace, session: Session, progress: _Progress) -> None:
        self._sources: list[_End] = args.sources
        self._target: _End = args.target
        self._archive: bool = args.archive
        self._recursive: bool = args.recursive or args.archive
        self._choices = copying.Choices(follow_symlinks=False, preserve_metadata=args.archive)
        self._session = session
        self._progress = progress
        self._made: dict[str, str] = {}
        """which source was copied into the target by which name"""

    def copy_all(self, held: ExitStack) -> None:
        """Copy every source; ``held`` closes what is open for as long as the target is."""
        target = self._open(self._target, held)
        if target is None:
            return
        directory = None
        with self._complaining(target.text):
            directory = _existing_directory(target, held)
            if directory is None and len(self._sources) > 1:
                self._complain(target.text, "not a directory, which several sources need")
                return
            for end in self._sources:
                self._copy_source(end, target, directory)

    def _copy_source(self, end: _End, target: _Typed, directory: _Directory | None) -> None:
        with ExitStack() as held, self._complaining(str(end)):
            place = self._open(end, held)
            if place is None:
                return
            fd = held.enter_context(place.find_last() if self._archive else place.find())
            source = _Source(place, fd)
            if source.is_directory and not self._recursive:
                self._complain(place.text, "is a directory (use -r)")
            elif directory is not None:
                self._copy_into(source, _name(end), directory)
            elif target.text.endswith("/") and not source.is_directory:
                raise os_error(ENOENT, target.text)
            else:
                self._copy_or_merge(source, target)

    def _copy_into(self, source: _Source, name: str, directory: _Directory) -> None:
        if name in _ALL_IN_IT:
            self._merge(source, directory)
            return
        target = directory.entry(name)
        if name in self._made:
            reason = f"{target.text} was just copied from {self._made[name]}, and is left so"
            self._complain(source.text, reason)
            return
        self._made[name] = source.text
        self._copy_or_merge(source, target)

    def _copy_or_merge(self, source: _Source, target: _Typed) -> None:
        if self._copy(source, target):
            return
        with ExitStack() as held:
            self._merge(source, _mergeable(target, held))

    def _merge(self, source: _Source, into: _Directory) -> None:
        """Copy what is in a directory into another one, as far as that can be done."""
        if lies_within(into.fd, source.status):
            raise both("Source path is a parent of target path", source, into.entry("."))
        with ExitStack() as held:
            out_of = _Directory(source.fd, source.text, held)
            todo = [""]
            while todo:
                directory = todo.pop()
                with self._complaining(out_of.text):
                    for name in out_of.names_in(directory):
                        child = f"{directory}/{name}" if directory else name
                        if not self._copy_child(out_of.entry(child), into.entry(child)):
                            todo.append(child)

    def _copy_child(self, place: _Entry, target: _Entry) -> bool:
        """Copy one file or tree; False if both are directories."""
        with self._complaining(place.text), place.find_last() as fd:
            if not self._copy(_Source(place, fd), target):
                with ExitStack() as held:
                    _mergeable(target, held)
                return False
        return True

    def _copy(self, source: _Source, target: _Typed) -> bool:
        """Copy to where nothing is, or what can be replaced.

        False for a directory where something is.
        """
        try:
            self._copy_by_library(source, target)
        except OSError as error:
            if error.errno not in target.in_the_way:
                raise
            if source.is_directory:
                return False
            self._replace(source, target)
        return True

    def _replace(self, source: _Source, target: _Typed) -> None:
        """Put a copy in the place of a link, or a copy of a link in that of anything.

        A directory stays (``EISDIR``), and a mount point (``EBUSY``).
        """
        parent = target.open_parent()
        with parent.dirfd as dirfd, Root.from_fd(dirfd, symlinks=False) as root:
            with target.blame:
                if mount_of_entry(dirfd, parent.name) != mount_id(dirfd):
                    # In another mount namespace Linux would detach what is mounted (rename(2)).
                    raise OSError(EBUSY, "a mount point, which cannot be replaced")
            with Staged(dirfd) as staged:
                path = f"/{staged.name}"
                place = RootedPlace(root, path, os.fsencode(path))
                self._copy_by_library(source, _Typed(target.text, place))
                with target.blame:
                    staged.replace(parent.name)

    def _copy_by_library(self, source: _Source, target: _Typed) -> None:
        with self._progress.counting() as count:
            copying.copy(source, target, self._choices, count)

    def _open(self, end: _End, held: ExitStack) -> _Typed | None:
        """The place of a source or target; None and a complaint where its root cannot be had."""
        if isinstance(end, str):
            return _Typed(end, HostPlace(end))
        self._progress.erase()
        root = self._session.open_root(end)
        if root is None:
            return None
        held.enter_context(root)
        return _Typed(str(end), RootedPlace(root, end.path, os.fsencode(end.path)))

    @contextmanager
    def _complaining(self, where: str) -> Iterator[None]:
        """Tell of errors, as they name a path, and go on behind the block."""
        try:
            yield
        except OSError as error:
            self._complain(os.fsdecode(error.filename or where), error)

    def _complain(self, where: str, reason: OSError | str) -> None:
        self._progress.erase()
        self._session.complain(where, reason)


class _Progress:
    """A line on standard error, if that is a terminal, that says how far it is."""

    def __init__(self) -> None:
        # None where it was closed (2>&-).
        self._stream = sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
        self._start = monotonic()
        self._next = self._start + _PATIENCE
        self._done = copying.Tally()
        """of the copies that have ended"""
        self._width = 0
        """of the line that is on the terminal"""

    @contextmanager
    def counting(self) -> Iterator[Callable[[copying.Tally], None] | None]:
        """What to tell of the progress of one copy; None where nobody would see it."""
        if self._stream is None:
            yield None
            return
        entries, size = self._done.entries, self._done.bytes

        def count(tally: copying.Tally) -> None:
            self._done = copying.Tally(entries + tally.entries, size + tally.bytes)
            if monotonic() >= self._next:
                self._show()

        yield count

    def erase(self) -> None:
        """Take the line away."""
        if self._stream is not None and self._width:
            self._put("")

    def _show(self) -> None:
        now = monotonic()
        self._next = now + _INTERVAL
        done = self._done
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
            # The terminal was closed; that is no reason to end a copy.
            self._stream = None


def _end(text: str) -> _End:
    """A source or target by what was typed, for ``argparse``."""
    if ":/" in text:
        return parse_address(text)
    if text == "-":
        raise argparse.ArgumentTypeError("neither standard input nor output can be copied")
    if not text:
        raise argparse.ArgumentTypeError("an empty path")
    if _OF_A_PROCESS.match(text):
        # Rather than make a local file of this name.
        raise argparse.ArgumentTypeError(f"{text!r} is no PID:/path; a local file is ./{text}")
    return text


def _name(end: _End) -> str:
    """The last component as it was typed."""
    path = end if isinstance(end, str) else end.path
    return path.rstrip("/").rpartition("/")[2]


def _existing_directory(target: _Typed, held: ExitStack) -> _Directory | None:
    """The directory that ``target`` leads to, if it does to one."""
    try:
        fd = held.enter_context(target.find())
    except FileNotFoundError:
        return None
    is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
    return _Directory(fd, target.text, held) if is_directory else None


def _mergeable(target: _Typed, held: ExitStack) -> _Directory:
    """The directory that ``target`` names; ``EEXIST`` where it is something else."""
    fd = held.enter_context(target.find_last())
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        reason = "exists and is no directory, so no directory is copied to it"
        raise OSError(EEXIST, reason, target.text)
    return _Directory(fd, target.text, held)


def _size(count: float) -> str:
    """A number of bytes, for people."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"
