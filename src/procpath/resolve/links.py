"""Which symbolic links may be followed, and what they say.

Promises the refusals of Linux itself (``fs.protected_symlinks``, ``nosymfollow``) and
one of our own: a magic link of procfs, which jumps to an object by no path at all, is
never followed. Needs only held descriptors of the link and its directory.
"""

from __future__ import annotations

import os
import re
import stat
from errno import EACCES, ELOOP

from procpath.errors import MagicLinkError, os_error
from procpath.linux import fstatfs
from procpath.proc import VerifiedProc
from procpath.uapi import PROC_SUPER_MAGIC, ST_NOSYMFOLLOW

_STICKY_AND_WORLD_WRITABLE = stat.S_ISVTX | stat.S_IWOTH

_TO_OWN_DIRECTORY = re.compile(rb"[0-9]+(/task/[0-9]+)?")
"""What ``self`` and ``thread-self`` say (proc_self(5))."""


def sysctl_fs(name: str) -> int:
    """The setting ``fs.NAME``; 1, so in force, where it cannot be read.

    Most containers have ``/proc/sys`` mounted over, and assuming the restriction is the
    safe mistake (as libpathrs 0.2.5 found).
    """
    try:
        with VerifiedProc.default().open(f"sys/fs/{name}") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 1


def require_followable(directory: int, link: int) -> None:
    """Refuse to follow ``link`` in ``directory`` as ``fs.protected_symlinks`` does (``EACCES``).

    proc_sys_fs(5): in a sticky, world-writable directory a link is followed only by its
    owner, or where the directory's owner owns it; no capability helps. The kernel asks
    this for links at the end of a path only (may_follow_link() in fs/namei.c).
    """
    parent = os.fstat(directory)
    if parent.st_mode & _STICKY_AND_WORLD_WRITABLE != _STICKY_AND_WORLD_WRITABLE:
        return
    owner = os.fstat(link).st_uid
    if owner not in (os.geteuid(), parent.st_uid) and sysctl_fs("protected_symlinks"):
        raise os_error(EACCES)


def read_followable(link: int) -> bytes:
    """The text of the link held by ``link``; ``ELOOP`` on a ``nosymfollow`` mount or for a
    magic link.
    """
    file_system = fstatfs(link)
    if file_system.flags & ST_NOSYMFOLLOW:
        raise os_error(ELOOP)
    text = os.readlink(b"", dir_fd=link)
    if file_system.type == PROC_SUPER_MAGIC and not _is_plain(os.fstat(link), text):
        raise MagicLinkError
    return text


def _is_plain(status: os.stat_result, text: bytes) -> bool:
    """Whether a link of procfs names a path (``mounts``, ``net``) instead of jumping.

    Links made by proc_symlink() (fs/proc/generic.c) carry the length of their text as
    their size and all permissions; magic links carry 0 or 64, those of ``fd`` and
    ``map_files`` fewer permissions. ``self`` and ``thread-self`` carry 0, but no magic
    link's text looks like theirs. A mistake here changes an answer, never its place:
    the text is followed inside the root like any other.
    """
    as_made = stat.S_IMODE(status.st_mode) == 0o777 and status.st_size == len(text)
    return as_made or _TO_OWN_DIRECTORY.fullmatch(text) is not None
