"""Numbers of owners, as the root's process sees them and as the host does."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from errno import EOVERFLOW
from typing import Literal, NamedTuple

from procpath.errors import os_error
from procpath.proc import IdMapping
from procpath.root import Root

NOBODY = 65534
"""The ID that stands for one without a mapping (user_namespaces(7))."""

_MOST = 0xFFFFFFFE
"""The next is -1, which chown(2) takes for "leave it"."""

_ACL_HEADER = struct.Struct("<I")
_ACL_ENTRY = struct.Struct("<HHI")
_ACL_USER, _ACL_GROUP = 0x02, 0x08
"""include/uapi/linux/posix_acl_xattr.h: the entries that name somebody"""


class Owners(NamedTuple):
    """How the IDs of an archive become the host's, and the host's the archive's."""

    uids: tuple[IdMapping, ...] | None
    """None: they are the same"""
    gids: tuple[IdMapping, ...] | None

    @classmethod
    def of(cls, root: Root, owners: Literal["mapped", "host"] = "mapped") -> Owners:
        """Return those of the root's process, which may be in a user namespace."""
        namespace = root.user_namespace
        if namespace is None or owners == "host":
            return cls(None, None)
        return cls(namespace.uid_map, namespace.gid_map)

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """Return an owner of the archive as the host numbers it. Raises ``EOVERFLOW``."""
        return _outside(uid, self.uids), _outside(gid, self.gids)

    def inside(self, uid: int, gid: int) -> tuple[int, int]:
        """Return an owner on the host as the archive numbers it. Raises ``EOVERFLOW``."""
        return _inside(uid, self.uids), _inside(gid, self.gids)

    def acl_outside(self, value: bytes) -> bytes:
        """Return a POSIX ACL of the archive as setxattr(2) takes it. Raises ``EOVERFLOW``."""
        return _mapped_acl(
            value, lambda uid: _outside(uid, self.uids), lambda gid: _outside(gid, self.gids)
        )

    def acl_inside(self, value: bytes) -> bytes:
        """Return a POSIX ACL of getxattr(2) for the archive. Raises ``EOVERFLOW``."""
        return _mapped_acl(
            value, lambda uid: _inside(uid, self.uids), lambda gid: _inside(gid, self.gids)
        )


def _outside(number: int, maps: Iterable[IdMapping] | None) -> int:
    if maps is None:
        maps = (IdMapping(0, 0, _MOST + 1),)
    for inside, outside, length in maps:
        if inside <= number < inside + length:
            return outside + number - inside
    raise os_error(EOVERFLOW)


def _inside(number: int, maps: Iterable[IdMapping] | None) -> int:
    if maps is None:
        return number
    for inside, outside, length in maps:
        if outside <= number < outside + length:
            return inside + number - outside
    raise os_error(EOVERFLOW)


def _mapped_acl(
    value: bytes, map_uid: Callable[[int], int], map_gid: Callable[[int], int]
) -> bytes:
    entries = value[_ACL_HEADER.size :]
    if len(entries) % _ACL_ENTRY.size:
        # setxattr(2) says what is wrong with it.
        return value
    mapped = value[: _ACL_HEADER.size]
    for tag, permissions, number in _ACL_ENTRY.iter_unpack(entries):
        if tag == _ACL_USER:
            number = map_uid(number)
        elif tag == _ACL_GROUP:
            number = map_gid(number)
        mapped += _ACL_ENTRY.pack(tag, permissions, number)
    return mapped
