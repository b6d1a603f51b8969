"""What extended attributes say of owners: POSIX ACLs (linux/posix_acl_xattr.h), capabilities."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from errno import EINVAL

from procpath.tree.copy.owners import Owners

ACL_PREFIX = "system.posix_acl_"
ACCESS_ACL = "system.posix_acl_access"

CAPABILITY = "security.capability"

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


def mapped_attribute(name: str, value: bytes, owners: Owners) -> bytes:
    """Return an extended attribute with the owners that it names mapped.

    Raises ``EOVERFLOW`` where one cannot be.
    """
    if name.startswith(ACL_PREFIX):
        return with_owners(value, owners)
    return _mapped_capability(value, owners) if name == CAPABILITY else value


def _mapped_capability(value: bytes, owners: Owners) -> bytes:
    """Make capabilities those of the right user namespace (capabilities(7)).

    The third version of the attribute has the user who is root there. The second has none: what
    our root writes of it holds in the host's namespace too.
    """
    version = value[3:4]
    if version not in (b"\2", b"\3"):
        return value
    root = owners.user(int.from_bytes(value[20:24], "little") if version == b"\3" else 0)
    if root == 0:
        return value[:3] + b"\2" + value[4:20]
    return value[:3] + b"\3" + value[4:20] + root.to_bytes(4, "little")


def _entries(acl: bytes) -> Iterator[tuple[int, int, int]]:
    body = acl[_VERSION.size :]
    if len(body) % _ENTRY.size:
        raise OSError(EINVAL, "not a POSIX ACL")
    return _ENTRY.iter_unpack(body)
