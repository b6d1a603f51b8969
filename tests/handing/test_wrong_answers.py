"""Ways in which real code was led to the host, each with a twin there that says HOST.

The other files of this directory have SQLite, file names, segments and texts.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from helpers.twins import Twins
from procpath import RootedPath
from procpath.porting import TextLeakWarning, text_leaks


def os_release_name(root_dir: str) -> str:
    """As distro.LinuxDistribution(root_dir=...) finds it: by names below a directory."""
    return Path(root_dir, "etc/os-release").read_text()


def test_below_a_pinned_directory_the_host_s_rules_apply(twins: Twins) -> None:
    for directory in twins:
        (directory / "etc").mkdir()
        (directory / "usr").mkdir()
        (directory / "usr/os-release").write_text((directory / "f").read_text())
        (directory / "etc/os-release").symlink_to(str(twins.host / "usr/os-release"))
    with twins.inside.pin() as pinned:
        assert os_release_name(os.fspath(pinned)) == "HOST"
    with twins.inside.as_file() as copy:
        assert os_release_name(os.fspath(copy)) == "inside"
    assert (twins.inside / "etc/os-release").read_text() == "inside"


def test_a_link_out_of_a_copied_directory_is_an_error(twins: Twins) -> None:
    for directory in twins:
        (directory / "conf.d").mkdir()
        (directory / "conf.d/main").symlink_to(str(twins.host / "f"))
    assert (twins.inside / "conf.d/main").read_text() == "inside"
    with pytest.raises(FileNotFoundError) as caught, twins.inside.joinpath("conf.d").as_file() as d:
        (d / "main").read_text()
    assert "conf.d/main' (a link that leads out of it)" in caught.value.__notes__[0]


ASKING: dict[str, Callable[[Any], object]] = {
    "os.path.exists": lambda path: os.path.exists(path),
    "os.path.isfile": lambda path: os.path.isfile(path),
    "os.stat": lambda path: os.stat(path),
    "os.access": lambda path: os.access(path, os.R_OK),
    "os.scandir": lambda path: os.scandir(path),
    "shutil.copy": lambda path: shutil.copy(path, "/nowhere"),
    "pathlib.Path": lambda path: Path(path),
    "open": lambda path: open(path),
}


@pytest.mark.parametrize("name", ASKING)
def test_a_function_of_the_host_refuses_it(name: str, twins: Twins) -> None:
    """click.Path(exists=True) and pydantic.FilePath ask the host whether a path exists."""
    with pytest.raises(TypeError):
        ASKING[name](twins.inside / "f")


@pytest.mark.parametrize("name", ["os.path.exists", "os.stat", "pathlib.Path", "open"])
def test_its_text_is_told_as_a_leak(name: str, twins: Twins) -> None:
    """watchfiles.watch(), diskcache.Cache() and UPath make texts of what they are given."""
    for make_text in (str, format, lambda path: f"{path}"):
        with pytest.warns(TextLeakWarning), text_leaks() as leaks:
            answer = ASKING[name](make_text(twins.inside / "f"))
        assert answer
        if hasattr(answer, "close"):
            with answer as file:
                assert file.read() == "HOST"
        assert [leak.path for leak in leaks] == [twins.inside / "f"]


def test_ignoring_errors_removes_nothing_of_the_host(twins: Twins) -> None:
    for directory in twins:
        (directory / "sub").mkdir()
    doomed: Any = twins.inside / "sub"
    # Since Python 3.13; before, nothing was done without a word.
    with suppress(TypeError):
        shutil.rmtree(doomed, ignore_errors=True)
    assert (twins.host / "sub").is_dir()
    assert (twins.inside / "sub").is_dir()
    (twins.inside / "sub").rmtree(ignore_errors=True)
    assert (twins.host / "sub").is_dir()
    assert not (twins.inside / "sub").exists()


def test_the_program_s_own_files_are_looked_for_inside(twins: Twins) -> None:
    """``P(__file__).parent / "rules"``: what must not move with a port by one line."""
    for directory in twins:
        (directory / "rules").write_text((directory / "f").read_text())
    bound: type[Any] = RootedPath.bind(twins.inside.root_handle)
    program = twins.host / "program.py"
    assert (bound(str(program)).parent / "rules").read_text() == "inside"
    assert (Path(program).parent / "rules").read_text() == "HOST"
    with pytest.raises(TypeError):
        bound(program)
