"""Operations on names: the kernel's own answers, at once, in time that grows with the path."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from helpers.support import chrooted_in_turn
from procpath import Root, RootedPath

Outcome = tuple[object, list[str]]


@pytest.fixture(params=["openat2", "walk"])
def top(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RootedPath]:
    with Root.at(tmp_path, resolver=request.param) as root:
        yield RootedPath.bind(root)("/")


def _grow(tree: Path) -> None:
    for name in ("d/in", "e", "full/x"):
        (tree / name).mkdir(parents=True)
    (tree / "f").write_text("f")
    (tree / "g").write_text("g")
    for name, text in {"to-d": "d", "to-f": "/f", "gone": "nowhere", "loop": "loop"}.items():
        (tree / name).symlink_to(text)


def _listed(top: Any) -> list[str]:
    """Every name of the tree, with what it is."""
    found = []
    for path in top.rglob("*"):
        kind = f"-> {path.readlink()}" if path.is_symlink() else "d" if path.is_dir() else "f"
        found.append(f"{path} {kind}")
    return sorted(found)


def _outcome(act: Callable[[], object], top: Any) -> Outcome:
    try:
        act()
        code: object = None
    except OSError as error:
        code = errno.errorcode[error.errno or 0]
    return code, _listed(top)


SOURCES = ["f", "d", "e", "to-d", "to-f", "gone", "no", "no/x", "f/x", "loop", "/", "d/.."]
TARGETS = ["new/", "e/", "full/", "g/", "to-d/", "gone/", "no/x/", "f/x/", "d/in/", "d/x/", "/"]
TARGETS += ["new", "new/.", "new//", "e//", "loop/", "x" * 256 + "/", "d/../"]


def _renamed_in_chroot(source: str, target: str) -> Outcome:
    return _outcome(lambda: os.rename(source, target), Path("/"))


@pytest.mark.parametrize("source", SOURCES)
def test_rename_hands_the_slash_to_the_kernel(source: str, tmp_path: Path) -> None:
    ours: dict[Path, Outcome] = {}
    theirs: dict[Path, Callable[[], Outcome]] = {}
    for number, target in enumerate(TARGETS):
        twins = [tmp_path / f"{number}-{twin}" for twin in ("ours", "theirs")]
        for twin in twins:
            twin.mkdir()
            _grow(twin)
        with Root.at(twins[0]) as root:
            path = RootedPath.bind(root)
            rename = path(source).rename
            ours[twins[1]] = _outcome(partial(rename, target), path("/"))
        theirs[twins[1]] = partial(_renamed_in_chroot, source, target)
    assert ours == chrooted_in_turn(theirs)


# mkdir(parents=True)

NEW = ["a/b/c", "a", "/a/b", "d/a/b", "to-d/a/b", "f/x/y", "gone/x/y", "loop/x", "no/../d/x/y"]
NEW += ["no/../no/../x", "a/../../b/c", "a/b/../../c/d", "d/in", "d/../e", "f", "to-d", "gone", "."]
NEW += ["/", "..", "x" * 256 + "/y", "a/" + "x" * 256 + "/y", "d/..", "a/..", "to-d/../a/b"]


def _made_in_chroot(name: str, exist_ok: bool) -> Outcome:
    return _outcome(lambda: Path(name).mkdir(0o710, True, exist_ok), Path("/"))


@pytest.mark.parametrize("name", NEW)
def test_mkdir_makes_the_parents_that_pathlib_makes(name: str, tmp_path: Path) -> None:
    ours: dict[Path, Outcome] = {}
    theirs: dict[Path, Callable[[], Outcome]] = {}
    for resolver in ("openat2", "walk"):
        for exist_ok in (True, False):
            twins = [tmp_path / f"{resolver}-{exist_ok}-{twin}" for twin in ("ours", "theirs")]
            for twin in twins:
                twin.mkdir()
                _grow(twin)
            with Root.at(twins[0], resolver=resolver) as root:  # type: ignore[arg-type]
                path = RootedPath.bind(root)
                make = partial(path(name).mkdir, 0o710, True, exist_ok)
                ours[twins[1]] = _outcome(make, path("/"))
            theirs[twins[1]] = partial(_made_in_chroot, name, exist_ok)
    assert ours == chrooted_in_turn(theirs)


def test_mkdir_makes_2000_parents_in_little_time(top: RootedPath) -> None:
    path = top.joinpath(*["n" * 20] * 2000)
    begin = time.process_time()
    path.mkdir(parents=True)
    assert time.process_time() - begin < 3
    assert path.is_dir()
    with pytest.raises(FileExistsError):
        path.mkdir(parents=True)
    path.mkdir(parents=True, exist_ok=True)


def test_mkdir_names_the_parent_that_failed(top: RootedPath) -> None:
    (top / "gone").symlink_to("nowhere")
    (top / "d").mkdir()
    for text, failed in {
        "gone/x/y": "/gone",
        "d/../gone/x": "/d/../gone",
        "d/" + "x" * 256 + "/y": "/d/" + "x" * 256 + "/y",
    }.items():
        with pytest.raises(OSError) as caught:
            (top / text).mkdir(parents=True)
        assert caught.value.filename == failed


def test_a_write_that_writes_nothing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system in user space may answer so for ever."""
    written = iter((3, 0))
    monkeypatch.setattr("procpath.reading.os.write", lambda fd, data: next(written))
    with pytest.raises(OSError) as caught:
        RootedPath(tmp_path, "file").write_bytes(b"content")
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, "/file")
