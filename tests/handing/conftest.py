"""The twins that the tests of handing a file on share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.twins import Twins, making_twins


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    """A directory in a container, and one of the same path on the host."""
    with making_twins(tmp_path) as made:
        yield made
