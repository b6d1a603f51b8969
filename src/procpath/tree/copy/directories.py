"""Copying everything in one directory to another, a new one or one with something in it.

Both trees are held from the start, and everything in them is reached by single names that
are not followed: links and directories that are swapped in meanwhile lead nowhere else. Any depth
takes a bounded number of descriptors and no recursion.

An entry that cannot be copied is reported, and the others are copied. One that vanishes meanwhile
is left out. In a directory that is merged with another, each new file or tree appears when it
is complete.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EBUSY, EEXIST, EINVAL, EISDIR, ELOOP, ENOTDIR, ENOTEMPTY, EXDEV
from typing import NamedTuple

from procpath.descriptors import closed_on_error, open_number
from procpath.errors import SpecialFileError, os_error
from procpath.linux import Descriptor, openat
from procpath.resolve.identity import mount_id
from procpath.resolve.reopen import reopen
from procpath.resolve.stack import DirectoryStack, MovedError
from procpath.resolve.walk import MAXSYMLINKS
from procpath.tree.copy.files import FileCopier, Original
from procpath.tree.copy.hardlinks import HardLinks
from procpath.tree.copy.plain import copy_plain
from procpath.tree.copy.report import IntoItselfError
from procpath.tree.copy.staging import (
    Staged,
    is_append_only,
    new_directory,
    replacing,
    require_spare_descriptors,
)
from procpath.tree.descent import list_names
from procpath.tree.removing import mount_of_entry
from procpath.uapi import FIND_DIRECTORY_NOFOLLOW, FIND_NOFOLLOW, LISTING

_MOST_BY_LINKS = 100
"""How often one directory is copied because a link leads to it. Directories with two links each
to the next one would be 2 ** n directories.
"""


class _Frame:
    """A directory that is being copied."""

    __slots__ = (
        "append_only",
        "by_link",
        "lost",
        "merged",
        "mount",
        "replaces_plain",
        "staged",
        "status",
        "todo",
    )

    def __init__(
        self,
        status: os.stat_result,
        todo: list[str],
        *,
        by_link: bool = False,
        merged: bool = False,
        staged: Staged | None = None,
    ) -> None:
        self.status = status
        """of the source, before it was read"""
        self.todo = sorted(todo, reverse=True)
        self.by_link = by_link
        """found by following a link"""
        self.merged = merged
        """the target was there before"""
        self.staged = staged
        """the target has a temporary name in a merged directory"""
        self.mount: int | None = None
        """of the target, once it is asked for"""
        self.append_only: bool | None = None
        """the target is, once it is asked for"""
        self.lost = False
        """the source was moved to where nothing leads from here"""
        self.replaces_plain: bool | None = None
        """in the target, once it is asked for"""


class _Entered(NamedTuple):
    """A directory to go on in."""

    frame: _Frame
    listing: Descriptor
    made: Descriptor


class TreeCopy:
    """One run over everything in a directory."""

    def __init__(self, files: FileCopier, out_of: DirectoryStack, into: DirectoryStack) -> None:
        self._files = files
        self._rules = files.rules
        self._names = files.names
        self._out_of = out_of
        self._into = into
        self._top = os.fstat(out_of.dirfd)
        self._made = os.fstat(into.dirfd)
        self._mount = None if files.rules.mounts == "cross" else mount_id(out_of.dirfd)
        self._plain_mount = self._mount
        root = files.source.root
        if root is not None and not root.options.cross_mounts:
            self._plain_mount = root.identity.mnt_id
        self._links = HardLinks(into.top)
        self._by_link: Counter[tuple[int, int]] = Counter()
        self._staged: tuple[str, Staged] | None = None
        """the path of the tree that has a temporary name, and the directory it is in"""
        self._above = ""
        """the path from the top of the target to what ``files`` names"""
        self._frames: list[_Frame] = []

    def copy_all(self, top: os.stat_result, *, merged: bool) -> None:
        """Copy everything in the top directory, of status ``top``, and finish its copy.

        ``merged``: the directory was there before.
        """
        with self._files.blame_source:
            todo = list_names(self._out_of.dirfd)
        self._frames.append(_Frame(top, todo, merged=merged))
        with self._cleaning_up():
            while self._frames:
                self._step()

    def copy_one(self, original: Original, name: str) -> None:
        """Copy one file or tree to ``name`` in the top directory of the target.

        A file of that name is replaced, and a directory is merged.
        """
        self._above = name
        self._frames.append(_Frame(self._top, [], merged=True))
        with self._cleaning_up():
            entered = self._copy_original(original, name)
            if entered is not None:
                self._go_into(entered)
            while len(self._frames) > 1:
                self._step()

    @contextmanager
    def _cleaning_up(self) -> Iterator[None]:
        """Remove the tree that has a temporary name when the copy ends with an error."""
        with self._links:
            try:
                yield
            except BaseException as error:
                if isinstance(error, OSError):
                    error.add_note(self._what_was_kept())
                # Its removal takes some of the descriptors.
                self._out_of.restart()
                self._into.restart()
                self._end_staged(error)
                raise

    def _what_was_kept(self) -> str:
        # copy_one() has a frame of the directory above.
        frames = self._frames[1:] if self._above else self._frames
        is_merged = bool(frames) and frames[0].merged
        kept = "what was copied before is kept" if is_merged else "nothing is kept"
        return f"while copying {self._files.source.below(self._names)!r}; {kept}"

    def _step(self) -> None:
        frame = self._frames[-1]
        todo = frame.todo
        if todo:
            self._copy_plain(frame)
        if not todo:
            self._leave()
            return
        name = todo.pop()
        self._names.append(name)
        entered = None
        try:
            entered = self._copy_entry(name)
        except OSError as error:
            self._files.errors.report(error)
        if entered is None:
            self._names.pop()
        else:
            self._go_into(entered)

    def _copy_plain(self, frame: _Frame) -> None:
        files, out_of, into = self._files, self._out_of.dirfd, self._into.dirfd
        device, mount, merged = frame.status.st_dev, self._plain_mount, None
        if frame.merged:
            try:
                if not self._replaces_plain(frame):
                    return
                merged = self._target_mount()
            except OSError:
                # Each file meets it again.
                return
        while frame.todo:
            try:
                copy_plain(files, out_of, into, frame.todo, device, mount, merged)
            except OSError as error:
                files.errors.report(error)
            else:
                return

    def _replaces_plain(self, frame: _Frame) -> bool:
        """Return whether :func:`copy_plain` replaces files in a merged directory."""
        if frame.replaces_plain is None:
            rules = self._rules
            frame.replaces_plain = (
                rules.preserve_metadata
                and not rules.keep_existing
                and not self._is_append_only()
                # Files of others there are subject to more rules (require_creatable).
                and not os.fstat(self._into.dirfd).st_mode & stat.S_ISVTX
            )
        return frame.replaces_plain

    def _go_into(self, entered: _Entered) -> None:
        frame, listing, made = entered
        self._frames.append(frame)
        self._out_of.enter(listing, by_link=frame.by_link)
        self._into.enter(made)

    def _copy_entry(self, name: str) -> _Entered | None:
        """Copy an entry, or what it leads to if links are followed. Return a directory to enter."""
        try:
            fd = open_number(self._out_of.dirfd, name, FIND_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._files.blame_source.name_in(error)
            raise
        try:
            return self._copy_held(fd, name)
        finally:
            os.close(fd)

    def _copy_held(self, fd: int, name: str) -> _Entered | None:
        files = self._files
        left_out = ""
        try:
            status = os.fstat(fd)
            is_link = stat.S_ISLNK(status.st_mode)
            followed = self._follow() if is_link and self._rules.follow_symlinks else None
            if followed is None:
                files.source.require_enterable(fd)
                left_out = self._mount_left_out(fd, status)
        except OSError as error:
            files.blame_source.name_in(error)
            raise
        if followed is not None:
            return self._copy_followed(followed, name)
        if left_out:
            files.leave_out(left_out)
        return self._copy_original(Original(fd, status, hollow=bool(left_out)), name)

    def _copy_followed(self, followed: Descriptor, name: str) -> _Entered | None:
        with followed as fd:
            status = os.fstat(fd)
            # On the device of the directory, which is held, it is on the same file system.
            if status.st_dev != self._frames[-1].status.st_dev:
                with self._files.blame_source:
                    self._files.source.require_copyable(fd, status)
            return self._copy_original(Original(fd, status, by_link=True), name)

    def _follow(self) -> Descriptor | None:
        source, dirfd = self._files.source, self._out_of.dirfd
        if self._rules.within:
            return source.follow_within(dirfd, self._names, self._top)
        return source.follow(dirfd, self._names)

    def _mount_left_out(self, fd: int, status: os.stat_result) -> str:
        """Return what kind of mount an entry is, if it is copied without its content, or ``""``."""
        if self._mount is not None and mount_id(fd) != self._mount:
            if self._rules.mounts == "refuse":
                raise OSError(EXDEV, "a mount point, and mounts are not to be crossed")
            return "mount points"
        if status.st_dev != self._frames[-1].status.st_dev:
            try:
                self._files.source.require_copyable(fd, status)
            except SpecialFileError:
                return "mount points of kernel file systems"
        return ""

    def _copy_original(self, original: Original, name: str) -> _Entered | None:
        if stat.S_ISDIR(original.status.st_mode):
            return self._enter(original, name)
        if self._files.is_left_out(original.status):
            self._files.leave_out("device nodes")
        elif self._frames[-1].merged:
            self._copy_into_merged(original, name)
        else:
            self._make(original, name)
        return None

    def _make(self, original: Original, name: str, replaced: int | None = None) -> None:
        """Make a copy in the directory of the target, or link an earlier one of the same file."""
        files, dirfd = self._files, self._into.dirfd
        if original.status.st_nlink == 1 or original.by_link or original.hollow:
            files.copy(original, dirfd, name, replaced)
            return
        with files.blame_target:
            linked = self._links.link(original, dirfd, name, self._on_disk, files.note_second_file)
        if linked:
            files.finish(original.status)
            return
        files.copy(original, dirfd, name, replaced)
        with files.blame_target:
            made = os.stat(name, dir_fd=dirfd, follow_symlinks=False)
        self._links.remember(original, self._path(), made)

    def _copy_into_merged(self, original: Original, name: str) -> None:
        files, dirfd = self._files, self._into.dirfd
        raw = os.fsencode(name)
        is_regular = stat.S_ISREG(original.status.st_mode)
        with files.blame_target:
            there = _status(dirfd, name)
            if there is not None:
                if self._rules.keep_existing:
                    return
                # replacing() looks at the rest of it.
                if not (is_regular and stat.S_ISREG(there.st_mode)):
                    self._require_replaceable(there, name)
        if there is None and not is_regular:
            # It is whole as soon as it exists.
            self._make(original, name)
        elif there is not None and is_regular and not stat.S_ISLNK(there.st_mode):
            self._replace_file(original, raw)
        else:
            with files.blame_target:
                staged = Staged(dirfd, raw, append_only=self._is_append_only())
            with staged:
                self._make(original, staged.name)
                with files.blame_target:
                    if there is None:
                        staged.publish()
                    else:
                        staged.replace()

    def _replace_file(self, original: Original, name: bytes) -> None:
        def require_other(replaced: os.stat_result) -> None:
            if os.path.samestat(replaced, original.status):
                source, target = self._files.source, self._files.target
                reason = "Source and target are the same file"
                path, copy = source.below(self._names), target.below(self._names)
                raise OSError(EINVAL, reason, path, None, copy)

        blame = self._files.blame_target
        append_only = self._is_append_only()
        with replacing(
            self._into.dirfd, name, blame, require_other, self._files.patience, append_only
        ) as staged:
            self._make(original, staged.name, staged.replaced)

    def _require_replaceable(self, there: os.stat_result, name: str) -> None:
        if stat.S_ISDIR(there.st_mode):
            raise os_error(EISDIR)
        if mount_of_entry(self._into.dirfd, name) != self._target_mount():
            # In another mount namespace Linux would detach the mount (rename(2)).
            raise OSError(EBUSY, "a mount point, which cannot be replaced")

    def _is_append_only(self) -> bool:
        frame = self._frames[-1]
        if frame.append_only is None:
            frame.append_only = is_append_only(self._into.dirfd)
        return frame.append_only

    def _target_mount(self) -> int:
        frame = self._frames[-1]
        if frame.mount is None:
            frame.mount = mount_id(self._into.dirfd)
        return frame.mount

    def _enter(self, directory: Original, name: str) -> _Entered | None:
        """Hold a directory and its copy. None if nothing is copied from it."""
        if directory.hollow:
            self._make_hollow(directory, name)
            return None
        with self._files.blame_source:
            self._require_no_loop(directory)
            listing = reopen(directory.fd, LISTING)
        with closed_on_error(listing) as fd:
            with self._files.blame_source:
                todo = list_names(fd)
            frame = _Frame(directory.status, todo, by_link=directory.by_link)
            with self._files.blame_target:
                made = self._open_target(frame, name)
        return _Entered(frame, listing, made)

    def _require_no_loop(self, directory: Original) -> None:
        status = directory.status
        if os.path.samestat(status, self._made):
            raise IntoItselfError
        if not directory.by_link:
            return
        key = (status.st_dev, status.st_ino)
        self._by_link[key] += 1
        if self._by_link[key] > _MOST_BY_LINKS:
            raise OSError(ELOOP, f"more than {_MOST_BY_LINKS} links lead to this directory")
        if sum(frame.by_link for frame in self._frames) >= MAXSYMLINKS or any(
            os.path.samestat(status, frame.status) for frame in self._frames
        ):
            raise os_error(ELOOP)

    def _open_target(self, frame: _Frame, name: str) -> Descriptor:
        """Hold the directory that becomes the copy: a new one, or the one that is there."""
        dirfd = self._into.dirfd
        if not self._frames[-1].merged:
            return self._new_directory(frame.status, dirfd, name)
        if _status(dirfd, name) is None:
            return self._new_staged(frame, name)
        try:
            found = openat(dirfd, name, FIND_DIRECTORY_NOFOLLOW)
        except OSError as error:
            if error.errno not in (ELOOP, ENOTDIR):
                raise
            raise OSError(EEXIST, "will not replace it with a directory") from None
        with closed_on_error(found) as fd:
            self._files.target.require_enterable(fd)
            self._files.target.require_changeable(fd)
            self._files.remove_leftovers(fd)
        frame.merged = True
        return found

    def _new_directory(self, status: os.stat_result, dirfd: int, name: str) -> Descriptor:
        made = new_directory(dirfd, name, self._files.new_mode(status) | stat.S_IRWXU)
        with closed_on_error(made):
            self._files.own_directory(made.value)
        return made

    def _new_staged(self, frame: _Frame, name: str) -> Descriptor:
        staged = Staged(self._into.dirfd, os.fsencode(name))
        require_spare_descriptors(staged.dirfd)
        self._staged = (self._path(), staged)
        try:
            made = self._new_directory(frame.status, staged.dirfd, staged.name)
            with closed_on_error(made) as fd:
                require_empty(fd)
                staged.made = os.fstat(fd)
                if self._files.target.root is None:
                    staged.lock()
        except OSError as error:
            self._end_staged(error)
            raise
        frame.staged = staged
        return made

    def _end_staged(self, error: BaseException | None) -> None:
        if self._staged is not None:
            _, staged = self._staged
            self._staged = None
            staged.end(error)

    def _on_disk(self, path: str) -> str:
        """Return the path that the copy at ``path`` has as long as its tree is unfinished."""
        if self._staged is None:
            return path
        top, staged = self._staged
        if path != top and not path.startswith(f"{top}/"):
            return path
        above, slash, _ = top.rpartition("/")
        return above + slash + staged.name + path[len(top) :]

    def _path(self) -> str:
        """Return the path of the entry from the top of the target."""
        return "/".join([self._above, *self._names] if self._above else self._names)

    def _make_hollow(self, directory: Original, name: str) -> None:
        """Make the mount point that is left out an empty directory."""
        files, dirfd = self._files, self._into.dirfd
        with files.blame_target:
            if self._frames[-1].merged and _status(dirfd, name) is not None:
                return
            with self._new_directory(directory.status, dirfd, name) as made:
                files.finish_hollow(directory, made)
        files.finish(directory.status)

    def _leave(self) -> None:
        files = self._files
        frame = self._frames.pop()
        try:
            with files.blame_target:
                if frame.lost and files.rules.preserve_metadata:
                    # Its ACL was lost with it: without that the mode could grant more.
                    pass
                elif not frame.merged or files.rules.finishes_merged:
                    source = -1 if frame.lost else self._out_of.dirfd
                    files.finish_directory(source, frame.status, self._into.dirfd)
                elif files.rules.durable:
                    files.sync_directory(self._into.dirfd)
        except OSError as error:
            files.errors.report(error)
        files.finish(frame.status)
        if not self._frames:
            return
        if not frame.lost:
            self._leave_source()
        with files.blame_target:
            self._into.leave().close()
        if frame.staged is not None:
            self._publish(frame.staged)
        if self._names:
            self._names.pop()

    def _leave_source(self) -> None:
        """Go up in the source. What is in a directory that was moved meanwhile is lost."""
        try:
            with self._files.blame_source:
                self._out_of.leave().close()
        except MovedError as error:
            # copy_one() has a frame more, and its directory has no name among these.
            names = [".", *self._names] if self._above else self._names
            self._out_of.leave_moved(names)
            for frame in self._frames[self._out_of.depth + 1 :]:
                frame.lost = True
                frame.todo.clear()
            self._files.errors.report(error)

    def _publish(self, staged: Staged) -> None:
        failed = None
        try:
            with self._files.blame_target:
                staged.publish()
        except OSError as error:
            failed = error
        self._end_staged(failed)
        if failed is not None:
            self._files.errors.report(failed)


def require_empty(dirfd: int) -> None:
    """Raise ``ENOTEMPTY`` if the new directory is not empty, and so another one in its place.

    What it is going to get, such as an owner, must not go to a directory with files in it.
    """
    with openat(dirfd, ".", LISTING) as listing:
        if os.listdir(listing):
            raise os_error(ENOTEMPTY)


def _status(dirfd: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dirfd, follow_symlinks=False)
    except FileNotFoundError:
        return None
