"""What ``glob`` of Python 3.14 finds, in its order, as plainly as it can be written.

For Pythons whose own pathlib does not know ``**`` for files, or orders otherwise. It follows
every link by the rules of the process, and is as slow as it is simple.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator


def glob(start: str, pattern: str, case_sensitive: bool | None = None) -> list[str]:
    """The paths below ``start``, a directory with a slash at its end, or empty."""
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if pattern.endswith("/"):
        parts.append("")
    return [path.rstrip("/") for path in _glob(start, parts, case_sensitive, seen=False)]


def _glob(path: str, parts: list[str], cased: bool | None, *, seen: bool) -> Iterator[str]:
    """``seen``: the path was in a list of entries, so that it need not be looked up."""
    if not parts:
        if seen or os.path.lexists(path or "."):
            yield path
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        while rest[:1] == ["**"]:
            rest = rest[1:]
        yield from _tree(path, rest, cased, seen)
    elif part in ("", ".."):
        slash = "/" if rest else ""
        yield from _glob(path + part + slash, rest, cased, seen=seen)
    elif cased is None and not re.search(r"[*?[]", part):
        slash = "/" if rest else ""
        yield from _glob(path + part + slash, rest, cased, seen=False)
    else:
        flags = re.IGNORECASE if cased is False else re.NOFLAG
        matches = re.compile(fnmatch.translate(part), flags).match
        for entry in _listed(path):
            if matches(entry.name):
                if not rest:
                    yield path + entry.name
                elif _leads_to_directory(entry):
                    yield from _glob(f"{path}{entry.name}/", rest, cased, seen=True)


def _tree(path: str, rest: list[str], cased: bool | None, seen: bool) -> Iterator[str]:
    yield from _glob(path, rest, cased, seen=seen)
    todo = [path]
    while todo:
        directory = todo.pop()
        for entry in _listed(directory):
            is_dir = entry.is_dir(follow_symlinks=False)
            if not rest:
                yield directory + entry.name
            elif is_dir:
                yield from _glob(f"{directory}{entry.name}/", rest, cased, seen=True)
            if is_dir:
                todo.append(f"{directory}{entry.name}/")


def _leads_to_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _listed(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path or ".") as entries:
            return list(entries)
    except OSError:
        return []
