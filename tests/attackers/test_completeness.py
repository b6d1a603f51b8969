"""That nothing public is left out of the attacks."""

from __future__ import annotations

from typing import Any

import pytest

from attackers import test_reading, test_writing
from attackers.engine import ONE_IN, ONE_IN_OF_CI
from attackers.operations import READINGS, ROOT_READINGS, WORDS_OF_PATHS, WORDS_OF_ROOTS
from attackers.writings import WRITINGS
from procpath import Root, RootedPath


def public_members(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def test_every_member_is_attacked_or_lexical() -> None:
    attacked = {operation.member for operation in READINGS.values()}
    attacked |= {operation.member for operation in WRITINGS.values()}
    assert attacked | WORDS_OF_PATHS == public_members(RootedPath)
    assert not attacked & WORDS_OF_PATHS


def test_every_member_of_a_root_is_attacked_or_takes_no_path() -> None:
    attacked = {operation.member for operation in ROOT_READINGS.values()}
    assert attacked | WORDS_OF_ROOTS == public_members(Root)
    assert not attacked & WORDS_OF_ROOTS


@pytest.mark.parametrize("one_in", [ONE_IN, ONE_IN_OF_CI])
@pytest.mark.parametrize("cases", [test_reading.CASES, test_writing.CASES])
def test_each_form_has_all_kinds_of_attack(cases: list[Any], one_in: int) -> None:
    for kind in range(3):
        chosen = {id(case.values[kind]) for case in cases[::one_in]}
        assert chosen == {id(case.values[kind]) for case in cases}
