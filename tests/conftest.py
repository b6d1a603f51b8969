"""Fixtures that several test modules share, and the rule that CI skips nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from support import open_descriptors


@pytest.fixture
def no_leak() -> Iterator[None]:
    """The test must leave exactly the descriptors open that it found open."""
    before = open_descriptors()
    yield
    assert open_descriptors() == before


def _skipped_where_forbidden(config: pytest.Config) -> list[str]:
    """With ``PROCPATH_NO_SKIPS`` set, the tests that were skipped (a skip proves nothing)."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("PROCPATH_NO_SKIPS") or reporter is None:
        return []
    return [report.nodeid for report in reporter.stats.get("skipped", [])]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.exitstatus == pytest.ExitCode.OK and _skipped_where_forbidden(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = _skipped_where_forbidden(terminalreporter.config)
    if skipped:
        terminalreporter.section("skipped, though PROCPATH_NO_SKIPS is set", red=True)
        for nodeid in skipped:
            terminalreporter.line(nodeid)
