"""Type checkers reject a rooted path where a host path belongs, and accept what is right."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import procpath

pytestmark = pytest.mark.slow

WRONG = """\
import os
import shutil
import subprocess
from pathlib import Path

import procpath
import procpath.testing
from procpath import Rooted, RootedPath  # wrong
from procpath.testing import Trees  # wrong

procpath.Rooted  # wrong
procpath.testing.Trees  # wrong
rooted = RootedPath(1) / "etc/passwd"
open(rooted)  # wrong
os.open(rooted, os.O_RDONLY)  # wrong
os.stat(rooted)  # wrong
os.fspath(rooted)  # wrong
os.path.join(rooted, "x")  # wrong
os.listdir(rooted)  # wrong
shutil.copy(rooted, "/tmp/copy")  # wrong
Path(rooted)  # wrong
subprocess.run(["cat", rooted])  # wrong
rooted.open(mode=0)  # wrong
RootedPath(1.5)  # wrong
"""

RIGHT = """\
import os
import subprocess
from collections.abc import Iterator
from io import BufferedReader, TextIOWrapper
from pathlib import Path

from typing_extensions import assert_type

import procpath
from procpath import PinnedPath, Root, RootedPath, Trace
from procpath.testing import Tree, hostile_trees, model

assert_type(procpath.RootedPath(1), RootedPath)
assert_type(hostile_trees().example(), Tree)
assert_type(model.resolve(Tree(), "/"), str)
root = Root.at("/srv", resolver="walk", on_escape="raise")
path = RootedPath(root, "etc", "passwd")


class Mine(RootedPath):
    pass


Bound = RootedPath.bind(1)


def read(given: RootedPath, mode: str) -> Iterator[str]:
    assert_type(given.open(), TextIOWrapper)
    assert_type(given.open("rb"), BufferedReader)
    with given.open(mode) as file:
        yield str(file.read())


assert_type(path / "x", RootedPath)
assert_type("/x" / path, RootedPath)
assert_type(path.parent.joinpath("y"), RootedPath)
assert_type(Mine(1).resolve(strict=True, follow_last=False), Mine)
assert_type([each for each in Mine(1).iterdir()], list[Mine])
assert_type(list(path.glob("**/*.conf", recurse_symlinks=True)), list[RootedPath])
assert_type(path.read_text(encoding="utf-8"), str)
assert_type(path.read_bytes(), bytes)
assert_type(path.home(), RootedPath)
assert_type(Mine(1).cwd(), Mine)
assert_type(path.stat(follow_symlinks=False), os.stat_result)
assert_type(path.trace(), Trace)
assert_type(path.as_root(special_files="refuse"), Root)
assert_type(Bound("/etc").name, str)
print(Bound.cwd(), Bound.home())
with path.pin() as pinned:
    assert_type(pinned, PinnedPath)
    subprocess.run(["file", pinned], pass_fds=[pinned.fileno()])
    os.stat(pinned)
    print(Path(pinned), open(pinned))
print(open("/etc/passwd", opener=root.opener).read(), path.samefile(Path("/etc/passwd")))
"""


def _mypy(program: Path) -> set[int]:
    """The lines of the program that mypy rejects."""
    completed = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"),
            *("--no-pretty", "--hide-error-context", "--cache-dir", str(program.parent / "cache")),
            program.name,
        ],
        cwd=program.parent,
        env=os.environ | _where_mypy_looks(),
        capture_output=True,
        text=True,
    )
    assert completed.returncode in (0, 1), completed.stdout + completed.stderr
    errors = [line for line in completed.stdout.splitlines() if ": error: " in line]
    assert all(line.startswith(f"{program.name}:") for line in errors), errors
    assert bool(errors) == bool(completed.returncode)
    return {int(line.split(":")[1]) for line in errors}


def _where_mypy_looks() -> dict[str, str]:
    """In a checkout, beside the installed packages; mypy refuses to take those."""
    here = str(Path(procpath.__file__).parents[1])
    return {} if here in site.getsitepackages() else {"MYPYPATH": here}


def _pyright(program: Path) -> set[int]:
    """The lines of the program that pyright rejects."""
    settings = {"extraPaths": [str(Path(procpath.__file__).parents[1])], "include": [program.name]}
    (program.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    completed = subprocess.run(
        [
            *(sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable),
            *("--project", str(program.parent)),
        ],
        capture_output=True,
        text=True,
    )
    assert completed.returncode in (0, 1), completed.stdout + completed.stderr
    report = json.loads(completed.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    return {
        each["range"]["start"]["line"] + 1
        for each in report["generalDiagnostics"]
        if each["severity"] == "error"
    }


@pytest.mark.parametrize("check", [_mypy, _pyright])
def test_type_checkers_reject_it_as_a_host_path(
    tmp_path: Path, check: Callable[[Path], set[int]]
) -> None:
    program = tmp_path / "wrong.py"
    program.write_text(WRONG)
    lines = enumerate(WRONG.splitlines(), 1)
    assert check(program) == {number for number, line in lines if line.endswith("# wrong")}


@pytest.mark.parametrize("check", [_mypy, _pyright])
def test_type_checkers_accept_what_is_right(
    tmp_path: Path, check: Callable[[Path], set[int]]
) -> None:
    program = tmp_path / "right.py"
    program.write_text(RIGHT)
    assert check(program) == set()
