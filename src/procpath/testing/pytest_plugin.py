"""The pytest fixtures ``rooted_tree`` and ``no_text_leaks``.

pytest imports it, by the entry point ``pytest11`` of this distribution, at the start of each run
where the distribution is installed; so the rest of procpath is imported when the fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from procpath import RootedPath
    from procpath.porting import Leak
    from procpath.testing.tree import Tree

CANARY = b"this lies outside of the root\n"


@dataclass(frozen=True)
class RootedTree:
    """A materialized tree."""

    tree: Tree
    """with the targets that its links have on disk"""
    root: RootedPath
    """the root of the tree"""
    directory: Path
    """the same as a host path, for code that is given directories"""
    canary: bytes = CANARY
    """what every file around ``directory`` holds, and none inside: whoever reads it got out"""

    def expected(self, path: str) -> bytes:
        """Return what reading ``path`` inside gives, by the model of path resolution.

        Raises the OSError that Linux raises. Nothing can be read from a FIFO.
        """
        from procpath.testing import model

        return model.read(self.tree, path, rules=model.Rules(path_max=None))


MakeRootedTree: TypeAlias = "Callable[[Tree], AbstractContextManager[RootedTree]]"


@pytest.fixture(scope="session")
def rooted_tree(tmp_path_factory: pytest.TempPathFactory) -> MakeRootedTree:
    """Materialize trees::

        @given(tree=hostile_trees())
        def test_the_scanner_stays_inside(rooted_tree, tree):
            with rooted_tree(tree) as made:
                assert made.canary not in scan(made.root)

    The directories above the tree hold the same names as the tree, with the canary in every
    file, so that a ``..`` too many finds what it looks for. So does one directory that stands
    for the host: a link whose target starts with ``HOST`` leads there. ``made.expected(path)``
    is what a reader has to give. All is removed at the end of the
    ``with`` block. One function serves the whole session, so Hypothesis does not complain.
    Trees with mounts are a ValueError: those need a mount namespace.
    """
    base = tmp_path_factory.mktemp("rooted_tree")

    @contextmanager
    def make(tree: Tree) -> Iterator[RootedTree]:
        from procpath import Root, RootedPath
        from procpath.testing.surroundings import surrounded

        with surrounded(tree, base) as place, Root.at(place.directory) as root:
            yield RootedTree(place.tree, RootedPath(root), place.directory)

    return make


@pytest.fixture
def no_text_leaks() -> Iterator[list[Leak]]:
    """Fail the test if a path in a root becomes text in it (:func:`procpath.porting.text_leaks`).

    Gives the list of leaks.
    """
    from procpath.porting import text_leaks

    with text_leaks() as leaks:
        yield leaks


@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Fail a test with ``no_text_leaks`` here, after it has run: at the end of the fixture it
    would count as passed, with an error.
    """
    leaks = getattr(item, "funcargs", {}).get("no_text_leaks")
    if leaks:
        places = dict.fromkeys(map(str, leaks))
        pytest.fail(
            "\n".join([f"{len(leaks)} texts were made of paths in a root:", *places]), pytrace=False
        )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Lift Hypothesis's deadline from tests that make trees on disk, unless they have settings.

    How long an example takes depends on the disk, so a deadline of 200 ms fails at random.
    """
    test = getattr(item, "obj", None)
    test = getattr(test, "__func__", test)
    if "rooted_tree" in getattr(item, "fixturenames", ()) and is_hypothesis_test(test):
        from hypothesis import settings

        if not hasattr(test, "_hypothesis_internal_settings_applied"):
            settings(deadline=None)(test)


def is_hypothesis_test(test: object) -> bool:
    """Whether ``test`` is decorated by given(); does not import Hypothesis to know it."""
    return getattr(test, "is_hypothesis_test", False) is True
