"""Whose the copies are in a target that has a user namespace of its own.

IDs are ours, as stat(2) says them here. A copy into a container belongs to who has the same ID
there: what our root copies in belongs to the container's root.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EOVERFLOW
from functools import cache
from typing import Literal

from procpath.proc import IdMapping
from procpath.root import Root
from procpath.tree.places import Place

_Maps = tuple[IdMapping, ...]

_ALL = (IdMapping(0, 0, 0xFFFFFFFF),)
"""The next ID is -1, which chown(2) takes for "leave it"."""


class Owners:
    """Maps the owners of the source's files to those of their copies."""

    def __init__(self, source: tuple[_Maps, _Maps] | None, target: tuple[_Maps, _Maps]) -> None:
        """``source`` and ``target``: the maps of users and groups; None for ours."""
        uid_source, gid_source = source or (None, None)
        uid_target, gid_target = target
        self.user: Callable[[int], int] = cache(
            lambda uid: _mapped("user", uid, uid_source, uid_target)
        )
        self.group: Callable[[int], int] = cache(
            lambda gid: _mapped("group", gid, gid_source, gid_target)
        )

    def of(self, uid: int, gid: int) -> tuple[int, int]:
        """Return the owners of the copy. Raises ``EOVERFLOW`` for one that cannot be mapped."""
        return self.user(uid), self.group(gid)


def owners_between(source: Place, target: Place) -> Owners | None:
    """Return how owners are mapped from ``source`` to ``target``; None if they stay the same."""
    into = _maps(target)
    out_of = _maps(source)
    if into is None or into == out_of:
        return None
    return Owners(out_of, into)


def owners_out_of(root: Root) -> Owners:
    """Return how the host's owners become those of an archive, as the root's process sees them."""
    return Owners(_maps_of(root), (_ALL, _ALL))


def owners_into(root: Root, owners: Literal["mapped", "host"]) -> Owners:
    """Return how an archive's owners become the host's."""
    return Owners(None, (None if owners == "host" else _maps_of(root)) or (_ALL, _ALL))


def _maps_of(root: Root) -> tuple[_Maps, _Maps] | None:
    namespace = root.user_namespace
    return None if namespace is None else (namespace.uid_map, namespace.gid_map)


def _maps(place: Place) -> tuple[_Maps, _Maps] | None:
    """Return the maps of a root's user namespace, unless it is ours in all but name."""
    maps = None if place.root is None else _maps_of(place.root)
    if maps is None or all(each.inside == each.outside for each in (*maps[0], *maps[1])):
        return None
    return maps


def _mapped(kind: str, number: int, source: _Maps | None, target: _Maps) -> int:
    inside = number
    if source is not None:
        for start_inside, start, count in source:
            if start <= number < start + count:
                inside = start_inside + number - start
                break
        else:
            raise OSError(EOVERFLOW, f"{kind} {number} is not mapped in the source's namespace")
    for start_inside, start, count in target:
        if start_inside <= inside < start_inside + count:
            return start + inside - start_inside
    raise OSError(EOVERFLOW, f"{kind} {inside} is not mapped in the target's user namespace")
