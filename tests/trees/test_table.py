"""Copies and moves end as those of pathlib 3.14 do, whatever the two ends are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from errno import EEXIST, EINVAL
from pathlib import Path
from typing import Any

import pytest

from helpers.tree_table import CASES, Case, Changes, build, changes, look
from procpath import Root, RootedPath

BY_NAME = {case.name: case for case in CASES}
COPIES = [case.name for case in CASES if "copy" in case.method]


class HostSource:
    """A host path with the methods that ``pathlib.Path`` has from 3.14 on: ``copy_from``, turned
    around.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __truediv__(self, name: str) -> HostSource:
        return HostSource(self._path / name)

    def copy(self, target: RootedPath, **choices: Any) -> RootedPath:
        return target.copy_from(self._path, **choices)

    def copy_into(self, target_dir: RootedPath, **choices: Any) -> RootedPath:
        return self.copy(target_dir / self._path.name, **choices)


class Outward:
    """A path in a root whose copies follow the links that lead out of the tree, as pathlib does."""

    def __init__(self, path: RootedPath) -> None:
        self._path = path

    def __truediv__(self, name: str) -> Outward:
        return Outward(self._path / name)

    def copy(self, target: Path, **choices: Any) -> Path:
        return self._path.copy(target, follow_outside=True, **choices)

    def copy_into(self, target_dir: Path, **choices: Any) -> Path:
        return self._path.copy_into(target_dir, follow_outside=True, **choices)

    def move(self, target: Path) -> Path:
        return self._path.move(target)

    def move_into(self, target_dir: Path) -> Path:
        return self._path.move_into(target_dir)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    build(tmp_path / "tree")
    return tmp_path / "tree"


PARTIAL = ("a tree with a dangling link", "a tree with a loop")
"""What pathlib gives up at an entry that has no copy: ours copies the rest, and then raises."""

MODES = {"file": "rw-r-----", "other content": "rw-------", "two": "r--------"}
"""Of the files of the tree that a copy could widen."""


def narrowed(ends: int | Changes, before: dict[str, Any], case: Case) -> int | Changes:
    """What pathlib makes, with no mode that is wider than the source's."""
    if isinstance(ends, int) or case.choices.get("preserve_metadata") or "move" in case.method:
        return ends
    made = dict(ends)
    for name, entry in made.items():
        if entry is None or name in before:
            continue
        mode, content = entry
        if mode == "-rw-r--r--" and content in MODES:
            made[name] = (f"-{MODES[content]}", content)
        elif mode == "drwxr-xr-x" and "/" not in name and case.source in ("dir", "dirlink"):
            made[name] = ("drwxr-x---", content)
    return made


def holds(case: Case, tree: Path, source: Any, target: Any, ends: int | Changes) -> bool:
    """Whether the case ends so with ``source`` and ``target``, two kinds of paths to ``tree``."""
    before = look(tree)
    assert outcome(case, tree, source, target, before) == narrowed(ends, before, case)
    return True


def outcome(
    case: Case, tree: Path, source: Any, target: Any, before: dict[str, Any]
) -> int | Changes:
    """How the case ends."""
    method: Callable[..., object] = getattr(source / case.source, case.method)
    try:
        method(target / case.target, **case.choices)
    except OSError as error:
        if case.name in PARTIAL:
            assert (tree / case.target).is_dir()
        else:
            assert look(tree) == before, "a failed operation leaves nothing"
        return error.errno or EINVAL
    return changes(before, look(tree))


@pytest.mark.usefixtures("no_leak")
@pytest.mark.parametrize("name", BY_NAME)
def test_within_a_root(name: str, tree: Path) -> None:
    case = BY_NAME[name]
    path = RootedPath(tree)
    assert holds(case, tree, path, path, case.ends)


def with_two_spellings(case: Case) -> int | Changes:
    """A path in a root and one of the host are never the same words, so words cannot tell."""
    return EEXIST if case.name.endswith("a tree over itself") else case.ends


@pytest.mark.usefixtures("no_leak")
@pytest.mark.parametrize("name", BY_NAME)
def test_out_of_a_root(name: str, tree: Path) -> None:
    case = BY_NAME[name]
    ends = case.ends if case.method == "move" else with_two_spellings(case)
    assert holds(case, tree, Outward(RootedPath(tree)), tree, ends)


@pytest.mark.usefixtures("no_leak")
@pytest.mark.parametrize("name", COPIES)
def test_into_a_root(name: str, tree: Path) -> None:
    case = BY_NAME[name]
    assert holds(case, tree, HostSource(tree), RootedPath(tree), with_two_spellings(case))


@pytest.mark.usefixtures("no_leak")
@pytest.mark.parametrize("name", BY_NAME)
def test_from_one_root_into_another(name: str, tree: Path) -> None:
    case = BY_NAME[name]
    ends = case.ends if case.method == "move" else with_two_spellings(case)
    # By the walker, so that both resolvers have a part in every case.
    with Root.at(tree, resolver="walk") as root, Root.at(tree.parent, resolver="walk") as above:
        source, target = Outward(RootedPath(root)), RootedPath(above, "tree")
        assert holds(case, tree, source, target, ends)


if sys.version_info >= (3, 14):

    @pytest.mark.parametrize("name", BY_NAME)
    def test_the_table_is_what_pathlib_does(name: str, tree: Path) -> None:
        case = BY_NAME[name]
        before = look(tree)
        ends: int | Changes
        try:
            getattr(tree / case.source, case.method)(tree / case.target, **case.choices)
        except OSError as error:
            ends = error.errno or EINVAL
        else:
            ends = changes(before, look(tree))
        assert ends == case.ends

    # Unless the target is a host path, pathlib moves by copying, so over nothing that is there.
    POSSIBLE = [
        case.name for case in CASES if case.name in COPIES or case.target in ("new", "empty/dir")
    ]

    @pytest.mark.usefixtures("no_leak")
    @pytest.mark.parametrize("name", POSSIBLE)
    def test_pathlib_itself_copies_and_moves_into_a_root(name: str, tree: Path) -> None:
        case = BY_NAME[name]
        assert holds(case, tree, tree, RootedPath(tree), with_two_spellings(case))
