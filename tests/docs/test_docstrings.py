"""Every public member says what it is, and names each of its parameters."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import FunctionType

import pytest

import procpath
from helpers.public import PUBLIC

REFERENCE_PAGES = (Path(__file__).parents[2] / "docs/reference").glob("*.md")

# A docstring that refers to another one has the parameters there.
REFERENCE = re.compile(r":(?:func|meth):`")


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


def test_reference_has_everything_public() -> None:
    reference = "".join(page.read_text() for page in REFERENCE_PAGES)
    names = [f"procpath.{name}" for name in procpath.__all__ if name != "UnsupportedOperation"]
    assert [name for name in names if f"::: {name}\n" not in reference] == []
