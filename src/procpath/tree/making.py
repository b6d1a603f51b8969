"""Making a file or a whole tree the copy of another, under a new name in a held directory.

Promises that what is read and what is written is reached from the two held starts by
single names that are not followed, so links and directories that are swapped in meanwhile
end the copy and never turn it; that special files are never opened; and a bounded number of
descriptors for any depth, without recursion. Links are followed, where that is wanted, by
the rules of the source's own place. Rests on :mod:`procpath.tree.held`,
:mod:`procpath.tree.filedata` and :mod:`procpath.tree.metadata`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from errno import (
    EDQUOT,
    EFBIG,
    EINVAL,
    ELOOP,
    EMLINK,
    ENOSPC,
    ENOTEMPTY,
    EPERM,
    EROFS,
    ESTALE,
    EXDEV,
)
from typing import NamedTuple

from procpath.errors import SpecialFileError, os_error
from procpath.proc import VerifiedProc
from procpath.resolve.identity import mount_id
from procpath.resolve.reopen import reopen
from procpath.resolve.walk import MAXSYMLINKS
from procpath.root import Root
from procpath.tree import metadata
from procpath.tree.descent import LISTING
from procpath.tree.filedata import copy_data
from procpath.tree.held import Closing, HeldDirectories
from procpath.tree.places import LOOK, Blame, Place
from procpath.tree.staging import OURS_ALONE, NewFile, Staged, new_directory

_FAULT_OF_THE_TARGET = frozenset((ENOSPC, EDQUOT, EFBIG, EROFS))


@dataclass(slots=True)
class Tally:
    """How much has been copied so far."""

    entries: int = 0
    """files, directories, links"""
    bytes: int = 0


OnProgress = Callable[[Tally], object]


class Rules(NamedTuple):
    """What a copy keeps and where it goes."""

    follow_symlinks: bool
    within: bool
    """links that lead out of the copied tree are copied as links all the same"""
    preserve_metadata: bool
    mount: int | None = None
    """the ID of the only mount to copy from; None: mounts are crossed"""


class Original(NamedTuple):
    """What is to be copied, held by an ``O_PATH`` descriptor."""

    fd: int
    status: os.stat_result
    by_link: bool = False
    """a link in the tree led to it"""


class Maker:
    """Makes copies of what lies at ``source``; ``target`` is where they will be seen at last.

    Both are for the paths in errors, and ``source`` for following links.
    """

    def __init__(
        self, source: Place, target: Place, rules: Rules, on_progress: OnProgress | None
    ) -> None:
        self.source = source
        self.rules = rules
        self.names: list[str] = []
        """the way from the two ends to what is being copied"""
        self.blame_source = Blame(lambda: source.below(self.names))
        self.blame_target = Blame(lambda: target.below(self.names))
        self._target = target
        self._tally = Tally()
        self._on_progress = on_progress

    def make(self, original: Original, staged: Staged, replaced: int | None = None) -> None:
        """Make ``staged`` a copy of ``original``.

        ``replaced`` is an open file that a regular file takes mode and owner from.
        """
        if stat.S_ISDIR(original.status.st_mode):
            self._make_tree(original, staged)
            self.count()
        else:
            self.make_entry(original, staged.dirfd, staged.name, replaced)

    def make_entry(
        self, original: Original, dirfd: int, name: str, replaced: int | None = None
    ) -> None:
        """As :meth:`make`, in the directory ``dirfd``, of anything but a directory."""
        if stat.S_ISREG(original.status.st_mode):
            self._make_file(original, dirfd, name, replaced)
        else:
            self._make_unopened(original, dirfd, name)
        self.count()

    def count(self, data: int = 0) -> None:
        """Tell of so many bytes more, or of one entry more."""
        self._tally.bytes += data
        self._tally.entries += not data
        if self._on_progress is not None:
            self._on_progress(self._tally)

    def _make_tree(self, original: Original, staged: Staged) -> None:
        with self.blame_target:
            made = self.new_directory(staged.dirfd, staged.name)
        with HeldDirectories(made, os.O_PATH) as into:
            if self.rules.preserve_metadata:
                with self.blame_target:
                    _require_empty(made)
            staged.made = os.fstat(made)
            with self.blame_source:
                listing = reopen(original.fd, LISTING).detach()
            with HeldDirectories(listing, os.O_RDONLY) as out_of:
                _Tree(self, original, out_of, into).run()

    def new_directory(self, dirfd: int, name: str) -> int:
        """Make a directory, and return an ``O_PATH`` descriptor of it."""
        return new_directory(dirfd, name, OURS_ALONE if self.rules.preserve_metadata else 0o777)

    def _make_file(self, original: Original, dirfd: int, name: str, replaced: int | None) -> None:
        gets_its_mode_later = self.rules.preserve_metadata or replaced is not None
        with self.blame_source:
            source = reopen(original.fd, os.O_RDONLY).detach()
        mode = OURS_ALONE if gets_its_mode_later else 0o666
        with Closing(source), NewFile(dirfd, name, mode, self.blame_target) as target:
            self._fill(original, source, target, replaced)

    def _fill(self, original: Original, source: int, target: int, replaced: int | None) -> None:
        if replaced is not None and not self.rules.preserve_metadata:
            with self.blame_target:
                # Before the data: the kernel then takes away set-ID bits and capabilities as
                # it does when a file is written to.
                metadata.adopt(replaced, target)
        try:
            copy_data(source, target, self.count)
        except OSError as error:
            self._blame_data(error)
            raise
        if self.rules.preserve_metadata:
            with self.blame_target:
                metadata.preserve(source, original.status, target)

    def _blame_data(self, error: OSError) -> None:
        source, target = self.source.below(self.names), self._target.below(self.names)
        if error.errno in _FAULT_OF_THE_TARGET:
            error.filename = target
        else:
            error.filename, error.filename2 = source, target

    def _make_unopened(self, original: Original, dirfd: int, name: str) -> None:
        """Copy a link or special file."""
        status = original.status
        if stat.S_ISLNK(status.st_mode):
            with self.blame_source:
                text = os.readlink("", dir_fd=original.fd)
            with self.blame_target:
                os.symlink(text, name, dir_fd=dirfd)
        else:
            self._make_special(status, dirfd, name)
        if self.rules.preserve_metadata:
            with self.blame_target, Closing(os.open(name, LOOK, dir_fd=dirfd)) as made:
                if stat.S_IFMT(os.fstat(made).st_mode) != stat.S_IFMT(status.st_mode):
                    raise _swapped()
                metadata.preserve_unopened(original.fd, status, made)

    def _make_special(self, status: os.stat_result, dirfd: int, name: str) -> None:
        """Make a FIFO, socket or device of the same kind (mknod(2)); nothing is ever read."""
        is_device = stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
        if is_device and not self.rules.preserve_metadata:
            raise SpecialFileError(
                self.source.below(self.names),
                "a device is never read, and made anew only with preserve_metadata=True",
            )
        mode = OURS_ALONE if self.rules.preserve_metadata else 0o666
        try:
            os.mknod(name, stat.S_IFMT(status.st_mode) | mode, status.st_rdev, dir_fd=dirfd)
        except OSError as error:
            path = self._target.below(self.names)
            if is_device and error.errno == EPERM:
                raise SpecialFileError(path, "making a device takes CAP_MKNOD") from error
            error.filename = path
            raise


class _Frame(NamedTuple):
    """A directory that is being copied."""

    status: os.stat_result
    """of the source, before it was read"""
    todo: list[str]


class _Tree:
    """The copying of what is in a directory, and below."""

    def __init__(
        self,
        maker: Maker,
        top: Original,
        out_of: HeldDirectories,
        into: HeldDirectories,
    ) -> None:
        self._maker = maker
        self._rules = maker.rules
        self._names = maker.names
        self._top = top
        self._made = os.fstat(into.top)
        self._out_of = out_of
        self._into = into
        self._frames: list[_Frame] = []
        self._links_followed = 0
        """how many of the frames were come to by a link"""
        self._first: dict[tuple[int, int], _First] = {}
        """the first copy of each file that has several names"""
        self._made_root: Root | None = None

    def run(self) -> None:
        """Copy everything in the top directory, and finish that."""
        try:
            self._list(self._top)
            while self._frames:
                todo = self._frames[-1].todo
                if todo:
                    self._copy_entry(todo.pop())
                else:
                    self._leave()
        finally:
            if self._made_root is not None:
                self._made_root.close()

    def _list(self, directory: Original) -> None:
        with self._maker.blame_source:
            todo = os.listdir(self._out_of.dirfd)
        self._frames.append(_Frame(directory.status, todo))

    def _copy_entry(self, name: str) -> None:
        self._names.append(name)
        with self._maker.blame_source:
            original = self._look(name)
        with Closing(original.fd):
            if stat.S_ISDIR(original.status.st_mode):
                self._enter(original, name)
                return
            if original.status.st_nlink > 1 and not original.by_link:
                self._copy_one_of_several(original, name)
            else:
                self._maker.make_entry(original, self._into.dirfd, name)
        self._names.pop()

    def _look(self, name: str) -> Original:
        """Get hold of an entry, or of what it leads to where links are followed."""
        fd = os.open(name, LOOK, dir_fd=self._out_of.dirfd)
        try:
            status = os.fstat(fd)
            if stat.S_ISLNK(status.st_mode) and self._rules.follow_symlinks:
                found = self._follow()
                if found is not None:
                    os.close(fd)
                    fd = found
                    return Original(fd, os.fstat(fd), by_link=True)
            self._maker.source.require_enterable(fd)
            if self._rules.mount is not None and mount_id(fd) != self._rules.mount:
                raise OSError(EXDEV, "a mount point, which cannot be moved with the tree")
        except BaseException:
            os.close(fd)
            raise
        return Original(fd, status)

    def _follow(self) -> int | None:
        source, dirfd = self._maker.source, self._out_of.dirfd
        if self._rules.within:
            return source.follow_within(dirfd, self._names, self._top.status)
        return source.follow(dirfd, self._names)

    def _enter(self, directory: Original, name: str) -> None:
        maker = self._maker
        with maker.blame_source:
            self._require_no_loop(directory)
            listing = reopen(directory.fd, LISTING).detach()
        self._out_of.enter(listing, by_link=directory.by_link)
        with maker.blame_target:
            made = maker.new_directory(self._into.dirfd, name)
        self._into.enter(made)
        self._links_followed += directory.by_link
        self._list(directory)

    def _require_no_loop(self, directory: Original) -> None:
        if os.path.samestat(directory.status, self._made):
            raise OSError(EINVAL, "the target of the copy lies in the copied tree")
        if directory.by_link and (
            self._links_followed >= MAXSYMLINKS
            or any(os.path.samestat(directory.status, frame.status) for frame in self._frames)
        ):
            raise os_error(ELOOP)

    def _leave(self) -> None:
        status = self._frames.pop().status
        with self._maker.blame_source:
            read, by_link = self._out_of.leave()
        with Closing(read):
            with self._maker.blame_target:
                made = self._into.leave()[0]
            with Closing(made):
                if self._rules.preserve_metadata:
                    with self._maker.blame_target:
                        _finish_directory(read, status, made)
        self._links_followed -= by_link
        if self._frames:
            self._names.pop()
            self._maker.count()

    def _copy_one_of_several(self, original: Original, name: str) -> None:
        """Copy a file that has several names, so that the copies are one file too."""
        key = (original.status.st_dev, original.status.st_ino)
        first = self._first.get(key)
        dirfd = self._into.dirfd
        if first is not None:
            with self._maker.blame_target:
                linked = self._link(first, dirfd, name)
            if linked:
                self._maker.count()
                return
        self._maker.make_entry(original, dirfd, name)
        with self._maker.blame_target:
            status = os.stat(name, dir_fd=dirfd, follow_symlinks=False)
        self._first[key] = _First("/".join(self._names), status.st_dev, status.st_ino)

    def _link(self, first: _First, dirfd: int, name: str) -> bool:
        """Give ``first`` one more name; False where it can have no more (``EMLINK``)."""
        if self._made_root is None:
            self._made_root = Root.from_fd(self._into.top, symlinks=False)
        with self._made_root.find_last(os.fsencode(first.path)) as fd:
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) != (first.dev, first.ino):
                raise _swapped()
            self_fd = VerifiedProc.default().self_fd()
            try:
                os.link(
                    self_fd.entry(fd),
                    name,
                    src_dir_fd=self_fd.fileno(),
                    dst_dir_fd=dirfd,
                    follow_symlinks=True,
                )
            except OSError as error:
                if error.errno != EMLINK:
                    raise
                return False
        return True


class _First(NamedTuple):
    """The first copy of a file that has several names: where it is, and which it is."""

    path: str
    """below the directory that was made"""
    dev: int
    ino: int


def _finish_directory(source: int, status: os.stat_result, made: int) -> None:
    with Closing(os.open(".", LISTING, dir_fd=made)) as target:
        metadata.preserve(source, status, target)


def _require_empty(dirfd: int) -> None:
    """Make sure that the directory is the new one, and none that was put in its place.

    What it will be given, such as an owner, must not go to a directory with files in it.
    """
    with Closing(os.open(".", LISTING, dir_fd=dirfd)) as listing:
        if os.listdir(listing):
            raise os_error(ENOTEMPTY)


def _swapped() -> OSError:
    return OSError(ESTALE, "what was just made was replaced by something else")
