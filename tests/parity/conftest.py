"""The summary tells how many of CPython's own tests were run, and how many were not."""

from __future__ import annotations

from collections import Counter

import pytest

from parity.exclusions import reason_against
from parity.suites import SUITES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("CPython's own tests of pathlib")
    for suite in SUITES:
        tests = suite.tests()
        reasons = Counter(filter(None, (reason_against(suite.name, test) for test in tests)))
        excluded = sum(reasons.values())
        terminalreporter.line(
            f"{suite.name}: {len(tests) - excluded} apply, {excluded} cannot: "
            + "; ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        )
