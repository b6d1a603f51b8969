"""Fixtures that several test modules share, and the rule that CI skips nothing."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from helpers import figures
from helpers.containers import RuncContainer, missing_requirements
from helpers.forms import register_profiles
from helpers.support import open_descriptors, remove_tree
from procpath import RootedPath, VerifiedProc

pytest_plugins = ["helpers.rights", "pytester"]

# Here and not beside the tests that use them, because Hypothesis looks for the profile that
# --hypothesis-profile names before pytest loads other files.
register_profiles()

# What a shell starts in the background ignores interrupts, and with it every process that a
# test starts in order to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


_IN_ONE_WORKER = {"tests/attackers", "tests/differential"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give some directories to one worker each, and the other tests to whoever is free.

    Two comparisons would wait for each other, since they set sysctls. Two attackers would take
    each other's processor, and an attack needs one to itself beside the attacked.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            directory = nodeid.rpartition("/")[0]
            return directory if directory in _IN_ONE_WORKER else nodeid

    return Scheduling(config, log)


# The slow half of the tests. Everything else is to be over in two minutes on two cores.
_SLOW = {
    *("attackers", "benchmarks", "cve", "differential", "docs", "faults", "mutations", "parity"),
    "ports",
}
_TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_TESTS) and item.path.relative_to(_TESTS).parts[0] in _SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="module")
def _what_was_there_is_not_collected() -> None:
    """Leave what the module finds, thousands of tests and reports, out of its collections.

    ``no_leak`` collects before and after its test, which otherwise takes longer than most tests.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """pytest's own, removed after the test: pytest, who keeps it, fails at removing deep trees."""
    yield tmp_path
    remove_tree(tmp_path)


@pytest.fixture
def no_leak() -> Iterator[None]:
    """The test must leave exactly the descriptors open that it found open."""
    # What is held once per process, from the first use on: both kinds of procfs handle.
    VerifiedProc.default().self_fd().fileno()
    RootedPath("/").pin().close()
    before = open_descriptors()
    yield
    assert open_descriptors() == before


@pytest.fixture(scope="session")
def container() -> Iterator[RuncContainer]:
    """A running container that the whole session shares: not to be killed or written to."""
    _require_containers()
    running = RuncContainer()
    yield running
    running.close()


@pytest.fixture(scope="session")
def mapped_container() -> Iterator[RuncContainer]:
    """The like with a user namespace: its root is user 100000 of the host."""
    _require_containers()
    running = RuncContainer(host_id_of_root=100_000)
    yield running
    running.close()


@pytest.fixture
def start_container() -> Iterator[Callable[..., RuncContainer]]:
    """Starts containers for one test alone, which may do with them what it likes."""
    _require_containers()
    with ExitStack() as stack:

        def start(cgroup: str | None = None) -> RuncContainer:
            started = RuncContainer(cgroup=cgroup)
            stack.callback(started.close)
            return started

        yield start


def _require_containers() -> None:
    if missing := missing_requirements():
        pytest.skip(f"a container needs {' and '.join(missing)}")


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


def _print_seconds(reporter: pytest.TerminalReporter) -> None:
    """Print how long the tests of each directory took, those that took longest first."""
    seconds: Counter[str] = Counter()
    for reports in reporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.partition("::")[0].rpartition("/")[0]] += report.duration
    reporter.section("seconds of each directory")
    reporter.line(", ".join(f"{name} {spent:.0f}" for name, spent in seconds.most_common(25)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures.print_sums(terminalreporter)
    _print_seconds(terminalreporter)
    skipped = _skipped_where_forbidden(terminalreporter.config)
    if skipped:
        terminalreporter.section("skipped, though PROCPATH_NO_SKIPS is set", red=True)
        for nodeid in skipped:
            terminalreporter.line(nodeid)
