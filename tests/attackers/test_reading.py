"""No operation that reads ever sees a byte from outside the root, whatever is renamed meanwhile.

Every public operation that reads, on both resolvers, against every shape of attack.
"""

from __future__ import annotations

import pytest

from attackers.engine import (
    LIMIT,
    ONE_IN,
    ONE_IN_OF_CI,
    Totals,
    read_after_check,
    require_control,
    run,
    run_idiom,
)
from attackers.operations import READINGS, ROOT_READINGS, Reading
from attackers.races import SHAPES, Shape
from helpers.forms import by_form

RESOLVERS = ["walk", "openat2"]

CASES = [
    pytest.param(shape, resolver, operation, id=f"{shape.name}-{resolver}-{kind}{operation.name}")
    for kind, operations in {"": READINGS, "Root.": ROOT_READINGS}.items()
    for operation in operations.values()
    for shape in SHAPES.values()
    for resolver in RESOLVERS
    if operation.follows or not shape.only_where_followed
]


@pytest.mark.parametrize(
    ("shape", "resolver", "operation"), by_form(CASES[::ONE_IN], CASES[::ONE_IN_OF_CI], CASES)
)
def test_nothing_outside_is_seen_or_changed(
    shape: Shape, resolver: str, operation: Reading, totals: Totals
) -> None:
    outcome = run(shape, resolver, operation)
    totals.add(outcome)
    assert outcome.revealed == []
    assert outcome.changed_outside == []
    assert outcome.unexpected == []
    assert outcome.left_open == {}
    assert outcome.answered, f"no answer came through in {LIMIT} s: {outcome}"
    require_control(outcome.plain.leaked, f"pathlib was not led outside in {LIMIT} s: {outcome}")


@pytest.mark.parametrize(
    "shape",
    [shape for shape in SHAPES.values() if shape.survives_resolve],
    ids=lambda shape: shape.name,
)
def test_resolving_and_checking_before_reading_is_led_outside(shape: Shape, totals: Totals) -> None:
    tally = run_idiom(shape, read_after_check)
    totals.checked.add(tally)
    require_control(
        tally.leaked, f"resolve() and a check sufficed {tally.asked:,} times in {LIMIT} s"
    )
