"""Prints how fast a RootedPath is beside plain pathlib, and where that is over the limit.

    python tests/benchmarks/run.py

Best of nine rounds each, in turns. For figures that mean something, on a quiet machine.
"""

from __future__ import annotations

import sys
import tempfile
import timeit
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from cases import CASES, make_tree, rounds

from procpath import VerifiedProc

_ROUNDS = 9


def main() -> int:
    over = 0
    print(f"Python {sys.version.split()[0]}: microseconds")
    print(f"{'':18}{'pathlib':>12}{'procpath':>12}{'ratio':>8}{'limit':>8}")
    with tempfile.TemporaryDirectory(prefix="procpath-benchmark-") as directory:
        make_tree(Path(directory))
        for case in CASES:
            *_, timing = islice(rounds(case, Path(directory)), _ROUNDS)
            verdict = "" if timing.ratio <= case.limit else "  over"
            over += bool(verdict)
            print(
                f"{case.name:18}{timing.plain * 1e6:12.2f}{timing.ours * 1e6:12.2f}"
                f"{timing.ratio:8.2f}{case.limit:8.2f}{verdict}"
            )
    print(f"a verified read of /proc/self/status: {_best(_verified_read) * 1e6:.1f}")
    return 1 if over else 0


def _verified_read() -> bytes:
    with VerifiedProc.default().self_status() as file:
        return file.read()


def _best(act: Callable[[], object]) -> float:
    return min(timeit.repeat(act, number=1000, repeat=_ROUNDS)) / 1000


if __name__ == "__main__":
    sys.exit(main())
