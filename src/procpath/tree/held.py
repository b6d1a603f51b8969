"""The directories from the top of a tree down to where the work is, the nearest held open.

Promises a bounded number of descriptors however deep the tree is, and that going up
arrives in the directory that was come through, or fails: a directory that was let go is
reached again by ``..``, and has to be the one that it was. Rests on
:mod:`procpath.resolve.identity`.
"""

from __future__ import annotations

import os
from errno import ESTALE
from types import TracebackType
from typing import Self

from procpath.resolve.identity import Birth, birth, identity

_MOST_HELD = 8
"""How many directories besides the top stay open. Few, because a copy holds two such ways
and the process may be short of descriptors; going up by ``..`` costs some 10 us a level.
"""

_ABOVE = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Closing:
    """Closes a descriptor at the end of a ``with`` block."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> int:
        return self._fd

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._fd)


class _Level:
    """One directory on the way down."""

    __slots__ = ("birth", "by_link", "fd")

    def __init__(self, fd: int, by_link: bool) -> None:
        self.fd = fd
        """-1 once it was let go"""
        self.by_link = by_link
        """reached through a link, so its ``..`` does not lead to the level above"""
        self.birth: Birth | None = None
        """of a directory that was let go"""


class HeldDirectories:
    """The way from ``top``, an open directory that it takes over, to :attr:`dirfd`.

    ``access`` is how directories above are opened again: ``os.O_RDONLY`` or ``os.O_PATH``.
    """

    def __init__(self, top: int, access: int) -> None:
        self.top = top
        self._flags = access | _ABOVE
        self._levels = [_Level(top, by_link=False)]
        self._spare: list[int] = []
        """numbers of the open levels that may be let go, from above; never the top"""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._levels:
            fd = self._levels.pop().fd
            if fd >= 0:
                os.close(fd)

    @property
    def dirfd(self) -> int:
        """The directory at the end of the way; it stays ours."""
        return self._levels[-1].fd

    def enter(self, fd: int, *, by_link: bool = False) -> None:
        """Go down into ``fd``, which is taken over; ``by_link`` if a link has led there."""
        number = len(self._levels)
        self._levels.append(_Level(fd, by_link))
        if by_link and self._spare and self._spare[-1] == number - 1:
            self._spare.pop()
        self._spare.append(number)
        if len(self._spare) > _MOST_HELD:
            self._let_go(self._levels[self._spare.pop(0)])

    def leave(self) -> tuple[int, bool]:
        """Go up, or from the top away.

        Returns the directory left, still open and now the caller's, and whether a link had led
        there.

        ``ESTALE`` where the directory above was moved in the meantime.
        """
        number = len(self._levels) - 1
        left = self._levels[number]
        if number > 1 and not left.by_link and self._levels[number - 1].fd < 0:
            self._take_back(self._levels[number - 1], left.fd)
        if self._spare and self._spare[-1] == number:
            self._spare.pop()
        if number > 1 and (not self._spare or self._spare[-1] < number - 1):
            self._spare.append(number - 1)
        self._levels.pop()
        return left.fd, left.by_link

    def _let_go(self, level: _Level) -> None:
        level.birth = birth(level.fd)
        os.close(level.fd)
        level.fd = -1

    def _take_back(self, level: _Level, below: int) -> None:
        fd = os.open("..", self._flags, dir_fd=below)
        try:
            if birth(fd) != level.birth:
                raise OSError(ESTALE, "the directory above was moved meanwhile")
        except BaseException:
            os.close(fd)
            raise
        level.fd = fd


def lies_within(dirfd: int, top: os.stat_result) -> bool:
    """Whether the directory ``dirfd`` is ``top`` or lies below it, as ``..`` leads."""
    fd = os.dup(dirfd)
    try:
        here = identity(fd)
        while (here.dev, here.ino) != (top.st_dev, top.st_ino):
            above = os.open("..", _LOOK, dir_fd=fd)
            os.close(fd)
            fd = above
            before, here = here, identity(fd)
            if here == before:
                return False
        return True
    finally:
        os.close(fd)
