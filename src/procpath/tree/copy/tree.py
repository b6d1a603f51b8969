"""Copying between roots, and between a root and the host, as ``pathlib`` 3.14 copies.

A copy appears under its final name when it is complete: it is made under a temporary name
beside it and renamed, and removed if anything fails. It does what ``pathlib.Path.copy`` does,
with these differences:

* An existing file is replaced by the copy, with its mode, owner and attributes; pathlib
  writes into it. So its other hard links keep the old content, and a file that cannot be
  replaced, such as a mount point (``EBUSY``), cannot be copied to.
* Special files are neither read nor written. FIFOs and sockets are created, devices only
  with ``preserve_metadata``, where that is permitted; an existing one cannot be the target.
* Hard links within the copied tree are kept.
* Holes stay holes, and ``preserve_metadata`` keeps owners where that is permitted.
* Out of a root, links that lead out of the copied tree are copied as links.
* A link to a directory that it is in is ``ELOOP`` at once.

Both trees are held from the start, and everything in them is reached by single names that
are not followed: links and directories that are swapped in meanwhile end the copy. Any depth
takes a bounded number of descriptors and no recursion.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from errno import EINVAL, ELOOP, EMLINK, ENOTEMPTY, EXDEV
from typing import NamedTuple

from procpath.errors import os_error
from procpath.linux import Descriptor, openat
from procpath.proc import VerifiedProc
from procpath.resolve.identity import mount_id
from procpath.resolve.reopen import reopen
from procpath.resolve.stack import DirectoryStack
from procpath.resolve.walk import MAXSYMLINKS
from procpath.root import Root
from procpath.tree.copy import metadata
from procpath.tree.copy.files import (
    FileCopier,
    OnProgress,
    Original,
    Rules,
    Tally,
    replaced_meanwhile,
)
from procpath.tree.copy.staging import (
    OURS_ALONE,
    Staged,
    TargetLinks,
    creating,
    new_directory,
    parent_to_write,
    replacing,
)
from procpath.tree.descent import list_names
from procpath.tree.places import HostPlace, Place, RootedPlace, both, lies_within
from procpath.tree.removing import MOST_HELD
from procpath.uapi import FIND_DIRECTORY_NOFOLLOW, FIND_NOFOLLOW, LISTING, LISTING_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller of a copy can choose."""

    follow_symlinks: bool = True
    """follow links by the rules of the source; otherwise copy them as links"""
    preserve_metadata: bool = False
    """keep modes, times, extended attributes and, where permitted, owners"""
    follow_outside: bool = False
    """on the way out of a root, also follow links that lead out of the copied tree"""
    target_links: TargetLinks | None = None
    """None: FOLLOWED with ``follow_symlinks``; without it, REFUSED out to the host"""


def copy(
    source: Place, target: Place, choices: Choices, on_progress: OnProgress | None = None
) -> None:
    """Copy the file or tree at ``source`` to ``target``.

    Raises the operating system's error with the path that it is about, ``EINVAL`` for a copy
    into itself, and :class:`SpecialFileError` for a special file that is not copied.
    """
    _require_distinct(source, target)
    found = source.find() if choices.follow_symlinks else source.find_last()
    with found as fd:
        copy_found(source, fd, target, choices, on_progress)


def copy_found(
    source: Place,
    found: int,
    target: Place,
    choices: Choices,
    on_progress: OnProgress | None = None,
    tally: Tally | None = None,
) -> None:
    """Copy what was ``found`` at ``source`` to ``target``, as :func:`copy` does."""
    files = file_copier(source, target, choices, on_progress, tally)
    status = os.fstat(found)
    with files.blame_source:
        source.require_copyable(found, status)
    original = Original(found, status)
    if stat.S_ISREG(status.st_mode):

        def require_other(replaced: os.stat_result) -> None:
            if os.path.samestat(replaced, status):
                raise both("Source and target are the same file", source, target)

        # To where writing to the target would write.
        parent = parent_to_write(target, _target_links(source, target, choices))
        with replacing(parent, files.blame_target, require_other) as staged:
            files.copy(original, staged.dirfd, staged.name, staged.replaced)
    else:
        with creating(target, files.blame_target) as staged:
            if stat.S_ISDIR(status.st_mode) and lies_within(staged.dirfd, status):
                raise both("Source path is a parent of target path", source, target)
            copy_to(files, original, staged)


def file_copier(
    source: Place,
    target: Place,
    choices: Choices,
    on_progress: OnProgress | None,
    tally: Tally | None = None,
) -> FileCopier:
    """Return what copies files of ``source`` to ``target``, and goes on counting in ``tally``."""
    rules = Rules(
        choices.follow_symlinks,
        _leaves_root(source, target) and not choices.follow_outside,
        choices.preserve_metadata,
    )
    return FileCopier(source, target, rules, on_progress, tally)


def _leaves_root(source: Place, target: Place) -> bool:
    return isinstance(source, RootedPlace) and not (
        isinstance(target, RootedPlace) and target.root == source.root
    )


def _target_links(source: Place, target: Place, choices: Choices) -> TargetLinks:
    if choices.target_links is not None:
        return choices.target_links
    if choices.follow_symlinks:
        return TargetLinks.FOLLOWED
    # The root's owner may have chosen the link at the target, by a copy of a link before.
    out = isinstance(source, RootedPlace) and isinstance(target, HostPlace)
    return TargetLinks.REFUSED if out else TargetLinks.TO_FILES


def copy_to(files: FileCopier, original: Original, staged: Staged) -> None:
    """Make ``staged`` a copy of ``original``, with everything in it if it is a directory."""
    if not stat.S_ISDIR(original.status.st_mode):
        files.copy(original, staged.dirfd, staged.name)
        return
    preserve = files.rules.preserve_metadata
    with files.blame_target:
        made = new_directory(staged.dirfd, staged.name, OURS_ALONE if preserve else 0o777)
    with DirectoryStack(made, FIND_DIRECTORY_NOFOLLOW, MOST_HELD) as into:
        if preserve:
            with files.blame_target:
                _require_empty(into.dirfd)
        staged.made = os.fstat(into.dirfd)
        with files.blame_source:
            listing = reopen(original.fd, LISTING)
        with DirectoryStack(listing, LISTING_NOFOLLOW, MOST_HELD) as out_of:
            _TreeCopy(files, original.status, out_of, into).run()


def _require_distinct(source: Place, target: Place) -> None:
    """Compare the words of the two paths, as pathlib does before it looks at either."""
    if not isinstance(source, RootedPlace) or not isinstance(target, RootedPlace):
        return
    if source.root != target.root:
        return
    if source.text == target.text:
        raise both("Source and target are the same path", source, target)
    if target.text.startswith(source.below([""])):
        raise both("Source path is a parent of target path", source, target)


class _Frame(NamedTuple):
    """A directory that is being copied."""

    status: os.stat_result
    """of the source, before it was read"""
    by_link: bool
    """found by following a link"""
    todo: list[str]


class _First(NamedTuple):
    """The first copy of a file with several names: where it is, and which file."""

    path: str
    """below the new top directory"""
    dev: int
    ino: int


class _TreeCopy:
    """The copying of everything in one directory."""

    def __init__(
        self,
        files: FileCopier,
        top: os.stat_result,
        out_of: DirectoryStack,
        into: DirectoryStack,
    ) -> None:
        self._files = files
        self._rules = files.rules
        self._names = files.names
        self._top = top
        self._made = os.fstat(into.dirfd)
        self._out_of = out_of
        self._into = into
        self._frames: list[_Frame] = []
        self._first: dict[tuple[int, int], _First] = {}
        self._made_root: Root | None = None

    def run(self) -> None:
        """Copy everything in the top directory, and finish that."""
        try:
            self._list(self._top, by_link=False)
            while self._frames:
                todo = self._frames[-1].todo
                if todo:
                    self._copy_entry(todo.pop())
                else:
                    self._leave()
        finally:
            if self._made_root is not None:
                self._made_root.close()

    def _list(self, status: os.stat_result, *, by_link: bool) -> None:
        with self._files.blame_source:
            todo = list_names(self._out_of.dirfd)
        self._frames.append(_Frame(status, by_link, todo))

    def _copy_entry(self, name: str) -> None:
        """Copy an entry, or what it leads to if links are followed; go into a directory."""
        self._names.append(name)
        blame = self._files.blame_source
        with blame:
            entry = openat(self._out_of.dirfd, name, FIND_NOFOLLOW)
        with entry as fd:
            with blame:
                status = os.fstat(fd)
                is_link = stat.S_ISLNK(status.st_mode)
                followed = self._follow() if is_link and self._rules.follow_symlinks else None
            if followed is not None:
                with followed as fd_of_target:
                    status = os.fstat(fd_of_target)
                    self._copy_original(Original(fd_of_target, status, by_link=True), name)
                return
            with blame:
                self._files.source.require_enterable(fd)
                if self._rules.mount is not None and mount_id(fd) != self._rules.mount:
                    raise OSError(EXDEV, "a mount point, which cannot be moved with the tree")
            self._copy_original(Original(fd, status), name)

    def _follow(self) -> Descriptor | None:
        source, dirfd = self._files.source, self._out_of.dirfd
        if self._rules.within:
            return source.follow_within(dirfd, self._names, self._top)
        return source.follow(dirfd, self._names)

    def _copy_original(self, original: Original, name: str) -> None:
        # On the device of the directory, which is held, it is on the same file system.
        if original.status.st_dev != self._frames[-1].status.st_dev:
            with self._files.blame_source:
                self._files.source.require_copyable(original.fd, original.status)
        if stat.S_ISDIR(original.status.st_mode):
            self._enter(original, name)
            return
        if original.status.st_nlink > 1 and not original.by_link:
            self._copy_hard_link(original, self._into.dirfd, name)
        else:
            self._files.copy(original, self._into.dirfd, name)
        self._names.pop()

    def _enter(self, directory: Original, name: str) -> None:
        files = self._files
        with files.blame_source:
            self._require_no_loop(directory)
            listing = reopen(directory.fd, LISTING)
        self._out_of.enter(listing, by_link=directory.by_link)
        with files.blame_target:
            mode = OURS_ALONE if self._rules.preserve_metadata else 0o777
            made = new_directory(self._into.dirfd, name, mode)
        self._into.enter(made)
        self._list(directory.status, by_link=directory.by_link)

    def _require_no_loop(self, directory: Original) -> None:
        if os.path.samestat(directory.status, self._made):
            raise OSError(EINVAL, "the target of the copy is in the copied tree")
        if directory.by_link and (
            sum(frame.by_link for frame in self._frames) >= MAXSYMLINKS
            or any(os.path.samestat(directory.status, frame.status) for frame in self._frames)
        ):
            raise os_error(ELOOP)

    def _leave(self) -> None:
        files = self._files
        status = self._frames.pop().status
        if self._rules.preserve_metadata:
            with files.blame_target, openat(self._into.dirfd, ".", LISTING) as target:
                metadata.preserve(self._out_of.dirfd, status, target)
        files.count()
        if not self._frames:
            return
        with files.blame_source:
            self._out_of.leave().close()
        with files.blame_target:
            self._into.leave().close()
        self._names.pop()

    def _copy_hard_link(self, original: Original, dirfd: int, name: str) -> None:
        """Copy a file with several names; link the first copy of it to the later names."""
        files = self._files
        key = (original.status.st_dev, original.status.st_ino)
        first = self._first.get(key)
        if first is not None:
            with files.blame_target:
                linked = self._link(first, dirfd, name)
            if linked:
                files.count()
                return
        files.copy(original, dirfd, name)
        with files.blame_target:
            status = os.stat(name, dir_fd=dirfd, follow_symlinks=False)
        self._first[key] = _First("/".join(self._names), status.st_dev, status.st_ino)

    def _link(self, first: _First, dirfd: int, name: str) -> bool:
        """Give ``first`` one more name. False if it cannot have any more (``EMLINK``)."""
        if self._made_root is None:
            self._made_root = Root.from_fd(self._into.top.value, symlinks=False)
        with self._made_root.find_last(os.fsencode(first.path)) as fd:
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) != (first.dev, first.ino):
                raise replaced_meanwhile()
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


def _require_empty(dirfd: int) -> None:
    """Raise ``ENOTEMPTY`` if the new directory is not empty, and so another one in its place.

    What it is going to get, such as an owner, must not go to a directory with files in it.
    """
    with openat(dirfd, ".", LISTING) as listing:
        if os.listdir(listing):
            raise os_error(ENOTEMPTY)
