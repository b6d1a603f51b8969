"""Tests for which a user's rights do not suffice run in a user namespace, or are skipped.

A test of this project mounts, changes owners and maps IDs. Run by root it
simply does. Run by anybody else, a system call that *a test itself* makes in order to set its
scene may be refused: then the test runs once more as root of a user namespace, with mounts, PIDs
and a procfs of its own, and is skipped, with the refused call as the reason, if that does not
help or is not allowed. What the package is refused remains an error.

A test marked ``root`` runs in the namespace at once; one marked ``machine_root`` is skipped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from errno import EPERM
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from helpers.refusals import PrivilegeError, refusal
from helpers.support import make_mounts_private, run_in_child
from procpath import linux, uapi

_REFUSED = pytest.StashKey[str]()


# CAP_CHOWN, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN and CAP_MKNOD (linux/capability.h).
_CAPABILITIES = 1 << 0 | 1 << 6 | 1 << 7 | 1 << 21 | 1 << 27


@cache
def is_root_of_the_machine() -> bool:
    """Return whether this process has the capabilities that tests use, over the machine."""
    status = Path("/proc/self/status").read_text()
    (effective,) = re.findall("^CapEff:\t(.*)$", status, re.MULTILINE)
    maps_all = Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
    return maps_all and int(effective, 16) & _CAPABILITIES == _CAPABILITIES


def require_root_of_the_machine() -> None:
    """Have the test skipped that needs more than a user namespace gives."""
    if not is_root_of_the_machine():
        raise PrivilegeError(EPERM, "needs root's rights over the machine")


@cache
def why_no_namespace() -> str | None:
    """Return why this process cannot be root of a user namespace, or None if it can."""
    if os.geteuid() == 0:
        return "this is root of a user namespace, or lacks capabilities"
    try:
        _as_root_of_a_namespace(lambda: None)
    except OSError as error:
        return f"no user namespace with a procfs can be made: {error.strerror}"
    return None


def _as_root_of_a_namespace(func: Any) -> Any:
    """Run ``func`` as root of a user namespace, with mounts, PIDs and a procfs of its own."""

    def first_process() -> Any:
        linux.mount(b"proc", b"/proc", b"proc")
        # A further child: the first process of a PID namespace is spared signals
        # (pid_namespaces(7)).
        return run_in_child(func)

    def inside() -> Any:
        make_mounts_private()
        linux.unshare(uapi.CLONE_NEWPID)
        return run_in_child(first_process)

    return run_in_child(inside)


@pytest.fixture(autouse=True, scope="session")
def _one_base_for_temporary_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Make pytest's base directory before a forked child does so for itself."""
    tmp_path_factory.getbasetemp()


@pytest.fixture
def user_namespaces() -> None:
    """Have the test skipped in which the package makes a user namespace, where none can be made."""
    if os.geteuid() != 0 and (reason := why_no_namespace()) is not None:
        raise PrivilegeError(EPERM, reason)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if is_root_of_the_machine():
        return
    if item.get_closest_marker("machine_root"):
        pytest.skip("needs root's rights over the machine")
    if item.get_closest_marker("root") and os.geteuid() != 0:
        raise PrivilegeError(EPERM, "needs root's rights")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make the report of a test that was refused something that of a skipped one."""
    report = yield
    if call.excinfo is None or not report.failed or is_root_of_the_machine():
        return report
    if reason := refusal(call.excinfo.value):
        item.stash[_REFUSED] = reason
        _skip(report, item, reason)
    return report


def _skip(report: pytest.TestReport, item: pytest.Item, reason: str) -> None:
    report.outcome = "skipped"
    report.longrepr = (os.fspath(item.path), (item.location[1] or 0) + 1, f"Skipped: {reason}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run the test, and if something was refused once more as root of a user namespace."""
    if is_root_of_the_machine():
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if reason := item.stash.get(_REFUSED, None):
        if why_no_namespace() is None:
            reports = _as_root_of_a_namespace(lambda: _again(item, nextitem))
            reports = [
                item.config.hook.pytest_report_from_serializable(config=item.config, data=report)
                for report in reports
            ]
        else:
            for report in reports:
                if report.skipped:
                    why = why_no_namespace()
                    _skip(report, item, reason if reason == why else f"{reason}; {why}")
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _again(item: Any, nextitem: pytest.Item | None) -> list[dict[str, Any]]:
    """Run the test, in the child that became root of a namespace, and return its reports."""
    item._initrequest()
    return [
        item.config.hook.pytest_report_to_serializable(config=item.config, report=report)
        for report in runtestprotocol(item, log=False, nextitem=nextitem)
    ]
