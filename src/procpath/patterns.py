"""Glob patterns as regular expressions.

Promises the language of ``pathlib`` in Python 3.14: ``*``, ``?``, ``[…]`` and ``[!…]`` within a
component, hidden names included, and ``**`` alone as any number of components. Rests on
``fnmatch`` for what stands in brackets.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

Matcher: TypeAlias = "Callable[[str], re.Match[str] | None]"

_MAGIC = re.compile(r"[*?[]")
_TOKEN = re.compile(r"\*+|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)


def is_magic(part: str) -> bool:
    """Whether ``part`` has a wildcard in it, so that it is no plain name."""
    return _MAGIC.search(part) is not None


@lru_cache(maxsize=512)
def compile_name(part: str, case_sensitive: bool) -> Matcher:
    """The matcher of single names; in it ``**`` means ``*``."""
    return _compiled(r"[^/]+" if part == "*" else _expression(part), case_sensitive)


@lru_cache(maxsize=512)
def compile_path(pattern: str, case_sensitive: bool) -> Matcher:
    """The matcher of whole paths; in it ``**`` is any number of components."""
    parts = pattern.split("/")
    last = len(parts) - 1
    expression = ""
    for index, part in enumerate(parts):
        end = "/" if index < last else ""
        if part == "**":
            if index == last:
                expression += r".*"
            elif parts[index + 1] != "**":
                expression += r"(?:.+/)?"
        elif part == "*":
            expression += r"[^/]+" + end
        else:
            expression += _expression(part) + end
    return _compiled(expression, case_sensitive)


def _compiled(expression: str, case_sensitive: bool) -> Matcher:
    flags = re.DOTALL if case_sensitive else re.DOTALL | re.IGNORECASE
    return re.compile(expression, flags).fullmatch


def _expression(part: str) -> str:
    return "".join(_translated(token) for token in _TOKEN.findall(part))


def _translated(token: str) -> str:
    if token[0] == "*":
        return "[^/]*"
    if token == "?":
        return "[^/]"
    if len(token) == 1:
        return re.escape(token)
    # "(?s:…)" and then the end of the string, which Python 3.14 writes in another way.
    expression = fnmatch.translate(token)
    return expression[: expression.rindex(")") + 1]
