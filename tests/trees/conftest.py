"""What every test of trees starts with."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from helpers.support import fs_sysctls
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
    """The machine's ``fs.protected_symlinks`` and ``fs.protected_regular`` in force."""
    with fs_sysctls(protected_symlinks=1, protected_regular=2):
        yield
