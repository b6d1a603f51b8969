"""Removing whole trees: ``rmtree``.

Only what is below the held start is removed: no link is followed, whenever it is put there, no
mount is entered unless that is asked for, and a directory that is moved away meanwhile ends the
work. Any depth takes a bounded number of descriptors and no recursion. Errors go to a function,
as in ``shutil.rmtree``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from errno import EBUSY, ELOOP, ESTALE, EXDEV
from typing import NamedTuple, NoReturn, TypeAlias

from procpath.errors import UnverifiedProcError, about
from procpath.linux import Descriptor, brief_statx, dup, openat, statx
from procpath.proc import VerifiedProc
from procpath.resolve.identity import is_of_our_namespace, mount_id
from procpath.resolve.interface import Parent
from procpath.resolve.reopen import reopen
from procpath.resolve.stack import DirectoryStack
from procpath.tree.descent import entries_of
from procpath.tree.places import HostPlace, Place
from procpath.uapi import (
    AT_NO_AUTOMOUNT,
    AT_SYMLINK_NOFOLLOW,
    DENIED,
    EITHER_MNT_ID,
    FIND_DIRECTORY_NOFOLLOW,
    FIND_NOFOLLOW,
    LISTING,
    LISTING_NOFOLLOW,
)

OnError: TypeAlias = Callable[[Callable[..., object], str, OSError], object]
"""Called with what failed, the path and the error, as ``onexc`` of ``shutil.rmtree``."""

MOST_HELD = 8
"""How many directories of a tree besides its top stay open. Few, because a copy holds two such
ways and the process may be short of descriptors; going up by ``..`` costs some 10 us a level.
"""

_FEW = 20
"""Files in a directory of which each is looked at, rather than at the mounts of the namespace."""

ITSELF = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT
"""flags of statx(2) for the entry that a name is"""


def reraise(function: Callable[..., object], path: str, error: OSError) -> NoReturn:
    """Raise the error, which ends the removal."""
    try:
        raise error
    finally:
        del error  # A frame that keeps the error which passed it is a cycle; it keeps the root.


def ignore(function: Callable[..., object], path: str, error: OSError) -> None:
    """Go on."""


def rmtree(place: Place, on_error: OnError, *, cross_mounts: bool = False) -> None:
    """Remove the directory at ``place`` and everything in it.

    A mount point in it is an ``EXDEV`` error. With ``cross_mounts`` it is emptied, and only
    the mount point itself stays (``EBUSY``).
    """
    try:
        parent = place.open_parent()
    except UnverifiedProcError:
        raise
    except OSError as error:
        on_error(os.lstat, place.text, error)
        return
    with parent.dirfd as dirfd:
        _Removal(place, dirfd, os.fsdecode(parent.name), on_error, cross_mounts).run()


def remove_same(place: Place, parent: Parent, status: os.stat_result) -> None:
    """Remove what ``parent`` names, of any kind, if it still is the file of ``status``.

    Raises ``ESTALE`` if it is another one. Errors name it as ``place``.
    """
    dirfd, name = parent.dirfd.value, os.fsdecode(parent.name)
    if stat.S_ISDIR(status.st_mode):
        _SameRemoval(place, dirfd, name, status).run()
        return
    with place.blame:
        if not os.path.samestat(os.stat(name, dir_fd=dirfd, follow_symlinks=False), status):
            raise _replaced()
        os.unlink(name, dir_fd=dirfd)


def remove_own(dirfd: int, name: str, made: os.stat_result | None) -> None:
    """Remove ``name``, which we created, whatever the modes of directories in it.

    ``made`` is the status that a directory had. It may be gone already. Raises ``ESTALE`` if
    another directory has taken its place.
    """
    try:
        os.unlink(name, dir_fd=dirfd)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        if made is None:
            os.rmdir(name, dir_fd=dirfd)
        else:
            _OwnRemoval(HostPlace(name), dirfd, name, made).run()


def mount_of_entry(dirfd: int, name: str | bytes) -> int:
    """Return the ID of the mount that ``name`` in ``dirfd`` is on: of a mount point, its own."""
    raw = os.fsencode(name)
    told = brief_statx(dirfd, raw, ITSELF, EITHER_MNT_ID)[-1]
    if told:
        return told
    try:
        answer = statx(dirfd, raw, ITSELF, EITHER_MNT_ID)
        if answer.mask & EITHER_MNT_ID:
            return answer.mnt_id
    except OSError as error:
        # If EACCES came from the directory, openat() raises it again.
        if error.errno not in DENIED:
            raise
    with openat(dirfd, name, FIND_NOFOLLOW) as fd:
        return mount_id(fd)


class _Frame(NamedTuple):
    """A directory that is being emptied."""

    name: str
    todo: list[str]
    """the directories in it that are still there"""


class _Removal:
    """One run, which starts in the directory of the top."""

    def __init__(
        self, place: Place, dirfd: int, name: str, on_error: OnError, cross_mounts: bool
    ) -> None:
        self._place = place
        self._dirfd = dirfd
        self._name = name
        self._on_error = on_error
        self._mount = None if cross_mounts else mount_id(dirfd)
        self._refuses_mounts: bool | None = None
        """:meth:`_kernel_refuses_mounts`, once it is asked for"""
        self._frames: list[_Frame] = []

    def run(self) -> None:
        """Remove the top."""
        try:
            if self._name == ".":
                raise OSError(EBUSY, "a root, '.' or '..' cannot be removed")
            status = os.stat(self._name, dir_fd=self._dirfd, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                raise OSError(ELOOP, "a symbolic link, which rmtree does not follow")
        except OSError as error:
            function = os.path.islink if error.errno == ELOOP else os.lstat
            self._report(function, [], error)
            return
        with DirectoryStack(dup(self._dirfd), LISTING_NOFOLLOW, MOST_HELD) as way:
            self._enter(way, self._name)
            while self._frames:
                todo = self._frames[-1].todo
                if todo:
                    self._enter(way, todo.pop())
                elif not self._leave(way):
                    return

    def _enter(self, way: DirectoryStack, name: str) -> None:
        """Go into a directory and remove what is in it but for directories."""
        function: Callable[..., object] = os.open
        entered = False
        try:
            way.enter(self._open(way.dirfd, name))
            entered = True
            self._require_ours(way.dirfd)
            function = os.scandir
            entries = entries_of(way.dirfd)
        except OSError as error:
            if entered:
                way.leave().close()
            # An entry that has gone need not be removed; the top was asked for.
            if not (self._frames and isinstance(error, FileNotFoundError)):
                self._report(function, self._names_to(name), error)
            return
        frame = _Frame(name, [])
        self._frames.append(frame)
        files: list[str] = []
        for entry in entries:
            (frame.todo if entry.is_dir(follow_symlinks=False) else files).append(entry.name)
        if len(files) > _FEW and self._kernel_refuses_mounts():
            self._unlink_all(way.dirfd, files)
            return
        for file in files:
            self._unlink(way.dirfd, file)

    def _open(self, dirfd: int, name: str) -> Descriptor:
        return openat(dirfd, name, LISTING_NOFOLLOW)

    def _require_ours(self, fd: int) -> None:
        """Raise for a directory that is not one to remove."""
        if self._mount is None:
            self._place.require_changeable(fd)
        elif mount_id(fd) != self._mount:
            # On the same mount as the parent, it may be changed as that may.
            raise _crossing()

    def _kernel_refuses_mounts(self) -> bool:
        """Return whether unlink(2) fails for every mount point in the tree (``EBUSY``).

        It does for those of our own mount namespace, and a mount is in that of its parent.
        """
        if self._refuses_mounts is None:
            self._refuses_mounts = self._mount is not None and is_of_our_namespace(self._dirfd)
        return self._refuses_mounts

    def _unlink_all(self, dirfd: int, names: list[str]) -> None:
        """Do as :meth:`_unlink` for each of them, where the kernel refuses mount points."""
        for name in names:
            try:
                os.unlink(name, dir_fd=dirfd)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno is None:
                    # A handler of signals raised it, such as a TimeoutError: the kernel did not.
                    self._report(os.unlink, self._names_to(name), error)
                    continue
                self._unlink(dirfd, name)

    def _unlink(self, dirfd: int, name: str) -> None:
        try:
            # Linux does not refuse to unlink a mount point of another mount namespace: it
            # detaches the mount.
            if self._mount is not None and mount_of_entry(dirfd, name) != self._mount:
                raise _crossing()
            os.unlink(name, dir_fd=dirfd)
        except FileNotFoundError:
            return
        except OSError as error:
            self._report(os.unlink, self._names_to(name), error)

    def _leave(self, way: DirectoryStack) -> bool:
        """Go up from an emptied directory and remove it. False if the way up is lost."""
        name = self._frames.pop().name
        try:
            way.leave().close()
        except OSError as error:
            self._report(os.open, self._names_to(), error)
            return False
        try:
            os.rmdir(name, dir_fd=way.dirfd)
        except OSError as error:
            if not (self._frames and isinstance(error, FileNotFoundError)):
                self._report(os.rmdir, self._names_to(name), error)
        return True

    def _names_to(self, *last: str) -> list[str]:
        """Return the names from the top to the directory being emptied, and to an entry of it."""
        return [*(frame.name for frame in self._frames), *last][1:]

    def _report(self, function: Callable[..., object], names: list[str], error: OSError) -> None:
        try:
            if isinstance(error, UnverifiedProcError):
                raise error
            path = self._place.below(names)
            self._on_error(function, path, about(error, path))
        finally:
            del error


class _SameRemoval(_Removal):
    """Removes a directory if it still is the one of ``status``, and stops at an error."""

    def __init__(self, place: Place, dirfd: int, name: str, status: os.stat_result) -> None:
        super().__init__(place, dirfd, name, reraise, cross_mounts=False)
        self._status = status

    def _require_ours(self, fd: int) -> None:
        super()._require_ours(fd)
        if not self._frames and not os.path.samestat(os.fstat(fd), self._status):
            raise _replaced()


class _OwnRemoval(_SameRemoval):
    """Removes directories whose modes may keep out ourselves."""

    def _open(self, dirfd: int, name: str) -> Descriptor:
        with openat(dirfd, name, FIND_DIRECTORY_NOFOLLOW) as fd:
            # Before its mode is changed.
            self._require_ours(fd)
            if os.fstat(fd).st_mode & stat.S_IRWXU != stat.S_IRWXU:
                self_fd = VerifiedProc.default().self_fd()
                os.chmod(self_fd.entry(fd), stat.S_IRWXU, dir_fd=self_fd.fileno())
            return reopen(fd, LISTING)


def _crossing() -> OSError:
    return OSError(EXDEV, "a mount point, and mounts are not to be crossed")


def _replaced() -> OSError:
    return OSError(ESTALE, "replaced by another file meanwhile")
