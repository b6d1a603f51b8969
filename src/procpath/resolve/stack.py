"""The directories from a top down to where the work is, the deepest ones held open.

A bounded number of descriptors serves any depth: a directory that was closed is opened again
as the ``..`` of the one below it, and has to be the one that it was.
"""

from __future__ import annotations

from collections import deque
from errno import ESTALE

from procpath.descriptors import Closing
from procpath.linux import Descriptor, openat
from procpath.resolve.identity import Birth, birth


class MovedError(OSError):
    """A directory above was moved, so that ``..`` no longer leads back to it (``ESTALE``)."""

    def __init__(self) -> None:
        super().__init__(ESTALE, "a directory above was moved by a concurrent change")


class _Level:
    """One directory on the way down."""

    __slots__ = ("birth", "by_link", "directory")

    def __init__(self, directory: Descriptor, by_link: bool) -> None:
        self.directory = directory
        self.by_link = by_link
        """reached through a link, so its ``..`` does not lead to the level above"""
        self.birth: Birth | None = None
        """of a directory that was closed"""


class DirectoryStack(Closing):
    """The way from the directory ``top`` to :attr:`dirfd`.

    Parameters: ``top``, which :meth:`restart` leaves open and the end of a ``with`` block
    closes; ``flags``, to open directories above again; ``most_held``, how many directories
    besides the top stay open.
    """

    __slots__ = ("_flags", "_levels", "_most_held", "_spare", "dirfd", "top")

    def __init__(self, top: Descriptor, flags: int, most_held: int) -> None:
        self.top: Descriptor = top
        self.dirfd: int = top.value
        """number of the directory at the end of the way; the stack closes it"""
        self._flags = flags
        self._most_held = most_held
        self._levels = [_Level(top, by_link=False)]
        # Which open levels may be closed, from above. Not the top, and not a level above one
        # that was reached through a link: no ".." leads back to it.
        self._spare: deque[int] = deque()

    def close(self) -> None:
        """Close every directory that is held."""
        self.restart()
        self.top.close()

    def restart(self) -> None:
        """Go to the top."""
        levels = self._levels
        while len(levels) > 1:
            levels.pop().directory.close()
        self._spare.clear()
        self.dirfd = self.top.value

    def enter(self, directory: Descriptor, *, by_link: bool = False) -> None:
        """Go down into ``directory``, which the stack closes; ``by_link`` if a link led there."""
        number = len(self._levels)
        spare = self._spare
        if by_link and spare and spare[-1] == number - 1:
            spare.pop()
        self._levels.append(_Level(directory, by_link))
        spare.append(number)
        self.dirfd = directory.value
        if len(spare) > self._most_held:
            level = self._levels[spare.popleft()]
            level.birth = birth(level.directory.value)
            level.directory.close()

    def leave(self) -> Descriptor:
        """Go up to the directory that :meth:`enter` came from; return the one left, still open.

        Raises :class:`MovedError` where ``..`` no longer leads there.
        """
        levels, spare = self._levels, self._spare
        number = len(levels) - 1
        left = levels[number]
        above = levels[number - 1]
        if above.birth is not None and not left.by_link:
            found = openat(left.directory.value, b"..", self._flags)
            if birth(found.value) != above.birth:
                found.close()
                raise MovedError
            above.directory, above.birth = found, None
        if spare and spare[-1] == number:
            spare.pop()
        if number > 1 and (not spare or spare[-1] < number - 1):
            spare.append(number - 1)
        levels.pop()
        self.dirfd = above.directory.value
        return left.directory

    @property
    def depth(self) -> int:
        """How many directories the way has besides the top."""
        return len(self._levels) - 1

    def leave_moved(self, names: list[str]) -> None:
        """Go up where :meth:`leave` raised, by the names of the directories instead of ``..``.

        ``names[0]`` is in the top. Goes further up if the directory above no longer has the name
        that led there.
        """
        levels = self._levels
        levels.pop().directory.close()
        closed = []
        while levels[-1].birth is not None:
            closed.append(levels.pop())
        self._spare = deque(number for number in self._spare if number <= self.depth)
        self.dirfd = levels[-1].directory.value
        while closed:
            level = closed.pop()
            # A link may lead elsewhere by now.
            if level.by_link or not self._enter_again(names[self.depth], level.birth):
                return

    def _enter_again(self, name: str, wanted: Birth | None) -> bool:
        """Go down into a directory if it still is the one of this birth."""
        try:
            found = openat(self.dirfd, name, self._flags)
        except OSError:
            return False
        if birth(found.value) != wanted:
            found.close()
            return False
        self.enter(found)
        return True
