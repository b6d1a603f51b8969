"""What changes nothing: a RootedPath says what pathlib says in a chroot."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from differential.comparison import OWNERS, ROOT, USER, Comparison
from differential.laboratory import RESOLVERS
from differential.mirror import Operation, without_fifos
from differential.profiles import times
from procpath.testing import Tree, hostile_trees, in_root_paths
from procpath.testing.model import Caller

LOOKS: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...] = (
    ("shown", (("follow_symlinks", True),)),
    ("shown", (("follow_symlinks", False),)),
    ("exists", ()),
    ("is_file", ()),
    ("is_dir", ()),
    ("is_symlink", ()),
    ("is_mount", ()),
    ("readlink", ()),
    ("resolve_strictly", ()),
    ("resolve", ()),
    ("walk", ()),
    ("scan", ()),
    ("read_bytes", ()),
    ("iterdir", ()),
)


@pytest.mark.parametrize("caller", [ROOT, USER], ids=["root", "user"])
@times(1)
@given(data=st.data(), resolver=st.sampled_from(RESOLVERS))
def test_a_path_says_what_pathlib_says_in_a_chroot(
    comparison: Comparison, caller: Caller, data: st.DataObject, resolver: str
) -> None:
    tree: Tree = without_fifos(data.draw(hostile_trees(owners=OWNERS)))
    paths = data.draw(st.lists(in_root_paths(tree), min_size=3, max_size=12, unique=True))
    operations = [Operation(name, path, (), keywords) for path in paths for name, keywords in LOOKS]
    comparison.of_operations(tree, operations, caller, resolver)
