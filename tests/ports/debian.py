"""A small Debian root, made of files and of the package database of this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAMS = ("bash", "cat", "cp", "grep", "ls", "sed", "sort", "tar")
_PACKAGES = ("bash", "coreutils", "grep", "libc6", "libtinfo6", "sed", "tar")
_INFO = Path("/var/lib/dpkg/info")


def build(tree: Path) -> None:
    """Make a root with some programs, their libraries, and the packages that they are of."""
    if shutil.which("dpkg-query") is None:
        pytest.skip("needs a Debian machine")
    for name in ("etc", "proc", "tmp", "usr/bin", "usr/lib", "usr/lib64", "var/lib/dpkg/info"):
        (tree / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    for name in PROGRAMS:
        _copy_program(tree, f"/usr/bin/{name}")
    for name in ("passwd", "group", "debian_version", "ld.so.conf"):
        shutil.copy(f"/etc/{name}", tree / "etc")
    shutil.copytree("/etc/ld.so.conf.d", tree / "etc/ld.so.conf.d")
    (tree / "etc/hostname").write_text("cellar\n")
    _write_packages(tree / "var/lib/dpkg")


def _copy_program(tree: Path, program: str) -> None:
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    for name in [program, *re.findall(r"(/\S+) \(0x", told.stdout)]:
        # Where the loader looks it up, and where it is: /lib64 and its like are links.
        target = tree / Path(name).parent.resolve().relative_to("/") / Path(name).name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, target)


def _write_packages(database: Path) -> None:
    told = subprocess.run(["dpkg-query", "-s", *_PACKAGES], capture_output=True, text=True)
    # A package that this machine lacks is told as an error, after the others.
    (database / "status").write_text(told.stdout)
    for package in _PACKAGES:
        for file in _INFO.glob(f"{package}[.:]*list"):
            shutil.copy(file, database / "info")
