"""Every public member says what it is, and names each of its parameters."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import pytest

import procpath
from procpath import testing
from procpath.testing import races

# A docstring that refers to another one has the parameters there.
REFERENCE = re.compile(r":(?:func|meth):`")


def public() -> Iterator[tuple[str, Any]]:
    """What the faces of the package name, and the members of the classes among it."""
    for face in (procpath, testing, races):
        for name in face.__all__:
            found = getattr(face, name)
            if inspect.isclass(found) and found.__module__.startswith("procpath"):
                yield name, found
                for member in sorted(dir(found)):
                    static = inspect.getattr_static(found, member)
                    function = getattr(static, "__func__", static)
                    if not member.startswith("_") and is_ours(function):
                        yield f"{name}.{member}", function
            elif inspect.isfunction(found):
                yield name, found


def is_ours(member: Any) -> bool:
    code = member.fget if isinstance(member, property) else member
    return isinstance(code, FunctionType) and code.__module__.startswith("procpath")


PUBLIC = dict(public())


def test_the_main_classes_are_looked_at() -> None:
    assert {"RootedPath.read_text", "Root.of_process", "Entry.path", "containers"} <= PUBLIC.keys()


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_says_what_and_names_the_parameters(name: str) -> None:
    doc = inspect.getdoc(PUBLIC[name])
    assert doc
    if isinstance(PUBLIC[name], FunctionType) and not REFERENCE.search(doc):
        parameters = inspect.signature(PUBLIC[name]).parameters.values()
        named = [
            p.name
            for p in parameters
            if p.name not in ("self", "cls") and p.kind is not p.VAR_KEYWORD
        ]
        assert [each for each in named if not re.search(rf"\b{each}\b", doc)] == []
