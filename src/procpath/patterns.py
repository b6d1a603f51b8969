"""Glob patterns as regular expressions.

The language is that of ``pathlib`` in Python 3.14: ``*``, ``?``, ``[…]`` and ``[!…]`` within a
component, hidden names included, and ``**`` alone as any number of components.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

Matcher: TypeAlias = "Callable[[str], re.Match[str] | None]"

NameFilter: TypeAlias = "Callable[[list[str]], list[str]]"
"""Returns those of the names in a directory that match."""

_MAGIC = re.compile(r"[*?[]")
_TOKEN = re.compile(r"\*+|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)


def is_magic(part: str) -> bool:
    """Return whether ``part`` has a wildcard in it."""
    return _MAGIC.search(part) is not None


@lru_cache(maxsize=512)
def compile_name(part: str, case_sensitive: bool) -> Matcher:
    """Return the matcher of single names, for which ``**`` means ``*``."""
    return _compiled(r"[^/]+" if part == "*" else _expression(part), case_sensitive)


def name_filter(part: str, case_sensitive: bool) -> NameFilter:
    """Return the filter for the names that :func:`compile_name` matches.

    ``*.py`` and the like need no regular expression, which takes three times as long.
    """
    if part == "*":
        return lambda names: names
    text = part.strip("*")
    if not text or text == part or is_magic(text) or not case_sensitive:
        matches = compile_name(part, case_sensitive)
        return lambda names: [name for name in names if matches(name)]
    if not part.startswith("*"):
        return lambda names: [name for name in names if name.startswith(text)]
    if not part.endswith("*"):
        return lambda names: [name for name in names if name.endswith(text)]
    return lambda names: [name for name in names if text in name]


@lru_cache(maxsize=512)
def compile_path(pattern: str, case_sensitive: bool) -> Matcher:
    """Return the matcher of whole paths, for which ``**`` is any number of components."""
    first, *others = _between_stars(pattern.split("/"))
    if not others:
        return _compiled("/".join(first), case_sensitive)
    last = others.pop()
    expression = "".join(f"{part}/" for part in first)
    # As in a component, the next `**` makes up for taking the first match.
    expression += "".join(f"(?>(?:.+?/)??{'/'.join(parts)}/)" for parts in others)
    expression += "(?:.+/)?" + "/".join(last) if last else ".*"
    return _compiled(expression, case_sensitive)


def _between_stars(parts: list[str]) -> list[list[str]]:
    """Return the expressions of the parts before, between and after each ``**``."""
    groups: list[list[str]] = [[]]
    for part in parts:
        if part != "**":
            groups[-1].append("[^/]+" if part == "*" else _expression(part))
        elif len(groups) == 1 or groups[-1]:
            groups.append([])
    return groups


def _compiled(expression: str, case_sensitive: bool) -> Matcher:
    flags = re.DOTALL if case_sensitive else re.DOTALL | re.IGNORECASE
    return re.compile(expression, flags).fullmatch


def _expression(part: str) -> str:
    """Return the expression of one component.

    The text between two stars matches at its first occurrence, in an atomic group: whatever
    follows, the next star makes up for it. So a hostile name costs no backtracking.
    """
    pieces = [""]
    for token in _TOKEN.findall(part):
        if token.startswith("*"):
            pieces.append("")
        else:
            pieces[-1] += _translated(token)
    first, *others = pieces
    if not others:
        return first
    last = others.pop()
    return first + "".join(f"(?>[^/]*?{piece})" for piece in others) + "[^/]*" + last


def _translated(token: str) -> str:
    if token == "?":
        return "[^/]"
    if len(token) == 1:
        return re.escape(token)
    # "(?s:…)" and then the end of the string, which Python 3.14 writes in another way.
    expression = fnmatch.translate(token)
    return expression[: expression.rindex(")") + 1]
