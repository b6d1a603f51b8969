"""The example that property-tests a scanner finds the bug that was planted in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/property_test_a_scanner.py"


@pytest.mark.slow
def test_the_planted_bug_is_found_and_repaired() -> None:
    ran = subprocess.run(
        [sys.executable, EXAMPLE], capture_output=True, text=True, check=False, timeout=240
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    by_hand, by_procpath = ran.stdout.split("read_by_procpath: ")
    assert "Symlink(" in by_hand
    assert " gives b'" in by_hand, "something of the host was read"
    # Four where there is time: on a busy machine Hypothesis stops shrinking before.
    assert len(by_hand.splitlines()) <= 12, "the counter-example is small"
    assert by_procpath == "right in every tree\n"
