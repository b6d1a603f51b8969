"""Moving between roots, and between a root and the host, as ``pathlib`` 3.14 moves.

Promises a rename(2) wherever the kernel can, and otherwise a whole copy, published at once,
before anything of the source is removed; what is removed is what was copied. Rests on
:mod:`procpath.tree.making`, :mod:`procpath.tree.staging` and :mod:`procpath.tree.removing`.
"""

from __future__ import annotations

import os
import stat
from errno import EACCES, EBUSY, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV
from types import TracebackType
from typing import Self

from procpath.resolve.identity import mount_id
from procpath.tree.held import Closing, lies_within
from procpath.tree.making import Maker, OnProgress, Original, Rules
from procpath.tree.places import LOOK, Blame, Place, both
from procpath.tree.removing import mount_of_entry, remove_same
from procpath.tree.staging import Staged

_LEADS_NOWHERE = frozenset((EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR))


def move(source: Place, target: Place, on_progress: OnProgress | None = None) -> None:
    """Give what is at ``source`` the path ``target``; what can be replaced there is, as by
    rename(2).

    Neither end is followed if it is a link. Raises the operating system's error;
    ``EINVAL`` where both are one file; ``EBUSY`` for a mount point; ``EXDEV`` where the
    source has to be copied and there is a mount in it.
    """
    _require_different(source, target)
    with _Named(source) as old, _Named(target) as new:
        try:
            os.rename(old.name, new.name, src_dir_fd=old.dirfd, dst_dir_fd=new.dirfd)
        except OSError as error:
            if error.errno != EXDEV:
                error.filename, error.filename2 = source.text, target.text
                raise
            _copy_and_remove(old, new, on_progress)


class _Named:
    """The name at one end, in its held directory."""

    def __init__(self, place: Place) -> None:
        self.place = place
        with Blame(lambda: place.text):
            self.parent = place.open_parent()
        self.dirfd, self.name = self.parent.dirfd.value, self.parent.name

    def __enter__(self) -> Self:
        with Blame(lambda: self.place.text):
            self._require_no_mount()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.parent.dirfd.close()

    def _require_no_mount(self) -> None:
        """Linux refuses to rename mount points of our own mount namespace alone (rename(2))."""
        try:
            mount = mount_of_entry(self.dirfd, self.name)
        except FileNotFoundError:
            return
        if mount != mount_id(self.dirfd):
            raise OSError(EBUSY, "a mount point, which cannot be renamed or replaced")


def _copy_and_remove(old: _Named, new: _Named, on_progress: OnProgress | None) -> None:
    source, target = old.place, new.place
    with Blame(lambda: source.text):
        found = os.open(old.name, LOOK, dir_fd=old.dirfd)
    with Closing(found):
        original = Original(found, os.fstat(found))
        if stat.S_ISDIR(original.status.st_mode) and lies_within(new.dirfd, original.status):
            raise both("Source path is a parent of target path", source, target)
        rules = Rules(
            follow_symlinks=False,
            within=False,
            preserve_metadata=True,
            mount=mount_id(old.dirfd),
        )
        maker = Maker(source, target, rules, on_progress)
        with Staged(new.dirfd) as staged:
            maker.make(original, staged)
            with maker.blame_target:
                staged.replace(new.name)
        # While it is held, its inode number is not given to another file.
        remove_same(old.parent, original.status, source.below)


def _require_different(source: Place, target: Place) -> None:
    """What pathlib asks of the two files, links followed; rename(2) would do nothing."""
    found = _status(source)
    there = _status(target)
    if found is not None and there is not None and os.path.samestat(found, there):
        raise both("Source and target are the same file", source, target)


def _status(place: Place) -> os.stat_result | None:
    try:
        found = place.find()
    except OSError as error:
        if error.errno not in _LEADS_NOWHERE:
            raise
        return None
    with found as fd:
        return os.fstat(fd)
