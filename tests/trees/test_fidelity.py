"""What a copy keeps, feature by feature, beside what others keep: the table of docs/copies.md."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from helpers.commandline import here
from helpers.scenery import populate, write

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
    (top / "shared").mkdir()
    (top / "shared").chmod(0o2770)
    (top / "closed").mkdir()
    write(top / "closed/file")
    (top / "closed").chmod(0)
    top.chmod(0o750)
    for path in (top, *top.rglob("*")):
        os.utime(path, ns=(10**18 + 1, 10**18 + 123456789), follow_symlinks=False)
    os.utime(top / "program", ns=(-(10**18), -(10**18) + 1))


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


def mode_of(path: Path) -> int:
    return path.stat().st_mode


def has_hole(_: Path, target: Path) -> bool:
    return (target / "sparse").exists() and (target / "sparse").stat().st_blocks < 1 << 12


FEATURES: dict[str, Callable[[Path, Path], bool]] = {
    "content": same(Path.read_bytes, "file", "program", "sparse"),
    "names that are not UTF-8": same(Path.read_bytes, os.fsdecode(b"not utf-8 \xff\xfe")),
    "empty directories": same(Path.is_dir, "empty directory"),
    "symbolic links": same(lambda path: os.readlink(path), "link", "dangling"),
    "permissions": same(lambda path: path.stat().st_mode & 0o777, "file", "sub", "sub/deeper"),
    "permissions of FIFOs": same(mode_of, "fifo"),
    "set-ID bits of files": same(lambda path: path.stat().st_mode & 0o6000, "program"),
    "sticky and set-ID bits of directories": same(mode_of, "sub", "shared"),
    "directories that forbid everything": same(mode_of, "closed", "closed/file"),
    "times of modification": same(lambda path: path.stat().st_mtime_ns, "file", "sub", ""),
    "times before 1970": same(lambda path: path.stat().st_mtime_ns, "program"),
    # Of what nothing here reads.
    "times of access": same(lambda path: path.stat().st_atime_ns, "n" * 255, "fifo"),
    "times of links": same(lambda path: path.lstat().st_mtime_ns, "link"),
    "owners": same(lambda path: path.stat()[4:6], "file", "sub", "fifo"),
    "owners of links": same(lambda path: path.lstat()[4:6], "link"),
    "extended attributes": same(xattr("user.note"), "file", "sub"),
    "extended attributes of links": same(xattr("trusted.note"), "link"),
    "extended attributes of FIFOs": same(xattr("trusted.note"), "fifo"),
    "ACLs": same(xattr("system.posix_acl_access"), "file"),
    "default ACLs": same(xattr("system.posix_acl_default"), "sub"),
    "file capabilities": same(xattr("security.capability"), "program"),
    "hard links": same(names_of, "file", "sub/the same file", "sparse"),
    "hard links of links": same(names_of, "link"),
    "hard links of FIFOs": same(names_of, "fifo"),
    "holes": has_hole,
    "FIFOs": same(Path.is_fifo, "fifo"),
    "sockets": same(Path.is_socket, "socket"),
    "devices": same(lambda path: (stat.S_IFMT(path.stat().st_mode), path.stat().st_rdev), "null"),
}


# What is kept where a tree is copied into a directory that exists, as all that is in it.
OF_CONTENTS: dict[str, Callable[[Path, Path], bool]] = {
    "contents of a tree: content": same(Path.read_bytes, "file"),
    "contents of a tree: hard links": same(names_of, "file", "sparse", "link"),
    "contents of a tree: holes": has_hole,
    "contents of a tree: mode and times of its top": same(
        lambda path: (mode_of(path), path.stat().st_mtime_ns), ""
    ),
}


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=False, capture_output=True)


# Each copies the tree at the first path to the second, or what is in it where that exists.


def by_procpath(*options: str) -> Callable[[Path, Path], None]:
    def copy(source: Path, target: Path) -> None:
        contents = "/." if target.exists() else ""
        here("cp", *options, f"{source.parent}:/{source.name}{contents}", str(target))

    return copy


def by_cp(source: Path, target: Path) -> None:
    run("cp", "-a", f"{source}/." if target.exists() else source, target)


def by_rsync(source: Path, target: Path) -> None:
    run("rsync", "-aHAX", f"{source}/", target)


def by_copytree(source: Path, target: Path) -> None:
    # It opens FIFOs, and would wait: it gets none.
    ignored = shutil.ignore_patterns("fifo", "the same fifo", "socket", "null", "disk")
    shutil.copytree(source, target, symlinks=True, ignore=ignored, dirs_exist_ok=True)


def by_pathlib(source: Path, target: Path) -> None:
    for name in ("fifo", "sub/the same fifo", "socket", "null", "disk"):
        (source / name).unlink(missing_ok=True)
    # It does not copy into a directory that exists.
    with suppress(FileExistsError):
        source.copy(target, follow_symlinks=False, preserve_metadata=True)  # type: ignore[attr-defined,unused-ignore]


TOOLS: dict[str, Callable[[Path, Path], None]] = {
    ARCHIVE: by_procpath("-a"),
    WHOLE: by_procpath("-a", "--special", "--numeric"),
    "cp -a": by_cp,
    "rsync -aHAX": by_rsync,
    "shutil.copytree": by_copytree,
    "pathlib 3.14": by_pathlib,
}

MISSING = {
    "rsync -aHAX": shutil.which("rsync") is None,
    "pathlib 3.14": sys.version_info < (3, 14),
}
AVAILABLE = [tool for tool in TOOLS if not MISSING.get(tool)]


def documented() -> dict[str, dict[str, str]]:
    """The table: by feature and tool, ``yes`` or ``no``."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCUMENT.read_text().partition("\n## ")[0].splitlines()
        if line.startswith("| ") and not line.startswith("| ---")
    ]
    tools = [cell.strip("`") for cell in rows[0][1:]]
    return {row[0]: dict(zip(tools, row[1:], strict=True)) for row in rows[1:]}


def kept(tool: str, directory: Path) -> dict[str, str]:
    """What a tool keeps, by feature: ``yes`` or ``no``."""
    source, target, into = directory / "tree", directory / "copy", directory / "into"
    scene(source)
    # A twin, since a source loses what its tool cannot take, and times of access by being read.
    reference = directory / "reference"
    scene(reference)
    TOOLS[tool](source, target)
    into.mkdir()
    TOOLS[tool](source, into)
    found = {name: holds(reference, target) for name, holds in FEATURES.items()}
    found |= {name: holds(reference, into) for name, holds in OF_CONTENTS.items()}
    return {name: "yes" if holds else "no" for name, holds in found.items()}


@pytest.mark.parametrize("tool", AVAILABLE)
def test_table_is_what_each_tool_keeps(tool: str, tmp_path: Path) -> None:
    assert kept(tool, tmp_path) == {name: row[tool] for name, row in documented().items()}


def test_nothing_is_lost_that_cp_keeps() -> None:
    table = documented()
    assert list(table) == [*FEATURES, *OF_CONTENTS]
    assert [name for name, row in table.items() if row["cp -a"] > row[WHOLE]] == []
