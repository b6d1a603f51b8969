"""Property-test a scanner with ``procpath.testing``, and find the hole in it.

    python examples/property_test_a_scanner.py

Two readers of a container's files are held against the model of Linux's path resolution, on
hundreds of trees that Hypothesis makes. The first is what many scanners do: put absolute links
back under the root by hand. Hypothesis finds a tree that leads it astray and shrinks it to a
line or two. The second goes through RootedPath, and no tree is found.

A test suite needs only the lines of :func:`check`, or the fixture ``rooted_tree`` of the pytest
plugin that comes with procpath, which builds trees with canaries around them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from procpath import Root, RootedPath
from procpath.testing import File, Tree, hostile_trees, model

OF_THE_HOST = b"a file of the host"

Reader = Callable[[Path, str], bytes | None]


def read_by_hand(directory: Path, path: str) -> bytes | None:
    """What the file at the in-root ``path`` holds; None if there is no such file."""
    host_path = directory / path.lstrip("/")
    try:
        for _ in range(40):
            if not host_path.is_symlink():
                break
            target = os.readlink(host_path)
            # The hole: only links at the end are looked at, and nobody counts the `..`.
            start = directory if target.startswith("/") else host_path.parent
            host_path = start / target.lstrip("/")
        return host_path.read_bytes() if host_path.is_file() else None
    except OSError:
        return None


def read_by_procpath(directory: Path, path: str) -> bytes | None:
    """The same, in fewer lines."""
    with Root.at(directory, special_files="refuse") as root:
        try:
            return RootedPath(root, path).read_bytes()
        except OSError:
            return None


def read_by_model(tree: Tree, path: str) -> bytes | None:
    """The right answer: what a process inside would read."""
    try:
        place = model.resolve(tree, path, rules=model.Rules(path_max=None))
    except OSError:
        return None
    return tree.content(place) if isinstance(tree[place], File) else None


def check(read: Reader) -> None:
    """Fail with the smallest tree in which ``read`` does not do what a process inside would."""

    @settings(
        max_examples=200,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(tree=hostile_trees())
    def reads_what_is_inside(tree: Tree) -> None:
        with tempfile.TemporaryDirectory() as outside:
            # What the names of the tree find one step too far up.
            for name in {os.path.basename(path) for path in tree} - {"", "root"}:
                Path(outside, name).write_bytes(OF_THE_HOST)
            inside = Path(outside, "root")
            inside.mkdir()
            tree.materialize(inside)
            for path in tree:
                found, right = read(inside, path), read_by_model(tree, path)
                start = found[:30] if found else found
                assert found == right, f"{tree}\n{path!r} gives {start!r}, not {right!r}"

    reads_what_is_inside()


def main() -> None:
    """Check both readers."""
    for read in (read_by_hand, read_by_procpath):
        try:
            check(read)
        except AssertionError as error:
            print(f"{read.__name__}: {error.args[0]}")
        else:
            print(f"{read.__name__}: right in every tree")


if __name__ == "__main__":
    main()
