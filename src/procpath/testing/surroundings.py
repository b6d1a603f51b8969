"""A tree on disk, with canaries around it.

Everything that is made lies in one directory: the tree, above it directories with the names of
the tree where every file is a canary, and one that stands for the rest of the host. Who is led
out of the tree, by ``..`` or by an absolute symlink, meets a canary.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from procpath.testing.tree import Directory, File, MagicLink, Node, Symlink, Tree, child_of

CANARY = b"this lies outside of the root\n"
CANARY_NAME = "canary-outside-of-the-root"
"""a file in each directory outside, so that a listing shows where it was made"""
HOST = "/host-of-the-canaries"
"""the start of targets that lead to the host"""

_LEVELS = 3


@dataclass(frozen=True)
class Surroundings:
    """Where a tree and its canaries are."""

    tree: Tree
    """with the targets that its links have on disk"""
    directory: Path
    """the root of the tree"""
    base: Path
    """the directory that holds everything"""
    host: Path
    """where links to ``HOST`` lead"""
    outside: Path
    """the directory that holds the tree's, with a canary for each of its files"""

    def on_disk(self, node: Node) -> Node:
        """Return the node with the target that it has here."""
        return _led_to(self.host, node)

    def renew(self) -> None:
        """Make the tree again, as it was."""
        remove(self.directory)
        self.directory.mkdir()
        self.tree.materialize(self.directory)


@contextmanager
def surrounded(tree: Tree, base: Path) -> Iterator[Surroundings]:
    """Create the tree and what is around it in ``base``, an empty directory; empty it afterwards.

    A symlink whose target starts with ``HOST`` leads to a directory outside that has the
    names of the tree. Mounts are a ValueError.
    """
    if any(isinstance(node, Directory) and node.mount for node in tree.values()):
        raise ValueError("the tree has mounts: materialize it in a mount namespace")
    host = base / "host"
    tree = Tree({path: _led_to(host, node) for path, node in tree.items()})
    decoy = _decoy(tree)
    outside = base
    inside = _free_name(tree)
    try:
        host.mkdir()
        decoy.materialize(host)
        directory = base / "outside"
        for _ in range(_LEVELS):
            directory.mkdir()
            decoy.materialize(directory)
            outside, directory = directory, directory / inside
        directory.mkdir()
        tree.materialize(directory)
        yield Surroundings(tree, directory, base, host, outside)
    finally:
        for made in (host, base / "outside"):
            remove(made)


def _led_to(host: Path, node: Node) -> Node:
    if isinstance(node, Symlink) and (node.target + "/").startswith(HOST + "/"):
        return replace(node, target=f"{host}{node.target.removeprefix(HOST)}")
    return node


def _decoy(tree: Tree) -> Tree:
    """Return the tree with every directory open, and a canary for each file."""

    def decoyed(node: Node) -> Node:
        if isinstance(node, Directory):
            return Directory()
        if isinstance(node, Symlink | MagicLink):
            return Symlink(node.target)
        return File(CANARY)

    nodes = {path: decoyed(node) for path, node in tree.items()}
    for path, node in tree.items():
        if isinstance(node, Directory):
            nodes.setdefault(child_of(path, CANARY_NAME), File(CANARY))
    return Tree(nodes)


def _free_name(tree: Tree) -> str:
    name = "inside"
    while f"/{name}" in tree:
        name += "-"
    return name


def remove(path: Path) -> None:
    """Remove what was made here, with everything in it; it may be gone already."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    if os.geteuid() != 0:
        os.chmod(path, 0o700)
        for place, names, _ in os.walk(path):
            for name in names:
                # A tree may hold directories that not even their owner may list.
                inner = os.path.join(place, name)
                if not os.path.islink(inner):
                    os.chmod(inner, 0o700)
    shutil.rmtree(path)
