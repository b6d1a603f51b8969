"""Copying between roots, and between a root and the host, as ``pathlib`` 3.14 copies.

A copy appears under its final name when it is complete: it is made under a temporary name
beside it and renamed, and removed if the whole of it fails. It does what ``pathlib.Path.copy``
does, with these differences:

* An existing file is replaced by the copy, with its mode, owner and attributes; pathlib
  writes into it. So its other hard links keep the old content, and a file that cannot be
  replaced, such as a mount point (``EBUSY``), cannot be copied to.
* Nothing new has a mode wider than its source's.
* Special files are neither read nor written. FIFOs and sockets are created, devices only
  with ``preserve_metadata``, where that is permitted; an existing one cannot be the target.
* An entry of a tree that cannot be copied does not stop the others.
* Mounts of kernel file systems in a tree are left out. Out to the host so are devices, set-ID bits
  and file capabilities, unless asked for.
* Hard links within the copied tree are kept.
* Holes stay holes, and ``preserve_metadata`` keeps owners where that is permitted.
* Out of a root, links that lead out of the copied tree are copied as links.
* A link to a directory that it is in is ``ELOOP`` at once.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypedDict

from procpath.descriptors import closed_on_error
from procpath.errors import OnError, SpecialFileError
from procpath.linux import Descriptor, dup
from procpath.resolve.reopen import reopen
from procpath.resolve.stack import DirectoryStack
from procpath.tree.copy.directories import TreeCopy, require_empty
from procpath.tree.copy.files import FileCopier, Original, Rules
from procpath.tree.copy.owners import owners_between
from procpath.tree.copy.report import CopyProgress, Errors, OnProgress
from procpath.tree.copy.staging import (
    Staged,
    TargetLinks,
    creating,
    new_directory,
    parent_to_write,
    replacing,
    require_spare_descriptors,
)
from procpath.tree.places import Place, both, lies_within
from procpath.tree.removing import MOST_HELD
from procpath.uapi import FIND_DIRECTORY_NOFOLLOW, LISTING, LISTING_NOFOLLOW


class CopyOptions(TypedDict, total=False):
    """The keyword arguments of a copy that pathlib's does not have."""

    follow_outside: bool
    dirs_exist_ok: bool
    special: Literal["skip", "keep"]
    owners: Literal["mapped", "host"]
    cross_mounts: bool | Literal["skip"]
    durable: bool


class Manner(NamedTuple):
    """How a copy differs from pathlib's, where it is to be like cp(1)."""

    new_mode: int = 0o666
    """the bits of the source's mode that a new file gets without ``preserve_metadata``"""
    keep_existing: bool = False
    """leave files alone that exist"""


_LIKE_PATHLIB = Manner()


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller of a copy can choose."""

    follow_symlinks: bool = True
    """follow links by the rules of the source; otherwise copy them as links"""
    preserve_metadata: bool = False
    """keep modes, times, extended attributes and, where permitted, owners"""
    follow_outside: bool = False
    """on the way out of a root, also follow links that lead out of the copied tree"""
    dirs_exist_ok: bool = False
    """merge a directory with one that is there"""
    special: Literal["skip", "keep"] = "skip"
    """on the way out to the host, keep devices, set-ID bits and file capabilities, or leave them
    out
    """
    owners: Literal["mapped", "host"] = "mapped"
    """into another user namespace, the owners of the same IDs there, or of the same IDs here"""
    cross_mounts: bool | Literal["skip"] = True
    """copy what is mounted in the tree; False: ``EXDEV``; or only its mount point"""
    durable: bool = False
    """write each file to the disk before it gets its name"""

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if value not in allowed:
                expected = " or ".join(map(repr, allowed))
                raise ValueError(f"{name} must be {expected}, not {value!r}")


_ALLOWED: dict[str, tuple[object, ...]] = {
    "special": ("skip", "keep"),
    "owners": ("mapped", "host"),
    "cross_mounts": (True, False, "skip"),
}


def copy(
    source: Place,
    target: Place,
    choices: Choices,
    on_progress: OnProgress | None = None,
    on_error: OnError = None,
) -> None:
    """Copy the file or tree at ``source`` to ``target``.

    Raises the operating system's error with the path that it is about, ``EINVAL`` for a copy
    into itself, and :class:`SpecialFileError` for a special file that is not copied. Errors of
    single entries of a tree go to ``on_error``; without it the first one is raised in the end.
    """
    _require_distinct(source, target)
    roots = [place.root for place in (source, target) if place.root is not None]
    errors = Errors(on_error, *(root.note for root in roots))
    found = source.find() if choices.follow_symlinks else source.find_last()
    with found as fd:
        _copy_found(source, fd, target, choices, errors, on_progress)
    errors.raise_first()


def _copy_found(
    source: Place,
    found: int,
    target: Place,
    choices: Choices,
    errors: Errors,
    on_progress: OnProgress | None,
) -> None:
    """Copy what was ``found`` at ``source`` to ``target``, as :func:`copy` does."""
    files = file_copier(source, target, choices, errors, on_progress)
    status = os.fstat(found)
    with files.blame_source:
        source.require_copyable(found, status)
    original = Original(found, status)
    if stat.S_ISREG(status.st_mode):
        _copy_regular(files, original, choices)
        return
    if stat.S_ISDIR(status.st_mode) and choices.dirs_exist_ok:
        into = _find_directory(target, _target_links(source, target, choices))
        if into is not None:
            with into as dirfd:
                merge(files, original, dirfd)
            return
    _require_not_left_out(files, status)
    parent = target.open_parent()
    with parent.dirfd as dirfd:
        with creating(dirfd, parent.name, files.blame_target) as staged:
            if stat.S_ISDIR(status.st_mode):
                _require_outside(files, original, dirfd)
            copy_to(files, original, staged)
        sync_parent(files, dirfd)


def _copy_regular(files: FileCopier, original: Original, choices: Choices) -> None:
    source, target = files.source, files.target

    def require_other(replaced: os.stat_result) -> None:
        if os.path.samestat(replaced, original.status):
            raise both("Source and target are the same file", source, target)

    # To where writing to the target would write.
    parent = parent_to_write(target, _target_links(source, target, choices))
    with parent.dirfd as dirfd:
        with replacing(
            dirfd, parent.name, files.blame_target, require_other, files.patience
        ) as staged:
            files.copy(original, dirfd, staged.name, staged.replaced)
        sync_parent(files, dirfd)


def copy_over(files: FileCopier, original: Original, dirfd: int, name: str) -> None:
    """Copy a file or tree to ``name`` in a directory, as cp(1) does: over what has that name.

    A file is replaced by a file, and a directory is merged with a directory.
    """
    _require_not_left_out(files, original.status)
    if stat.S_ISDIR(original.status.st_mode):
        _require_outside(files, original, dirfd)
    with (
        DirectoryStack(dup(dirfd), FIND_DIRECTORY_NOFOLLOW, MOST_HELD) as into,
        DirectoryStack(dup(original.fd), LISTING_NOFOLLOW, MOST_HELD) as out_of,
    ):
        TreeCopy(files, out_of, into).copy_one(original, name)
    sync_parent(files, dirfd)


def merge(files: FileCopier, original: Original, dirfd: int) -> None:
    """Copy everything in a directory to the directory ``dirfd``."""
    _require_outside(files, original, dirfd)
    with DirectoryStack(dup(dirfd), FIND_DIRECTORY_NOFOLLOW, MOST_HELD) as into:
        _copy_all(files, original, into, merged=True)


def _require_not_left_out(files: FileCopier, status: os.stat_result) -> None:
    """Raise for a device that was named itself: it would be the only thing to copy."""
    if files.is_left_out(status):
        reason = 'a device is copied to the host only with special="keep"'
        raise SpecialFileError(files.source.text, reason)


def _require_outside(files: FileCopier, original: Original, dirfd: int) -> None:
    if lies_within(dirfd, original.status):
        raise both("Source path is a parent of target path", files.source, files.target)


def file_copier(
    source: Place,
    target: Place,
    choices: Choices,
    errors: Errors,
    on_progress: OnProgress | None,
    progress: CopyProgress | None = None,
    manner: Manner = _LIKE_PATHLIB,
) -> FileCopier:
    """Return what copies from ``source`` to ``target``, and goes on counting in ``progress``."""
    mounts: Literal["cross", "refuse", "skip"] = "skip"
    if choices.cross_mounts != "skip":
        mounts = "cross" if choices.cross_mounts else "refuse"
    rules = Rules(
        follow_symlinks=choices.follow_symlinks,
        within=_leaves_root(source, target) and not choices.follow_outside,
        preserve_metadata=choices.preserve_metadata,
        new_mode=manner.new_mode,
        mounts=mounts,
        without_privileges=choices.special == "skip" and _leads_out(source, target),
        owners=owners_between(source, target) if choices.owners == "mapped" else None,
        keep_existing=manner.keep_existing,
        durable=choices.durable,
    )
    return FileCopier(source, target, rules, errors, on_progress, progress)


def copy_to(files: FileCopier, original: Original, staged: Staged) -> None:
    """Make ``staged`` a copy of ``original``, with everything in it if it is a directory."""
    if not stat.S_ISDIR(original.status.st_mode):
        files.copy(original, staged.dirfd, staged.name)
        return
    with files.blame_target:
        require_spare_descriptors(staged.dirfd)
        mode = files.new_mode(original.status) | stat.S_IRWXU
        made = new_directory(staged.dirfd, staged.name, mode)
    with DirectoryStack(made, FIND_DIRECTORY_NOFOLLOW, MOST_HELD) as into:
        with files.blame_target:
            require_empty(into.dirfd)
            staged.made = os.fstat(into.dirfd)
            files.own_directory(into.dirfd)
            if files.target.root is None:
                staged.lock()
        _copy_all(files, original, into, merged=False)


def _copy_all(files: FileCopier, original: Original, into: DirectoryStack, *, merged: bool) -> None:
    with files.blame_source:
        listing = reopen(original.fd, LISTING)
    with DirectoryStack(listing, LISTING_NOFOLLOW, MOST_HELD) as out_of:
        TreeCopy(files, out_of, into).copy_all(original.status, merged=merged)


def sync_parent(files: FileCopier, dirfd: int) -> None:
    """Write the new name in ``dirfd`` to the disk, if the copy is to be durable."""
    if files.rules.durable:
        with files.blame_target:
            files.sync_directory(dirfd)


def _require_distinct(source: Place, target: Place) -> None:
    """Compare the words of the two paths, as pathlib does before it looks at either."""
    if source.root is None or target.root != source.root:
        return
    if source.text == target.text:
        raise both("Source and target are the same path", source, target)
    if target.text.startswith(source.below([""])):
        raise both("Source path is a parent of target path", source, target)


def _leaves_root(source: Place, target: Place) -> bool:
    return source.root is not None and target.root != source.root


def _leads_out(source: Place, target: Place) -> bool:
    """Return whether a copy goes out of a root to the host."""
    return source.root is not None and target.root is None


def _target_links(source: Place, target: Place, choices: Choices) -> TargetLinks:
    if choices.follow_symlinks:
        return TargetLinks.FOLLOWED
    # The root's owner may have chosen the link at the target, by a copy of a link before.
    return TargetLinks.REFUSED if _leads_out(source, target) else TargetLinks.TO_FILES


def _find_directory(target: Place, links: TargetLinks) -> Descriptor | None:
    """Hold the directory at ``target`` (``O_PATH``). None if there is none."""
    try:
        found = target.find_last() if links is TargetLinks.REFUSED else target.find()
    except FileNotFoundError:
        return None
    with closed_on_error(found) as fd:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            with target.blame:
                target.require_changeable(fd)
            return found
    found.close()
    return None
