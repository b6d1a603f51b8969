"""``procpath tail``: print the ends of files, and what is appended to them.

A file is followed by its name, through the root: when it was rotated, the new one of that name is
printed from its start, after the rest of the old one.
"""

from __future__ import annotations

import argparse
import os
import stat
import time
from contextlib import ExitStack
from errno import EISDIR

from procpath import Root
from procpath.commands.session import Address, Session, add_addresses
from procpath.descriptors import closed_on_error
from procpath.errors import SpecialFileError, UnverifiedProcError, os_error
from procpath.linux import Descriptor

_CHUNK = 1 << 18

_MOST_A_ROUND = 1 << 26
"""Bytes to print of one file, before the next one has its turn."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_addresses(parser)
    parser.add_argument(
        "-n", metavar="N", dest="lines", type=_lines, default=10, help="lines (default: 10)"
    )
    parser.add_argument(
        "-f",
        dest="follow",
        action="store_true",
        help="go on with what is appended, also when a new file takes the name, until the process "
        "of the address ends",
    )
    parser.add_argument(
        "-s",
        metavar="SECONDS",
        dest="pause",
        type=_seconds,
        default=1.0,
        help="with -f, how often to look (default: 1)",
    )


def run(args: argparse.Namespace, session: Session) -> None:
    """Print the end of the file at each address."""
    headings = _Headings(session) if len(args.addresses) > 1 else None
    with ExitStack() as stack:
        followed = []
        for address in args.addresses:
            root = session.open_root(address)
            if root is None:
                continue
            with ExitStack() as closing:
                closing.enter_context(root)
                file = _File(address, root, session, headings)
                closing.callback(file.close)
                with session.telling(address):
                    file.open_end(args.lines)
                    if not args.follow:
                        file.stop_at_size()
                    while not file.print_round() and not args.follow:
                        pass
                if args.follow:
                    followed.append(file)
                    stack.push(closing.pop_all())
        session.out.flush()
        while followed:
            # Before the last look, so that nothing is left unread.
            ended = [file for file in followed if file.has_ended()]
            is_behind = False
            for file in followed.copy():
                try:
                    is_all = file.print_new()
                except OSError as error:
                    session.blame(file.address, error)
                    followed.remove(file)
                else:
                    is_behind |= not is_all
                    if is_all and file in ended:
                        session.note(f"{file.address}: the process has ended")
                        followed.remove(file)
            session.out.flush()
            if followed and not is_behind:
                time.sleep(args.pause)


class _Headings:
    """The lines that say which of several files follows."""

    def __init__(self, session: Session) -> None:
        self._out = session.out
        self._last: Address | None = None

    def begin(self, address: Address) -> None:
        """Print a heading, unless the last one was for this address."""
        if address != self._last:
            before = "" if self._last is None else "\n"
            self._out.print(f"{before}==> {self._out.name(str(address))} <==")
            self._last = address


class _File:
    """The file at an address, and how much of it was printed."""

    def __init__(
        self, address: Address, root: Root, session: Session, headings: _Headings | None
    ) -> None:
        self.address = address
        self._root = root
        self._session = session
        self._headings = headings
        self._held: Descriptor | None = None
        self._position = 0
        self._stop: int | None = None
        """where to end even if the file goes on"""
        self._is_missing = True

    def close(self) -> None:
        if self._held is not None:
            self._held.close()

    def has_ended(self) -> bool:
        """Return whether the process of the root has ended; False for a directory of the host.

        What others append from then on is not printed.
        """
        process = self._root.process
        if process is None or process.is_alive():
            return False
        if self._stop is None:
            self.stop_at_size()
        return True

    def stop_at_size(self) -> None:
        """End at the size that the file has now, and one without a size after a round."""
        if self._held is not None:
            self._stop = os.fstat(self._held.value).st_size or _MOST_A_ROUND

    def open_end(self, lines: int) -> None:
        """Open the file, to print from where its last lines begin."""
        self._held = self._open()
        self._is_missing = False
        if self._headings is not None:
            self._headings.begin(self.address)
        self._position = _start_of_last(lines, self._held.value)

    def print_new(self) -> bool:
        """Print what was appended since, and the file that has its name now.

        Return False if there is more to print at once.
        """
        if not self._print_appended():
            return False
        try:
            found = self._open()
        except UnverifiedProcError:
            raise
        except OSError as error:
            if not self._is_missing:
                self._is_missing = True
                self._session.note(f"{self.address}: has become inaccessible: {error.strerror}")
            return True
        self._is_missing = False
        with closed_on_error(found) as fd:
            is_same = self._held is not None and os.path.sameopenfile(fd, self._held.value)
            # Or what was written until it was replaced.
            is_all = is_same or self._print_appended()
        if is_same or not is_all:
            found.close()
            return is_all
        if self._held is not None:
            self._held.close()
        self._held, self._position = found, 0
        if self._stop is not None:
            self.stop_at_size()
        self._session.note(f"{self.address}: following a new file")
        return self.print_round()

    def _open(self) -> Descriptor:
        try:
            found = Descriptor(self._root.open(self.address.path, os.O_RDONLY))
        except SpecialFileError as error:
            # What has no end cannot be asked for by --special.
            raise SpecialFileError(error.filename, "not a regular file") from None
        with closed_on_error(found) as fd:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise os_error(EISDIR, self.address.path)
        return found

    def _print_appended(self) -> bool:
        if self._held is not None and os.fstat(self._held.value).st_size < self._position:
            self._session.note(f"{self.address}: the file was truncated")
            self._position = 0
        return self.print_round()

    def print_round(self) -> bool:
        """Print up to the size that the file has now, or so much that it is the turn of others.

        Return False if there is more to print at once.
        """
        if self._held is None:
            return True
        fd = self._held.value
        size = os.fstat(fd).st_size
        # It may grow faster than it is read.
        ends = [end for end in (size, self._stop) if end]
        end = min([self._position + _MOST_A_ROUND, *ends])
        while self._position < end:
            chunk = os.pread(fd, min(_CHUNK, end - self._position), self._position)
            if not chunk:
                return True
            if self._headings is not None:
                self._headings.begin(self.address)
            self._session.out.write(chunk)
            self._position += len(chunk)
        return end in ends


def _start_of_last(lines: int, fd: int) -> int:
    """Return where the last lines begin. Nothing of the file is kept."""
    end = os.fstat(fd).st_size
    if not lines:
        return end
    # The newline at the end ends the last line, and begins none.
    searched = end - 1
    while searched > 0:
        start = max(0, searched - _CHUNK)
        chunk = os.pread(fd, searched - start, start)
        found = len(chunk)
        while (found := chunk.rfind(b"\n", 0, found)) >= 0:
            lines -= 1
            if not lines:
                return start + found + 1
        searched = start
    return 0


def _lines(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise argparse.ArgumentTypeError(f"not a number of lines: {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!r}")
    return seconds
