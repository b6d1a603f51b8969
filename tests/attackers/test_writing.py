"""No operation that writes changes anything outside the root, whatever is renamed meanwhile.

Every public operation that writes, on both resolvers, against every shape of attack. In the
same seconds plain Python does the like in a place of its own, and does change what it must not.
"""

from __future__ import annotations

import pytest

from attackers.engine import LIMIT, ONE_IN, ONE_IN_OF_CI, Totals, require_control, run_writing
from attackers.races import SHAPES, Shape
from attackers.writings import WRITINGS, Writing
from helpers.forms import by_form

CASES = [
    pytest.param(shape, resolver, operation, id=f"{shape.name}-{resolver}-{operation.name}")
    for operation in WRITINGS.values()
    for shape in SHAPES.values()
    for resolver in ("walk", "openat2")
    if (operation.follows or not shape.only_where_followed)
    and not (operation.makes_way and shape.moves)
]


@pytest.mark.parametrize(
    ("shape", "resolver", "operation"), by_form(CASES[::ONE_IN], CASES[::ONE_IN_OF_CI], CASES)
)
def test_nothing_outside_is_changed_or_copied_in(
    shape: Shape, resolver: str, operation: Writing, totals: Totals
) -> None:
    outcome = run_writing(shape, resolver, operation)
    totals.add(outcome)
    assert outcome.revealed == []
    assert outcome.changed_outside == []
    assert outcome.unexpected == []
    assert outcome.left_open == {}
    assert outcome.answered, f"nothing was done in {LIMIT} s: {outcome}"
    require_control(
        outcome.plain.leaked, f"plain Python was not led outside in {LIMIT} s: {outcome}"
    )
