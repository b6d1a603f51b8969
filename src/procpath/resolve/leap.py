"""The walker in fewer steps: with openat2(2), through many components at a time.

Where a piece of the path has no link in it, openat2 goes through it as the walker would, one
directory after the other, in a fraction of the time. What it refuses is left to single steps:
the answers and the errors are the walker's.
"""

from __future__ import annotations

from procpath.errors import os_error, tells_of_path
from procpath.linux import Descriptor, open_how, openat, try_openat2
from procpath.resolve.identity import birth
from procpath.resolve.interface import Rules
from procpath.resolve.stack import MovedError
from procpath.resolve.walk import MOST_HELD, Observer, Walk, Walker
from procpath.uapi import (
    FIND_DIRECTORY_NOFOLLOW,
    PATH_MAX,
    RESOLVE_BENEATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
)

_FARTHEST = PATH_MAX // 2
"""How many components a path below ``PATH_MAX`` can have."""

_WORTH_A_LEAP = 8
"""For fewer components, single steps take no longer than a leap that fails."""


class _LeapingWalk(Walk):
    """A walk that leaps to the last component, and takes single steps where it cannot.

    The directories that it leaps over are not held. Where ``..`` leads to one of them, it goes
    the same way from the root again, with single steps at the end: twice as many each time, so
    they are no more than a few times those of the walker.
    """

    def __init__(self, root: Descriptor, rules: Rules, path: bytes) -> None:
        super().__init__(root, rules, path)
        self._reach = _FARTHEST
        """components to leap over; halved around one that stops a leap, until it is found"""
        self._singly = 0
        """components among which is one that stops a leap"""
        self._worth_a_leap = _WORTH_A_LEAP
        self._to_retrace = MOST_HELD
        """single steps when ``..`` leads to a directory that is not held, the next time"""

    def _leap(self) -> bool:
        if self._singly:
            self._singly -= 1
            return False
        # Not the last component.
        names = self._rest[-1 : max(-1 - self._reach, -len(self._rest)) : -1]
        if len(names) < self._worth_a_leap:
            return False
        way = _joined(names)
        names = way.split(b"/")
        # ".." in the root stays there or is an error, as the rules say.
        in_root = self._rules.clamp and not self._names
        directory = self._open_far(way, RESOLVE_IN_ROOT if in_root else RESOLVE_BENEATH)
        if directory.value >= 0:
            del self._rest[-len(names) :]
            self._arrive(directory, names)
        if directory.value < 0 or self._reach < _FARTHEST:
            self._reach = len(names) // 2
            if self._reach < self._worth_a_leap:
                self._reach, self._singly = _FARTHEST, 2 * self._worth_a_leap
        return True

    def _open_far(self, way: bytes, scope: int) -> Descriptor:
        resolve = scope | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
        if not self._rules.cross_mounts:
            resolve |= RESOLVE_NO_XDEV
        return try_openat2(self._stack.dirfd, way, open_how(FIND_DIRECTORY_NOFOLLOW, 0, resolve))

    def _arrive(self, directory: Descriptor, names: list[bytes]) -> None:
        """Stand in ``directory``, to which ``names`` have led through no link."""
        for name in names:
            if name != b"..":
                if name != b".":
                    self._names.append(name)
            elif self._names:
                self._names.pop()
        self._stack.restart()
        if self._names:
            self._stack.enter(directory, by_link=True)
        else:
            directory.close()

    def _go_up(self) -> None:
        if self._stack.depth == 1 < len(self._names):
            self._retrace()
        super()._go_up()

    def _retrace(self) -> None:
        """Go to the same directory from the root again, and hold those above it."""
        stack, names = self._stack, self._names
        arrived = birth(stack.dirfd)
        leapt = max(len(names) - self._to_retrace, 0)
        # A leap drops what is held now, so it has to save more than that has cost.
        self._worth_a_leap = self._to_retrace
        self._to_retrace *= 2
        stack.restart()
        done = 0
        while done < leapt:
            way = _joined(names[done : min(leapt, done + _FARTHEST)])
            directory = self._open_far(way, RESOLVE_BENEATH)
            if directory.value < 0:
                raise _moved_unless_told(os_error(-directory.value))
            done += way.count(b"/") + 1
            stack.restart()
            stack.enter(directory, by_link=True)
        for name in names[leapt:]:
            try:
                stack.enter(self._on_same_mount(openat(stack.dirfd, name, FIND_DIRECTORY_NOFOLLOW)))
            except OSError as error:
                raise _moved_unless_told(error) from None
        if birth(stack.dirfd) != arrived:
            raise MovedError


class LeapingWalker(Walker):
    """The walker of :class:`KernelResolver`, for what openat2 does not answer at once."""

    def _begin(self, path: bytes, observer: Observer | None) -> Walk:
        if observer is not None:
            # It is to see each step.
            return super()._begin(path, observer)
        return _LeapingWalk(self.root, self.rules, path)


def _joined(names: list[bytes]) -> bytes:
    """Return a path of the first of ``names``: as many as it can hold, and at least one."""
    way = b"/".join(names)
    if len(way) < PATH_MAX:
        return way
    end = way.rfind(b"/", 0, PATH_MAX)
    return way if end < 0 else way[:end]


def _moved_unless_told(error: OSError) -> OSError:
    """Return what to raise where a way that was gone before gives ``error``."""
    return MovedError() if tells_of_path(error) else error
