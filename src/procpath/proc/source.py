"""Where a procfs comes from: which source can be had, and why not a better one.

A source is a new procfs instance that nobody else can mount on, a clone of a mount without the
mounts in it, or a mount as it is. Falling back to the next is allowed; failing a check is not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from errno import EACCES, EINVAL, ENODEV, ENOSYS, EOPNOTSUPP, EPERM, errorcode
from stat import filemode
from typing import Literal

from procpath import linux, uapi
from procpath.descriptors import closed_on_error
from procpath.linux import Descriptor
from procpath.proc import checks
from procpath.proc.checks import Check
from procpath.proc.lookup import Lookup
from procpath.uapi import FIND_DIRECTORY_NOFOLLOW

Source = Literal["fsopen", "open_tree", "mounted"]

DEFAULT_PATH = "/proc"

# Errnos meaning that a source is unavailable: the feature is missing (ENOSYS, ENODEV,
# EOPNOTSUPP), or forbidden by a seccomp filter, a missing capability, a security module, or
# because it would show what is masked in our mount namespace (EPERM, EACCES). A clone without
# its submounts is EINVAL where those are locked (mount_namespaces(7)).
_UNAVAILABLE = frozenset((ENOSYS, ENODEV, EOPNOTSUPP, EPERM, EACCES, EINVAL))


def open_procfs(path: str, source: str) -> tuple[Lookup, Source, tuple[Check, ...]]:
    """Open and check the root of the procfs at ``path``; a new instance shows processes alone.

    Return it with the source that it came from and what was checked, choices included.
    """
    return _open(path, source, _OPENERS)


def open_whole_procfs(path: str, source: str) -> Lookup:
    """The same with everything in it, to be closed at once."""
    return _open(path, source, {**_OPENERS, "fsopen": _whole_instance})[0]


def _open(
    path: str, source: str, openers: dict[Source, Callable[[str], Descriptor]]
) -> tuple[Lookup, Source, tuple[Check, ...]]:
    found: list[Check] = []
    root, chosen = _open_root(path, source, openers, found)
    detached = chosen != "mounted"
    with closed_on_error(root) as fd:
        found += _check_root(fd, path, detached=detached)
        lookup = Lookup(root, path, detached=detached)
        if not detached:
            found.append(lookup.require_our_mount())
    return lookup, chosen, (*found, lookup.describe())


def _open_root(
    path: str,
    source: str,
    openers: dict[Source, Callable[[str], Descriptor]],
    found: list[Check],
) -> tuple[Descriptor, Source]:
    *better, last = _candidates(path, source)
    for candidate in better:
        try:
            root = openers[candidate](path)
        except OSError as error:
            if error.errno not in _UNAVAILABLE:
                raise
            detail = f"{errorcode[error.errno]}: {error.strerror}"
            found.append(Check(path, f"source {candidate}", "unavailable", detail))
        else:
            break
    else:
        candidate = last
        root = openers[last](path)
    found.append(Check(path, f"source {candidate}", "passed", _DESCRIPTIONS[candidate]))
    return root, candidate


def _candidates(path: str, source: str) -> tuple[Source, ...]:
    """Return the sources to try for ``path``, best first.

    A new instance shows our own PID namespace. Whoever names another place than ``/proc`` means
    the procfs that is mounted there, perhaps the host's (psutil #1132, blazesym #1629).
    """
    is_default = os.path.normpath(path) in (DEFAULT_PATH, f"/{DEFAULT_PATH}")
    if source == "auto":
        return ("fsopen", "open_tree", "mounted") if is_default else ("open_tree", "mounted")
    if source == "fsopen":
        if not is_default:
            raise ValueError(
                f"source 'fsopen' is a new procfs instance and cannot be the one at {path!r}: "
                f"use 'auto', 'open_tree' or 'mounted'"
            )
        return ("fsopen",)
    if source == "open_tree":
        return ("open_tree",)
    if source == "mounted":
        return ("mounted",)
    raise ValueError(f"source must be auto, fsopen, open_tree or mounted, not {source!r}")


def _new_instance(path: str) -> Descriptor:
    """Open a procfs instance of our own that shows processes alone.

    Processes are all that is asked for again and again, and whoever gets hold of a descriptor of
    a whole procfs, without the masks of a container, breaks out of it (libpathrs 0.2.0).
    """
    try:
        return _mount_of_our_own({b"subset": b"pid"})
    except OSError as error:
        if error.errno != EINVAL:
            raise
        # Before Linux 5.8.
        return _mount_of_our_own({})


def _whole_instance(path: str) -> Descriptor:
    return _mount_of_our_own({})


def _mount_of_our_own(options: dict[bytes, bytes]) -> Descriptor:
    """Open a new procfs instance, as a mount that is in no mount namespace.

    It has the mount flags that ``/proc`` has everywhere. A kernel whose mounted ``/proc`` is
    partly masked refuses it to a user namespace (``mount_too_revealing``: EPERM).
    """
    _require_mount_calls()
    with linux.fsopen(b"proc") as context:
        for name, value in options.items():
            linux.fsconfig(context, uapi.FSCONFIG_SET_STRING, name, value)
        linux.fsconfig(context, uapi.FSCONFIG_CMD_CREATE)
        return linux.fsmount(
            context, uapi.MOUNT_ATTR_NOSUID | uapi.MOUNT_ATTR_NODEV | uapi.MOUNT_ATTR_NOEXEC
        )


def _clone(path: str) -> Descriptor:
    """Open a copy of the mount at ``path``, in no mount namespace, without the mounts in it.

    It is not recursive (no ``AT_RECURSIVE``). What is mounted over ``path`` itself is what gets
    cloned: the checks of the root find that.
    """
    _require_mount_calls()
    with _mounted(path) as mounted:
        return linux.open_tree(mounted, b"", uapi.OPEN_TREE_CLONE | uapi.AT_EMPTY_PATH)


def _mounted(path: str) -> Descriptor:
    return linux.openat(uapi.AT_FDCWD, path, FIND_DIRECTORY_NOFOLLOW)


def _require_mount_calls() -> None:
    """Require Linux 5.2, which introduced the calls.

    RHEL 8 ported them back to 4.18, where they take so long that they must not be used
    (libpathrs 0.2.4); only the version distinguishes.
    """
    release = os.uname().release
    version = re.match(r"(\d+)\.(\d+)", release)
    if version is None or (int(version[1]), int(version[2])) < (5, 2):
        raise OSError(ENOSYS, f"needs Linux 5.2, and this is {release}")


_OPENERS: dict[Source, Callable[[str], Descriptor]] = {
    "fsopen": _new_instance,
    "open_tree": _clone,
    "mounted": _mounted,
}
_DESCRIPTIONS: dict[Source, str] = {
    "fsopen": "a new procfs instance that nobody else can mount on",
    "open_tree": "a clone of the mount, without the mounts in it",
    "mounted": "the mount as it is, each entry checked when it is opened",
}


def _check_root(fd: int, where: str, *, detached: bool) -> list[Check]:
    # First of all: the other checks only mean something on procfs.
    found = {"is procfs": checks.require_procfs(fd, where)}
    st = os.fstat(fd)
    found["is the whole procfs"] = checks.require_inode_one(st, where)
    found["has no block device"] = checks.require_unnamed_device(st, where)
    if not detached:
        found["is a mount point"] = checks.require_mount_root(fd, where)
    checks.require_usual(checks.ROOT, st, where)
    found["usual mode and links"] = f"{filemode(st.st_mode)}, {st.st_nlink} links"
    return [Check(where, name, "passed", detail) for name, detail in found.items()]
