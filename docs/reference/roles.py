"""An extension of griffe for the reference: links, and the version that each name was added in.

The roles in docstrings (``:meth:`copy```) become links of Markdown.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:attr|class|exc|func|meth|mod):`~?([\w.]+)`")


# As the docstring of the package says. Later ones are in the docstring of what was added.
_FIRST_VERSION = "*Added in version 0.1.*"


class Roles(griffe.Extension):
    """Changes each public docstring, once the package is loaded."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Go through everything public."""
        public = _public_names(pkg)
        done: set[str] = set()
        for where, shown in public.items():
            for each in [shown] if shown.is_module else _with_members(shown):
                if each.docstring is not None and each.path not in done:
                    done.add(each.path)
                    text = _linked(each.docstring.value, where, public)
                    each.docstring.value = text if each.is_module else _dated(text)


def _public_names(pkg: griffe.Module) -> dict[str, Any]:
    """Return what the faces of the package name, by the name that users import."""
    faces = [pkg, pkg["testing"], pkg["testing.races"], pkg["testing.model"]]
    names = [f"{face.path}.{name}" for face in faces for name in (face.exports or ())]
    names += [f"procpath.porting.{name}" for name in ("Leak", "TextLeakWarning", "text_leaks")]
    found: dict[str, Any] = {face.path: face for face in faces[1:]}
    for name in names:
        try:
            target = pkg[name.removeprefix("procpath.")]
            found[name] = target.final_target if target.is_alias else target
        except KeyError:
            continue  # A submodule.
    return found


def _with_members(shown: Any) -> list[Any]:
    """Return an object and, of a class, its members and those that it inherits."""
    members = shown.all_members.values() if shown.is_class else ()
    return [shown, *(each.final_target if each.is_alias else each for each in members)]


def _dated(text: str) -> str:
    """Return ``text`` with the version before its first section or at its end."""
    if "Added in version" in text:
        return text
    prose, heading, rest = re.split(
        r"(\n+(?:Attributes|Examples|Parameters):\n|\Z)", text, maxsplit=1
    )
    return f"{prose.rstrip()}\n\n{_FIRST_VERSION}\n{heading}{rest}"


def _linked(text: str, where: str, public: dict[str, Any]) -> str:
    def link(match: re.Match[str]) -> str:
        name = match[1]
        words = name.removeprefix("procpath.")
        for each, target in public.items():
            short = each.rpartition(".")[2]
            if target.is_module:
                continue
            if words == short:
                return f"[`{words}`][{target.path}]"
            head, _, member = words.rpartition(".")
            if (head == short or (not head and each == where)) and member in target.all_members:
                return f"[`{words}`][{target.all_members[member].path}]"
        return f"`{words}`"

    return _ROLE.sub(link, text)
