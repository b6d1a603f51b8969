"""Walks and globs end, and what they keep does not grow with depth times entries."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from helpers.fuse import Names
from helpers.scenery import on_tmpfs
from helpers.support import private_mounts
from procpath import Root, RootedPath
from procpath.tree import matching

LONG = "d" * 50
LEVELS, ENTRIES = 70, 1500
"""A path of nearly PATH_MAX to each of the entries, 5 MB in all."""

Listing = Callable[[RootedPath], Iterable[object]]


def dig_with_entries(top: Path) -> str:
    """Make a deep tree with two directories in each level and many in the last; return that."""
    fd = os.open(top, os.O_PATH)
    for _ in range(LEVELS):
        for name in (LONG, "e"):
            os.mkdir(name, dir_fd=fd)
            os.mkdir(f"{name}/f", dir_fd=fd)
        below = os.open(LONG, os.O_PATH, dir_fd=fd)
        os.close(fd)
        fd = below
    for number in range(ENTRIES):
        os.mkdir(str(number), dir_fd=fd)
        os.mkdir(f"{number}/x", dir_fd=fd)
    os.close(fd)
    return "/".join([LONG] * LEVELS)


@pytest.mark.parametrize(
    "list_all",
    [
        lambda path: path.rglob("*"),
        lambda path: path.glob("**/"),
        lambda path: path.glob("**/x"),
        lambda path: path.walk(),
        lambda path: path.walk(top_down=False),
        lambda path: path.rglob("*", recurse_symlinks=True),
        lambda path: path.walk(follow_symlinks=True),
    ],
    ids=["rglob", "directories", "name", "walk", "bottom up", "followed", "walk followed"],
)
def test_a_deep_tree_takes_little_memory(list_all: Listing, tmp_path: Path) -> None:
    def inside(memory: Path) -> int:
        dig_with_entries(memory)
        listing = list_all(RootedPath(memory))
        tracemalloc.start()
        for _ in listing:
            pass
        return tracemalloc.get_traced_memory()[1]

    assert on_tmpfs(tmp_path, inside) < 3 << 20


def test_iterdir_of_a_deep_directory_takes_little(tmp_path: Path) -> None:
    def inside(memory: Path) -> int:
        directory = RootedPath(memory) / dig_with_entries(memory)
        tracemalloc.start()
        for _ in directory.iterdir():
            pass
        return tracemalloc.get_traced_memory()[1]

    assert on_tmpfs(tmp_path, inside) < 3 << 20


@pytest.fixture
def loops(tmp_path: Path) -> RootedPath:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "other/o").mkdir(parents=True)
    for link, text in {
        "here": ".",
        "again": ".",
        "d/up": "..",
        "d/e/over": "../../other",
        "other/back": "../d",
    }.items():
        (tmp_path / link).symlink_to(text)
    return RootedPath(tmp_path)


REACHED = {
    *("/", "/d", "/d/e", "/d/e/over", "/d/e/over/o"),
    *("/other", "/other/o", "/other/back", "/other/back/e"),
}
LOOPS = {
    *("/here", "/again", "/d/up", "/d/e/over/back"),
    *("/other/back/up", "/other/back/e/over"),
}


def test_a_glob_goes_on_below_no_directory_above(loops: RootedPath) -> None:
    found = [str(path) for path in loops.glob("**/", recurse_symlinks=True)]
    assert sorted(found) == sorted(REACHED | LOOPS)
    assert [str(path) for path in loops.glob("**/none", recurse_symlinks=True)] == []


def test_a_walk_goes_into_no_directory_above(loops: RootedPath) -> None:
    errors: list[OSError] = []
    walk = loops.walk(on_error=errors.append, follow_symlinks=True)
    assert sorted(str(path) for path, _, _ in walk) == sorted(REACHED)
    assert {str(error.filename) for error in errors} == LOOPS
    assert {error.errno for error in errors} == {errno.ELOOP}


@pytest.mark.parametrize("name", [b"\0x", b"/", b"a/b"])
def test_no_name_of_a_file_system_leads_elsewhere(name: bytes, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (tmp_path / "canary").mkdir()

    def inside() -> None:
        Names(mounted, [b"ok", name])
        path = RootedPath(tmp_path) / "mounted"
        for listing in (
            path.iterdir,
            lambda: path.glob("*"),
            lambda: path.rglob("*"),
            lambda: path.glob("*/*"),
            lambda: path.glob("**", recurse_symlinks=True),
            lambda: path.walk(on_error=_reraise),
            lambda: path.walk(on_error=_reraise, follow_symlinks=True),
            lambda: [path.copy(tmp_path / "copy")],
            lambda: [path.rmtree(cross_mounts=True)],
        ):
            with pytest.raises(OSError) as caught:
                list(listing())
            assert caught.value.errno == errno.EIO
        assert sorted(os.listdir(tmp_path)) == ["canary", "mounted"]

    private_mounts(inside)


def _reraise(error: OSError) -> None:
    raise error


FOLLOWING: dict[str, Listing] = {
    "walk": lambda path: path.walk(follow_symlinks=True),
    "glob": lambda path: path.glob("**/", recurse_symlinks=True),
}


@pytest.mark.parametrize("list_all", FOLLOWING.values(), ids=list(FOLLOWING))
def test_two_links_in_each_directory_to_the_next_end(list_all: Listing, tmp_path: Path) -> None:
    """They are 2 to the power of 30 paths."""
    for number in range(30):
        (tmp_path / str(number)).mkdir()
        for name in "ab":
            (tmp_path / str(number) / name).symlink_to(f"../{number + 1}")
    (tmp_path / "30").mkdir()
    count = sum(1 for _ in list_all(RootedPath(tmp_path, "0")))
    # Each of 100 visits has two links to the next.
    assert count <= 30 * 201


def test_a_walk_reports_the_directory_that_too_many_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    (tmp_path / "links").mkdir()
    for number in range(103):
        (tmp_path / f"links/{number}").symlink_to("../linked")
    errors: list[OSError] = []
    path = RootedPath(tmp_path, "links")
    walked = [str(each) for each, _, _ in path.walk(on_error=errors.append, follow_symlinks=True)]
    assert len(walked) == 1 + 100
    assert [error.errno for error in errors] == [errno.ELOOP] * 3
    assert {str(error.filename) for error in errors}.isdisjoint(walked)


@pytest.mark.parametrize("list_all", FOLLOWING.values(), ids=list(FOLLOWING))
def test_a_followed_tree_is_not_looked_up_from_the_root(list_all: Listing, tmp_path: Path) -> None:
    def inside(memory: Path) -> int:
        fd = os.open(memory, os.O_PATH)
        for _ in range(500):
            os.mkdir("d", dir_fd=fd)
            below = os.open("d", os.O_PATH, dir_fd=fd)
            os.close(fd)
            fd = below
        os.close(fd)
        asked: list[bytes] = []
        with Root.at(memory) as root:
            real = root.open_raw
            root.open_raw = lambda path, flags, mode: (asked.append(path), real(path, flags, mode))[
                1
            ]
            assert sum(1 for _ in list_all(RootedPath(root))) == 501
        return len(asked)

    assert on_tmpfs(tmp_path, inside) <= 2


def test_a_name_in_each_directory_is_not_looked_up_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where mounts are not crossed."""
    (tmp_path / "d/d/d/x/y").mkdir(parents=True)
    asked: list[object] = []
    monkeypatch.setattr(matching, "mode_of_last", lambda root, raw: asked.append(raw))
    with Root.at(tmp_path, cross_mounts=False) as root:
        found = [str(path) for path in RootedPath(root).rglob("x")]
        assert found == ["/d/d/d/x"]
        assert [str(path) for path in RootedPath(root).rglob("x/y")] == ["/d/d/d/x/y"]
    # What was found, once more.
    assert asked == [b"/d/d/d/x/y"]
