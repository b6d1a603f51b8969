"""Sequences of operations: done through RootedPaths on one copy of a tree, by pathlib in a
chroot on another, and after each the results and the copies must be the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from differential.comparison import OWNERS, ROOT, USER, Comparison
from differential.laboratory import RESOLVERS
from differential.mirror import InRoot, Operation, prepare, without_fifos
from differential.profiles import times
from procpath.testing import Tree, hostile_trees, in_root_paths, names, targets
from procpath.testing.model import Caller

SHORT = st.binary(max_size=3)
MODES = st.sampled_from([0o755, 0o700, 0o644, 0o1777, 0o000, 0o555])
IDS = st.sampled_from(OWNERS)


class Mirror(RuleBasedStateMachine):
    """A tree and its twin."""

    def __init__(self, comparison: Comparison, caller: Caller) -> None:
        super().__init__()
        self.comparison = comparison
        self.caller = caller
        self.tree = Tree()

    @initialize(
        tree=hostile_trees(owners=OWNERS).map(without_fifos),
        resolver=st.sampled_from(RESOLVERS),
    )
    def begin(self, tree: Tree, resolver: str) -> None:
        self.directory = self.comparison.laboratory.do(prepare, tree)
        self.resolver = resolver
        self.tree = tree
        self.comparison.tally.trees += 1

    def do(self, name: str, path: str, *arguments: Any, **keywords: Any) -> None:
        paths = [path, *(argument for argument in arguments if isinstance(argument, InRoot))]
        if any(self.comparison.may_count_twice(self.tree, text, self.caller) for text in paths):
            # An accident on one side alone would make two trees of the twins.
            return
        operation = Operation(name, path, arguments, tuple(keywords.items()))
        self.tree = self.comparison.of_change(self.directory, operation, self.caller, self.resolver)

    def path(self, data: st.DataObject) -> str:
        """Something that is there now, or could be."""
        here = st.sampled_from(tuple(self.tree))
        new = st.builds("{}/{}".format, here, names())
        return data.draw(st.one_of(here, new, in_root_paths(self.tree)), label="path")

    @rule(data=st.data(), content=SHORT)
    def write_bytes(self, data: st.DataObject, content: bytes) -> None:
        self.do("write_bytes", self.path(data), content)

    @rule(data=st.data(), mode=st.sampled_from(["ab", "xb", "r+b"]), content=SHORT)
    def write_more(self, data: st.DataObject, mode: str, content: bytes) -> None:
        self.do("write_more", self.path(data), mode, content)

    @rule(data=st.data(), mode=MODES, exist_ok=st.booleans())
    def touch(self, data: st.DataObject, mode: int, exist_ok: bool) -> None:
        self.do("touch", self.path(data), mode=mode, exist_ok=exist_ok)

    @rule(data=st.data(), mode=MODES, parents=st.booleans(), exist_ok=st.booleans())
    def mkdir(self, data: st.DataObject, mode: int, parents: bool, exist_ok: bool) -> None:
        self.do("mkdir", self.path(data), mode=mode, parents=parents, exist_ok=exist_ok)

    @rule(data=st.data())
    def symlink_to(self, data: st.DataObject) -> None:
        self.do("symlink_to", self.path(data), data.draw(targets(tuple(self.tree))))

    @rule(data=st.data(), name=st.sampled_from(["hardlink_to", "rename", "replace", "exchange"]))
    def act_on_two(self, data: st.DataObject, name: str) -> None:
        self.do(name, self.path(data), InRoot(self.path(data)))

    @rule(data=st.data(), missing_ok=st.booleans())
    def unlink(self, data: st.DataObject, missing_ok: bool) -> None:
        self.do("unlink", self.path(data), missing_ok=missing_ok)

    @rule(data=st.data(), name=st.sampled_from(["rmdir", "read_bytes", "iterdir", "readlink"]))
    def act_on_one(self, data: st.DataObject, name: str) -> None:
        self.do(name, self.path(data))

    @rule(data=st.data(), mode=MODES)
    def chmod(self, data: st.DataObject, mode: int) -> None:
        self.do("chmod", self.path(data), mode)

    @rule(
        data=st.data(),
        uid=st.sampled_from(OWNERS),
        gid=st.sampled_from(OWNERS),
        follow=st.booleans(),
    )
    def chown(self, data: st.DataObject, uid: int, gid: int, follow: bool) -> None:
        self.do("chown", self.path(data), uid, gid, follow_symlinks=follow)


@pytest.mark.parametrize("caller", [ROOT, USER], ids=["root", "user"])
def test_a_tree_changes_as_by_pathlib_in_a_chroot(comparison: Comparison, caller: Caller) -> None:
    machine: Callable[[], Mirror] = partial(Mirror, comparison, caller)
    # An example is a sequence of thirty operations.
    fewer = settings(times(1), max_examples=settings.default.max_examples // 4)
    run_state_machine_as_test(machine, settings=settings(fewer, stateful_step_count=30))
