"""The Python packages that are installed in a container, by importlib.metadata.

    python python_packages.py PID

Nothing of the container is imported or run: a distribution takes any path that can be joined and
read, so it takes one in a root. Only the search for them, which makes texts, is done here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PathDistribution

from procpath import RootedPath

PLACES = (
    *("usr/lib/python3*/*-packages", "usr/local/lib/python3*/*-packages"),
    *("opt/*/lib/python3*/site-packages", "home/*/.local/lib/python3*/site-packages"),
)


def distributions(root: RootedPath) -> Iterator[tuple[RootedPath, PathDistribution]]:
    """Each distribution, and the directory that it is installed in, once."""
    places = {found.resolve() for pattern in PLACES for found in root.glob(pattern)}
    for place in sorted(places):
        if place.is_dir():
            for path in sorted(place.iterdir()):
                if path.suffix in (".dist-info", ".egg-info"):
                    yield place, PathDistribution(path)


def main() -> None:
    for place, found in distributions(RootedPath(int(sys.argv[1]))):
        metadata = found.metadata
        line = f"{metadata.get('Name')} {metadata.get('Version')} {place}"
        # A name may hold what a terminal obeys.
        print(line if line.isprintable() else ascii(line))


if __name__ == "__main__":
    main()
