"""What is shipped is what is promised: the wheel, its metadata, its dependencies, the README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from hatchling import build

from procpath.cli import COMMANDS

PROJECT = Path(__file__).parent.parent
SOURCES = PROJECT / "src/procpath"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    directory = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PROJECT)
        name = build.build_wheel(str(directory))
    return zipfile.ZipFile(directory / name)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(_only(wheel, ".dist-info/METADATA"))


def _only(wheel: zipfile.ZipFile, suffix: str) -> str:
    [name] = [name for name in wheel.namelist() if name.endswith(suffix)]
    return wheel.read(name).decode()


def test_the_wheel_has_every_module_and_the_typing_marker(wheel: zipfile.ZipFile) -> None:
    sources = {*SOURCES.rglob("*.py"), SOURCES / "py.typed"}
    shipped = {name for name in wheel.namelist() if not re.search(r"\.(dist-info|data)/", name)}
    assert shipped == {str(path.relative_to(SOURCES.parent)) for path in sources}


def test_the_wheel_has_the_license(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert metadata["License-Expression"] == "MIT"
    assert _only(wheel, "/LICENSE") == (PROJECT / "LICENSE").read_text()


def test_the_distribution_is_named_rootedpath(metadata: Message) -> None:
    assert metadata["Name"] == "rootedpath"
    assert metadata["Requires-Python"] == ">=3.11"


def test_typing_extensions_is_the_only_dependency_at_run_time(metadata: Message) -> None:
    required = metadata.get_all("Requires-Dist", [])
    always = [one for one in required if "extra ==" not in one]
    assert [re.split(r"[^\w-]", one)[0] for one in always] == ["typing-extensions"]


def test_the_extras_are_the_four_named(metadata: Message) -> None:
    assert sorted(metadata.get_all("Provides-Extra", [])) == ["docs", "ports", "test", "testing"]


def test_the_description_has_no_relative_links(metadata: Message) -> None:
    description = metadata.get_payload()
    assert "Start (`docs/start.md`)" in description
    assert [
        target for target in re.findall(r"\]\(([^)]+)", description) if "://" not in target
    ] == []


def test_the_command_is_installed(wheel: zipfile.ZipFile) -> None:
    assert "procpath = procpath.__main__:main" in _only(wheel, ".dist-info/entry_points.txt")


@pytest.mark.parametrize(
    "place",
    [
        "share/bash-completion/completions/procpath",
        "share/zsh/site-functions/_procpath",
        "share/fish/vendor_completions.d/procpath.fish",
        "share/man/man1/procpath.1",
    ],
)
def test_completions_and_man_page_know_every_command(wheel: zipfile.ZipFile, place: str) -> None:
    text = _only(wheel, f".data/data/{place}").replace("\\-", "-")
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", text)
    assert ("-o maxdepth" if place.endswith(".fish") else "-maxdepth") in text
    assert os.fspath(PROJECT) not in text


def test_bash_completes_commands_options_and_files(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    script = tmp_path / "procpath"
    script.write_text(_only(wheel, "/bash-completion/completions/procpath"))
    completing = f"""
. {script}
complete -p procpath | grep -o -- '-F [a-z_]*' | {{ read -r _ function
complete_words() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); $function procpath
    "${{!#}}" "" >/dev/null 2>&1; echo "${{COMPREPLY[*]}}"; }}
complete_words procpath ta
complete_words procpath ls --j
complete_words procpath ls app.co
}}
"""
    (tmp_path / "app.conf").touch()
    completed = subprocess.check_output(["bash", "-c", completing], text=True, cwd=tmp_path)
    assert completed.splitlines() == ["tail", "--json", "app.conf"]


def test_man_page_is_dated_by_the_build(wheel: zipfile.ZipFile) -> None:
    first = _only(wheel, "man1/procpath.1").splitlines()[0]
    assert re.fullmatch(
        r'\.TH PROCPATH "1" "2020\\-02\\-02" "rootedpath [\d.]+" "User Commands"', first
    )


def test_ci_holds_the_version_of_each_dependency() -> None:
    configuration = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    extras = configuration["project"]["optional-dependencies"].values()
    required = {
        _normalized(re.split(r"[^\w.-]", each)[0])
        for each in [
            *configuration["build-system"]["requires"],
            *configuration["project"]["dependencies"],
            *(each for extra in extras for each in extra),
        ]
    }
    lines = (PROJECT / ".ci/constraints.txt").read_text().splitlines()
    held = [line.split("==") for line in lines if line[0] != "#"]
    assert all(len(each) == 2 for each in held)
    assert required - {_normalized(name) for name, _ in held} == {"rootedpath"}


def _normalized(name: str) -> str:
    """Return the name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_importing_procpath_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); from procpath import *;"
        "print(*set(sys.modules) - before)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    packages = {name.partition(".")[0] for name in printed.stdout.split()}
    assert "procpath" in packages
    # pathlib_abc is not a dependency, but where it is installed its classes must know RootedPath.
    assert packages - sys.stdlib_module_names <= {"procpath", "typing_extensions", "pathlib_abc"}


def test_the_changelog_names_the_version_or_has_it_unreleased() -> None:
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## \[(.+?)\]", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert len(headings) == 1 or headings[1] == version


def _blocks(language: str) -> list[str]:
    readme = (PROJECT / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)


def test_the_readme_has_two_setup_commands() -> None:
    commands = [line for block in _blocks("sh") for line in block.splitlines()]
    assert len(commands) == 2
    demo, tests = commands
    assert demo.endswith("/procpath demo")
    assert tests.endswith("-m pytest -m alone")
    for command in commands:
        assert "-m venv" in command
        subprocess.run(["bash", "-n", "-c", command], check=True)
