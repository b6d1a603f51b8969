"""The directories from the top of a tree down to where the work is, the nearest held open.

Their number is bounded however deep the tree is. Going up returns to the directory that was
entered: one that was closed meanwhile is reached again by ``..``, and has to be the same.
"""

from __future__ import annotations

from errno import ESTALE
from types import TracebackType
from typing import Self

from procpath.linux import LISTING_NOFOLLOW, Descriptor, dup, openat
from procpath.resolve.identity import Birth, birth

_MOST_HELD = 8
"""How many directories besides the top stay open. Few, because a copy holds two such ways
and the process may be short of descriptors; going up by ``..`` costs some 10 us a level.
"""


class _Level:
    """One directory on the way down."""

    __slots__ = ("birth", "by_link", "fd")

    def __init__(self, fd: Descriptor, by_link: bool) -> None:
        self.fd = fd
        self.by_link = by_link
        """found by a link, so its ``..`` does not lead to the level above"""
        self.birth: Birth | None = None
        """of a directory that was closed"""


class HeldDirectories:
    """The way from ``top``, an open directory that it takes over, to :attr:`dirfd`.

    ``access`` is how directories above are opened again: ``os.O_RDONLY`` or ``os.O_PATH``.
    """

    def __init__(self, top: Descriptor, access: int) -> None:
        self.top = top
        self._flags = access | LISTING_NOFOLLOW
        self._levels = [_Level(top, by_link=False)]
        self._spare: list[int] = []
        """numbers of the open levels that may be closed, from above: not the top, and not a
        level under which the next one was found by a link"""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._levels:
            self._levels.pop().fd.close()

    @property
    def dirfd(self) -> int:
        """The directory at the end of the way."""
        return self._levels[-1].fd.value

    def enter(self, fd: Descriptor, *, by_link: bool = False) -> None:
        """Go down into ``fd``, which is taken over; ``by_link`` if it was found by a link."""
        number = len(self._levels)
        self._levels.append(_Level(fd, by_link))
        if by_link and self._spare and self._spare[-1] == number - 1:
            self._spare.pop()
        self._spare.append(number)
        if len(self._spare) > _MOST_HELD:
            level = self._levels[self._spare.pop(0)]
            level.birth = birth(level.fd.value)
            level.fd.close()

    def leave(self) -> tuple[Descriptor, bool]:
        """Go up, or away from the top.

        Returns the directory left, still open and now the caller's, and whether it was found by
        a link. Raises ``ESTALE`` if the directory above was moved in the meantime.
        """
        number = len(self._levels) - 1
        left = self._levels[number]
        if number > 1 and not left.by_link:
            above = self._levels[number - 1]
            if above.fd.value < 0:
                with openat(left.fd.value, "..", self._flags) as fd:
                    if birth(fd) != above.birth:
                        raise OSError(ESTALE, "the directory above was moved meanwhile")
                    above.fd = dup(fd)
        if self._spare and self._spare[-1] == number:
            self._spare.pop()
        if number > 1 and (not self._spare or self._spare[-1] < number - 1):
            self._spare.append(number - 1)
        self._levels.pop()
        return left.fd, left.by_link
