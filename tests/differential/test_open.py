"""Whatever the tree and the path: model, walker, openat2 and a chrooted process agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from differential.comparison import (
    ALL_FLAGS,
    FLAG_SETS,
    OWNERS,
    ROOT,
    USER,
    Comparison,
    questions_about,
)
from differential.laboratory import Question
from differential.profiles import times
from helpers.forms import one_in
from procpath.testing import (
    Directory,
    Fifo,
    File,
    Socket,
    Symlink,
    Tree,
    hostile_trees,
    in_root_paths,
)
from procpath.testing.model import Caller


@st.composite
def questions(draw: st.DrawFn, tree: Tree) -> list[Question]:
    """Questions about a few paths into the tree."""
    paths = draw(st.lists(in_root_paths(tree), min_size=3, max_size=12, unique=True))
    flag_set = draw(st.integers(0, FLAG_SETS - 1))
    return [question for path in paths for question in questions_about(path, flag_set)]


@pytest.mark.parametrize("caller", [ROOT, USER], ids=["root", "user"])
@times(3)
@given(data=st.data())
def test_a_path_opens_what_it_opens_in_a_chroot(
    comparison: Comparison, caller: Caller, data: st.DataObject
) -> None:
    tree = data.draw(hostile_trees(owners=OWNERS))
    comparison.with_chroot(tree, data.draw(questions(tree)), caller)


@pytest.mark.parametrize("caller", [ROOT, USER], ids=["root", "user"])
@times(1)
@given(data=st.data())
def test_mounts_and_nosymfollow_are_as_in_a_chroot(
    comparison: Comparison, caller: Caller, data: st.DataObject
) -> None:
    tree = data.draw(hostile_trees(owners=OWNERS, mounts=True))
    comparison.with_chroot(tree, data.draw(questions(tree)), caller)


@pytest.mark.parametrize(
    "options",
    [
        {"on_escape": "raise"},
        {"symlinks": False},
        {"cross_mounts": False},
        {"special_files": "refuse"},
        {
            "on_escape": "raise",
            "symlinks": False,
            "cross_mounts": False,
            "special_files": "refuse",
        },
    ],
    ids=["on_escape=raise", "symlinks=False", "cross_mounts=False", "special_files=refuse", "all"],
)
@times(1)
@given(data=st.data(), caller=st.sampled_from([ROOT, USER]))
def test_with_options_the_resolvers_do_what_the_model_says(
    comparison: Comparison, options: dict[str, Any], data: st.DataObject, caller: Caller
) -> None:
    tree = data.draw(hostile_trees(owners=OWNERS, mounts=not options.get("cross_mounts", True)))
    comparison.with_model(tree, data.draw(questions(tree)), caller, **options)


EVERY_KIND = Tree(
    {
        "/dir/file": File(),
        "/dir/to-parent": Symlink(".."),
        "/fifo": Fifo(),
        "/file": File(),
        "/socket": Socket(),
        "/closed": Directory(0o000),
        "/closed/file": File(),
        "/unreadable": File(mode=0o000),
        "/tmp": Directory(0o1777, 1000, 1000),
        "/tmp/mine": Symlink("/file", 1000, 1000),
        "/tmp/theirs": Symlink("/file", 1001, 1001),
        "/tmp/roots": Symlink("/file"),
        "/tmp/theirs.txt": File(None, 0o666, 1001, 1001),
        "/to-dir": Symlink("dir"),
        "/to-dir-slash": Symlink("dir/"),
        "/to-file": Symlink("/file"),
        "/to-file-slash": Symlink("/file/"),
        "/to-fifo": Symlink("fifo"),
        "/to-itself": Symlink("to-itself"),
        "/to-nothing": Symlink("dir/new"),
        "/to-nothing-slash": Symlink("dir/new/"),
        "/to-root": Symlink("/"),
        "/to-above": Symlink("../../../file"),
    }
)
ENDINGS = ("", "/", "//", "/.", "/./", "/..", "/../", "/new", "/new/", "/file", "/../file")


@pytest.mark.parametrize("caller", [ROOT, USER], ids=["root", "user"])
def test_every_set_of_flags_does_what_it_does_in_a_chroot(
    comparison: Comparison, caller: Caller
) -> None:
    paths = ["", *EVERY_KIND, "/missing", "/" + "n" * 255, "/" + "n" * 256]
    for path in one_in(5, paths):
        asked = [
            Question("open", ending if path == "/" else path + ending, flags)
            for ending in ENDINGS
            for flags in ALL_FLAGS
        ]
        comparison.with_chroot(EVERY_KIND, asked, caller)


@pytest.mark.parametrize("length", [4094, 4095, 4096])
@pytest.mark.parametrize("start", ["", "/to-root"])
def test_resolvers_have_no_limit_of_a_paths_length(
    comparison: Comparison, start: str, length: int
) -> None:
    filler = start + "/" * (length - len(start) - len("file")) + "file"
    asked = [*questions_about(filler, 0), *questions_about("./" * (length // 2) + "file", 1)]
    comparison.with_chroot(EVERY_KIND, asked, ROOT)


@pytest.mark.parametrize("links", [39, 40, 41])
@pytest.mark.parametrize("end", ["", "/", "/.", "/file"])
def test_forty_links_are_followed_and_no_more(comparison: Comparison, links: int, end: str) -> None:
    chain = {f"/{n}": Symlink(str(n + 1)) for n in range(1, links)}
    for target in ("/file", "/dir", "missing"):
        tree = Tree({**EVERY_KIND, **chain, f"/{links}": Symlink(target)})
        asked = [Question("open", "/1" + end, flags) for flags in ALL_FLAGS]
        comparison.with_chroot(tree, asked, ROOT)
