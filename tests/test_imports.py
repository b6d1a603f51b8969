"""Importing the package loads nothing of Linux, and its entry points break no other tool."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

import procpath
import procpath.testing

PROJECT = Path(__file__).parent.parent

# sysconfig first, which looks for a file that is there on the real system alone.
UNSUPPORTED = {
    "another system": "import sysconfig; sysconfig.get_config_vars(); sys.platform = 'freebsd14'",
    "another processor": "import os; names = os.uname()[:4]; "
    "os.uname = lambda: os.uname_result((*names, 'riscv64'))",
}
ELSEWHERE = pytest.mark.parametrize("elsewhere", UNSUPPORTED.values(), ids=UNSUPPORTED)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A directory to import from, in which the distribution is installed with its entry points."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    directory = tmp_path / "installed"
    information = directory / "rootedpath-0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: rootedpath\nVersion: 0\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (information / "entry_points.txt").write_text("\n".join(lines))
    (directory / "procpath").symlink_to(PROJECT / "src/procpath")
    return directory


def run(code: str, directory: Path = PROJECT / "src") -> str:
    """What ``code`` prints, both ways, in a process of its own that imports from ``directory``."""
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(directory)},
        cwd=directory,
        check=False,
    )
    return ran.stdout.strip()


@pytest.mark.parametrize(
    "module", ["procpath", "procpath.testing", "procpath.testing.hypothesis_plugin"]
)
def test_importing_loads_nothing_of_linux(module: str) -> None:
    code = f"import hypothesis, sys; import {module}; print('procpath.linux' in sys.modules)"
    assert run(code) == "False"


def test_importing_the_package_loads_no_other_module() -> None:
    code = "import sys; before = set(sys.modules); import procpath; print(*set(sys.modules)-before)"
    packages = {name.partition(".")[0] for name in run(code).split()}
    assert packages <= {"procpath", "importlib", "__future__", "warnings"}


ROOMS_OF_A_PATH = """
    binding descriptors entries errors info lexical linux opening options origin path
    patterns pin proc protocols reading resolve root tree uapi xattrs
"""
"""what is imported for a path in a root"""

SLOW_TO_IMPORT = """
    asyncio dataclasses email hashlib hmac importlib.metadata inspect json logging random secrets
    shutil socket ssl subprocess tarfile tempfile typing_extensions urllib.parse zipfile
"""

PARSE = "import argparse; argparse.ArgumentParser().add_argument('path')"


def loaded(code: str, before: str) -> set[str]:
    """The modules that ``code`` loads after ``before``, and after pathlib."""
    before = f"import sys, io, pathlib; sys.modules['pathlib_abc'] = None; {before}"
    printing = "sys.__stderr__.write(' '.join(set(sys.modules) - before))"
    return set(run(f"{before}; before = set(sys.modules)\n{code}\n{printing}").split())


def test_a_path_loads_the_rooms_that_it_needs_and_nothing_slow() -> None:
    names = loaded("from procpath import RootedPath; RootedPath('/').stat()", "pass")
    rooms = {name.split(".")[1] for name in names if name.startswith("procpath.")}
    assert rooms == set(ROOMS_OF_A_PATH.split())
    assert not {name for name in names if name.startswith("procpath.tree.copy")}
    assert not names & set(SLOW_TO_IMPORT.split())


def test_cat_loads_nothing_slow(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = f"from procpath.cli import main; main(['cat', {str(tmp_path)!r} + ':/file'])"
    names = loaded(code, PARSE)
    commands = {name for name in names if name.startswith("procpath.commands.")}
    assert commands == {f"procpath.commands.{name}" for name in ("cat", "output", "session")}
    assert not {name for name in names if name.startswith("procpath.tree.copy")}
    assert not names & set(SLOW_TO_IMPORT.split())


@pytest.mark.parametrize("package", [procpath, procpath.testing], ids=lambda each: each.__name__)
def test_every_name_is_there_when_it_is_used(package: object) -> None:
    name = procpath.__name__ if package is procpath else procpath.testing.__name__
    code = f"""
        import {name} as package
        print(set(package.__all__) <= set(dir(package)))
        for name in package.__all__:
            assert getattr(package, name) is vars(package)[name], name
        from {name} import *
        print("complete")
    """
    assert run(code).split() == ["True", "complete"]


@pytest.mark.parametrize("name", ["procpath", "procpath.testing"])
def test_an_unknown_name_is_an_ordinary_error(name: str) -> None:
    printed = run(f"import {name} as package; print(hasattr(package, 'Route'))")
    assert printed == "False"
    last = run(f"from {name} import Route").splitlines()[-1]
    assert last.startswith(f"ImportError: cannot import name 'Route' from '{name}'")


@ELSEWHERE
def test_an_unsupported_system_is_told_at_the_first_name(elsewhere: str) -> None:
    code = f"""
        import sys; {elsewhere}
        import procpath
        for name in procpath.__all__ * 2:
            for use in (f"from procpath import {{name}}", f"procpath.{{name}}"):
                try:
                    exec(use)
                except ImportError as error:
                    print(error)
    """
    said = run(code).splitlines()
    assert len(said) == 4 * len(procpath.__all__)
    assert len(set(said)) == 1
    assert said[0].startswith(("procpath needs Linux: ", "procpath knows the system calls of "))


@ELSEWHERE
def test_the_command_line_says_so_in_one_line(elsewhere: str) -> None:
    code = f"import sys; {elsewhere}; import procpath.__main__ as cli; cli.main()"
    [line] = run(code).splitlines()
    assert line.startswith(("procpath: procpath needs Linux: ", "procpath: procpath knows the "))


@ELSEWHERE
def test_hypothesis_works_where_procpath_does_not(elsewhere: str, installed: Path) -> None:
    code = f"""
        import sys; {elsewhere}
        from hypothesis import given, strategies
        given(strategies.integers())(lambda number: None)()
        print("works", "procpath.testing.hypothesis_plugin" in sys.modules)
    """
    assert run(code, installed) == "works True"


@ELSEWHERE
def test_pytest_works_where_procpath_does_not(elsewhere: str, installed: Path) -> None:
    (installed / "test_of_others.py").write_text(
        "def test_passes(): pass\ndef test_ours(rooted_tree): rooted_tree(object()).__enter__()\n"
    )
    code = f"""
        import sys; {elsewhere}
        import pytest
        print(pytest.main(["-q", "-p", "no:cacheprovider", "test_of_others.py"]))
    """
    printed = run(code, installed)
    assert "1 failed, 1 passed" in printed
    assert "ImportError: procpath " in printed


@pytest.mark.parametrize("name", ["hostile_trees", "in_root_paths", "names", "targets", "trees"])
def test_a_strategy_is_imported_before_hypothesis(name: str, installed: Path) -> None:
    for module in ("procpath.testing", "procpath.testing.strategies"):
        code = f"""
            from {module} import {name}
            from hypothesis import strategies
            from procpath.testing import Tree
            print(strategies.from_type(Tree))
        """
        assert run(code, installed) == "trees()"


def test_a_broken_hypothesis_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "hypothesis.py").write_text("import no_such_module\n")
    (tmp_path / "procpath").symlink_to(PROJECT / "src/procpath")
    last = run("from procpath.testing import trees", tmp_path).splitlines()[-1]
    assert last == "ModuleNotFoundError: No module named 'no_such_module'"


@pytest.mark.parametrize("module", ["procpath", "procpath.path"])
def test_abstract_paths_know_rooted_paths(module: str) -> None:
    code = f"""
        from {module} import RootedPath
        import pathlib_abc
        print(issubclass(RootedPath, pathlib_abc.ReadablePath))
    """
    assert run(code) == "True"


@pytest.mark.machine_root
def test_no_module_is_loaded_from_another_root(tmp_path: Path) -> None:
    """Its files would be the container's, and their code would run with our rights."""
    package = Path(procpath.__file__).parent
    planted = tmp_path / str(package)[1:]
    planted.mkdir(parents=True)
    (planted / "accounts.py").write_text("print('led outside')\n")
    told = run(
        f"""\
        import os
        from procpath import RootedPath
        path = RootedPath("/")
        path.exists()
        os.chroot({str(tmp_path)!r})
        path.owner()
        """
    )
    assert "ImportError: procpath.accounts is not loaded from" in told.split("\n")[-1]
    assert "led outside" not in told
