"""What users get: small counter-examples, registration, and the fixture."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import find, given, settings

from procpath.testing import (
    CANARY,
    HOST,
    Directory,
    File,
    MakeRootedTree,
    Symlink,
    Tree,
    hostile_trees,
    in_root_paths,
    model,
    trees,
)
from procpath.testing.hypothesis_plugin import register
from procpath.testing.pytest_plugin import rooted_tree

__all__ = ["rooted_tree"]

PROJECT = Path(__file__).parents[2]
# Not by the profile: what is looked for must be found.
SEARCH = settings(database=None, max_examples=2000)
SECONDS = 60

T = TypeVar("T")


def links(tree: Tree) -> list[str]:
    return [path for path, node in tree.items() if isinstance(node, Symlink)]


def within(seconds: float, condition: Callable[[T], object]) -> Callable[[T], bool]:
    """``condition`` while there is time, and then only what met it before.

    Hypothesis shrinks for up to five minutes, as long as it finds something smaller.
    """
    end = time.monotonic() + seconds
    met: set[str] = set()

    def holds(example: T) -> bool:
        if repr(example) in met:
            return True
        if (met and time.monotonic() > end) or not condition(example):
            return False
        met.add(repr(example))
        return True

    return holds


def leads_to(tree: Tree, path: str) -> str | None:
    try:
        return model.resolve(tree, path)
    except OSError:
        return None


@pytest.mark.parametrize(
    ("condition", "entries"),
    [
        (lambda tree: links(tree), 1),
        (lambda tree: any(leads_to(tree, path) == "/" for path in links(tree)), 1),
        (lambda tree: any(leads_to(tree, path) is None for path in links(tree)), 1),
        (lambda tree: any(isinstance(tree.get(leads_to(tree, p) or ""), File) for p in tree), 1),
    ],
    ids=["a link", "a link to the root", "a link to nothing", "a file"],
)
def test_a_counter_example_has_no_more_than_it_needs(
    condition: Callable[[Tree], object], entries: int
) -> None:
    smallest = find(
        trees(),
        within(SECONDS, condition),
        settings=SEARCH,
    )
    assert len(smallest) - 1 <= entries, smallest


def test_a_link_to_a_file_shrinks_to_a_line() -> None:
    def reads_through_a_link(tree: Tree) -> bool:
        return any(isinstance(tree.get(leads_to(tree, path) or ""), File) for path in links(tree))

    smallest = find(trees(), within(SECONDS, reads_through_a_link), settings=SEARCH)
    # On a busy machine Hypothesis stops shrinking before.
    assert len(repr(smallest)) < 120, smallest


def test_the_path_that_shows_a_hole_is_short() -> None:
    tree = Tree({"/a": Directory(), "/b": Symlink("/a")})
    path = find(
        in_root_paths(tree),
        within(SECONDS, lambda path: leads_to(tree, path) == "/a"),
        settings=SEARCH,
    )
    assert path == "/a"


@pytest.mark.slow
def test_hostile_trees_have_each_shape() -> None:
    chosen = SEARCH
    for shows in (
        lambda tree: any("../.." in tree[path].target for path in links(tree)),
        lambda tree: any(tree[path].target.endswith("/") for path in links(tree)),
        lambda tree: len(links(tree)) >= 39,
        lambda tree: any(
            isinstance(node, Directory) and node.mode == 0o1777 for node in tree.values()
        ),
    ):
        find(hostile_trees(owners=[0, 1000]), within(SECONDS, shows), settings=chosen)


def test_from_type_gives_trees() -> None:
    register()

    @settings(max_examples=5)
    @given(tree=...)
    def takes_a_tree(tree: Tree) -> None:
        assert isinstance(tree, Tree)

    takes_a_tree()


def test_the_entry_points_of_the_distribution_lead_here() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]
    (hypothesis_hook,) = points["hypothesis"].values()
    module, _, function = hypothesis_hook.partition(":")
    assert getattr(import_module(module), function) is register
    (plugin,) = points["pytest11"].values()
    assert import_module(plugin).rooted_tree is rooted_tree


@given(tree=hostile_trees())
@settings(max_examples=25)
def test_rooted_tree_holds_the_tree_and_nothing_of_the_canary(
    rooted_tree: MakeRootedTree, tree: Tree
) -> None:
    with rooted_tree(tree) as made:
        held = Tree.capture(made.directory)
        assert set(held) == set(tree)
        assert not any(isinstance(n, File) and n.content == made.canary for n in held.values())
        for path, node in tree.items():
            if isinstance(node, File):
                assert (made.root / path).read_bytes() == tree.content(path)
    assert not made.directory.exists()


def test_one_step_too_far_up_reads_the_canary(rooted_tree: MakeRootedTree) -> None:
    tree = Tree({"/a": File(), "/up": Symlink("../a"), "/upper": Symlink("../../../a")})
    with rooted_tree(tree) as made:
        assert (made.directory / "up").read_bytes() == CANARY
        assert (made.directory / "upper").read_bytes() == CANARY
        assert (made.root / "up").read_bytes() == b"/a"
        assert (made.root / "upper").read_bytes() == b"/a"


def test_a_link_to_the_host_reads_the_canary(rooted_tree: MakeRootedTree) -> None:
    tree = Tree({"/a": File(), "/out": Symlink(HOST + "/a"), "/hop": Symlink("out")})
    with rooted_tree(tree) as made:
        assert (made.directory / "hop").read_bytes() == CANARY
        assert made.expected("/a") == b"/a"
        with pytest.raises(FileNotFoundError):
            made.expected("/hop")
        with pytest.raises(FileNotFoundError):
            (made.root / "hop").read_bytes()


def test_a_deadline_is_lifted_unless_there_are_settings(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import time
        from hypothesis import given, settings
        from procpath.testing import trees

        @given(tree=trees())
        def test_without(rooted_tree, tree):
            pass

        @given(tree=trees())
        @settings(deadline=77)
        def test_with(rooted_tree, tree):
            pass

        def test_deadlines():
            assert test_without._hypothesis_internal_use_settings.deadline is None
            assert test_with._hypothesis_internal_use_settings.deadline.microseconds == 77_000
        """
    )
    pytester.makeconftest(
        "from procpath.testing.pytest_plugin import pytest_itemcollected, rooted_tree"
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=3)


def test_rooted_tree_makes_no_mounts(rooted_tree: MakeRootedTree) -> None:
    with pytest.raises(ValueError, match="mount namespace"):
        with rooted_tree(Tree({"/a": Directory(mount=True)})):
            pass


def run_without_hypothesis(code: str) -> subprocess.CompletedProcess[str]:
    blocked = "import sys; sys.modules['hypothesis'] = None\n"
    return subprocess.run(
        [sys.executable, "-c", blocked + code], capture_output=True, text=True, check=False
    )


def test_without_hypothesis_the_model_works() -> None:
    works = run_without_hypothesis(
        "from procpath.testing import Tree, Symlink, model\n"
        "print(model.resolve(Tree({'/a': Symlink('..')}), '/a'))"
    )
    assert (works.stdout, works.stderr) == ("/\n", "")
    fails = run_without_hypothesis("from procpath.testing import trees")
    assert "need Hypothesis: pip install 'rootedpath[testing]'" in fails.stderr


def test_unknown_names_of_the_module_are_unknown() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tree_house'"):
        getattr(import_module("procpath.testing"), "tree_house")  # noqa: B009  # a type error else
