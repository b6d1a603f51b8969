"""The pytest fixture ``rooted_tree``: trees on a real file system, with something to steal outside.

pytest imports it, by the entry point ``pytest11`` of this distribution, at the start of each run
where the distribution is installed; so the rest of procpath is imported when the fixture is used.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

if TYPE_CHECKING:
    from procpath import RootedPath
    from procpath.testing.tree import Tree

__all__ = ["CANARY", "MakeRootedTree", "RootedTree", "rooted_tree"]

CANARY = b"this lies outside of the root\n"

_LEVELS = 3


@dataclass(frozen=True)
class RootedTree:
    """A materialized tree."""

    tree: Tree
    root: RootedPath
    """the root of the tree"""
    directory: Path
    """the same as a host path, for code that is given directories"""
    canary: bytes = CANARY
    """what every file around ``directory`` holds, and none inside: whoever reads it got out"""


MakeRootedTree: TypeAlias = "Callable[[Tree], AbstractContextManager[RootedTree]]"


@pytest.fixture(scope="session")
def rooted_tree(tmp_path_factory: pytest.TempPathFactory) -> MakeRootedTree:
    """Materializes trees::

        @given(tree=hostile_trees())
        def test_the_scanner_stays_inside(rooted_tree, tree):
            with rooted_tree(tree) as made:
                assert made.canary not in scan(made.root)

    The directories above the tree hold the same names as the tree, with the canary in every
    file, so that a ``..`` too many finds what it looks for. All is removed at the end of the
    ``with`` block. One function serves the whole session, so Hypothesis does not complain.
    Trees with mounts are a ValueError: those need a mount namespace.
    """
    base = tmp_path_factory.mktemp("rooted_tree")

    @contextmanager
    def make(tree: Tree) -> Iterator[RootedTree]:
        from procpath import Root, RootedPath
        from procpath.testing.tree import Directory

        if any(isinstance(node, Directory) and node.mount for node in tree.values()):
            raise ValueError("rooted_tree makes no mounts: materialize in a mount namespace")
        outermost = directory = base / "outside"
        try:
            for _ in range(_LEVELS):
                directory.mkdir()
                _decoy(tree).materialize(directory)
                directory = directory / _free_name(tree)
            directory.mkdir()
            tree.materialize(directory)
            with Root.at(directory) as root:
                yield RootedTree(tree, RootedPath(root), directory)
        finally:
            _remove(outermost)

    return make


def _decoy(tree: Tree) -> Tree:
    """The tree as a thief would like it: everything readable, all files worth reading."""
    from procpath.testing.tree import Directory, File, MagicLink, Symlink, Tree

    def decoyed(node: object) -> Directory | File | Symlink:
        if isinstance(node, Directory):
            return Directory()
        if isinstance(node, Symlink | MagicLink):
            return Symlink(node.target)
        return File(CANARY)

    return Tree({path: decoyed(node) for path, node in tree.items()})


def _free_name(tree: Tree) -> str:
    name = "inside"
    while f"/{name}" in tree:
        name += "-"
    return name


def _remove(directory: Path) -> None:
    if os.geteuid() != 0:
        for place, names, _ in os.walk(directory):
            for name in names:
                # A tree may hold directories that not even their owner may list.
                inner = os.path.join(place, name)
                if not os.path.islink(inner):
                    os.chmod(inner, 0o700)
    shutil.rmtree(directory)
