"""What every test of trees starts with."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from procpath import VerifiedProc


@pytest.fixture(autouse=True, scope="session")
def held_once_per_process() -> None:
    """The handle of ``/proc/self/fd``, opened at its first use and kept: no leak."""
    VerifiedProc.default().self_fd().fileno()


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The umask by which the tests know the modes of new files."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def protected() -> Iterator[None]:
    """The machine's ``fs.protected_symlinks`` and ``fs.protected_regular`` in force.

    They belong to the machine and not to a namespace, so test runs take turns.
    """
    wanted = {"protected_symlinks": "1", "protected_regular": "2"}
    with open("/tmp/procpath-sysctls.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = {name: Path("/proc/sys/fs", name).read_text() for name in wanted}
        try:
            for name, value in wanted.items():
                Path("/proc/sys/fs", name).write_text(value)
            yield
        finally:
            for name, value in before.items():
                Path("/proc/sys/fs", name).write_text(value)
