"""Time and memory grow with what there is, and not with its square."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.growth import ENTRIES, LEVELS, LINKS, Growth, measured
from helpers.scenery import on_tmpfs

pytestmark = pytest.mark.alone

MOST_MEMORY = 2_000_000


@pytest.mark.parametrize(
    ("growth", "bytes_each"),
    [
        pytest.param(ENTRIES, 0, id="entries"),
        pytest.param(LEVELS, 1_000, id="levels"),
        pytest.param(LINKS, 0, id="links"),
    ],
)
def test_growth_is_linear(growth: Growth, bytes_each: int, tmp_path: Path) -> None:
    first, second, *_, last = on_tmpfs(tmp_path, lambda memory: measured(memory, growth))
    # Quadratic growth would be 4 to 2,000 times as much.
    step = (second.seconds - first.seconds) * last.size / second.size
    assert last.seconds - first.seconds <= 3 * max(step, first.seconds / 2)
    assert last.memory <= MOST_MEMORY + last.size * bytes_each
