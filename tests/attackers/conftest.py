"""What each attack came to, for the summary at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attackers.engine import Totals
from helpers import figures


@pytest.fixture
def totals(request: pytest.FixtureRequest) -> Iterator[Totals]:
    """What the attacks of one test come to."""
    totals = Totals()
    yield totals
    if totals.rounds:
        attacks = {"attacks": totals.rounds, "seconds": totals.seconds}
        figures.give(request.node, "attackers", "together", attacks)
    for who, tally in {
        "pathlib on the joined path": totals.plain,
        "pathlib after resolve() and is_relative_to()": totals.checked,
        "procpath": totals.ours,
    }.items():
        if tally.asked:
            answers = {"answers from outside": tally.leaked, "asked": tally.asked}
            figures.give(request.node, "attackers", who, answers)
