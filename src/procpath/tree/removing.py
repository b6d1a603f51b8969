"""Removing whole trees: ``rmtree``.

Promises to remove what is below the held start and nothing else: no link is followed,
whenever it is put there, no mount is entered unless that is asked for, and a directory that
is moved away meanwhile ends the work. Any depth, a bounded number of descriptors, no
recursion. Errors are handed to a function as by ``shutil.rmtree``. Rests on
:mod:`procpath.tree.held`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from errno import EBUSY, ELOOP, ENOSYS, EPERM, ESTALE, EXDEV
from typing import NamedTuple, NoReturn, TypeAlias

from procpath.errors import UnverifiedProcError
from procpath.linux import (
    AT_NO_AUTOMOUNT,
    AT_SYMLINK_NOFOLLOW,
    STATX_MNT_ID,
    STATX_MNT_ID_UNIQUE,
    statx,
)
from procpath.proc import VerifiedProc
from procpath.resolve.identity import mount_id
from procpath.resolve.interface import Parent
from procpath.tree.descent import LISTING, entries_of
from procpath.tree.held import Closing, HeldDirectories
from procpath.tree.places import LOOK, Blame, Place

OnError: TypeAlias = Callable[[Callable[..., object], str, OSError], object]
"""Called with what failed, the path and the error, as ``onexc`` of ``shutil.rmtree``."""

_EITHER_MNT_ID = STATX_MNT_ID | STATX_MNT_ID_UNIQUE
_ITSELF = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT
_REAL_LISTING = LISTING | os.O_NOFOLLOW


def reraise(function: Callable[..., object], path: str, error: OSError) -> NoReturn:
    """The handler that ends the work with the error."""
    raise error


def ignore(function: Callable[..., object], path: str, error: OSError) -> None:
    """The handler that goes on."""


def rmtree(place: Place, on_error: OnError, *, cross_mounts: bool = False) -> None:
    """Remove the directory at ``place`` with all that is in it.

    What is mounted in it is an ``EXDEV`` error, unless ``cross_mounts``: then it is emptied
    too, and only the mount point stays (``EBUSY``).
    """
    try:
        parent = place.open_parent()
    except UnverifiedProcError:
        raise
    except OSError as error:
        error.filename = place.text
        on_error(os.lstat, place.text, error)
        return
    with parent.dirfd:
        _Removal(place.below, _Top.of(parent), on_error, cross_mounts).run()


def remove_same(parent: Parent, status: os.stat_result, path: Callable[[list[str]], str]) -> None:
    """Remove what ``parent`` names, whatever it is, if it still is the file of ``status``.

    ``ESTALE`` if it is another one. ``path`` makes paths for errors from names below it.
    """
    if stat.S_ISDIR(status.st_mode):
        _SameRemoval(path, _Top.of(parent), status).run()
        return
    with Blame(lambda: path([])):
        now = os.stat(parent.name, dir_fd=parent.dirfd.value, follow_symlinks=False)
        if not os.path.samestat(now, status):
            raise _replaced()
        os.unlink(parent.name, dir_fd=parent.dirfd.value)


def remove_own(dirfd: int, name: str, made: os.stat_result | None) -> None:
    """Remove ``name`` that we made, whatever the modes of directories in it; of a directory
    ``made`` tells which.

    Nothing there is fine too. ``ESTALE`` if another directory has taken its place.
    """
    try:
        os.unlink(name, dir_fd=dirfd)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        if made is None:
            os.rmdir(name, dir_fd=dirfd)
            return
        top = _Top(dirfd, os.fsencode(name))
        _OwnRemoval(lambda names: "/".join([name, *names]), top, made).run()


def mount_of_entry(dirfd: int, name: str | bytes) -> int:
    """The ID of the mount that ``name`` in ``dirfd`` lies on: of what is mounted there, if so."""
    try:
        answer = statx(dirfd, os.fsencode(name), _ITSELF, _EITHER_MNT_ID)
        if answer.mask & _EITHER_MNT_ID:
            return answer.mnt_id
    except OSError as error:
        if error.errno not in (ENOSYS, EPERM):
            raise
    with Closing(os.open(name, LOOK, dir_fd=dirfd)) as fd:
        return mount_id(fd)


class _Top(NamedTuple):
    """A name in a directory that somebody else holds."""

    dirfd: int
    name: bytes

    @classmethod
    def of(cls, parent: Parent) -> _Top:
        """The name in the held ``parent``."""
        return cls(parent.dirfd.value, parent.name)


class _Frame(NamedTuple):
    """A directory that is being emptied."""

    name: str
    todo: list[str]
    """the directories in it that are still there"""


class _Removal:
    """One run, from the directory that holds the top on."""

    def __init__(
        self,
        path: Callable[[list[str]], str],
        top: _Top,
        on_error: OnError,
        cross_mounts: bool,
    ) -> None:
        self._path = path
        """makes a path for people from names below the top"""
        self._top = top
        self._on_error = on_error
        self._mount = None if cross_mounts else mount_id(top.dirfd)
        self._frames: list[_Frame] = []

    def run(self) -> None:
        """Remove the top."""
        name = os.fsdecode(self._top.name)
        try:
            self._require_removable(name)
        except OSError as error:
            function = os.path.islink if error.errno == ELOOP else os.lstat
            self._report(function, [], error)
            return
        with HeldDirectories(os.dup(self._top.dirfd), os.O_RDONLY) as way:
            self._enter(way, name)
            while self._frames:
                todo = self._frames[-1].todo
                if todo:
                    self._enter(way, todo.pop())
                elif not self._leave(way):
                    return

    def _require_removable(self, name: str) -> None:
        if name == ".":
            raise OSError(EBUSY, "a root, '.' or '..' cannot be removed")
        status = os.stat(name, dir_fd=self._top.dirfd, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            raise OSError(ELOOP, "a symbolic link, which rmtree does not follow")

    def _enter(self, way: HeldDirectories, name: str) -> None:
        """Go into a directory and remove what is in it but for directories."""
        function: Callable[..., object] = os.open
        try:
            fd = self._open(way.dirfd, name)
            try:
                function = os.scandir
                entries = entries_of(fd)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            # What went away by itself need not be removed; only the top was asked for.
            if not (self._frames and isinstance(error, FileNotFoundError)):
                self._report(function, self._names_to(name), error)
            return
        way.enter(fd)
        frame = _Frame(name, [])
        self._frames.append(frame)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                frame.todo.append(entry.name)
            else:
                self._unlink(fd, entry.name)

    def _open(self, dirfd: int, name: str) -> int:
        """Open a directory if it is one to remove."""
        fd = os.open(name, _REAL_LISTING, dir_fd=dirfd)
        try:
            self._require_ours(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _require_ours(self, fd: int) -> None:
        if self._mount is not None and mount_id(fd) != self._mount:
            raise _crossing()

    def _unlink(self, dirfd: int, name: str) -> None:
        try:
            # Linux does not refuse to unlink a mount point of another mount namespace: it
            # detaches what is mounted there.
            if self._mount is not None and mount_of_entry(dirfd, name) != self._mount:
                raise _crossing()
            os.unlink(name, dir_fd=dirfd)
        except FileNotFoundError:
            return
        except OSError as error:
            self._report(os.unlink, self._names_to(name), error)

    def _leave(self, way: HeldDirectories) -> bool:
        """Go up from an emptied directory and remove it; False where no way leads up."""
        name = self._frames.pop().name
        try:
            emptied, _ = way.leave()
        except OSError as error:
            self._report(os.open, self._names_to(), error)
            return False
        os.close(emptied)
        try:
            os.rmdir(name, dir_fd=way.dirfd)
        except OSError as error:
            if not (self._frames and isinstance(error, FileNotFoundError)):
                self._report(os.rmdir, self._names_to(name), error)
        return True

    def _names_to(self, *last: str) -> list[str]:
        """The names below the top that lead to the directory being emptied, or an entry of it."""
        return [*(frame.name for frame in self._frames), *last][1:]

    def _report(self, function: Callable[..., object], names: list[str], error: OSError) -> None:
        if isinstance(error, UnverifiedProcError):
            raise error
        path = self._path(names)
        error.filename = path
        self._on_error(function, path, error)


class _SameRemoval(_Removal):
    """Removes a directory if it still is the one that was looked at, and stops at an error."""

    def __init__(self, path: Callable[[list[str]], str], top: _Top, status: os.stat_result) -> None:
        super().__init__(path, top, reraise, cross_mounts=False)
        self._status = status

    def _require_ours(self, fd: int) -> None:
        super()._require_ours(fd)
        if not self._frames and not os.path.samestat(os.fstat(fd), self._status):
            raise _replaced()


class _OwnRemoval(_SameRemoval):
    """Removes directories that were given modes that keep ourselves out."""

    def _open(self, dirfd: int, name: str) -> int:
        with Closing(os.open(name, LOOK | os.O_DIRECTORY, dir_fd=dirfd)) as fd:
            self._require_ours(fd)
            self_fd = VerifiedProc.default().self_fd()
            if os.fstat(fd).st_mode & stat.S_IRWXU != stat.S_IRWXU:
                os.chmod(self_fd.entry(fd), stat.S_IRWXU, dir_fd=self_fd.fileno())
            return self_fd.reopen(fd, LISTING)


def _crossing() -> OSError:
    return OSError(EXDEV, "a mount point, and mounts are not to be crossed")


def _replaced() -> OSError:
    return OSError(ESTALE, "replaced by another one meanwhile")
