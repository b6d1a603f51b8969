"""Finding the paths that match a pattern: ``glob``.

The paths and their order are those of ``pathlib.Path.glob`` in Python 3.14. Links are followed
inside the root and, for ``**``, only when asked. A pattern becomes a chain of selectors, one for
each part, which yield in-root paths as text. A directory is listed once for each part that
reaches it. Paths of deep trees are long: what is kept is names, and paths are made one by one.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeAlias

from procpath.errors import about, tells_of_path
from procpath.info import mode_of_last
from procpath.patterns import Matcher, NameFilter, compile_path, is_magic, name_filter
from procpath.root import Root
from procpath.tree.descent import (
    Descent,
    Directory,
    links_and_directories,
    list_names,
    open_directory,
    real_directories,
)
from procpath.tree.following import FollowedTree, Identity
from procpath.tree.walking import below, leads_to_directory

_SPECIAL = ("", ".", "..")

Batches: TypeAlias = "Iterable[Iterable[str]]"
"""Paths as they are found: those of one directory at a time, which costs less than one by one."""

Entries: TypeAlias = "list[os.DirEntry[str]]"


def parse_pattern(pattern: str) -> list[str]:
    """Return the parts of a pattern; the last is empty if the pattern ends in a slash.

    Raises ``NotImplementedError`` if it is absolute, ``ValueError`` if it is empty, as pathlib.
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
    """Yield the in-root paths below ``top`` that match, as ``str()`` of a path writes them.

    With ``case_sensitive`` None a name without wildcards is looked up. Otherwise it is compared
    with the entries of the directory, since the file system may see case in another way.
    """
    pattern = _Pattern(root, case_sensitive, recurse_symlinks)
    return chain.from_iterable(pattern.selector(parts).select(below(top, "")))


class _Selector(ABC):
    """Finds what matches one part of the pattern, and the parts after it, from a directory on.

    Paths of directories end in a slash; the empty one is where relative paths begin.
    """

    def __init__(self, root: Root) -> None:
        self._root = root

    @abstractmethod
    def select(self, path: str) -> Batches:
        """Return what matches from ``path`` on, which may lead through links, or nowhere."""

    def select_in(self, descent: Descent, above: Directory, name: str, path: str) -> Batches:
        """Do as :meth:`select` for ``path``, the real directory ``name`` in a held one."""
        return self.select(path)

    def select_listed(
        self, path: str, entries: Entries, descent: Descent, directory: Directory | None
    ) -> Batches:
        """Do as :meth:`select` for ``path``, the directory listed last, and its ``entries``.

        It is ``directory`` if it was kept, because there are directories in it.
        """
        return self.select(path)


class _Pattern:
    """Makes the selectors of one pattern."""

    def __init__(self, root: Root, case_sensitive: bool | None, recurse_symlinks: bool) -> None:
        self._root = root
        self._cased = case_sensitive is not False
        self._literal_by_lookup = case_sensitive is None
        self._recurse_symlinks = recurse_symlinks

    def selector(self, parts: list[str]) -> _Selector:
        """Return the selector for ``parts``."""
        if parts in ([], [""]):
            return _Exists(self._root)
        part, rest = parts[0], parts[1:]
        if part == "**":
            return self._tree(rest)
        if part in _SPECIAL or (self._literal_by_lookup and not is_magic(part)):
            if not _can_be_a_name(part) and not any(map(is_magic, rest)):
                return _Nothing(self._root)
            named = _Up if part == ".." else _Named
            return named(self._root, part, self.selector(rest), is_last=not rest)
        matching = name_filter(part, self._cased)
        if not rest:
            return _Names(self._root, matching)
        return _Directories(self._root, matching, self.selector(rest))

    def _tree(self, rest: list[str]) -> _Selector:
        """``**``, which once more after itself adds nothing."""
        while rest and rest[0] == "**":
            rest = rest[1:]
        if self._recurse_symlinks:
            return self._followed_tree(rest)
        if not rest:
            return _WholeTree(self._root)
        selector = self.selector(rest)
        if isinstance(selector, _Names):
            return _NamesInTree(self._root, selector)
        return _RealTree(self._root, selector)

    def _followed_tree(self, rest: list[str]) -> _Selector:
        """Return the selector for ``**`` through links: with the parts after it, up to ``..``,
        it is matched against whole paths.
        """
        special = next((i for i, part in enumerate(rest) if part in _SPECIAL), len(rest))
        matches = compile_path("/".join(["**", *rest[:special]]), self._cased)
        then = self.selector(rest[special:]) if rest[special:] else None
        return _FollowedTree(self._root, matches, then)


def _can_be_a_name(part: str) -> bool:
    try:
        return b"\0" not in os.fsencode(part)
    except UnicodeEncodeError:
        return False


class _Nothing(_Selector):
    """A name that no file can have."""

    def select(self, path: str) -> Batches:
        return ()


class _Exists(_Selector):
    """The end of the pattern."""

    def select(self, path: str) -> Batches:
        return self._found(path) if _is_there(self._root, path) else ()

    def select_in(self, descent: Descent, above: Directory, name: str, path: str) -> Batches:
        return self._found(path)

    def select_listed(
        self, path: str, entries: Entries, descent: Descent, directory: Directory | None
    ) -> Batches:
        return self._found(path)

    def _found(self, path: str) -> Batches:
        return ([_without_slash(path)],)


class _Named(_Selector):
    """A name without wildcards: looked up, not listed."""

    def __init__(self, root: Root, name: str, rest: _Selector, *, is_last: bool) -> None:
        super().__init__(root)
        self._name = name
        self._rest = rest
        self._is_last = is_last

    def select(self, path: str) -> Batches:
        return self._rest.select(path + self._name if self._is_last else f"{path}{self._name}/")

    def select_listed(
        self, path: str, entries: Entries, descent: Descent, directory: Directory | None
    ) -> Batches:
        mode = descent.mode_in(directory, self._name)
        if mode is not None and self._is_last:
            # A link too, wherever it leads.
            return ([path + self._name],) if mode else ()
        if mode is None or stat.S_ISLNK(mode):
            return self.select(path)
        if directory is None or not stat.S_ISDIR(mode):
            return ()
        return self._rest.select_in(descent, directory, self._name, f"{path}{self._name}/")


class _Up(_Named):
    """``..``, which a directory that was seen in a list has: also one that cannot be searched."""

    def select_in(self, descent: Descent, above: Directory, name: str, path: str) -> Batches:
        return self._select_seen(path)

    def select_listed(
        self, path: str, entries: Entries, descent: Descent, directory: Directory | None
    ) -> Batches:
        return self.select(path) if directory is descent.start else self._select_seen(path)

    def _select_seen(self, path: str) -> Batches:
        return ([f"{path}.."],) if isinstance(self._rest, _Exists) else self.select(path)


class _Names(_Selector):
    """A last part with wildcards: the entries of a directory that match."""

    def __init__(self, root: Root, matching: NameFilter) -> None:
        super().__init__(root)
        self.matching = matching

    def select(self, path: str) -> Batches:
        try:
            with open_directory(self._root, path) as fd:
                names = list_names(fd)
        except OSError as error:
            _require_unlisted(error, path)
            return ()
        return self._select_names(path, names)

    def select_in(self, descent: Descent, above: Directory, name: str, path: str) -> Batches:
        try:
            names = descent.names(above, name)
        except OSError as error:
            _require_unlisted(error, path)
            return ()
        return self._select_names(path, names)

    def select_listed(
        self, path: str, entries: Entries, descent: Descent, directory: Directory | None
    ) -> Batches:
        return self._select_names(path, [entry.name for entry in entries])

    def _select_names(self, path: str, names: list[str]) -> Batches:
        return (map(path.__add__, self.matching(names)),)


class _Listing(_Selector):
    """A selector that goes on below the directory that it lists, through no link."""

    def select(self, path: str) -> Batches:
        try:
            descent = Descent(self._root, path)
        except OSError as error:
            _require_unlisted(error, path)
            yield from self.select_unlisted(path)
            return
        with descent:
            try:
                entries = descent.scan_start()
            except OSError as error:
                _require_unlisted(error, path)
                yield from self.select_unlisted(path)
                return
            yield from self.select_listed(path, entries, descent, descent.start)

    def select_in(self, descent: Descent, above: Directory, name: str, path: str) -> Batches:
        try:
            entries = descent.scan(above, name)
        except OSError as error:
            _require_unlisted(error, path)
            yield from self.select_listed(path, [], descent, None)
            return
        directory = descent.keep(above, name)
        yield from self.select_listed(path, entries, descent, directory)
        descent.release(directory)

    def select_unlisted(self, path: str) -> Batches:
        """Do as :meth:`select` for a path that cannot be listed."""
        return ()


class _Directories(_Listing):
    """A part with wildcards before others: the directories that match, and links to directories."""

    def __init__(self, root: Root, matching: NameFilter, rest: _Selector) -> None:
        super().__init__(root)
        self._matching = matching
        self._rest = rest

    def select_listed(
        self, path: str, entries: Entries, descent: Descent, directory: Directory | None
    ) -> Batches:
        rest = self._rest
        is_link = links_and_directories(entries)
        for name in self._matching(list(is_link)):
            found = f"{path}{name}/"
            if is_link[name]:
                if leads_to_directory(self._root, found):
                    yield from rest.select(found)
            elif directory is not None:
                yield from rest.select_in(descent, directory, name, found)


class _RealTree(_Listing):
    """``**`` with parts after it, not through links: each directory of the tree starts them."""

    def __init__(self, root: Root, rest: _Selector) -> None:
        super().__init__(root)
        self._rest = rest

    def select_listed(
        self, path: str, entries: Entries, descent: Descent, directory: Directory | None
    ) -> Batches:
        rest = self._rest.select_listed
        below = real_directories(entries)
        yield from rest(path, entries, descent, directory)
        if directory is None:
            return
        prefix = path
        # Length of the path above, and what to add to that for the directory's own.
        todo = [(directory, len(path), "", below)]
        while todo:
            above, length, part, names = todo.pop()
            # What is taken next lies in a directory on the way to what was taken last.
            prefix = prefix[:length] + part
            for name in names:
                path = f"{prefix}{name}/"
                try:
                    entries = descent.scan(above, name)
                except OSError as error:
                    _require_unlisted(error, path)
                    entries = []
                kept = None
                if below := real_directories(entries):
                    kept = descent.keep(above, name)
                    todo.append((kept, len(prefix), f"{name}/", below))
                yield from rest(path, entries, descent, kept)
            descent.release(above)

    def select_unlisted(self, path: str) -> Batches:
        return self._rest.select(path)


class _NamesInTree(_Listing):
    """``**`` and a last part with wildcards: as :class:`_RealTree`, by the names alone."""

    def __init__(self, root: Root, names: _Names) -> None:
        super().__init__(root)
        self._matching = names.matching

    def select_listed(
        self, path: str, entries: Entries, descent: Descent, directory: Directory | None
    ) -> Batches:
        matching = self._matching
        below = real_directories(entries)
        yield map(path.__add__, matching([entry.name for entry in entries]))
        if directory is None:
            return
        prefix = path
        # As there.
        todo = [(directory, len(path), "", below)]
        while todo:
            above, length, part, names = todo.pop()
            prefix = prefix[:length] + part
            for name in names:
                path = f"{prefix}{name}/"
                try:
                    listed, below = descent.list_directory(above, name)
                except OSError as error:
                    _require_unlisted(error, path)
                    continue
                if below:
                    todo.append((descent.keep(above, name), len(prefix), f"{name}/", below))
                if found := matching(listed):
                    yield map(path.__add__, found)
            descent.release(above)


class _WholeTree(_Listing):
    """``**`` at the end of a pattern, not through links: the start and all that is in it."""

    def select_listed(
        self, path: str, entries: Entries, descent: Descent, directory: Directory | None
    ) -> Batches:
        # As pathlib writes it: what stands for the root keeps its slashes, also where it has two.
        yield [_without_slash(path) if path.strip("/") else path or "."]
        prefix = path
        levels = [(directory, len(prefix), real_directories(entries))] if directory else []
        yield map(prefix.__add__, [entry.name for entry in entries])
        while levels:
            above, length, names = levels[-1]
            # Kept once and not on each level: of a deep tree, paths are long.
            prefix = prefix[:length]
            if not names:
                descent.release(above)
                levels.pop()
                continue
            name = names.pop()
            try:
                listed, below = descent.list_directory(above, name)
            except OSError as error:
                _require_unlisted(error, prefix + name)
                continue
            prefix = f"{prefix}{name}/"
            if below:
                levels.append((descent.keep(above, name), len(prefix), below))
            yield map(prefix.__add__, listed)

    def select_unlisted(self, path: str) -> Batches:
        return _Exists(self._root).select(path)


class _FollowedTree(_Selector):
    """``**`` through links: each path of the tree is matched as a whole.

    It does not go on in a directory that the way there leads through already: two links to ``.``
    would be 2 to the power of 41 paths, which pathlib tries to find. Nor in one that 100 links
    have led to.
    """

    def __init__(self, root: Root, matches: Matcher, rest: _Selector | None) -> None:
        super().__init__(root)
        self._matches = matches
        self._rest = rest

    def select(self, path: str) -> Batches:
        start = len(path)
        if self._matches(""):
            yield from (self._rest or _Exists(self._root)).select(path)
        above: dict[Identity, None] = {}
        prefix = path
        # Number of directories above, length of the path of the last of them, and the name there.
        todo: list[tuple[int, int, str | None]] = [(0, len(path), None)]
        with FollowedTree(self._root) as tree:
            while todo:
                depth, length, name = todo.pop()
                # What is taken next lies in a directory on the way to what was taken last.
                prefix = prefix[:length] if name is None else f"{prefix[:length]}{name}/"
                while len(above) > depth:
                    above.popitem()
                try:
                    identity, entries = tree.list(depth, prefix, name)
                except OSError as error:
                    _require_unlisted(error, prefix)
                    continue
                if identity in above:
                    continue
                above[identity] = None
                for entry in entries:
                    found = prefix + entry.name
                    is_directory = entry.is_dir(follow_symlinks=False) or (
                        entry.is_symlink() and leads_to_directory(self._root, found)
                    )
                    if self._matches(found[start:]):
                        if self._rest is None:
                            yield [found]
                        elif is_directory:
                            yield from self._rest.select(found + "/")
                    if is_directory:
                        todo.append((depth + 1, len(prefix), entry.name))


def _require_unlisted(error: OSError, path: str) -> None:
    """Pass over a directory that cannot be listed; raise what says nothing of the directory."""
    if not tells_of_path(error):
        raise about(error, _without_slash(path)) from None


def _is_there(root: Root, path: str) -> bool:
    """Return whether ``path`` names anything, be it a dangling link."""
    return "\0" not in path and mode_of_last(root, os.fsencode(path or ".")) != 0


def _without_slash(path: str) -> str:
    return path[:-1] if path.endswith("/") and len(path) > 1 else path or "."
