"""Extended attributes of a file, as an archive has them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from errno import EACCES, EINVAL, ENODATA, ENOTSUP, EPERM
from typing import Literal

from procpath.tree.copy.acl import (
    ACCESS_ACL,
    ACL_PREFIX,
    CAPABILITY,
    group_rights,
    mapped_attribute,
)
from procpath.tree.copy.owners import Owners

_NOT_TAKEN = frozenset((EACCES, EINVAL, ENODATA, ENOTSUP, EPERM))
"""Errnos of attributes that the file system does not have (ENOTSUP, EINVAL), that have gone
(ENODATA), or that take a privilege (EPERM, EACCES). Those are skipped, as in a copy.
"""

_HARMLESS = ("user.", ACL_PREFIX, CAPABILITY)
"""What the others mean is up to the host: an overlay obeys ``trusted.overlay.redirect``."""


def read_attributes(fd: int, owners: Owners) -> dict[str, bytes]:
    """Return the attributes of an open file; owners in it are the archive's."""
    attributes = {}
    for name in _names(fd):
        try:
            value = os.getxattr(fd, name)
        except OSError as error:
            if error.errno not in _NOT_TAKEN:
                raise
            continue
        attributes[name] = mapped_attribute(name, value, owners)
    return attributes


def write_attributes(
    fd: int,
    attributes: dict[str, bytes],
    owners: Owners,
    special: Literal["skip", "keep"],
    losing: Callable[[str], AbstractContextManager[None]],
) -> int | None:
    """Give the attributes to a new file; with ``"skip"`` those that mean nothing to the host.

    ``losing(name)`` reports what its block raises: one that is lost keeps no other from the file.
    Returns the rights of the file's own group by an ACL that was lost; None if none was.
    """
    written = set()
    for name, value in attributes.items():
        if "\0" in name or not (special == "keep" or name.startswith(_HARMLESS)):
            continue
        with losing(name):
            mapped = mapped_attribute(name, value, owners)
            try:
                os.setxattr(fd, name, mapped)
                written.add(name)
            except OSError as error:
                if error.errno not in _NOT_TAKEN:
                    raise
    for name in _names(fd):
        # It may have inherited an ACL from its directory (acl(5)) that grants what its mode denies.
        if name.startswith(ACL_PREFIX) and name not in written:
            os.removexattr(fd, name)
    if ACCESS_ACL in written or ACCESS_ACL not in attributes:
        return None
    try:
        return group_rights(attributes[ACCESS_ACL])
    except OSError:
        # It is not an ACL, and grants nothing.
        return 0


def _names(fd: int) -> list[str]:
    try:
        return os.listxattr(fd)
    except OSError as error:
        if error.errno not in _NOT_TAKEN:
            raise
        return []
