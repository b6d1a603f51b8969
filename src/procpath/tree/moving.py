"""Moving between roots, and between a root and the host, as ``pathlib`` 3.14 moves.

Within a root a move is a rename(2) wherever the kernel can do it. Between two roots it never is:
a process whose working directory is renamed out of its root is outside of it, and climbs on from
there. Then, and across file systems, the source is copied completely, the copy is written to the
disk and gets its name, and only then what was copied, and has not changed since, is removed.
"""

from __future__ import annotations

import os
import stat
from contextlib import nullcontext
from errno import EBUSY, EPERM, ESTALE, EXDEV
from typing import NamedTuple, NoReturn

from procpath import linux
from procpath.linux import Descriptor, dup, openat
from procpath.resolve.identity import mount_id
from procpath.resolve.interface import Parent
from procpath.resolve.stack import DirectoryStack
from procpath.tree.copy.files import FileCopier, Original, Rules
from procpath.tree.copy.owners import owners_between
from procpath.tree.copy.report import Errors, FirstError, OnProgress
from procpath.tree.copy.staging import Staged
from procpath.tree.copy.tree import copy_to
from procpath.tree.descent import list_names
from procpath.tree.places import LEADS_NOWHERE, Place, both, lies_within
from procpath.tree.removing import MOST_HELD, mount_of_entry
from procpath.uapi import FIND_NOFOLLOW, LISTING, LISTING_NOFOLLOW


def move(source: Place, target: Place, on_progress: OnProgress | None = None) -> None:
    """Give the file or tree at ``source`` the path ``target``, replacing as rename(2) does.

    Links at either end are not followed. Raises the operating system's error; ``EINVAL`` if both
    are one file; ``EBUSY`` for a mount point; ``EXDEV`` if the source has to be copied and has
    a mount in it; ``ESTALE`` for what changed meanwhile, and so was not removed.
    """
    _require_different(source, target)
    old = source.open_parent()
    with old.dirfd as old_dirfd:
        _require_no_mount(source, old)
        new = target.open_parent()
        with new.dirfd as new_dirfd:
            _require_no_mount(target, new)
            try:
                if source.root != target.root:
                    raise OSError(EXDEV, "two roots")
                os.rename(old.name, new.name, src_dir_fd=old_dirfd, dst_dir_fd=new_dirfd)
            except OSError as error:
                if error.errno != EXDEV:
                    error.filename, error.filename2 = source.text, target.text
                    raise
            else:
                return
            _copy_and_remove(source, old, target, new, on_progress)


def _require_no_mount(place: Place, parent: Parent) -> None:
    """Linux refuses to rename only mount points of our own mount namespace (rename(2))."""
    with place.blame:
        if parent.name == b".":
            raise OSError(EBUSY, "a root, '.' or '..' cannot be moved or replaced")
        try:
            mount = mount_of_entry(parent.dirfd.value, parent.name)
        except FileNotFoundError:
            return
        if mount != mount_id(parent.dirfd.value):
            raise OSError(EBUSY, "a mount point, which cannot be renamed or replaced")


def _copy_and_remove(
    source: Place, old: Parent, target: Place, new: Parent, on_progress: OnProgress | None
) -> None:
    with source.blame:
        found = openat(old.dirfd.value, old.name, FIND_NOFOLLOW)
    with found as fd:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode) and lies_within(new.dirfd.value, status):
            raise both("Source path is a parent of target path", source, target)
        rules = Rules(
            follow_symlinks=False,
            within=False,
            preserve_metadata=True,
            mounts="refuse",
            without_privileges=source.root is not None and target.root is None,
            owners=owners_between(source, target),
            strict=True,
        )
        files = _Mover(source, target, rules, FirstError(), on_progress)
        with target.blame:
            # Opened before anything is written, it has every error of that (syncfs(2)).
            listing = openat(new.dirfd.value, ".", LISTING)
        with listing as directory:
            with target.blame:
                staged = Staged(directory, new.name)
            with staged:
                copy_to(files, Original(fd, status), staged)
                with target.blame:
                    # Or a loss of power could leave an empty file under the name.
                    linux.syncfs(directory)
                    staged.replace()
            with target.blame:
                os.fsync(directory)
        # While it is held, its inode number is not given to another file.
        errors = Errors(None)
        _Removal(source, old.dirfd.value, files.moved, errors).run(os.fsdecode(old.name), status)
    errors.raise_first()


class _Mover(FileCopier):
    """Copies what is to be removed: nothing is left out, or nothing is moved."""

    def __init__(
        self,
        source: Place,
        target: Place,
        rules: Rules,
        errors: Errors,
        on_progress: OnProgress | None,
    ) -> None:
        super().__init__(source, target, rules, errors, on_progress)
        self.moved = self.copied = _Moved()

    def leave_out(self, kind: str) -> NoReturn:
        """Raise: the only original would be removed."""
        reason = f'{kind} are copied to the host only with special="keep"; nothing was moved'
        raise OSError(EPERM, reason, self.source.below(self.names))

    def note_second_file(self) -> None:
        """Do nothing: the content is kept, as by mv(1)."""

    def note_growth(self) -> None:
        """Do nothing: a file that has grown is not removed."""


class _Version(NamedTuple):
    """How a file was before it was copied."""

    size: int
    mtime_ns: int
    ctime_ns: int


class _Moved:
    """The files that were copied, by device and inode."""

    def __init__(self) -> None:
        self._versions: dict[tuple[int, int], _Version] = {}

    def add(self, status: os.stat_result) -> None:
        """Remember a file that was copied, by its status before it was read."""
        version = _Version(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        self._versions[status.st_dev, status.st_ino] = version

    def update(self, status: os.stat_result) -> None:
        """Take over the time of change that the removal of another name has caused."""
        key = status.st_dev, status.st_ino
        before = self._versions[key]
        if (before.size, before.mtime_ns) == (status.st_size, status.st_mtime_ns):
            self._versions[key] = before._replace(ctime_ns=status.st_ctime_ns)

    def require(self, status: os.stat_result) -> None:
        """Raise ``ESTALE`` for a file that was not copied, or changed since.

        Of a directory only its identity counts: what was copied is taken out of it.
        """
        known = self._versions.get((status.st_dev, status.st_ino))
        if known is None:
            raise OSError(ESTALE, "it appeared after the rest was copied, so it stays")
        now = _Version(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if not stat.S_ISDIR(status.st_mode) and known != now:
            raise OSError(ESTALE, "it changed after it was copied, so it stays")


class _Frame(NamedTuple):
    """A directory that is being emptied."""

    name: str
    todo: list[str]


class _Removal:
    """Removes what was copied; what else is there by now is reported, and stays."""

    def __init__(self, place: Place, dirfd: int, moved: _Moved, errors: Errors) -> None:
        self._place = place
        self._dirfd = dirfd
        self._moved = moved
        self._errors = errors
        self._mount = mount_id(dirfd)
        self._frames: list[_Frame] = []

    def run(self, name: str, status: os.stat_result) -> None:
        """Remove the top, which had this status."""
        with DirectoryStack(dup(self._dirfd), LISTING_NOFOLLOW, MOST_HELD) as way:
            with self._place.blame:
                now = os.stat(name, dir_fd=self._dirfd, follow_symlinks=False)
                if not os.path.samestat(now, status):
                    raise OSError(ESTALE, "replaced by another file meanwhile")
            self._remove(way, name)
            while self._frames:
                todo = self._frames[-1].todo
                if todo:
                    self._remove(way, todo.pop())
                else:
                    self._leave(way)

    def _remove(self, way: DirectoryStack, name: str) -> None:
        """Remove a file, or go into a directory."""
        entered = None
        try:
            status = os.stat(name, dir_fd=way.dirfd, follow_symlinks=False)
            self._moved.require(status)
            if stat.S_ISDIR(status.st_mode):
                entered = self._open(way.dirfd, name)
            else:
                self._unlink(way.dirfd, name, status)
        except FileNotFoundError:
            return
        except OSError as error:
            self._report(error, name)
        if entered is not None:
            directory, todo = entered
            self._frames.append(_Frame(name, todo))
            way.enter(directory)

    def _open(self, dirfd: int, name: str) -> tuple[Descriptor, list[str]]:
        directory = openat(dirfd, name, LISTING_NOFOLLOW)
        try:
            self._moved.require(os.fstat(directory.value))
            if mount_id(directory.value) != self._mount:
                raise OSError(EXDEV, "a mount point, and mounts are not to be crossed")
            return directory, list_names(directory.value)
        except OSError:
            directory.close()
            raise

    def _unlink(self, dirfd: int, name: str, status: os.stat_result) -> None:
        # Linux does not refuse to unlink a mount point of another mount namespace: it
        # detaches the mount.
        if mount_of_entry(dirfd, name) != self._mount:
            raise OSError(EXDEV, "a mount point, and mounts are not to be crossed")
        # Its other names have to be recognized although this changes the file's ctime.
        has_more = status.st_nlink > 1
        with openat(dirfd, name, FIND_NOFOLLOW) if has_more else nullcontext() as held:
            if held is not None:
                self._moved.require(os.fstat(held))
            os.unlink(name, dir_fd=dirfd)
            if held is not None:
                self._moved.update(os.fstat(held))

    def _leave(self, way: DirectoryStack) -> None:
        with self._place.blame:
            way.leave().close()
        name = self._frames.pop().name
        try:
            os.rmdir(name, dir_fd=way.dirfd)
        except OSError as error:
            self._report(error, name)

    def _report(self, error: OSError, name: str) -> None:
        names = [*(frame.name for frame in self._frames), name][1:]
        error.filename = self._place.below(names)
        self._errors.report(error)


def _require_different(source: Place, target: Place) -> None:
    """Compare the two files, links followed, as pathlib does; rename(2) would do nothing."""
    found = _status(source)
    there = _status(target)
    if found is not None and there is not None and os.path.samestat(found, there):
        raise both("Source and target are the same file", source, target)


def _status(place: Place) -> os.stat_result | None:
    try:
        with place.find() as fd:
            return os.fstat(fd)
    except OSError as error:
        if error.errno not in LEADS_NOWHERE:
            raise
        return None
