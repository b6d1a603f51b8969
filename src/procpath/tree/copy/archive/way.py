"""The directories from the target of an archive down to where its members are made."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from errno import ENOTDIR, EXDEV

from procpath.descriptors import Closing, closed_on_error
from procpath.errors import os_error
from procpath.linux import Descriptor, dup, openat
from procpath.resolve.stack import DirectoryStack
from procpath.tree.places import RootedPlace
from procpath.tree.removing import MOST_HELD
from procpath.uapi import FIND_DIRECTORY_NOFOLLOW, FIND_NOFOLLOW


class Way(Closing):
    """The way from the directory ``top``, at ``place``, to the one that was used last.

    The next member is likely there or near, so the way to it begins with what is held. Paths are
    relative to the top; they have neither ``.`` nor ``..`` in them.
    """

    def __init__(
        self, place: RootedPlace, top: int, make: Callable[[int, bytes], Descriptor]
    ) -> None:
        """``make(dirfd, name)`` creates a directory of which the archive has said nothing yet."""
        self._place = place
        self._make = make
        self._top_status = os.fstat(top)
        self._stack = DirectoryStack(dup(top), FIND_DIRECTORY_NOFOLLOW, MOST_HELD)
        self._names: list[bytes] = []

    def close(self) -> None:
        """Close every directory that is held."""
        self._stack.close()

    def enter(self, path: bytes, *, create: bool = True) -> int:
        """Hold the directory at ``path``, and make what is missing on the way."""
        names = path.split(b"/") if path else []
        common = 0
        for here, wanted in zip(self._names, names, strict=False):
            if here != wanted:
                break
            common += 1
        try:
            while len(self._names) > common:
                self._stack.leave().close()
                self._names.pop()
        except OSError:
            # One of them was moved, or forbids "..". The way from the top needs none of that.
            self._stack.restart()
            self._names.clear()
        while len(self._names) < len(names):
            self._step(names[: len(self._names) + 1], create)
        return self._stack.dirfd

    def enter_made(self, name: bytes, directory: Descriptor) -> None:
        """Go on into a directory of the one that was entered last, and take it over."""
        self._stack.enter(directory)
        self._names.append(name)

    def require_directory(self, found: Descriptor) -> Descriptor:
        """Return ``found``, or close it and raise if nothing may be made in it."""
        with closed_on_error(found) as fd:
            mode = os.fstat(fd).st_mode
            if stat.S_ISLNK(mode):
                raise OSError(ENOTDIR, "a link, and a directory in the archive")
            if not stat.S_ISDIR(mode):
                raise os_error(ENOTDIR)
            self._place.require_enterable(fd)
            self._place.require_changeable(fd)
        return found

    def _step(self, names: list[bytes], create: bool) -> None:
        """Enter the last of ``names``, or where a link there leads."""
        dirfd = self._stack.dirfd
        try:
            found = openat(dirfd, names[-1], FIND_NOFOLLOW)
        except FileNotFoundError:
            if not create:
                raise
            found = self._make(dirfd, names[-1])
        with closed_on_error(found) as fd:
            is_link = stat.S_ISLNK(os.fstat(fd).st_mode)
        if is_link:
            found.close()
            text = os.fsdecode(b"/".join(names))
            within = self._place.follow_within(dirfd, [text], self._top_status)
            if within is None:
                raise OSError(EXDEV, "a link on the way leads out of the target, or nowhere")
            found = within
        self._stack.enter(self.require_directory(found), by_link=is_link)
        self._names.append(names[-1])
