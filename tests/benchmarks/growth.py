"""How time and memory grow with what there is: entries, levels, links.

    PYTHONPATH=src python tests/benchmarks/growth.py [--full] [--plot FILE.svg]

Prints the processor time and the most memory of each size; ``--full`` goes to a million entries.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from procpath import Root, RootedPath

ROUNDS = 3


class Growth(NamedTuple):
    """Something that grows, and what is done with it."""

    name: str
    sizes: tuple[int, ...]
    grow: Callable[[int, int, int], int]
    """from a descriptor and size to another size; returns the descriptor to go on from"""
    act: Callable[[RootedPath, int], object]


class Measure(NamedTuple):
    """What one size took."""

    size: int
    seconds: float
    """of the processor, in the best of some rounds"""
    memory: int
    """the most bytes that were in use at once"""


def _more_entries(dirfd: int, before: int, size: int) -> int:
    for number in range(before, size):
        os.close(os.open(str(number), os.O_WRONLY | os.O_CREAT, dir_fd=dirfd))
    return dirfd


def _more_levels(dirfd: int, before: int, size: int) -> int:
    for _ in range(before, size):
        os.mkdir("d", dir_fd=dirfd)
        below = os.open("d", os.O_PATH, dir_fd=dirfd)
        os.close(dirfd)
        dirfd = below
    return dirfd


def _more_links(dirfd: int, before: int, size: int) -> int:
    if not before:
        os.close(os.open("0", os.O_WRONLY | os.O_CREAT, dir_fd=dirfd))
    for number in range(before, size):
        os.symlink(str(number), str(number + 1), dir_fd=dirfd)
    return dirfd


def _scan(path: RootedPath, size: int) -> None:
    assert sum(entry.stat().st_nlink > 0 for entry in path.scan()) == size


def _follow(path: RootedPath, size: int) -> None:
    for _ in range(1000):
        (path / str(size)).stat()


ENTRIES = Growth("entries of a directory", (1_000, 10_000, 100_000), _more_entries, _scan)
LEVELS = Growth("levels of a tree", (10, 100, 1_000, 10_000, 20_000), _more_levels, _scan)
LINKS = Growth("links on the way", (0, 10, 20, 30, 40), _more_links, _follow)


def measured(top: Path, growth: Growth) -> list[Measure]:
    """Let it grow in the empty directory ``top``, and measure each size."""
    measures = []
    dirfd, before = os.open(top, os.O_PATH), 0
    with Root.at(top) as root:
        path = RootedPath(root)
        for size in growth.sizes:
            dirfd = growth.grow(dirfd, before, size)
            before = size
            best = float("inf")
            for _ in range(ROUNDS):
                begin = time.process_time()
                growth.act(path, size)
                best = min(best, time.process_time() - begin)
            tracemalloc.start()
            growth.act(path, size)
            measures.append(Measure(size, best, tracemalloc.get_traced_memory()[1]))
            tracemalloc.stop()
    os.close(dirfd)
    return measures


def plotted(title: str, series: Sequence[Measure], left: int) -> str:
    """Return a group of SVG: seconds over size, and the line through the largest."""
    width, height = 240, 160
    most, slowest = series[-1].size, max(each.seconds for each in series)
    points = [
        (left + width * each.size / most, 40 + height * (1 - each.seconds / slowest))
        for each in series
    ]
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#1f6feb"/>' for x, y in points)
    return (
        f'<text x="{left}" y="24">{title}</text>'
        f'<path d="M{left},40v{height}h{width}" fill="none" stroke="#888"/>'
        f'<path d="M{left},{40 + height}L{points[-1][0]:.1f},{points[-1][1]:.1f}" stroke="#bbb"/>'
        f'{dots}<text x="{left + width}" y="{60 + height}" text-anchor="end">{most:,}</text>'
        f'<text x="{left + 6}" y="52">{slowest:.2g} s</text>'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how scans and lookups grow.")
    parser.add_argument("--full", action="store_true", help="up to a million entries")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw time over size, as SVG")
    args = parser.parse_args()
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    drawn = []
    print(f"Python {sys.version.split()[0]}")
    entries = ENTRIES._replace(sizes=(*ENTRIES.sizes, 1_000_000)) if args.full else ENTRIES
    for growth in (entries, LEVELS, LINKS):
        with tempfile.TemporaryDirectory(prefix="procpath-growth-", dir=memory) as directory:
            measures = measured(Path(directory), growth)
            RootedPath(directory, "d").rmtree(ignore_errors=True)
        print(f"{growth.name:>24}{'ms':>12}{'KiB':>10}")
        for measure in measures:
            print(f"{measure.size:24,}{measure.seconds * 1e3:12.2f}{measure.memory >> 10:10,}")
        drawn.append(plotted(growth.name, measures, 20 + 290 * len(drawn)))
    if args.plot:
        style = "font-family='sans-serif' font-size='13'"
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 240" {style}>'
        # Readable on a dark page as well.
        head += '<rect width="880" height="240" fill="#fff"/>'
        args.plot.write_text(f"{head}{''.join(drawn)}</svg>\n")


if __name__ == "__main__":
    main()
