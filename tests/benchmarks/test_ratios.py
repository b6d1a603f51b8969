"""No operation has become much slower than it may be beside pathlib.

A guard against steps back and no measurement: ``run.py`` measures. What is measured on a busy
machine varies, so a case has many rounds to come below the limit and a margin.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from benchmarks.cases import CASES, Case, make_tree, rounds

pytestmark = pytest.mark.alone

MARGIN = 1.15
ROUNDS = 40


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("benchmark")
    make_tree(top)
    return top


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_operation_is_as_fast_beside_pathlib_as_promised(case: Case, tree: Path) -> None:
    timings = islice(rounds(case, tree), ROUNDS)
    assert any(timing.ratio <= case.limit * MARGIN for timing in timings)
