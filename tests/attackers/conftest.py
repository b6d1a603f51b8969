"""Adds up what all attacks came to, and says so at the end."""

from __future__ import annotations

import pytest

from attackers.engine import Totals

_TOTALS = pytest.StashKey[Totals]()


@pytest.fixture(scope="session")
def totals(pytestconfig: pytest.Config) -> Totals:
    """Of all attacks of this session."""
    return pytestconfig.stash.setdefault(_TOTALS, Totals())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    totals = terminalreporter.config.stash.get(_TOTALS, None)
    if totals is None or not totals.rounds:
        return
    terminalreporter.section("attackers")
    terminalreporter.line(f"{totals.rounds:,} attacks in {totals.seconds:.0f} s")
    for who, tally in {
        "pathlib on the joined path": totals.plain,
        "pathlib after resolve() and is_relative_to()": totals.checked,
        "procpath": totals.ours,
    }.items():
        terminalreporter.line(f"{who}: {tally.leaked:,} of {tally.asked:,} answers from outside")
