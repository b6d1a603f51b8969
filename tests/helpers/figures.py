"""Figures that tests give, summed up at the end of the run.

They travel with the tests' reports, and so from the worker processes of ``pytest -n`` too.
"""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

import pytest

_NAME = "figures"

Rows: TypeAlias = dict[str, Counter[str]]


def give(node: pytest.Item, section: str, row: str, figures: dict[str, float]) -> None:
    """Add the figures of a test, each named by its unit, to a row of the summary."""
    node.user_properties.append((_NAME, (section, row, figures)))


def print_sums(reporter: pytest.TerminalReporter) -> None:
    """Print a section for each kind of figures that the tests gave."""
    sections: dict[str, Rows] = {}
    # pytest files the reports of everything but verdicts under "": after its teardown a test has
    # given all it gives.
    for report in reporter.stats.get("", []):
        for name, value in report.user_properties:
            if name == _NAME and report.when == "teardown":
                section, row, figures = value
                sections.setdefault(section, {}).setdefault(row, Counter()).update(figures)
    for section, rows in sections.items():
        reporter.section(section)
        for row, sums in rows.items():
            text = ", ".join(f"{amount:,.0f} {unit}" for unit, amount in sums.items())
            reporter.line(f"{row}: {text}")
