"""Whoever annotates a variable with what procpath gives or takes can import the name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_overloads

import procpath

FOR_THE_LIBRARY_ALONE = {
    # Users make these by class methods and methods.
    *("Container.__init__", "PinnedPath.__init__", "ProcessDir.__init__", "Root.__init__"),
    *("SelfFd.__init__", "SelfFd.descriptor", "SelfFd.reopened", "ProcessDir.opened_link"),
    *("Root.walker", "Root.resolver_below", "Options.rules"),
}


def signatures() -> Iterator[tuple[str, Any]]:
    """The public functions of procpath's public classes, each overload by itself."""
    for name in procpath.__all__:
        exported = getattr(procpath, name)
        if not inspect.isclass(exported):
            members = {"": exported}
        else:
            ours = [base for base in exported.__mro__ if base.__module__.startswith("procpath")]
            members = {key: value for base in reversed(ours) for key, value in vars(base).items()}
        for key, member in members.items():
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if inspect.isfunction(function) and (not key.startswith("_") or key == "__init__"):
                for each in get_overloads(function) or [function]:
                    yield f"{name}.{key}".rstrip("."), each


def test_every_type_in_a_public_signature_is_exported() -> None:
    missing = set()
    for name, function in signatures():
        if name in FOR_THE_LIBRARY_ALONE:
            continue
        for annotation in function.__annotations__.values():
            for word in re.findall(r"\b[A-Z]\w+", str(annotation)):
                value = function.__globals__.get(word)
                module = getattr(value, "__module__", None)
                # What has no class of its own is an alias.
                is_ours = module is None or str(module).startswith("procpath")
                if value is not None and is_ours and word not in procpath.__all__:
                    missing.add(f"{word} of {name}")
    assert missing == set()


def test_the_test_sees_signatures() -> None:
    names = {name for name, _ in signatures()}
    assert {"RootedPath.open", "RootedPath.bind", "Root.at", "containers"} <= names
    assert names >= FOR_THE_LIBRARY_ALONE
