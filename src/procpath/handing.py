"""Private copies of files and trees on the host, for code that takes host paths.

A copy has the name and suffix of the path, and beside it what belongs to the file, such as
SQLite's log. It is made in two passes: the first copies, the second looks whether anything has
changed since the first began. Everything is reached as in a copy of :mod:`procpath.tree.copy`,
by single names that are not followed; nothing special is opened.
"""

from __future__ import annotations

import os
import pathlib
import posixpath
import secrets
import stat
import tempfile
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from errno import EBUSY, EFBIG, ENAMETOOLONG, ENOENT, EXDEV
from hashlib import blake2b
from itertools import islice
from types import TracebackType

from procpath.errors import SpecialFileError, noted, os_error
from procpath.linux import openat
from procpath.reading import require_limit
from procpath.resolve.identity import mount_id
from procpath.resolve.reopen import reopen
from procpath.resolve.special import kernel_file_system, special_kind
from procpath.resolve.stack import DirectoryStack, MovedError
from procpath.root import Root
from procpath.tree.copy.data import copy_data
from procpath.tree.copy.leases import LeasePatience
from procpath.tree.copy.staging import OURS_ALONE, new_directory
from procpath.tree.descent import require_names
from procpath.tree.places import LEADS_NOWHERE, Blame
from procpath.tree.removing import MOST_HELD, remove_own
from procpath.uapi import (
    AT_FDCWD,
    CREATE_NEW,
    FIND_DIRECTORY,
    FIND_DIRECTORY_NOFOLLOW,
    FIND_NOFOLLOW,
    LISTING,
    LISTING_NOFOLLOW,
)

MOST_ENTRIES = 1_000_000
"""files, directories and links in one copy"""

_ATTEMPTS = 5

_TICK = 0.02
"""Seconds, longer than the kernel's clock takes from one file time to the next."""

_CLOCK_REALTIME_COARSE = 5  # include/uapi/linux/time.h; file times are its (fs/inode.c)

_LINK_PATIENCE = 30.0
"""Seconds of our own work on where links lead to.

The walker takes 50 us for each component, and a link may lie deep and take 80,000 of them.
"""

_MOST_TOLD = 10
"""How many of the files that were left out a note names."""


def as_file(
    root: Root, path: str, raw: bytes, siblings: Iterable[str], limit: int
) -> AbstractContextManager[pathlib.Path]:
    """Return a context manager for the host path of a private copy of ``path``.

    ``siblings`` name what belongs to the file, with ``{name}`` for its own name.
    """
    require_limit(limit)
    if isinstance(siblings, str):
        raise TypeError("siblings must be several names, such as ('{name}-wal',), not a str")
    templates = tuple(siblings)
    for template in templates:
        if "{name}" not in template or "/" in template or template == "{name}":
            raise ValueError(f"a sibling must be another name with {{name}} in it: {template!r}")
    return _copied(root, path, raw, templates, limit)


@contextmanager
def _copied(
    root: Root, path: str, raw: bytes, templates: tuple[str, ...], limit: int
) -> Iterator[pathlib.Path]:
    patience = _Patience()
    for attempt in range(_ATTEMPTS):
        time.sleep(_TICK * attempt)
        with _PrivateDirectory() as directory:
            with noted(root.note):
                copying = _Pass(root, limit, patience, directory)
                looking = _Pass(root, limit, patience)
                is_whole = (
                    copying.run(path, raw, templates)
                    and looking.run(path, raw, templates)
                    and copying.digest.digest() == looking.digest.digest()
                )
            if not is_whole:
                continue
            try:
                yield pathlib.Path(directory, copying.name)
            except Exception as error:
                if copying.left_out:
                    error.add_note(f"left out of the copy of {path!r}: {copying.left_out}")
                raise
            return
    with noted(root.note):
        raise OSError(EBUSY, f"changed while it was copied, {_ATTEMPTS} times", path)


class _PrivateDirectory:
    """A directory of the host for us alone, removed in the end.

    As ``tempfile.TemporaryDirectory``, but what is in it may be deep, and may have been moved.
    """

    def __init__(self) -> None:
        # Not by mkdtemp(): an interrupt after its mkdir(2) would leave the directory.
        name = f"procpath-{secrets.token_hex(16)}"
        self.path = os.path.join(os.path.abspath(tempfile.gettempdir()), name)
        self._made: list[os.stat_result] = []
        # For what an interrupt of __exit__() leaves.
        self._finalizer = weakref.finalize(self, _remove_of, os.getpid(), self.path, self._made)
        os.mkdir(self.path, OURS_ALONE)
        self._made.append(os.lstat(self.path))

    def __enter__(self) -> str:
        return self.path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._remove()
        except BaseException as first:
            # Once more: it may be what a signal handler has raised, of any type.
            try:
                self._remove()
            except OSError as left_behind:
                self._finalizer.detach()
                blamed = first if error is None else error
                blamed.add_note(f"the copy {self.path} could not be removed: {left_behind}")
                if error is not None and isinstance(first, OSError):
                    return
            raise

    def _remove(self) -> None:
        _remove(self.path, self._made)
        self._finalizer.detach()


def _remove(path: str, made: list[os.stat_result]) -> None:
    """Remove a directory, of the status in ``made``."""
    above, name = os.path.split(path)
    try:
        directory = openat(AT_FDCWD, above, FIND_DIRECTORY)
    except FileNotFoundError:
        return
    with directory as dirfd:
        remove_own(dirfd, name, made[0] if made else None)


def _remove_of(owner: int, path: str, made: list[os.stat_result]) -> None:
    """Remove a directory in the process ``owner``, and not in its forked children."""
    if os.getpid() == owner:
        _remove(path, made)


class _ChangedError(Exception):
    """Something vanished, or was moved, in the middle of a pass."""


class _Patience:
    """What all passes of one copy together wait, and work, for."""

    def __init__(self) -> None:
        self.leases = LeasePatience()
        self._for_links = _LINK_PATIENCE

    @contextmanager
    def following(self) -> Iterator[None]:
        """Count the time of a ``with`` block that follows a link. Raises ``EFBIG`` at its end."""
        if self._for_links <= 0:
            raise OSError(EFBIG, "its links take too long to follow")
        start = time.thread_time()
        try:
            yield
        finally:
            self._for_links -= time.thread_time() - start


class _Pass:
    """Goes once through everything that belongs to a path, and copies it if there is a target."""

    def __init__(
        self, root: Root, limit: int, patience: _Patience, directory: str | None = None
    ) -> None:
        """``directory`` is the target, an empty directory of the host; None: only look."""
        self._root = root
        self._patience = patience
        self._directory = directory
        self._bytes_left = limit
        self._entries_left = MOST_ENTRIES
        self._began = time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)
        self.name = ""
        """of the copy"""
        self.digest = blake2b()
        """of the names and the status of everything that was found"""
        self._told: list[str] = []
        self._number_left_out = 0

    def run(self, path: str, raw: bytes, templates: tuple[str, ...]) -> bool:
        """Go through ``path`` and its siblings. Return False if something has changed meanwhile."""
        location = os.fsdecode(self._root.resolver.locate(raw))
        above, own_name = posixpath.split(location)
        name = posixpath.basename(path)
        self.name = name if name not in ("", ".", "..") else own_name or "root"
        with ExitStack() as stack:
            target = None
            if self._directory is not None:
                held = openat(AT_FDCWD, self._directory, FIND_DIRECTORY_NOFOLLOW)
                target = stack.enter_context(held)
            try:
                if not self._take(location, self.name, target):
                    return False
                for template in templates:
                    sibling = posixpath.join(above, template.replace("{name}", own_name))
                    if not self._take(sibling, template.replace("{name}", self.name), target):
                        self.digest.update(b"missing")
            except _ChangedError:
                return False
        return True

    @property
    def left_out(self) -> str:
        """What was left out, in words; empty if nothing was."""
        more = self._number_left_out - len(self._told)
        return ", ".join(self._told) + (f" and {more} more" if more else "")

    def _take(self, location: str, name: str, target: int | None) -> bool:
        """Take the file or tree at an in-root path. Return False if there is none."""
        try:
            found = self._root.find(os.fsencode(location))
        except OSError as error:
            if error.errno in (ENOENT, ENAMETOOLONG):
                return False
            raise
        with found as fd:
            status = self._look(name, fd)
            if stat.S_ISDIR(status.st_mode):
                self._take_tree(fd, location, name, target)
                return True
            with Blame(lambda: location):
                self._root.resolver.require_openable(fd, status)
                if not stat.S_ISREG(status.st_mode):
                    raise SpecialFileError(reason=f"{special_kind(fd, status)} is not copied")
                self._take_file(fd, status, name, target)
            return True

    def _take_tree(self, top: int, location: str, name: str, target: int | None) -> None:
        names: list[str] = []
        with ExitStack() as stack:
            stack.enter_context(Blame(lambda: posixpath.join(location, *names)))
            out_of = DirectoryStack(reopen(top, LISTING), LISTING_NOFOLLOW, MOST_HELD)
            stack.enter_context(out_of)
            into = None
            if target is not None:
                made = new_directory(target, name, OURS_ALONE)
                into = DirectoryStack(made, FIND_DIRECTORY_NOFOLLOW, MOST_HELD)
                stack.enter_context(into)
            todo = [self._list(out_of.dirfd)]
            try:
                while todo:
                    if todo[-1]:
                        names.append(todo[-1].pop())
                        if self._take_entry(location, names, out_of, into):
                            todo.append(self._list(out_of.dirfd))
                        else:
                            names.pop()
                        continue
                    todo.pop()
                    if todo:
                        out_of.leave().close()
                        if into is not None:
                            into.leave().close()
                        names.pop()
            except (FileNotFoundError, MovedError) as error:
                raise _ChangedError from error

    def _take_entry(
        self, top: str, names: list[str], out_of: DirectoryStack, into: DirectoryStack | None
    ) -> bool:
        """Take the entry at ``names`` below ``top``. Return True if it was a directory entered."""
        name = names[-1]
        target = None if into is None else into.dirfd
        with openat(out_of.dirfd, name, FIND_NOFOLLOW) as fd:
            status = self._look(name, fd)
            if not self._root.options.cross_mounts and mount_id(fd) != self._root.identity.mnt_id:
                raise os_error(EXDEV)
            if stat.S_ISLNK(status.st_mode):
                self._take_link(fd, top, names, target)
            elif (kind := self._special_kind(fd, status)) is not None:
                self._leave_out(top, names, kind)
            elif stat.S_ISREG(status.st_mode):
                self._take_file(fd, status, name, target)
            else:
                out_of.enter(reopen(fd, LISTING))
                if into is not None:
                    into.enter(new_directory(into.dirfd, name, OURS_ALONE))
                return True
        return False

    def _special_kind(self, fd: int, status: os.stat_result) -> str | None:
        """Return what ``fd`` holds, in words, if that is not copied with a tree."""
        if stat.S_IFMT(status.st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            return special_kind(fd, status)
        if self._root.options.special_files == "allow":
            return None
        file_system = kernel_file_system(fd, status)
        return None if file_system is None else f"on {file_system}"

    def _take_file(self, fd: int, status: os.stat_result, name: str, target: int | None) -> None:
        self._spend(status.st_size)
        if target is None:
            return
        expected = status.st_size

        def count(copied: int) -> None:
            # It may grow, and files of procfs have no size.
            nonlocal expected
            expected -= copied
            if expected < 0:
                self._spend(-expected)
                expected = 0

        source = self._patience.leases.open(fd, status)
        with source as opened, openat(target, name, CREATE_NEW, 0o600) as made:
            copy_data(opened, made, count)

    def _take_link(self, fd: int, top: str, names: list[str], target: int | None) -> None:
        self.digest.update(os.readlink(b"", dir_fd=fd))
        if target is None:
            return
        way = os.fsencode(posixpath.join(top, *names))
        try:
            with self._patience.following():
                leads_to = self._root.resolver.locate(way)
        except OSError as error:
            if error.errno not in LEADS_NOWHERE:
                raise
            self._leave_out(top, names, "a link that leads nowhere")
            return
        start = os.fsencode(top)
        if posixpath.commonpath((start, leads_to)) != start:
            self._leave_out(top, names, "a link that leads out of it")
        else:
            # No name in this text is a link, and its ".." go up real directories of the copy.
            text = posixpath.relpath(leads_to, posixpath.dirname(way))
            os.symlink(text, os.fsencode(names[-1]), dir_fd=target)

    def _leave_out(self, top: str, names: list[str], why: str) -> None:
        self._number_left_out += 1
        if len(self._told) < _MOST_TOLD:
            self._told.append(f"{posixpath.join(top, *names)!r} ({why})")

    def _look(self, name: str, fd: int) -> os.stat_result:
        """Return the status of ``fd``, which has that name, and remember it."""
        status = os.fstat(fd)
        facts = [name, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        if not stat.S_ISDIR(status.st_mode):
            # An overlay numbers its directories by what it has in memory.
            facts += [status.st_dev, status.st_ino]
        self.digest.update(repr(facts).encode())
        # Until the clock has gone on, a later change may have the same time.
        if self._began <= status.st_ctime_ns < self._began + 10**9:
            raise _ChangedError
        return status

    def _list(self, dirfd: int) -> list[str]:
        """Return the names in a directory, last one first."""
        with os.scandir(dirfd) as entries:
            names = [entry.name for entry in islice(entries, self._entries_left + 1)]
        require_names(names)
        self._entries_left -= len(names)
        if self._entries_left < 0:
            raise OSError(EFBIG, f"more than {MOST_ENTRIES} entries to copy")
        return sorted(names, reverse=True)

    def _spend(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise OSError(EFBIG, "more bytes to copy than the limit")
