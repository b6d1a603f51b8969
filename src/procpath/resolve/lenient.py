"""Where a path would lead if what is missing on it were there: ``resolve(strict=False)``.

The answer is the one that ``os.path.realpath`` of current Python gives, as seen from inside
the root: what cannot be resolved stays as it is written. It walks as the walker does, over
held directories; past something missing it goes on with names alone, until as many ``..``
lead back.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from errno import EAGAIN, ELOOP
from typing import NamedTuple

from procpath.descriptors import closed_on_error
from procpath.errors import EscapeError, os_error, tells_of_path
from procpath.linux import Descriptor, openat
from procpath.resolve.identity import mount_id
from procpath.resolve.interface import Resolver, Rules
from procpath.resolve.links import read_followable
from procpath.resolve.stack import DirectoryStack, MovedError
from procpath.resolve.walk import MAXSYMLINKS, MOST_HELD, RESTARTS
from procpath.uapi import FIND_DIRECTORY_NOFOLLOW, FIND_NOFOLLOW

_LINKS_AT_MOST = 1000
"""How many different links a path may lead through; ``os.path.realpath`` has no limit."""

_MOST_STEPS = MAXSYMLINKS * 2048
"""How many components a path and its links may have: as many as 40 links of PATH_MAX hold."""


class _EndOfLink(NamedTuple):
    """Stands among the components where those of the link at ``location`` end."""

    location: bytes


class _Settled(NamedTuple):
    """Stands for a name that is not followed again: part of where a link led before."""

    name: bytes


def locate_leniently(resolver: Resolver, path: bytes) -> bytes:
    """Return the in-root path that ``path`` leads to as far as it exists, and what is left of it.

    Raises ``EscapeError`` where the rules do not clamp, ``ELOOP`` after too many links or steps.
    """
    try:
        for _ in range(RESTARTS):
            walk = _LenientWalk(resolver.root, resolver.rules)
            try:
                return walk.along(path)
            except MovedError:
                continue
            finally:
                walk.close()
        raise os_error(EAGAIN)
    except OSError as error:
        resolver.about(error, path)
        raise


class _LenientWalk:
    """One walk that goes on where nothing is."""

    def __init__(self, root: Descriptor, rules: Rules) -> None:
        self._rules = rules
        self._stack = DirectoryStack(root, FIND_DIRECTORY_NOFOLLOW, MOST_HELD)
        self._names: list[bytes] = []
        """of the directories from the root to where the walk stands"""
        self._words: list[bytes] = []
        """what follows the directory where the walk stands: something other than a directory"""
        self._todo: list[bytes | _EndOfLink | _Settled] = []
        self._inside: set[bytes] = set()
        """the links that are being followed; to meet one again is a loop"""
        self._ends: dict[bytes, bytes] = {}
        """where the links led that have been followed to their end"""
        self._steps = 0
        """how many more are taken"""
        self._mount = None if rules.cross_mounts else mount_id(root.value)

    def close(self) -> None:
        self._stack.restart()

    @property
    def _location(self) -> bytes:
        return b"/" + b"/".join([*self._names, *self._words])

    def along(self, path: bytes) -> bytes:
        """Walk along ``path`` and say where that ends."""
        self._todo += _components_reversed(path)
        self._steps = len(self._todo) + _MOST_STEPS
        while self._todo:
            component = self._todo.pop()
            self._steps -= 1
            if self._steps < 0:
                raise os_error(ELOOP)
            if isinstance(component, _EndOfLink):
                self._inside.discard(component.location)
                self._ends[component.location] = self._location
            elif isinstance(component, _Settled):
                self._enter_settled(component.name)
            elif component == b"..":
                self._go_up()
            elif self._words or not self._enter(component):
                self._words.append(component)
        return self._location

    def _go_up(self) -> None:
        if self._words:
            self._words.pop()
        elif self._names:
            self._stack.leave().close()
            self._names.pop()
        elif not self._rules.clamp:
            raise EscapeError

    def _enter(self, name: bytes) -> bool:
        """Go into a directory, or follow a link; False for anything else and where it fails."""
        try:
            found = openat(self._stack.dirfd, name, FIND_NOFOLLOW)
        except OSError as error:
            if tells_of_path(error):
                return False
            raise
        followed = False
        with closed_on_error(found) as fd:
            if self._mount is None or mount_id(fd) == self._mount:
                mode = os.fstat(fd).st_mode
                if stat.S_ISDIR(mode):
                    self._go_into(name, found)
                    return True
                if stat.S_ISLNK(mode):
                    followed = self._follow(name, fd)
        found.close()
        return followed

    def _follow(self, name: bytes, link: int) -> bool:
        """Put what the link leads to on what is to do; a loop stays as it is."""
        location = os.path.join(self._location, name)
        if location in self._inside or not self._rules.symlinks:
            return False
        if location in self._ends:
            # Or links that name one another twice would double the way each time.
            self._go_to_root()
            self._todo += map(_Settled, _components_reversed(self._ends[location]))
            return True
        try:
            text = read_followable(link)
        except OSError as error:
            if tells_of_path(error):
                return False
            raise
        if len(self._inside) + len(self._ends) == _LINKS_AT_MOST:
            raise os_error(ELOOP)
        # Where it lies is kept, and may be as long as the way there.
        self._steps -= len(location) >> 8
        self._inside.add(location)
        self._todo.append(_EndOfLink(location))
        self._todo += _components_reversed(text)
        if text.startswith(b"/"):
            self._go_to_root()
        return True

    def _enter_settled(self, name: bytes) -> None:
        if not self._words:
            try:
                found = openat(self._stack.dirfd, name, FIND_DIRECTORY_NOFOLLOW)
            except OSError as error:
                if not tells_of_path(error):
                    raise
            else:
                self._go_into(name, found)
                return
        self._words.append(name)

    def _go_into(self, name: bytes, directory: Descriptor) -> None:
        self._stack.enter(directory)
        self._names.append(name)

    def _go_to_root(self) -> None:
        self._stack.restart()
        self._names.clear()


def _components_reversed(path: bytes) -> Iterator[bytes]:
    return (part for part in reversed(path.split(b"/")) if part not in (b"", b"."))
