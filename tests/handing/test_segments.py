"""A host path never becomes part of a path in a root, nor the other way round, without a word."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from helpers.processes import living
from procpath import Root, RootedPath

HOST_PATHS: dict[str, Callable[[pathlib.Path], Any]] = {
    "an absolute pathlib.Path": lambda inside: inside,
    "a PinnedPath": lambda inside: RootedPath(inside, "f").pin(),
    "an os.DirEntry": lambda inside: list(os.scandir(inside))[0],  # noqa: RUF015
}
WAYS_IN: dict[str, Callable[[RootedPath, Any], object]] = {
    "RootedPath()": lambda p, host: RootedPath(p.root_handle, host),
    "bind()": lambda p, host: RootedPath.bind(p.root_handle)(host),
    "/": lambda p, host: p / host,
    "joinpath": lambda p, host: p.joinpath("a", host),
    "with_segments": lambda p, host: p.with_segments(host),
    "is_relative_to": lambda p, host: p.is_relative_to(host),
    "relative_to": lambda p, host: p.relative_to(host),
    "match": lambda p, host: p.match(host),
    "full_match": lambda p, host: p.full_match(host),
    "rename": lambda p, host: (p / "f").rename(host),
    "hardlink_to": lambda p, host: (p / "g").hardlink_to(host),
}


@pytest.fixture
def inside(tmp_path: pathlib.Path) -> pathlib.Path:
    """The host path of a root."""
    (tmp_path / "f").write_text("inside")
    return tmp_path


@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.parametrize("kind", HOST_PATHS)
def test_a_host_path_is_no_segment(way: str, kind: str, inside: pathlib.Path) -> None:
    host = HOST_PATHS[kind](inside)
    with pytest.raises(TypeError, match=r"is a host path[,;] .+"):
        WAYS_IN[way](RootedPath(inside), host)
    assert os.listdir(inside) == ["f"]


def test_relative_paths_of_pathlib_are_words(inside: pathlib.Path) -> None:
    p = RootedPath(inside, "etc")
    assert p / pathlib.Path("a/b") == RootedPath(p.root_handle, "etc/a/b")
    assert p / pathlib.PurePosixPath("/a") == RootedPath(p.root_handle, "a")
    assert pathlib.PurePosixPath("/a") / p.relative_to("/") == p.with_segments("/a/etc")


@pytest.mark.parametrize("host", [pathlib.Path("/out"), pathlib.Path("out")], ids=str)
def test_a_path_in_a_root_is_not_joined_to_the_host(
    host: pathlib.Path, inside: pathlib.Path
) -> None:
    """``(outdir / p.relative_to("/")).write_text(...)`` wrote inside the container."""
    words = RootedPath(inside, "etc/app.conf").relative_to("/")
    with pytest.raises(TypeError) as caught:
        host / words  # type: ignore[operator]
    # What it says to write instead is right.
    assert "host.joinpath(*rooted.relative_to('/').parts)" in str(caught.value)
    assert host.joinpath(*words.parts) == host / "etc/app.conf"


def test_a_pid_is_an_int(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with living() as pid:
        with pytest.raises(FileNotFoundError, match=f"give the PID as an int: {pid}"):
            RootedPath(str(pid))
        assert RootedPath(pid).is_dir()
    (tmp_path / "23309").mkdir()
    assert list(RootedPath("23309").iterdir()) == []


def test_options_are_given_with_what_makes_the_root(inside: pathlib.Path) -> None:
    with living() as pid:
        for root in (pid, inside, str(inside)):
            path = RootedPath(root, "f", on_escape="raise", symlinks=False)
            assert path == RootedPath(root, "f")
            options = path.root_handle.options
            assert (options.on_escape, options.symlinks) == ("raise", False)
            bound = RootedPath.bind(root, special_files="allow")
            assert bound("f").root_handle.options.special_files == "allow"


def test_options_beside_a_root_are_refused(inside: pathlib.Path) -> None:
    with Root.at(inside) as root:
        for make in (RootedPath, RootedPath.bind):
            with pytest.raises(TypeError, match="its own options: give symlinks to the call"):
                make(root, symlinks=False)
        with pytest.raises(TypeError, match="symlink"):
            RootedPath(inside, symlink=False)  # type: ignore[call-arg]


def test_copy_says_that_a_text_is_a_path_in_the_root(
    inside: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inside / "host/logs").mkdir(parents=True)
    monkeypatch.chdir(inside / "host")
    p = RootedPath(inside, "f")
    assert p.copy("g").read_text() == "inside"
    assert p.copy_into(pathlib.Path("logs")) == pathlib.Path("logs/f")
    for method in (RootedPath.copy, RootedPath.move):
        assert 'pathlib.Path("logs")' in str(method.__doc__)
