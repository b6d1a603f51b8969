"""Hostile links cost no more than honest ones: steps, time, memory and text are bounded."""

from __future__ import annotations

import os
import pathlib
import tracemalloc
from collections.abc import Callable
from errno import ELOOP
from typing import Literal

import pytest

from procpath import Root, RootedPath
from procpath.proc.own import SelfFd
from procpath.resolve import lenient, walk
from procpath.resolve.kernel import KernelResolver

resolvers = pytest.mark.parametrize("resolver", ["walk", "openat2"])
Resolver = Literal["walk", "openat2"]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The names that the lenient walk opens, from now on."""
    names: list[bytes] = []
    real = lenient.openat

    def openat(dirfd: int, name: bytes, flags: int) -> object:
        names.append(name)
        return real(dirfd, name, flags)

    monkeypatch.setattr(lenient, "openat", openat)
    return names


def make_deep(top: pathlib.Path, depth: int) -> int:
    """A chain of directories ``d``; an open descriptor of the last one."""
    fd = os.open(top, os.O_PATH)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_PATH, dir_fd=fd)
        os.close(fd)
        fd = below
    return fd


@resolvers
def test_resolve_ends_within_a_budget_of_steps(
    tmp_path: pathlib.Path, resolver: Resolver, opened: list[bytes]
) -> None:
    """Each of 2,040 repeats of a link that was followed before starts at the root again."""
    deep = make_deep(tmp_path, 500)
    os.symlink(".", "a", dir_fd=deep)
    for name in "xy":
        os.symlink("/".join(["a"] * 2040), name, dir_fd=deep)
    os.symlink("x/y/missing", "both", dir_fd=deep)
    os.close(deep)
    (tmp_path / "evil").symlink_to("d/" * 500 + "both")
    path = RootedPath(Root.at(tmp_path, resolver=resolver), "evil")
    with pytest.raises(OSError) as caught:
        path.resolve()
    assert (caught.value.errno, caught.value.filename) == (ELOOP, "/evil")
    assert len(opened) <= 40 * 2048 + 10


@resolvers
def test_a_long_path_without_links_has_steps_enough(
    tmp_path: pathlib.Path, resolver: Resolver
) -> None:
    path = RootedPath(Root.at(tmp_path, resolver=resolver), "../" * 100_000, "x/" * 100, "y")
    assert str(path.resolve()) == "/" + "x/" * 100 + "y"


def test_where_links_lie_is_not_kept_without_bound(tmp_path: pathlib.Path) -> None:
    """Hundreds of links deep below: each would be kept with the whole way to it."""
    name = "n" * 255
    fd = os.open(tmp_path, os.O_PATH)
    for level in range(150):
        if level % 15 == 0:
            os.symlink("/".join([name] * 15) + "/next", "next", dir_fd=fd)
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_PATH, dir_fd=fd)
        os.close(fd)
        fd = below
    links = 800
    for number in range(links):
        os.symlink(f"link{number + 1}", f"link{number}", dir_fd=fd)
    os.symlink("link0", "next", dir_fd=fd)
    os.close(fd)
    tracemalloc.start()
    try:
        with pytest.raises(OSError) as caught:
            RootedPath(tmp_path, "next").resolve()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.errno == ELOOP
    assert most < links * 150 * 256


def test_a_trace_is_no_longer_in_print_than_it_is(tmp_path: pathlib.Path) -> None:
    """One long directory must not make every line as long."""
    deep = make_deep(tmp_path, 1000)
    os.symlink("/" + "../" * 1300 + "nothing", "up", dir_fd=deep)
    os.close(deep)
    trace = RootedPath(tmp_path, "d/" * 1000 + "up").trace()
    kept = sum(len(step.directory) + len(step.name) for step in trace)
    assert len(trace) > 2300
    assert len(str(trace)) < kept + 200 * len(trace)
    short = RootedPath(tmp_path, "d/d/missing").trace()
    assert {line.index("  ") for line in str(short).splitlines()} <= {1, 2, 4}


def test_a_trace_says_nothing_to_a_terminal(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a\x1b[31m").mkdir()
    (tmp_path / "a\x1b[31m/b\r").symlink_to("\x1b]0;owned\x07x")
    trace = RootedPath(tmp_path, "a\x1b[31m/b\r").trace()
    assert [line for line in str(trace).splitlines() if not line.isprintable()] == []
    assert all(str(step).isprintable() for step in trace)
    assert r"follow 'b\r' -> '\x1b]0;owned\x07x'" in str(trace)


@pytest.mark.parametrize(
    "ask",
    [
        lambda path: path.exists(),
        lambda path: path.is_dir(),
        lambda path: list(path.glob("*/x")),
    ],
    ids=["exists", "is_dir", "glob"],
)
def test_a_loop_is_hardly_walked_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[RootedPath], object]
) -> None:
    for number in range(45):
        (tmp_path / f"l{number}").symlink_to("./" * 500 + f"l{number + 1}")
    path = RootedPath(Root.at(tmp_path, resolver="openat2"))
    steps: list[int] = []
    search = walk.require_search

    def require_search(dirfd: int) -> None:
        steps.append(dirfd)
        search(dirfd)

    monkeypatch.setattr(walk, "require_search", require_search)
    assert not ask(path / "l0")
    with pytest.raises(OSError) as caught:
        (path / "l0").stat()
    assert caught.value.errno == ELOOP
    assert len(steps) <= 3 * 2000


def test_a_name_found_in_two_threads_at_once_is_no_error(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another thread forgets of the root's name meanwhile."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    root = Root.at(tmp_path, resolver="openat2")
    assert isinstance(root.resolver, KernelResolver)
    resolver = root.resolver
    readlink = SelfFd.readlink_of_held

    def forgetting(self: SelfFd, fd: int) -> str:
        text = readlink(self, fd)
        resolver._root_name = None
        return text

    monkeypatch.setattr(SelfFd, "readlink_of_held", forgetting)
    assert str(RootedPath(root, "link").resolve()) == "/real"
