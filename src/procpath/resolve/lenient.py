"""Where a path would lead if what is missing on it were there: ``resolve(strict=False)``.

Promises the name that ``os.path.realpath`` of current Python gives, as seen from inside
the root: what cannot be resolved stays as it is written. The answer is a name, not an
object; each look at the tree is a lookup of its own that cannot leave the root.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from procpath.errors import EscapeError
from procpath.resolve.interface import Resolver
from procpath.resolve.links import read_followable
from procpath.resolve.walk import MAXSYMLINKS


class _EndOfLink(NamedTuple):
    """Stands among the components where those of the link at ``location`` end."""

    location: bytes


def locate_leniently(resolver: Resolver, path: bytes) -> bytes:
    """The in-root path that ``path`` leads to as far as it leads anywhere, then what is left
    of it.
    """
    location = b""
    todo: list[bytes | _EndOfLink] = list(_components_reversed(path))
    inside: set[bytes] = set()
    followed = 0
    while todo:
        component = todo.pop()
        if isinstance(component, _EndOfLink):
            inside.discard(component.location)
            continue
        if component == b"..":
            if not location and not resolver.rules.clamp:
                raise EscapeError(path)
            location = location.rpartition(b"/")[0]
            continue
        here = location + b"/" + component
        # A loop, or more links than Linux would follow, is left as it is written.
        text = None if here in inside or followed == MAXSYMLINKS else _text(resolver, here)
        if text is None:
            location = here
            continue
        followed += 1
        inside.add(here)
        todo.append(_EndOfLink(here))
        todo += _components_reversed(text)
        if text.startswith(b"/"):
            location = b""
    return location or b"/"


def _components_reversed(path: bytes) -> Iterator[bytes]:
    return (part for part in reversed(path.split(b"/")) if part not in (b"", b"."))


def _text(resolver: Resolver, path: bytes) -> bytes | None:
    """The text of the link at ``path``; None for anything else, missing or not to be followed."""
    if not resolver.rules.symlinks:
        return None
    try:
        fd = resolver.find_last(path)
        try:
            return read_followable(fd) if stat.S_ISLNK(os.fstat(fd).st_mode) else None
        finally:
            os.close(fd)
    except OSError:
        return None
