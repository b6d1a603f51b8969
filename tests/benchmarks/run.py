"""Prints how fast a RootedPath is beside plain pathlib, and where that is over the limit.

    PYTHONPATH=src python tests/benchmarks/run.py [--json] [--plot FILE.svg] [--write]

Best of nine rounds each, in turns. For figures that mean something, on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import timeit
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from cases import CASES, make_tree, rounds
from published import PLOT, write_tables

from procpath import VerifiedProc

_ROUNDS = 9


def main() -> int:
    parser = argparse.ArgumentParser(description="Time RootedPath beside plain pathlib.")
    parser.add_argument("--json", action="store_true", help="print JSON: seconds, ratio and limit")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the ratios, as SVG")
    parser.add_argument(
        "--write", action="store_true", help="write the figures into README.md and docs/"
    )
    args = parser.parse_args()
    as_json = args.json
    rows: list[dict[str, Any]] = []
    if not as_json:
        print(f"Python {sys.version.split()[0]}: microseconds")
        print(f"{'':18}{'pathlib':>12}{'procpath':>12}{'ratio':>8}{'limit':>8}")
    with tempfile.TemporaryDirectory(prefix="procpath-benchmark-") as directory:
        make_tree(Path(directory))
        for case in CASES:
            *_, timing = islice(rounds(case, Path(directory)), _ROUNDS)
            row = {
                "name": case.name,
                "pathlib": timing.plain,
                "procpath": timing.ours,
                "ratio": timing.ratio,
                "limit": case.limit,
            }
            rows.append(row)
            if not as_json:
                verdict = "" if timing.ratio <= case.limit else "  over"
                print(
                    f"{case.name:18}{timing.plain * 1e6:12.2f}{timing.ours * 1e6:12.2f}"
                    f"{timing.ratio:8.2f}{case.limit:8.2f}{verdict}"
                )
    if args.plot:
        args.plot.write_text(_plotted(rows))
    if args.write:
        write_tables(rows)
        PLOT.write_text(_plotted(rows))
    verified = _best(_verified_read)
    if as_json:
        measured = {"python": sys.version.split()[0], "cases": rows, "verified read": verified}
        print(json.dumps(measured, indent=2))
    else:
        print(f"a verified read of /proc/self/status: {verified * 1e6:.1f}")
    return any(row["ratio"] > row["limit"] for row in rows)


def _plotted(rows: list[dict[str, Any]]) -> str:
    """Return an SVG: a bar for each ratio, and a mark where its limit is."""
    left, height, unit = 240, 24, 180
    bottom = 40 + height * len(rows)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {bottom + 10}">',
        '<g font-family="sans-serif" font-size="13">',
        f'<rect width="760" height="{bottom + 10}" fill="#fff"/>',
        f'<text x="{left + unit}" y="20" text-anchor="middle">as fast as pathlib</text>',
    ]
    for number, row in enumerate(rows):
        top = 34 + height * number
        length, limit = (unit * row[each] for each in ("ratio", "limit"))
        text = left + max(length, limit) + 8
        drawn += [
            f'<text x="{left - 8}" y="{top + 14}" text-anchor="end">{row["name"]}</text>',
            f'<rect x="{left}" y="{top}" width="{length:.1f}" height="16" fill="#1f6feb"/>',
            f'<rect x="{left + limit:.1f}" y="{top - 2}" width="2" height="20" fill="#c62828"/>',
            f'<text x="{text:.1f}" y="{top + 14}">{row["ratio"]:.2f}</text>',
        ]
    line = f"M{left + unit},28V{bottom}"
    return "\n".join(
        [*drawn, f'<path d="{line}" stroke="#888" stroke-dasharray="4"/>', "</g></svg>\n"]
    )


def _verified_read() -> bytes:
    with VerifiedProc.default().self_status() as file:
        return file.read()


def _best(act: Callable[[], object]) -> float:
    return min(timeit.repeat(act, number=1000, repeat=_ROUNDS)) / 1000


if __name__ == "__main__":
    sys.exit(main())
