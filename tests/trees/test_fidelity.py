"""What a copy keeps, feature by feature, beside what others keep: the table of docs/copies.md."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.commandline import here
from helpers.scenery import populate

DOCUMENT = Path(__file__).parents[2] / "docs/copies.md"

ARCHIVE = "procpath cp -a"
WHOLE = "procpath cp -a --special --numeric"

pytestmark = pytest.mark.machine_root


def scene(top: Path) -> None:
    populate(top)
    (top / "empty directory").mkdir()
    with open(top / "sparse", "wb") as file:
        file.seek(1 << 24)
        file.write(b"end")
    os.link(top / "sparse", top / "sub/the same hole")
    for path in (top, *top.rglob("*")):
        os.utime(path, ns=(10**18 + 1, 10**18 + 123456789), follow_symlinks=False)


def same(what: Callable[[Path], object], *names: str) -> Callable[[Path, Path], bool]:
    """Whether both trees have these entries, and say the same of each."""

    def holds(source: Path, target: Path) -> bool:
        return all(
            os.path.lexists(target / name) and what(source / name) == what(target / name)
            for name in names
        )

    return holds


def xattr(name: str) -> Callable[[Path], object]:
    def value(path: Path) -> object:
        try:
            return os.getxattr(path, name, follow_symlinks=False)
        except OSError:
            return None

    return value


def names_of(path: Path) -> int:
    return path.lstat().st_nlink


FEATURES: dict[str, Callable[[Path, Path], bool]] = {
    "content": same(Path.read_bytes, "file", "program", "sparse"),
    "names that are not UTF-8": same(Path.read_bytes, os.fsdecode(b"not utf-8 \xff\xfe")),
    "empty directories": same(Path.is_dir, "empty directory"),
    "symbolic links": same(lambda path: os.readlink(path), "link", "dangling"),
    "permissions": same(lambda path: path.stat().st_mode & 0o777, "file", "sub", "sub/deeper"),
    "set-ID bits of files": same(lambda path: path.stat().st_mode & 0o6000, "program"),
    "sticky bits of directories": same(lambda path: path.stat().st_mode & 0o1000, "sub"),
    "times of modification": same(lambda path: path.stat().st_mtime_ns, "file", "sub", ""),
    "times of links": same(lambda path: path.lstat().st_mtime_ns, "link"),
    "owners": same(lambda path: path.stat()[4:6], "file", "sub", "fifo"),
    "owners of links": same(lambda path: path.lstat()[4:6], "link"),
    "extended attributes": same(xattr("user.note"), "file", "sub"),
    "extended attributes of links": same(xattr("trusted.note"), "link"),
    "ACLs": same(xattr("system.posix_acl_access"), "file"),
    "default ACLs": same(xattr("system.posix_acl_default"), "sub"),
    "file capabilities": same(xattr("security.capability"), "program"),
    "hard links": same(names_of, "file", "sub/the same file", "sparse"),
    "hard links of links": same(names_of, "link"),
    "holes": lambda _, target: (
        (target / "sparse").exists() and (target / "sparse").stat().st_blocks < 1 << 12
    ),
    "FIFOs": same(Path.is_fifo, "fifo"),
    "sockets": same(Path.is_socket, "socket"),
    "devices": same(lambda path: (stat.S_IFMT(path.stat().st_mode), path.stat().st_rdev), "null"),
}


def run(*command: object) -> None:
    subprocess.run([os.fspath(str(word)) for word in command], check=False, capture_output=True)


def by_procpath(*options: str) -> Callable[[Path, Path], None]:
    def copy(source: Path, target: Path) -> None:
        here("cp", *options, f"{source.parent}:/{source.name}", str(target))

    return copy


def by_copytree(source: Path, target: Path) -> None:
    # It opens FIFOs, and would wait: it gets none.
    ignored = shutil.ignore_patterns("fifo", "the same fifo", "socket", "null", "disk")
    shutil.copytree(source, target, symlinks=True, ignore=ignored)


def by_pathlib(source: Path, target: Path) -> None:
    for name in ("fifo", "sub/the same fifo", "socket", "null", "disk"):
        (source / name).unlink()
    source.copy(target, follow_symlinks=False, preserve_metadata=True)  # type: ignore[attr-defined,unused-ignore]


TOOLS: dict[str, Callable[[Path, Path], None]] = {
    ARCHIVE: by_procpath("-a"),
    WHOLE: by_procpath("-a", "--special", "--numeric"),
    "cp -a": lambda source, target: run("cp", "-a", source, target),
    "shutil.copytree": by_copytree,
    "pathlib 3.14": by_pathlib,
}

AVAILABLE = [tool for tool in TOOLS if tool != "pathlib 3.14" or sys.version_info >= (3, 14)]


def documented() -> dict[str, dict[str, str]]:
    """The table: by feature and tool, ``yes`` or ``no``."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCUMENT.read_text().partition("\n## ")[0].splitlines()
        if line.startswith("| ") and not line.startswith("| ---")
    ]
    tools = [cell.strip("`") for cell in rows[0][1:]]
    return {row[0]: dict(zip(tools, row[1:], strict=True)) for row in rows[1:]}


@pytest.mark.parametrize("tool", AVAILABLE)
def test_table_is_what_each_tool_keeps(tool: str, tmp_path: Path) -> None:
    source, target = tmp_path / "tree", tmp_path / "copy"
    scene(source)
    reference = tmp_path / "reference"
    run("cp", "-a", source, reference)
    TOOLS[tool](source, target)
    # By another's copy where the tool's own source has lost what it cannot take.
    kept = {name: "yes" if holds(reference, target) else "no" for name, holds in FEATURES.items()}
    assert kept == {name: row[tool] for name, row in documented().items()}


def test_nothing_is_lost_that_cp_keeps() -> None:
    table = documented()
    assert list(table) == list(FEATURES)
    assert [name for name, row in table.items() if row["cp -a"] > row[WHOLE]] == []
