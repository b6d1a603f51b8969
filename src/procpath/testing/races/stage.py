"""A tree among its canaries, for one run after the other, and what happens to the canaries."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from procpath import linux, uapi
from procpath.descriptors import Closing
from procpath.testing.races.moves import MOVED
from procpath.testing.surroundings import Surroundings, remove, surrounded
from procpath.testing.tree import Tree

_EVENTS = {
    uapi.IN_OPEN: "opened",
    uapi.IN_ACCESS: "read",
    uapi.IN_MODIFY: "written to",
    uapi.IN_ATTRIB: "changed",
    uapi.IN_CREATE: "created",
    uapi.IN_DELETE: "removed",
    uapi.IN_MOVED_FROM: "moved away",
    uapi.IN_MOVED_TO: "moved here",
}
_MASK = sum(_EVENTS)


class Stage(Closing):
    """A place for runs with the same tree.

    The tree is made again for each run, the canaries only after a run that did something to
    them: they are most of the work.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._made = ExitStack()
        self._place: Surroundings | None = None
        self._watch = _Watch()
        self.identities: set[tuple[int, int]] = set()
        """device and inode of everything outside"""

    def close(self) -> None:
        self.discard()
        self._watch.close()

    def set(self) -> Surroundings:
        """Return the place for a run, with a fresh tree."""
        if self._place is None:
            base = self._made.enter_context(_base_directory())
            self._place = self._made.enter_context(surrounded(self.tree, base))
            self.identities = _identities(self._place)
            self._watch.add(self._place)
        else:
            self._place.renew()
        self.seen()  # what was made here
        return self._place

    def discard(self) -> None:
        """Let everything be made again for the next run."""
        self._place = None
        self._made.close()

    def captured(self) -> Tree:
        """Return the tree as the last run has left it."""
        assert self._place is not None
        return Tree.capture(self._place.directory)

    def seen(self) -> list[str]:
        """Return what has happened to the canaries since the last call."""
        return self._watch.seen()

    def linked(self) -> list[str]:
        """Return which canaries have got another name: inotify(7) on directories misses that."""
        if self._place is None:
            return []
        names = []
        for directory in _directories(self._place):
            for entry in os.scandir(directory):
                status = entry.stat(follow_symlinks=False)
                # What was moved out of the tree is not a canary, and may have several names.
                is_canary = (status.st_dev, status.st_ino) in self.identities
                if is_canary and stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                    names.append(os.path.relpath(entry.path, self._place.base))
        return ["linked {outside}/" + name for name in names]


@contextmanager
def _base_directory() -> Iterator[Path]:
    # A file system in memory, unless one is asked for: directories are made by the thousand.
    in_memory = "TMPDIR" not in os.environ and os.access("/dev/shm", os.W_OK | os.X_OK)
    where = "/dev/shm" if in_memory else None
    base = Path(tempfile.mkdtemp(prefix="races-", dir=where)).resolve()
    try:
        yield base
    finally:
        remove(base)


class _Watch:
    """Sees what happens to the canaries, by inotify(7).

    One queue serves many runs: to close one takes the kernel ten milliseconds.
    """

    def __init__(self) -> None:
        self._queue = linux.inotify_init()
        self._inside = b""
        self._places: dict[int, str] = {}

    def close(self) -> None:
        self._queue.close()

    def add(self, place: Surroundings) -> None:
        """Watch the canaries of ``place``, and no others any more."""
        self._inside = os.fsencode(place.directory.name)
        self._places.clear()
        for directory in (str(place.base), *_directories(place)):
            number = linux.inotify_add_watch(self._queue.value, os.fsencode(directory), _MASK)
            self._places[number] = os.path.relpath(directory, place.base)

    def seen(self) -> list[str]:
        told = []
        for watch, mask, name in linux.inotify_read(self._queue.value):
            # What the tree's own directory and what was moved out get is not about canaries.
            if name == self._inside or name.startswith(os.fsencode(MOVED)):
                continue
            if mask & uapi.IN_Q_OVERFLOW:
                told.append("more happened to the canaries than inotify(7) can tell")
            place = self._places.get(watch)
            if place is None:
                continue  # of canaries that are gone
            where = os.path.normpath(os.path.join("{outside}", place, os.fsdecode(name)))
            told += [f"{what} {where}" for event, what in _EVENTS.items() if mask & event]
        return told


def _directories(place: Surroundings) -> list[str]:
    """Return every directory outside."""
    found = []
    for top in (place.host, place.base / "outside"):
        for directory, names, _ in os.walk(top):
            if directory == str(place.outside):
                names.remove(place.directory.name)
            found.append(directory)
    return found


def _identities(place: Surroundings) -> set[tuple[int, int]]:
    found = set()
    for directory in _directories(place):
        for name in (".", *os.listdir(directory)):
            path = os.path.join(directory, name)
            if path != str(place.directory):
                status = os.lstat(path)
                found.add((status.st_dev, status.st_ino))
    return found
