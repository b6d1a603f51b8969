"""Copying to where something may be already, as cp(1) and ``docker cp`` do.

A file is replaced by a file and a directory merged with a directory; neither replaces the other.
Both directories of a merge are held, and below them no link is followed, not even one that an
earlier copy has left there. What is new appears when it is complete.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EBUSY, EEXIST, ELOOP
from typing import Self

from procpath.descriptors import Closing
from procpath.resolve.identity import mount_id
from procpath.root import Root
from procpath.tree.copy.files import OnProgress, Original, Tally
from procpath.tree.copy.staging import Staged
from procpath.tree.copy.tree import Choices, copy_found, copy_to, file_copier
from procpath.tree.descent import list_names
from procpath.tree.places import Blame, Place, RootedPlace, both, lies_within
from procpath.tree.removing import mount_of_entry
from procpath.uapi import LISTING_NOFOLLOW


class MergedDirectory(Closing):
    """A directory as a root of its own, below which no link is followed."""

    def __init__(self, fd: int, place: Place) -> None:
        """``fd``, which was found at ``place``, stays the caller's."""
        self._root = Root.from_fd(
            fd,
            symlinks=False,
            cross_mounts=place.cross_mounts,
            special_files=place.special_files,
        )
        self._place = place

    @classmethod
    def at(cls, place: Place) -> Self:
        """Hold the directory that ``place`` names. Raises ``EEXIST`` if it is something else."""
        with place.find_last() as fd:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                raise OSError(EEXIST, "will not replace it with a directory", place.text)
            return cls(fd, place)

    def close(self) -> None:
        """Close the root."""
        self._root.close()

    def fileno(self) -> int:
        """Return the held descriptor."""
        return self._root.fileno()

    def entry(self, path: str) -> Place:
        """Return the place of a relative path in it."""
        return _Entry(self._root, self._place.below([path]), os.fsencode(f"/{path}"))

    def names_in(self, path: str) -> list[str]:
        """Return the names in the directory at a relative path, which is empty for itself."""
        raw = os.fsencode(f"/{path}")
        with (
            Blame(lambda: self._place.below([path] if path else [])),
            self._root.resolver.open(raw, LISTING_NOFOLLOW) as fd,
        ):
            return sorted(list_names(fd))


class _Entry(RootedPlace):
    """A place in a :class:`MergedDirectory`."""


class Merge:
    """Copies that go on after an error in a directory that they merge with another."""

    def __init__(
        self,
        choices: Choices,
        on_error: Callable[[OSError], object],
        on_progress: OnProgress | None = None,
    ) -> None:
        """``on_error`` gets what could not be copied; its filename says where that is."""
        self._choices = choices
        self._on_error = on_error
        self._on_progress = on_progress
        self._tally = Tally()

    def copy(self, source: Place, found: int, target: Place) -> None:
        """Copy what was ``found`` at ``source`` to ``target``, or merge the two directories."""
        if not self._copy(source, found, target):
            with MergedDirectory.at(target) as into:
                self.copy_contents(source, found, into)

    def copy_contents(self, source: Place, found: int, into: MergedDirectory) -> None:
        """Copy everything in the directory ``found`` at ``source`` into another one."""
        if lies_within(into.fileno(), os.fstat(found)):
            raise both("Source path is a parent of target path", source, into.entry("."))
        with MergedDirectory(found, source) as out_of:
            todo = [""]
            while todo:
                directory = todo.pop()
                with self._going_on(source.text):
                    for name in out_of.names_in(directory):
                        path = f"{directory}/{name}" if directory else name
                        if not self._copy_entry(out_of.entry(path), into.entry(path)):
                            todo.append(path)

    def _copy_entry(self, source: Place, target: Place) -> bool:
        """Copy one file or tree. False if both are directories."""
        with self._going_on(source.text), source.find_last() as found:
            if not self._copy(source, found, target):
                with MergedDirectory.at(target):
                    return False
        return True

    def _copy(self, source: Place, found: int, target: Place) -> bool:
        """Copy to where nothing is, or a file to replace. False for a directory otherwise."""
        try:
            copy_found(source, found, target, self._choices, self._on_progress, self._tally)
        except OSError as error:
            # ELOOP: an entry is a link, which is not followed.
            is_in_the_way = error.errno == EEXIST or (
                error.errno == ELOOP and isinstance(target, _Entry)
            )
            if not is_in_the_way:
                raise
            status = os.fstat(found)
            if stat.S_ISDIR(status.st_mode):
                return False
            self._replace(source, Original(found, status), target)
        return True

    def _replace(self, source: Place, original: Original, target: Place) -> None:
        """Put a copy in the place of a link, or the copy of a link in the place of anything.

        Raises ``EISDIR`` for a directory there, and ``EBUSY`` for a mount point.
        """
        files = file_copier(source, target, self._choices, self._on_progress, self._tally)
        parent = target.open_parent()
        with parent.dirfd as dirfd:
            with target.blame:
                if mount_of_entry(dirfd, parent.name) != mount_id(dirfd):
                    # In another mount namespace Linux would detach the mount (rename(2)).
                    raise OSError(EBUSY, "a mount point, which cannot be replaced")
            with Staged(parent) as staged:
                copy_to(files, original, staged)
                with target.blame:
                    staged.replace()

    @contextmanager
    def _going_on(self, where: str) -> Iterator[None]:
        """Report an ``OSError`` of the block, and go on after it."""
        try:
            yield
        except OSError as error:
            error.filename = error.filename or where
            self._on_error(error)
