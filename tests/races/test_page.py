"""The page about races holds: its first lines run as they stand, and print what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/testing/races.md"


def test_the_first_lines_of_the_page_print_what_it_says(tmp_path: Path) -> None:
    code, printed = re.findall(r"^```(?:python|text)\n(.*?)^```$", PAGE.read_text(), re.M | re.S)[
        :2
    ]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 10
    script = tmp_path / "first.py"
    script.write_text(code)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, script], env=env, capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == (printed, "")
