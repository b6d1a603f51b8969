"""Finding the paths that match a pattern: ``glob``.

Promises the paths and the order of ``pathlib.Path.glob`` in Python 3.14, links being
followed inside the root and, for ``**``, only when asked. Each directory is listed
once. A pattern becomes a chain of selectors, one for each part, and each yields
in-root paths as text. Rests on :mod:`procpath.tree.descent`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator

from procpath.info import mode_of_last
from procpath.patterns import compile_name, compile_path, is_magic
from procpath.root import Root
from procpath.tree.descent import LISTING, Descent, scan
from procpath.tree.walking import below, is_directory

_SPECIAL = ("", ".", "..")


def parse_pattern(pattern: str) -> list[str]:
    """The parts of a pattern; a last, empty one stands for a slash at its end.

    ``NotImplementedError`` for an absolute pattern, ``ValueError`` for an empty one, as in pathlib.
    """
    if pattern.startswith("/"):
        raise NotImplementedError("Non-relative patterns are unsupported")
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if not parts:
        raise ValueError(f"Unacceptable pattern: {pattern!r}")
    return [*parts, ""] if pattern.endswith("/") else parts


def glob(
    root: Root, top: str, parts: list[str], case_sensitive: bool | None, recurse_symlinks: bool
) -> Iterator[str]:
    """The in-root paths below ``top`` that match, as ``str()`` of a path writes them.

    ``case_sensitive`` None is as Linux has it; a choice makes plain names be looked for in
    lists of entries too, because a file system may see it otherwise.
    """
    pattern = _Pattern(root, case_sensitive, recurse_symlinks)
    start = _Directory(root, "" if top == "." else below(top, ""))
    for path in pattern.selector(parts).select(start):
        yield path[:-1] if path.endswith("/") and len(path) > 1 else path or "."


class _Directory:
    """A directory that matching has come to, by its path with a slash at the end.

    ``exists`` tells that it was seen in a list of entries, so needs no more lookup.
    """

    def __init__(
        self, root: Root, path: str, descent: Descent | None = None, start: int = 0
    ) -> None:
        self.path = path
        self.exists = descent is not None
        self._root = root
        self._descent = descent
        self._start = start
        """how much of the path leads to the start of the descent"""
        self._entries: list[os.DirEntry[str]] | None = None

    def entries(self) -> list[os.DirEntry[str]]:
        """What is in it; nothing where it cannot be listed."""
        if self._entries is None:
            try:
                self._entries = self._scan()
            except OSError:
                self._entries = []
        return self._entries

    def keep_directories(self) -> None:
        """Forget what is no directory, so that directories still to be visited hold little."""
        if self._entries is not None:
            self._entries = [e for e in self._entries if e.is_dir(follow_symlinks=False)]

    def _scan(self) -> list[os.DirEntry[str]]:
        if self._descent is not None:
            return self._descent.scan(self.path[self._start : -1])
        return scan(self._root.open(self.path or ".", LISTING))


class _Selector(ABC):
    """Finds, from a directory on, what matches one part of the pattern and those after it."""

    @abstractmethod
    def select(self, directory: _Directory) -> Iterator[str]:
        """The matching paths."""


class _Pattern:
    """What all selectors of one pattern share."""

    def __init__(self, root: Root, case_sensitive: bool | None, recurse_symlinks: bool) -> None:
        self.root = root
        self.cased = case_sensitive is not False
        self._literal_by_lookup = case_sensitive is None
        self._recurse_symlinks = recurse_symlinks

    def selector(self, parts: list[str]) -> _Selector:
        """The selector of what the ``parts`` match."""
        if not parts:
            return _Exists(self.root)
        part, rest = parts[0], parts[1:]
        if part == "**":
            while rest and rest[0] == "**":
                rest = rest[1:]
            if self._recurse_symlinks:
                return self._following(rest)
            return _RealTree(self.root, self.selector(rest)) if rest else _WholeTree(self.root)
        if part in _SPECIAL or (self._literal_by_lookup and not is_magic(part)):
            return _Named(self.root, part, bool(rest), self.selector(rest))
        return _Wildcard(self, part, self.selector(rest) if rest else None)

    def _following(self, rest: list[str]) -> _Selector:
        """Through links the parts after ``**`` are matched against paths, up to a special one."""
        special = next((i for i, part in enumerate(rest) if part in _SPECIAL), len(rest))
        joined = "/".join(["**", *rest[:special]])
        then = self.selector(rest[special:]) if rest[special:] else None
        return _FollowedTree(self, joined, then)

    def is_directory(self, entry: os.DirEntry[str], path: str) -> bool:
        """Whether an entry is a directory, or a link to one."""
        if entry.is_symlink():
            return is_directory(self.root, path)
        return entry.is_dir(follow_symlinks=False)


class _Exists(_Selector):
    """The end of the pattern."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def select(self, directory: _Directory) -> Iterator[str]:
        if directory.exists or mode_of_last(self._root, os.fsencode(directory.path or ".")):
            yield directory.path


class _Named(_Selector):
    """A name without wildcards, ``..``, or the slash at the end of a pattern: looked up, not
    listed.
    """

    def __init__(self, root: Root, name: str, has_more: bool, rest: _Selector) -> None:
        self._root = root
        self._name = name + "/" if has_more and name else name
        self._rest = rest

    def select(self, directory: _Directory) -> Iterator[str]:
        if not self._name and directory.exists:
            return self._rest.select(directory)
        return self._rest.select(_Directory(self._root, directory.path + self._name))


class _Wildcard(_Selector):
    """A part with wildcards: matched against the entries of a directory."""

    def __init__(self, pattern: _Pattern, part: str, rest: _Selector | None) -> None:
        self._pattern = pattern
        self._matches = compile_name(part, pattern.cased)
        self._rest = rest

    def select(self, directory: _Directory) -> Iterator[str]:
        matches, prefix, rest = self._matches, directory.path, self._rest
        if rest is None:
            return (prefix + e.name for e in directory.entries() if matches(e.name))
        return self._select_below(directory, rest)

    def _select_below(self, directory: _Directory, rest: _Selector) -> Iterator[str]:
        for entry in directory.entries():
            if self._matches(entry.name):
                path = directory.path + entry.name
                if self._pattern.is_directory(entry, path):
                    found = _Directory(self._pattern.root, path + "/")
                    found.exists = True
                    yield from rest.select(found)


class _RealTree(_Selector):
    """``**`` with parts after it, not through links: each directory of the tree is a start for
    them.
    """

    def __init__(self, root: Root, rest: _Selector) -> None:
        self._root = root
        self._rest = rest

    def select(self, directory: _Directory) -> Iterator[str]:
        top = _open_tree(self._root, directory.path)
        if top is None:
            return
        with Descent(self._root, top) as descent:
            start = len(directory.path)
            visited = _Directory(self._root, directory.path, descent, start)
            yield from self._rest.select(visited)
            todo = [visited]
            while todo:
                visited = todo.pop()
                for entry in visited.entries():
                    if entry.is_dir(follow_symlinks=False):
                        path = f"{visited.path}{entry.name}/"
                        found = _Directory(self._root, path, descent, start)
                        yield from self._rest.select(found)
                        found.keep_directories()
                        todo.append(found)


class _WholeTree(_Selector):
    """``**`` at the end of a pattern, not through links: the start and all that is in it."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def select(self, directory: _Directory) -> Iterator[str]:
        top = _open_tree(self._root, directory.path)
        if top is None:
            return
        yield directory.path
        with Descent(self._root, top) as descent:
            start = len(directory.path)
            todo = [directory.path]
            while todo:
                prefix = todo.pop()
                try:
                    entries = descent.scan(prefix[start:-1])
                except OSError:
                    continue
                for entry in entries:
                    path = prefix + entry.name
                    yield path
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(path + "/")


class _FollowedTree(_Selector):
    """``**`` through links: each path of the tree is matched as a whole."""

    def __init__(self, pattern: _Pattern, joined: str, rest: _Selector | None) -> None:
        self._pattern = pattern
        self._matches = compile_path(joined, pattern.cased)
        self._rest = rest

    def select(self, directory: _Directory) -> Iterator[str]:
        start = len(directory.path)
        if self._matches("") is not None:
            yield from (self._rest or _Exists(self._pattern.root)).select(directory)
        todo = [directory]
        while todo:
            visited = todo.pop()
            for entry in visited.entries():
                path = visited.path + entry.name
                is_dir = self._pattern.is_directory(entry, path)
                found = _Directory(self._pattern.root, path + "/")
                found.exists = True
                if self._matches(path[start:]) is not None:
                    if self._rest is None:
                        yield path
                    elif is_dir:
                        yield from self._rest.select(found)
                if is_dir:
                    todo.append(found)


def _open_tree(root: Root, path: str) -> int | None:
    """The directory at ``path`` held open; None where it is none."""
    try:
        return root.open(path or ".", os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return None
