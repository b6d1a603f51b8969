"""POSIX ACLs as their extended attributes have them (linux/posix_acl_xattr.h)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from errno import EINVAL

from procpath.tree.copy.owners import Owners

ACL_PREFIX = "system.posix_acl_"
ACCESS_ACL = "system.posix_acl_access"

_VERSION = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
"""tag, rights, ID"""
_USER = 0x02
_GROUP_OBJ = 0x04
_GROUP = 0x08


def group_rights(acl: bytes) -> int:
    """Return what the ACL grants the file's own group; nothing if it does not say."""
    return next((rights & 7 for tag, rights, _ in _entries(acl) if tag == _GROUP_OBJ), 0)


def with_owners(acl: bytes, owners: Owners) -> bytes:
    """Return the ACL with the IDs of its users and groups mapped."""
    made = bytearray(acl[: _VERSION.size])
    for tag, rights, number in _entries(acl):
        if tag == _USER:
            number = owners.user(number)
        elif tag == _GROUP:
            number = owners.group(number)
        made += _ENTRY.pack(tag, rights, number)
    return bytes(made)


def _entries(acl: bytes) -> Iterator[tuple[int, int, int]]:
    body = acl[_VERSION.size :]
    if len(body) % _ENTRY.size:
        raise OSError(EINVAL, "not a POSIX ACL")
    return _ENTRY.iter_unpack(body)
