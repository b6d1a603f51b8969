"""One laboratory and one count for the session; the sysctls that resolution depends on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from differential.comparison import Comparison, Tally
from differential.laboratory import Laboratory
from helpers.support import fs_sysctls
from procpath.testing.model import Rules

_TALLIES = pytest.StashKey[dict[str, Tally]]()
_TIMEOUT_SECONDS = 600
_SYSCTLS = ("protected_symlinks", "protected_regular", "protected_fifos")


@pytest.fixture(scope="session")
def laboratory() -> Iterator[Laboratory]:
    """The process in which trees are real."""
    with Laboratory() as running:
        yield running


@pytest.fixture(params=[(0, 0, 0), (1, 2, 2)], ids=["unprotected", "protected"])
def rules(request: pytest.FixtureRequest) -> Iterator[Rules]:
    """The machine's ``fs.protected_*``, each way."""
    wanted = dict(zip(_SYSCTLS, request.param, strict=True))
    if not all(os.access(f"/proc/sys/fs/{name}", os.W_OK) for name in wanted):
        pytest.skip("the fs.protected_* cannot be set here")
    with fs_sysctls(**wanted):
        yield Rules(**wanted)


@pytest.fixture
def comparison(
    request: pytest.FixtureRequest, laboratory: Laboratory, rules: Rules
) -> Iterator[Comparison]:
    """Compares and counts, for one test."""
    tally = request.config.stash.setdefault(_TALLIES, {}).setdefault(
        request.node.originalname, Tally()
    )
    with tally.timed():
        yield Comparison(laboratory, tally, rules)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # With --hypothesis-profile=long a test takes longer than any may in CI.
    is_long = settings.default.max_examples > settings.get_profile("ci").max_examples
    for item in items:
        if isinstance(item, pytest.Function) and "rules" in item.fixturenames:
            item.add_marker(pytest.mark.timeout(0 if is_long else _TIMEOUT_SECONDS))
            # Tests that set a sysctl take turns. In one worker they wait for nobody.
            item.add_marker(pytest.mark.xdist_group("sysctls"))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    tallies = config.stash.get(_TALLIES, {})
    if not tallies:
        return
    terminalreporter.section("answers compared with a chrooted process or the model")
    width = max(map(len, tallies))
    for name, tally in {**tallies, "together": sum(tallies.values(), Tally())}.items():
        terminalreporter.line(
            f"{name:{width}}  {tally.trees:9,} trees {tally.questions:11,} questions "
            f"{tally.answers:11,} answers {tally.seconds:8,.1f} s"
        )
