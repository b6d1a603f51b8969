"""The rooms of the package import one way: each only those before it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src/procpath"

ROOMS = [
    "errors",
    "uapi",
    "linux",
    "descriptors",
    "reading",
    "proc",
    "unix_sockets",
    "pin",
    "resolve",
    "options",
    "origin",
    "root",
    "accounts",
    "info",
    "xattrs",
    "entries",
    "patterns",
    "lexical",
    "opening",
    "binding",
    "tree",
    "handing",
    "protocols",
    "cgroups",
    "inventory",
    "path",
    "porting",
    "__init__",
    "testing",
    "commands",
    "cli",
    "__main__",
]

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def _imported(module: Path) -> Iterator[str]:
    """The full names that ``module`` imports, wherever in it and for whatever purpose."""
    tree = ast.parse((PACKAGE / module).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import hides which room is meant"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _room(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_only_rooms_above_its_own(module: Path) -> None:
    own = ROOMS.index(_room(module))
    for name in _imported(module):
        package, *rest = name.split(".")
        if package == "procpath":
            # `from procpath import RootedPath` names no room: that is the package's face.
            room = rest[0] if rest and rest[0] in ROOMS else "__init__"
            assert ROOMS.index(room) <= own, f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_only_linux_py_uses_ctypes(module: Path) -> None:
    uses_ctypes = any(name.partition(".")[0] == "ctypes" for name in _imported(module))
    assert uses_ctypes == (module == Path("linux.py"))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_says_what_it_is_for(module: Path) -> None:
    assert ast.get_docstring(ast.parse((PACKAGE / module).read_text())), (
        f"{module} has no docstring"
    )


def test_the_map_for_newcomers_has_every_room_in_order() -> None:
    text = (PACKAGE.parents[1] / "CONTRIBUTING.md").read_text()
    section = text.partition("## The rooms")[2].partition("\nThe tests have")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall("`(.+?)`", row.split("|")[1])]
    assert named == [room for room in ROOMS if not room.startswith("__")]
