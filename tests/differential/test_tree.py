"""Trees as values: written down, built, read back."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from differential.laboratory import Bench, Laboratory
from procpath import testing
from procpath.testing import (
    Directory,
    Fifo,
    File,
    MagicLink,
    Socket,
    Symlink,
    Tree,
    hostile_trees,
    in_root_paths,
    names,
    targets,
    trees,
)


def made_and_read_back(bench: Bench, tree: Tree) -> Tree:
    directory = bench.fresh_directory()
    tree.materialize(directory)
    return Tree.capture(directory, owners=True)


def as_made_by_root(tree: Tree) -> Tree:
    """The tree with everything said that the defaults leave open."""

    def said(path: str, **changes: Any) -> Any:
        node = tree[path]
        values = {name: getattr(node, name) for name in node.__dataclass_fields__}
        values |= {name: 0 for name in ("uid", "gid") if values[name] is None}
        if isinstance(node, File):
            values["content"] = tree.content(path)
        return type(node)(**values)

    return Tree({path: said(path) for path in tree})


@given(tree=hostile_trees(owners=[0, 1000], mounts=True))
def test_a_tree_read_back_is_the_tree_that_was_made(laboratory: Laboratory, tree: Tree) -> None:
    assert laboratory.do(made_and_read_back, tree) == as_made_by_root(tree)


@given(tree=hostile_trees(owners=[0, 1000], mounts=True))
def test_the_repr_is_the_expression_that_makes_it(tree: Tree) -> None:
    again = eval(repr(tree), vars(testing))
    assert again == tree
    assert hash(again) == hash(tree)


def test_the_repr_says_no_more_than_it_must() -> None:
    assert repr(Tree()) == "Tree({})"
    tree = Tree({"/a/b": File(mode=0o600), "/c": Symlink("a"), "/d": Directory()})
    assert repr(tree) == ("Tree({'/a/b': File(mode=0o600), '/c': Symlink('a'), '/d': Directory()})")


def test_directories_on_the_way_are_implied() -> None:
    tree = Tree({"/a/b/c": File()})
    assert list(tree) == ["/", "/a", "/a/b", "/a/b/c"]
    assert tree["/a"] == Directory()
    assert tree.children("/a") == ["/a/b"]


@pytest.mark.parametrize("path", ["", "a", "/a/", "//a", "/a/../b", "/.", "/a\0"])
def test_a_path_that_is_not_normal_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a normal in-root path"):
        Tree({path: File()})


@pytest.mark.parametrize("node", [File(), Symlink("x"), Fifo(), Socket(), MagicLink("x")])
def test_nothing_lies_in_what_is_no_directory(node: Any) -> None:
    with pytest.raises(ValueError, match="is not a directory"):
        Tree({"/a": node, "/a/b": File()})
    with pytest.raises(ValueError, match="root must be a directory"):
        Tree({"/": node})


def test_a_file_holds_its_own_path_unless_told_otherwise(tmp_path: Path) -> None:
    Tree({"/a/b": File(), "/c": File(b"said")}).materialize(tmp_path)
    assert (tmp_path / "a/b").read_bytes() == b"/a/b"
    assert (tmp_path / "c").read_bytes() == b"said"


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        Tree({"/": Directory(0o751), "/a": Directory(0o1777), "/f": File(mode=0o666)}).materialize(
            tmp_path
        )
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (".", "a", "f")]
    assert modes == [0o751, 0o1777, 0o666]


def test_magic_links_cannot_be_materialized(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only procfs has those"):
        Tree({"/exe": MagicLink("/bin/sh")}).materialize(tmp_path)
    assert list(tmp_path.iterdir()) == []


@given(name=names())
def test_names_are_names(name: str) -> None:
    raw = os.fsencode(name)
    assert 0 < len(raw) <= 255
    assert not {b"/", b"\0"} & {raw[i : i + 1] for i in range(len(raw))}
    assert raw not in (b".", b"..")


@given(target=targets())
def test_targets_can_be_the_text_of_a_symlink(target: str) -> None:
    assert 0 < len(os.fsencode(target)) < 4096
    assert "\0" not in target


@given(data=st.data())
def test_paths_have_no_null_byte(data: st.DataObject) -> None:
    tree = data.draw(trees())
    assert "\0" not in data.draw(in_root_paths(tree))
