"""Writes measured ratios into the README and the page about performance."""

from __future__ import annotations

import platform
import re
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
README = PROJECT / "README.md"
PAGE = PROJECT / "docs/explained/performance.md"
PLOT = PROJECT / "docs/explained/ratios.svg"

_BEGIN = "<!-- measured by tests/benchmarks/run.py --write -->\n"
_END = "<!-- end -->"
_PLACE = re.compile(f"{_BEGIN}(.*?){_END}", re.DOTALL)
_MAIN = ("stat", "open", "read_text", "resolve", "iterdir", "walk", "rglob some", "scan and hash")
"""What the README has; the page has all."""


def write_tables(rows: list[dict[str, Any]]) -> None:
    """Replace the tables, which are between two comments, in both pages."""
    where = f"{time.strftime('%B %Y')}, {_processor()}, Linux {platform.release().split('-')[0]}, "
    where += f"Python {platform.python_version()}; microseconds, the best of several rounds."
    _replace(README, where, [row for row in rows if row["name"] in _MAIN])
    _replace(PAGE, where, rows)


def _replace(page: Path, where: str, rows: list[dict[str, Any]]) -> None:
    begin, _, end = _PLACE.split(page.read_text())
    page.write_text(f"{begin}{_BEGIN}\n{where}\n\n{_table(rows)}\n{_END}{end}")


def _table(rows: list[dict[str, Any]]) -> str:
    lines = ["| operation | pathlib | procpath | ratio |", "| --- | --- | --- | --- |"]
    for row in rows:
        plain, ours = (f"{row[side] * 1e6:,.1f}" for side in ("pathlib", "procpath"))
        lines.append(f"| {row['name']} | {plain} | {ours} | {row['ratio']:.2f} |")
    return "\n".join(lines) + "\n"


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
