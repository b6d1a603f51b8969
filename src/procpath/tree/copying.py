"""Copying between roots, and between a root and the host, as ``pathlib`` 3.14 copies.

Promises that a copy is seen under its final name only when it is whole: it is made under a
temporary one beside it and renamed, and removed if anything fails. Besides that it does
what ``pathlib.Path.copy`` does, with these differences:

* An existing file is replaced by the copy, with its mode, owner and attributes; pathlib
  writes into it. So its other hard links keep the old content, and a file that cannot be
  replaced, such as a mount point (``EBUSY``), cannot be copied to.
* Special files are neither read nor written. FIFOs and sockets are made anew, devices only
  with ``preserve_metadata``, where that is permitted; an existing one is no target.
* Files that are one file in the copied tree are one in the copy.
* Holes stay holes, and ``preserve_metadata`` keeps owners where that is permitted.
* Out of a root, links that lead out of the copied tree are copied as links.
* A link that leads to a directory that it lies in is ``ELOOP`` at once.

Rests on :mod:`procpath.tree.making` and :mod:`procpath.tree.staging`.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from procpath.resolve.interface import Parent
from procpath.tree.held import Closing, lies_within
from procpath.tree.making import Maker, OnProgress, Original, Rules, Tally
from procpath.tree.places import Place, RootedPlace, both
from procpath.tree.replacing import find_replaced, open_replaced, require_free
from procpath.tree.staging import Staged

__all__ = ["Choices", "OnProgress", "Tally", "copy"]


@dataclass(frozen=True, slots=True)
class Choices:
    """What the caller of a copy can choose."""

    follow_symlinks: bool = True
    """links are followed by the rules of the source, and otherwise copied as links"""
    preserve_metadata: bool = False
    """modes, times, extended attributes and, where permitted, owners are kept"""
    follow_outside: bool = False
    """on the way out of a root, links that lead out of the copied tree are followed too"""


def copy(
    source: Place, target: Place, choices: Choices, on_progress: OnProgress | None = None
) -> None:
    """Copy the file or tree at ``source`` to ``target``.

    Raises the operating system's error with the path that it is about, ``EINVAL`` for a copy
    into itself, :class:`SpecialFileError` for a special file that is not copied.
    """
    _require_distinct(source, target)
    with source.find() if choices.follow_symlinks else source.find_last() as fd:
        rules = Rules(
            choices.follow_symlinks,
            _leaves_root(source, target) and not choices.follow_outside,
            choices.preserve_metadata,
        )
        maker = Maker(source, target, rules, on_progress)
        original = Original(fd, os.fstat(fd))
        if stat.S_ISREG(original.status.st_mode):
            _copy_file(maker, original, source, target)
        else:
            _copy_other(maker, original, source, target)


def _copy_file(maker: Maker, original: Original, source: Place, target: Place) -> None:
    """Copy a regular file to where writing to the target would write."""
    with maker.blame_target:
        parent = target.open_parent_of_target()
    with parent.dirfd:
        replaced = _replaced(maker, parent, original, source, target)
        try:
            with Staged(parent.dirfd.value) as staged:
                maker.make(original, staged, replaced)
                with maker.blame_target:
                    staged.replace(parent.name)
        finally:
            if replaced is not None:
                os.close(replaced)


def _copy_other(maker: Maker, original: Original, source: Place, target: Place) -> None:
    """Copy a directory, link or special file to a name that is still free."""
    with maker.blame_target:
        parent = target.open_parent()
    with parent.dirfd:
        with maker.blame_target:
            require_free(parent)
        if stat.S_ISDIR(original.status.st_mode) and lies_within(
            parent.dirfd.value, original.status
        ):
            raise both("Source path is a parent of target path", source, target)
        with Staged(parent.dirfd.value) as staged:
            maker.make(original, staged)
            with maker.blame_target:
                staged.publish(parent.name)


def _require_distinct(source: Place, target: Place) -> None:
    """What pathlib asks of the two paths, by their words alone."""
    if not isinstance(source, RootedPlace) or not isinstance(target, RootedPlace):
        return
    if source.root != target.root:
        return
    if source.text == target.text:
        raise both("Source and target are the same path", source, target)
    if target.text.startswith(source.below([""])):
        raise both("Source path is a parent of target path", source, target)


def _leaves_root(source: Place, target: Place) -> bool:
    return isinstance(source, RootedPlace) and not (
        isinstance(target, RootedPlace) and target.root == source.root
    )


def _replaced(
    maker: Maker, parent: Parent, original: Original, source: Place, target: Place
) -> int | None:
    """The file that the copy is going to replace, opened as for writing into it."""
    with maker.blame_target:
        found = find_replaced(parent)
    if found is None:
        return None
    with Closing(found):
        if os.path.samestat(os.fstat(found), original.status):
            raise both("Source and target are the same file", source, target)
        with maker.blame_target:
            return open_replaced(found, parent.dirfd.value)
