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
from contextlib import contextmanager

from procpath.errors import tells_of_path
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
    start = _Directory("" if top == "." else below(top, ""))
    found = pattern.selector(parts).select(start)
    return map(_without_slash, found) if parts[-1] in ("", "**") else found


def _without_slash(path: str) -> str:
    return path[:-1] if path.endswith("/") and len(path) > 1 else path or "."


class _Directory:
    """A directory that matching has come to, by its path with a slash at the end."""

    __slots__ = ("descent", "entries", "exists", "path", "start")

    def __init__(self, path: str, descent: Descent | None = None, start: int = 0) -> None:
        self.path = path
        self.descent = descent
        """in which it is a real directory; None where a link may lead to it"""
        self.start = start
        """how much of the path leads to the start of the descent"""
        self.exists = descent is not None
        """it was seen in a list of entries, so needs no more lookup"""
        self.entries: list[os.DirEntry[str]] | None = None
        """what is in it, once it was listed; without what no later part can use"""


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
            return _RealTree(self, self.selector(rest)) if rest else _WholeTree(self)
        if part in _SPECIAL or (self._literal_by_lookup and not is_magic(part)):
            return _Named(self.root, part, bool(rest), self.selector(rest))
        return _Directories(self, part, self.selector(rest)) if rest else _Names(self, part)

    def _following(self, rest: list[str]) -> _Selector:
        """Through links the parts after ``**`` are matched against paths, up to a special one."""
        special = next((i for i, part in enumerate(rest) if part in _SPECIAL), len(rest))
        joined = "/".join(["**", *rest[:special]])
        then = self.selector(rest[special:]) if rest[special:] else None
        return _FollowedTree(self, joined, then)

    def list(self, directory: _Directory) -> list[os.DirEntry[str]]:
        """What is in a directory, listed once; nothing where it cannot be listed."""
        entries = directory.entries
        if entries is None:
            try:
                if directory.descent is not None:
                    entries = directory.descent.scan(directory.path[directory.start : -1])
                else:
                    entries = scan(self.root.open(directory.path or ".", LISTING))
            except OSError as error:
                if not tells_of_path(error):
                    raise
                entries = []
            directory.entries = entries
        return entries

    @contextmanager
    def descending(self, directory: _Directory) -> Iterator[_Directory | None]:
        """The directory held open, so that what is below it can be reached through no link.

        None where it is none.
        """
        if directory.descent is not None:
            yield directory
            return
        try:
            top = self.root.open(directory.path or ".", os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            if not tells_of_path(error):
                raise
            yield None
            return
        with Descent(self.root, top) as descent:
            yield _Directory(directory.path, descent, len(directory.path))


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
        return self._rest.select(_Directory(directory.path + self._name))


class _Names(_Selector):
    """A last part with wildcards: the entries of a directory that match."""

    def __init__(self, pattern: _Pattern, part: str) -> None:
        self._list = pattern.list
        self._matches = None if part == "*" else compile_name(part, pattern.cased)

    def select(self, directory: _Directory) -> Iterator[str]:
        matches, prefix = self._matches, directory.path
        if matches is None:
            return iter([prefix + entry.name for entry in self._list(directory)])
        return iter(
            [prefix + name for entry in self._list(directory) if matches(name := entry.name)]
        )


class _Directories(_Selector):
    """A part with wildcards before others: the directories that match, and links to directories."""

    def __init__(self, pattern: _Pattern, part: str, rest: _Selector) -> None:
        self._pattern = pattern
        self._matches = compile_name(part, pattern.cased)
        self._rest = rest

    def select(self, directory: _Directory) -> Iterator[str]:
        with self._pattern.descending(directory) as held:
            if held is None:
                return
            for entry in self._pattern.list(held):
                name = entry.name
                if self._matches(name):
                    path = f"{held.path}{name}/"
                    if entry.is_dir(follow_symlinks=False):
                        yield from self._rest.select(_Directory(path, held.descent, held.start))
                    elif entry.is_symlink() and is_directory(self._pattern.root, path):
                        linked = _Directory(path)
                        linked.exists = True
                        yield from self._rest.select(linked)


class _RealTree(_Selector):
    """``**`` with parts after it, not through links: each directory of the tree starts them."""

    def __init__(self, pattern: _Pattern, rest: _Selector) -> None:
        self._pattern = pattern
        self._rest = rest

    def select(self, directory: _Directory) -> Iterator[str]:
        with self._pattern.descending(directory) as held:
            if held is None:
                return
            yield from self._rest.select(held)
            todo = [held]
            while todo:
                visited = todo.pop()
                for entry in self._pattern.list(visited):
                    if entry.is_dir(follow_symlinks=False):
                        path = f"{visited.path}{entry.name}/"
                        found = _Directory(path, held.descent, held.start)
                        yield from self._rest.select(found)
                        if found.entries is not None:
                            # It may wait long, so let it hold little.
                            found.entries = [
                                e for e in found.entries if e.is_dir(follow_symlinks=False)
                            ]
                        todo.append(found)


class _WholeTree(_Selector):
    """``**`` at the end of a pattern, not through links: the start and all that is in it."""

    def __init__(self, pattern: _Pattern) -> None:
        self._pattern = pattern

    def select(self, directory: _Directory) -> Iterator[str]:
        with self._pattern.descending(directory) as held:
            if held is None:
                return
            yield held.path
            todo = [held]
            while todo:
                visited = todo.pop()
                for entry in self._pattern.list(visited):
                    path = visited.path + entry.name
                    yield path
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(_Directory(path + "/", held.descent, held.start))


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
            for entry in self._pattern.list(visited):
                path = visited.path + entry.name
                is_dir = entry.is_dir(follow_symlinks=False) or (
                    entry.is_symlink() and is_directory(self._pattern.root, path)
                )
                found = _Directory(path + "/")
                found.exists = True
                if self._matches(path[start:]) is not None:
                    if self._rest is None:
                        yield path
                    elif is_dir:
                        yield from self._rest.select(found)
                if is_dir:
                    todo.append(found)
