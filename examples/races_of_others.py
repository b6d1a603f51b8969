"""What ``procpath.testing.races`` says of code that others wrote, and of RootedPath.

    python examples/races_of_others.py

Each function below is given the host directory that stands for a container's root, as a tool
finds it at /proc/PID/root. An attacker in the container exchanges a directory with a symlink, once,
before each of the function's system calls in turn. Printed is the first schedule that leads the
function out, with its calls and the move, or one line if there is none.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

from procpath import RootedPath
from procpath.testing import HOST, File, Symlink, Tree
from procpath.testing.races import Exchange, explore

TREE = Tree({"/app/cache/old": File(), "/app/lib.so": File(), "/out": Symlink(HOST + "/app")})
MOVES = [Exchange("/app", "/out")]


def pathlib_joins(directory: Path) -> bytes:
    """Read a file by pathlib."""
    return (directory / "app/lib.so").read_bytes()


def pathlib_resolves_and_checks(directory: Path) -> bytes:
    """Read a file after a check that many programs rely on."""
    path = (directory / "app/lib.so").resolve()
    if not path.is_relative_to(directory):
        raise PermissionError(path)
    return path.read_bytes()


def profiler_joins_maps(directory: Path) -> bytes | None:
    """Read a mapped library as profilers do: the name in /proc/PID/maps, below /proc/PID/root."""
    line = "7f0000000000-7f0000001000 r-xp 00000000 00:2b 7 /app/lib.so"
    path = f"{directory}{line.split(maxsplit=5)[5]}"
    if not Path(path).is_file():
        return None
    with open(path, "rb") as file:
        return file.read()


def shutil_rmtree(directory: Path) -> None:
    """Remove a tree by shutil, whose rmtree.avoids_symlink_attacks is True."""
    shutil.rmtree(directory / "app/cache")


def tarfile_extractall(directory: Path) -> None:
    """Extract an archive by tarfile, with the filter that is made against hostile archives."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("app/new"), io.BytesIO())
    data.seek(0)
    with tarfile.open(fileobj=data) as archive:
        archive.extractall(directory, filter="data")


def rooted_path_reads(directory: Path) -> bytes:
    """Read a file by RootedPath."""
    return RootedPath(directory, "app/lib.so").read_bytes()


def rooted_path_rmtree(directory: Path) -> None:
    """Remove a tree by RootedPath."""
    RootedPath(directory, "app/cache").rmtree()


VICTIMS = [
    pathlib_joins,
    pathlib_resolves_and_checks,
    profiler_joins_maps,
    shutil_rmtree,
    tarfile_extractall,
    rooted_path_reads,
    rooted_path_rmtree,
]


def main() -> None:
    """Explore each victim, and print what came of it."""
    for victim in VICTIMS:
        print(f"# {victim.__name__}")
        print(f"{explore(victim, TREE, MOVES)}\n")


if __name__ == "__main__":
    main()
