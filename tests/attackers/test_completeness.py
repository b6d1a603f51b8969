"""That nothing public is left out of the attacks."""

from __future__ import annotations

from attackers.operations import READINGS, ROOT_READINGS, WORDS_OF_PATHS, WORDS_OF_ROOTS
from attackers.writings import WRITINGS
from procpath import Root, RootedPath


def public_members(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def test_every_member_of_a_path_is_attacked_or_only_handles_words() -> None:
    attacked = {operation.member for operation in READINGS.values()}
    attacked |= {operation.member for operation in WRITINGS.values()}
    assert attacked | WORDS_OF_PATHS == public_members(RootedPath)
    assert not attacked & WORDS_OF_PATHS


def test_every_member_of_a_root_is_attacked_or_takes_no_path() -> None:
    attacked = {operation.member for operation in ROOT_READINGS.values()}
    assert attacked | WORDS_OF_ROOTS == public_members(Root)
    assert not attacked & WORDS_OF_ROOTS
