"""Every public member says what it is, and names each of its parameters."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import FunctionType

import pytest

import procpath
from helpers.public import PUBLIC
from procpath.testing import races

REFERENCE_PAGES = (Path(__file__).parents[2] / "docs/reference").glob("*.md")

FIRST_VERSION = Path(__file__).with_name("public-0.1.txt")
"""The public names of version 0.1. Until that is released, a new name is added here."""

ADDED = re.compile(r"Added in version \d+\.\d+\.")

# A docstring that refers to another one has the parameters there.
REFERENCE = re.compile(r":(?:func|meth):`")

CLASSES_WITH_EXAMPLES = ("RootedPath", "Root", "VerifiedProc", "Entry", "Container", *races.__all__)


def _wants_example(name: str) -> bool:
    head, _, member = name.partition(".")
    # is_reserved() is deprecated, so its example would warn.
    return (
        head in CLASSES_WITH_EXAMPLES
        and not inspect.isclass(PUBLIC[name])
        and member != "is_reserved"
    )


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


@pytest.mark.parametrize("name", [name for name in PUBLIC if _wants_example(name)])
def test_method_has_an_example(name: str) -> None:
    assert ">>> " in (inspect.getdoc(PUBLIC[name]) or "")


def test_what_is_newer_than_the_first_version_says_so() -> None:
    """So a public name that vanishes is noticed, too."""
    dated = {name for name, member in PUBLIC.items() if ADDED.search(inspect.getdoc(member) or "")}
    # From Python 3.13 on it is pathlib's own.
    dated.add("UnsupportedOperation")
    assert sorted(PUBLIC.keys() - dated) == FIRST_VERSION.read_text().splitlines()


def test_reference_has_everything_public() -> None:
    reference = "".join(page.read_text() for page in REFERENCE_PAGES)
    names = [f"procpath.{name}" for name in procpath.__all__ if name != "UnsupportedOperation"]
    assert [name for name in names if f"::: {name}\n" not in reference] == []
