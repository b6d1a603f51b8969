"""CPython's own tests of pathlib pass on paths inside a fresh root.

All of the running interpreter's tests are run, each by both resolvers, but for those that
:mod:`parity.exclusions` names, which are held to be real and needed. On 3.13 that is the suite for
abstract paths, which needs no ``os.PathLike``, and the concrete one.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from helpers import figures
from parity.exclusions import EXCLUDED, reason_against
from parity.suites import SUITES, Resolver, Suite

pytestmark = [
    pytest.mark.skipif(not SUITES, reason="this Python came without its own tests"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a chroot with a device needs root's rights"),
]

ALL = [(suite, test) for suite in SUITES for test in suite.tests()]
APPLICABLE = [(suite, test) for suite, test in ALL if reason_against(suite.name, test) is None]
INAPPLICABLE = [(suite, test) for suite, test in ALL if reason_against(suite.name, test)]


def _ids(tests: list[tuple[Suite, str]]) -> list[str]:
    return [f"{suite.name}.{test}" for suite, test in tests]


@pytest.mark.parametrize("resolver", ["openat2", "walk"])
@pytest.mark.parametrize(("suite", "test"), APPLICABLE, ids=_ids(APPLICABLE))
def test_of_cpython(
    suite: Suite, test: str, resolver: Resolver, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not suite.in_chroot:
        # What a child in a chroot leaves open, nobody can tell from here.
        request.getfixturevalue("no_leak")
    outcome = suite.run(test, tmp_path, resolver)
    assert not outcome.failures, outcome.failures
    assert not outcome.skipped, outcome.skipped


@pytest.mark.parametrize(("suite", "test"), INAPPLICABLE, ids=_ids(INAPPLICABLE))
def test_what_is_excluded_would_not_pass(suite: Suite, test: str, tmp_path: Path) -> None:
    assert not suite.run(test, tmp_path, "openat2").passed


def test_every_exclusion_names_tests_that_this_interpreter_has() -> None:
    names = {name for suite, test in ALL for name in (test, f"{suite.name}.{test}")}
    assert set(EXCLUDED) <= names


def test_every_test_is_either_run_or_excluded(request: pytest.FixtureRequest) -> None:
    """Most of each suite is run: a suite that CPython renames does not silently shrink."""
    assert len(APPLICABLE) + len(INAPPLICABLE) == len(ALL)
    for suite in SUITES:
        run = [test for owner, test in APPLICABLE if owner == suite]
        assert len(run) >= len(suite.tests()) / 2, f"{suite.name}: {len(run)} are run"
        reasons = Counter(reason_against(suite.name, test) or "are run" for test in suite.tests())
        section = "CPython's own tests of pathlib"
        figures.give(request.node, section, suite.name, dict(reasons.most_common()))
