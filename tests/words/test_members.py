"""The table of pathlib's members in the documentation is true, by the interpreter's own list."""

from __future__ import annotations

import inspect
import pathlib
import re
import sys

import pytest

from procpath import RootedPath, UnsupportedOperation

PAGE = pathlib.Path(__file__).parents[2] / "docs/reference/members.md"


def table() -> dict[str, str]:
    """What the page says of each member."""
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE))


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def test_the_table_names_every_public_member_of_pathlib() -> None:
    gone_before_3_14 = {"link_to"}
    assert public(pathlib.Path) - gone_before_3_14 <= table().keys()
    if sys.version_info[:2] == (3, 14):
        assert table().keys() == public(pathlib.Path)


@pytest.mark.parametrize("name", table())
def test_yes_is_true_and_no_has_a_reason(name: str, tmp_path: pathlib.Path) -> None:
    verdict = table()[name]
    assert hasattr(RootedPath(tmp_path), name)
    if verdict.startswith("yes"):
        return
    assert re.match(r"no: .{10,}", verdict)
    arguments = ["file:///x"] if name == "from_uri" else []
    with pytest.raises(UnsupportedOperation):
        getattr(RootedPath(tmp_path), name)(*arguments)


@pytest.mark.parametrize("name", sorted(public(pathlib.Path) & table().keys() - {"cwd", "home"}))
def test_a_method_takes_what_pathlib_s_takes(name: str) -> None:
    theirs = inspect.getattr_static(pathlib.Path, name)
    if not inspect.isfunction(theirs):
        return
    ours = inspect.signature(getattr(RootedPath, name)).parameters
    for parameter in inspect.signature(theirs).parameters.values():
        if parameter.name in ("other", "_deprecated", "pathsegments", "args", "kwargs"):
            continue
        # Before 3.14 some parameters had other names, and some were positional.
        found = ours.get(parameter.name) or ours.get("other_path") or ours.get("path_pattern")
        assert found is not None, parameter
        if parameter.default is not parameter.empty:
            assert found.default == parameter.default, parameter


def test_what_is_beside_pathlib_is_named_too() -> None:
    page = PAGE.read_text()
    beside = public(RootedPath) - table().keys() - {"bind"}
    assert beside == {name for name in beside if f"`{name}" in page}
