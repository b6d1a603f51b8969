"""A race that is planted in our own walker is found, and shrinks to one move."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import find

from procpath import Root, RootedPath
from procpath.resolve import walk
from procpath.testing import HOST, File, Symlink, Tree
from procpath.testing.races import Move, Replace, explore, schedules
from procpath.testing.races.exploration import play
from races.test_zoo import SEARCH

LOOKS_ONCE = "directory = openat(self._stack.dirfd, name, FIND_DIRECTORY_NOFOLLOW)"
LOOKS_TWICE = """if stat.S_ISLNK(os.lstat(name, dir_fd=self._stack.dirfd).st_mode):
                raise os_error(ELOOP)
            directory = openat(self._stack.dirfd, name, FIND_DIRECTORY_NOFOLLOW & ~os.O_NOFOLLOW)"""

TREE = Tree({"/a/f": File()})


@pytest.fixture
def _walker_looks_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(walk.__file__).read_text()
    assert source.count(LOOKS_ONCE) == 1
    mutated = ModuleType("mutated")
    exec(compile(source.replace(LOOKS_ONCE, LOOKS_TWICE), walk.__file__, "exec"), mutated.__dict__)
    monkeypatch.setattr("procpath.root.Walker", mutated.__dict__["Walker"])


def read(directory: Path) -> bytes | None:
    with Root.at(directory, resolver="walk") as root:
        try:
            return RootedPath(root, "a/f").read_bytes()
        except OSError:
            return None


@pytest.mark.usefixtures("_walker_looks_twice")
def test_a_walker_that_looks_twice_is_found() -> None:
    explored = explore(read, TREE)
    first = next(explored.failures)
    ((before, move),) = first.schedule
    assert move == Replace("/a", Symlink(HOST + "/a"))
    # Between the look and the open.
    assert [call.name for call in first.calls[before - 2 : before]] == ["newfstatat", "openat"]


@pytest.mark.usefixtures("_walker_looks_twice")
def test_a_race_in_the_walker_shrinks_to_one_move() -> None:
    def escapes(schedule: list[tuple[int, Move]]) -> bool:
        return bool(schedule) and play(read, TREE, schedule).escaped != ()

    ((_, move),) = find(schedules(TREE, calls=6), escapes, settings=SEARCH)
    assert move == Replace("/a", Symlink(HOST + "/a"))


def test_the_walker_as_it_is_passes() -> None:
    explored = explore(read, TREE)
    assert next(explored.failures, None) is None, str(explored)
