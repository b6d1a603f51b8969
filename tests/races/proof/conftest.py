"""What every victim of the proof needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from races.proof.stage import furnish


@pytest.fixture(autouse=True)
def _impatient() -> None:
    """Nothing hangs here, so nothing is gained by waiting for it less."""


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("host")
    furnish(directory)
    return directory
