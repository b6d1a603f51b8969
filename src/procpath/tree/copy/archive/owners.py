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

ACL = "system.posix_acl_"
CAPABILITY = "security.capability"


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

    def attribute_outside(self, name: str, value: bytes) -> bytes:
        """Return an extended attribute of the archive as setxattr(2) takes it.

        Raises ``EOVERFLOW`` for an ACL or capability of somebody without a number on the host.
        """
        if name == CAPABILITY:
            return self._capability_outside(value)
        if name.startswith(ACL):
            uids, gids = self
            return _mapped_acl(
                value, lambda uid: _outside(uid, uids), lambda gid: _outside(gid, gids)
            )
        return value

    def attribute_inside(self, name: str, value: bytes) -> bytes:
        """Return an extended attribute of getxattr(2) for the archive. Raises ``EOVERFLOW``."""
        if name == CAPABILITY:
            return self._capability_inside(value)
        if name.startswith(ACL):
            uids, gids = self
            return _mapped_acl(
                value, lambda uid: _inside(uid, uids), lambda gid: _inside(gid, gids)
            )
        return value

    def _capability_outside(self, value: bytes) -> bytes:
        """Make capabilities those of the root's user namespace (capabilities(7)).

        The second version of the attribute, written by root, would hold on the host too.
        """
        version = value[3:4]
        if self.uids is None or version not in (b"\2", b"\3"):
            return value
        root = int.from_bytes(value[20:24], "little") if version == b"\3" else 0
        return value[:3] + b"\3" + value[4:20] + _outside(root, self.uids).to_bytes(4, "little")

    def _capability_inside(self, value: bytes) -> bytes:
        if self.uids is None or value[3:4] != b"\3":
            return value
        root = _inside(int.from_bytes(value[20:24], "little"), self.uids)
        if root:
            return value[:20] + root.to_bytes(4, "little")
        return value[:3] + b"\2" + value[4:20]


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
