"""One laboratory and one count for the session; the sysctls that resolution depends on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from hypothesis import settings

from differential.comparison import Comparison, Tally
from differential.laboratory import Laboratory
from helpers import figures
from helpers.support import fs_sysctls
from procpath.testing.model import Rules

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
    tally = Tally()
    with tally.timed():
        yield Comparison(laboratory, tally, rules)
    for row in (request.node.originalname, "together"):
        section = "answers compared with a chrooted process or the model"
        figures.give(request.node, section, row, asdict(tally))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # With --hypothesis-profile=long a test takes longer than any may in CI.
    is_long = settings.default.max_examples > settings.get_profile("ci").max_examples
    for item in items:
        if isinstance(item, pytest.Function) and "rules" in item.fixturenames:
            item.add_marker(pytest.mark.timeout(0 if is_long else _TIMEOUT_SECONDS))
