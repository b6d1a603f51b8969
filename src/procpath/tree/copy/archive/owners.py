"""Numbers of owners, as the archive has them and as the host does.

An archive of a root has the numbers that the root's process sees.
"""

from __future__ import annotations

from typing import Literal

from procpath.proc import IdMapping
from procpath.root import Root
from procpath.tree.copy.acl import ACL_PREFIX, with_owners
from procpath.tree.copy.owners import Owners

NOBODY = 65534
"""The ID that stands for one without a mapping (user_namespaces(7))."""

CAPABILITY = "security.capability"

_ALL = (IdMapping(0, 0, 0xFFFFFFFF),)
"""The next ID is -1, which chown(2) takes for "leave it"."""


def owners_out_of(root: Root) -> Owners:
    """Return how the host's owners become the archive's."""
    namespace = root.user_namespace
    maps = None if namespace is None else (namespace.uid_map, namespace.gid_map)
    return Owners(maps, (_ALL, _ALL))


def owners_into(root: Root, owners: Literal["mapped", "host"]) -> Owners:
    """Return how the archive's owners become the host's."""
    namespace = None if owners == "host" else root.user_namespace
    if namespace is None:
        return Owners(None, (_ALL, _ALL))
    return Owners(None, (namespace.uid_map, namespace.gid_map))


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
