"""Code as users write it, which mypy --strict and pyright check (``.ci/lint``); it is never run.

An ignored error is one that has to be: both checkers complain where there is none to ignore.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar, assert_type

from procpath import (
    BoundPath,
    Entry,
    OptionArguments,
    PinnedPath,
    Root,
    RootedPath,
    Segment,
    containers,
)
from procpath.porting import Leak, text_leaks

AnyPath = TypeVar("AnyPath", Path, RootedPath)


def digest(path: Path | RootedPath) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def largest(paths: list[AnyPath]) -> AnyPath:
    return max(paths, key=lambda path: path.stat().st_size)


def resources(package: Traversable) -> list[str]:
    return [each.name for each in package.iterdir() if each.is_file()]


def configuration(path_class: type[BoundPath | Path]) -> str:
    return path_class("/etc/app.conf").read_text(encoding="utf-8")


class Session:
    """Code that chooses between the host and a container once."""

    def __init__(self, pid: int | None) -> None:
        self.path: type[BoundPath | Path] = Path if pid is None else RootedPath.bind(pid)


class Tracked(RootedPath):
    def sha256(self) -> str:
        return digest(self)


def both(host: Path, pid: int) -> None:
    rooted = RootedPath(pid, "etc", on_escape="raise", special_files="allow")
    assert_type(rooted / "passwd", RootedPath)
    assert_type(largest([rooted]), RootedPath)
    assert_type(largest([host]), Path)
    assert_type(Tracked(pid).parent / "x", Tracked)
    assert_type(RootedPath.bind(pid), type[BoundPath])
    assert_type(rooted.copy(host), Path)
    assert_type(rooted.copy("elsewhere"), RootedPath)
    resources(rooted)
    resources(host)
    configuration(RootedPath.bind(pid))
    configuration(Path)


def opening(path: RootedPath, mode: str) -> None:
    assert_type(path.open(), io.TextIOWrapper)
    assert_type(path.open("rb"), io.BufferedReader)
    assert_type(path.open("wb"), io.BufferedWriter)
    assert_type(path.open("r+b"), io.BufferedRandom)
    assert_type(path.open("rb", 0), io.FileIO)
    assert_type(path.read_bytes(limit=1 << 20), bytes)
    assert_type(path.read_text("utf-8", limit=1 << 20), str)
    with path.open(mode) as file:
        file.close()
    with path.open(newline="") as rows:
        list(csv.reader(rows))
    with path.open("rb") as document, path.open("rb") as archive, path.open("rb") as packed:
        tomllib.load(document)
        zipfile.ZipFile(archive).namelist()
        tarfile.open(fileobj=packed).getnames()


def listing(path: RootedPath) -> Iterator[str]:
    for each in path.rglob("*.conf"):
        assert_type(each, RootedPath)
    for top, directories, files in path.walk():
        assert_type(top, RootedPath)
        yield from directories
        yield from files
    entries: Iterator[Entry[RootedPath]] = path.scan(on_error=print)
    for entry in entries:
        yield entry.name


def handing_on(path: RootedPath) -> None:
    with path.as_file(siblings=("{name}-wal",), limit=1 << 20) as copy:
        assert_type(copy, Path)
        sqlite3.connect(copy).close()
    with path.pin() as pinned:
        assert_type(pinned, PinnedPath)
        subprocess.run(["cat", pinned], pass_fds=[pinned.fileno()], check=True)
        os.stat(pinned)
    with text_leaks() as leaks:
        assert_type(leaks, list[Leak])
    open("/etc/passwd", opener=path.root_handle.opener).close()


def options(**given: str) -> None:
    chosen: OptionArguments = {"symlinks": False, "resolver": "walk"}
    with Root.at("/srv", **chosen) as root:
        RootedPath(root)
    RootedPath("/srv", **chosen)
    make: Callable[[Segment], RootedPath] = RootedPath("/srv").joinpath
    make("x")
    for container in containers():
        container.root(on_escape="raise").close()


def refused(path: RootedPath, host: Path, pinned: PinnedPath) -> None:
    open(path)  # type: ignore[call-overload]
    os.stat(path)  # type: ignore[arg-type]
    Path(path)  # type: ignore[arg-type]
    shutil.copy(path, host)  # type: ignore[call-overload]
    host / path  # type: ignore[operator]
    RootedPath("/srv", symlinks="no")  # type: ignore[arg-type]
    RootedPath("/srv", symlink=False)  # type: ignore[call-arg]
