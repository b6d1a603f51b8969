"""The reference model: path resolution as Linux does it, over a tree in memory.

Meant to be checked by eye against path_resolution(7), symlink(7) and open(2): the loop in
:func:`walk` is the whole of path resolution, and :func:`open` the whole of what its flags
add. What is left of a path is text, as in the manual page: following a symlink puts its
target in front of what is left. Nothing here makes a system call or mounts anything, and
nothing is shared with :mod:`procpath.resolve`, so that the two can be held against each
other and against a chrooted process.

Where the manual pages are silent, the order of errors is that of ``fs/namei.c`` of Linux 6.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from errno import (
    EACCES,
    EEXIST,
    EINVAL,
    EISDIR,
    ELOOP,
    ENAMETOOLONG,
    ENOENT,
    ENOTDIR,
    ENXIO,
    EXDEV,
)
from typing import Literal

from procpath.errors import EscapeError, MagicLinkError, SpecialFileError, os_error
from procpath.testing.tree import (
    Directory,
    Fifo,
    File,
    MagicLink,
    Node,
    Socket,
    Symlink,
    Tree,
    child_of,
    parent_of,
)

__all__ = ["Caller", "Opened", "Rules", "Walked", "open", "read", "readlink", "resolve", "walk"]

NAME_MAX = 255  # bytes, limits.h
PATH_MAX = 4096  # bytes with the final NUL, limits.h
MAX_LINKS = 40  # path_resolution(7)

READ, WRITE, SEARCH = 4, 2, 1  # the bits of a mode


@dataclass(frozen=True)
class Caller:
    """Who asks: ``uid``, ``gid``, further ``groups``, and whether CAP_DAC_OVERRIDE is held
    (``privileged``). The default is root."""

    uid: int = 0
    gid: int = 0
    groups: frozenset[int] = frozenset()
    privileged: bool = True


@dataclass(frozen=True)
class Rules:
    """What may differ from one root or machine to the next.

    ``on_escape``, ``symlinks``, ``cross_mounts`` and ``special_files`` are the options of
    :class:`procpath.Root`, but that ``"allow"`` is what Linux does. ``path_max`` is the limit
    of a path in bytes, the final NUL included; None for none (the walker has none).
    ``max_links`` links are followed at most. ``protected_symlinks``, ``protected_regular``
    and ``protected_fifos`` are the sysctls of proc_sys_fs(5).
    """

    on_escape: Literal["clamp", "raise"] = "clamp"
    symlinks: bool = True
    cross_mounts: bool = True
    special_files: Literal["allow", "refuse"] = "allow"
    path_max: int | None = PATH_MAX
    max_links: int = MAX_LINKS
    protected_symlinks: int = 1
    protected_regular: int = 0
    protected_fifos: int = 0


@dataclass(frozen=True)
class Walked:
    """Where a path led: the in-root ``path`` of an object, or of one that could be created
    there (``exists`` is False)."""

    path: str
    exists: bool = True


@dataclass(frozen=True)
class Opened:
    """What open(2) gave: the object at in-root ``path``, ``"found"`` there or ``"created"``,
    or a ``"nameless"`` one in the directory at ``path`` (``O_TMPFILE``)."""

    path: str
    how: Literal["found", "created", "nameless"] = "found"


ROOT = Caller()
LINUX = Rules()


def walk(
    tree: Tree,
    path: str,
    *,
    follow_last: bool = True,
    directory: bool = False,
    create: bool = False,
    caller: Caller = ROOT,
    rules: Rules = LINUX,
) -> Walked:
    """Return where ``path`` leads.

    ``follow_last``: whether a symlink at the end is followed. ``directory``: whether the
    end must be a directory. ``create``: whether the last name may be missing, as for
    ``O_CREAT``. Raises the OSError that Linux gives, and ValueError for a NUL.
    """
    if "\0" in path:
        raise ValueError("embedded null byte")
    if rules.path_max is not None and len(os.fsencode(path)) >= rules.path_max:
        raise os_error(ENAMETOOLONG, path)
    if not path:
        raise os_error(ENOENT, path)

    here, rest, links = "/", path, 0
    while rest := rest.lstrip("/"):
        # Before each name, a `.` or a `..` too: we must be in a directory, and may search it.
        at = tree[here]
        if not isinstance(at, Directory):
            raise os_error(ENOTDIR, path)
        if not permits(at, SEARCH, caller):
            raise os_error(EACCES, path)

        name, slash, rest = rest.partition("/")
        last = not rest.strip("/")
        if name == ".":
            continue
        if name == "..":
            if here == "/" and rules.on_escape == "raise":
                raise EscapeError(path)
            here = parent_of(here)
            continue
        if last and slash:
            if create:
                raise os_error(EISDIR, path)
            follow_last = directory = True

        if len(os.fsencode(name)) > NAME_MAX:
            raise os_error(ENAMETOOLONG, path)
        place = child_of(here, name)
        node = tree.get(place)
        if node is None:
            if last and create:
                return Walked(place, exists=False)
            raise os_error(ENOENT, path)
        if isinstance(node, Directory) and node.mount and not rules.cross_mounts:
            raise os_error(EXDEV, path)
        if not isinstance(node, Symlink | MagicLink) or (last and not follow_last):
            here = place
            continue

        # A symlink to follow.
        links += 1
        if links > rules.max_links:
            raise os_error(ELOOP, path)
        if last and is_protected(node, at, caller, rules):
            raise os_error(EACCES, path)
        if not rules.symlinks or not follows_symlinks(tree, here):
            raise os_error(ELOOP, path)
        if isinstance(node, MagicLink):
            raise MagicLinkError(path)
        if node.target.startswith("/"):
            here = "/"
        rest = node.target + slash + rest

    if directory and not isinstance(tree[here], Directory):
        raise os_error(ENOTDIR, path)
    return Walked(here)


def open(  # noqa: A001  # named for the call whose answers it gives, os.open
    tree: Tree, path: str, flags: int, *, caller: Caller = ROOT, rules: Rules = LINUX
) -> Opened:
    """Return what ``os.open(path, flags)`` gives, as if always with ``O_NONBLOCK``.

    Raises the OSError that Linux gives, and ValueError for a NUL. Nothing is created: the
    answer says what would be.
    """
    if flags & os.O_PATH:
        flags &= os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    access = {os.O_RDONLY: READ, os.O_WRONLY: WRITE}.get(flags & os.O_ACCMODE, READ | WRITE)
    nameless = flags & os.O_TMPFILE == os.O_TMPFILE
    create, exclusive = bool(flags & os.O_CREAT), bool(flags & os.O_EXCL)
    directory = bool(flags & os.O_DIRECTORY)
    if create and directory:  # since Linux 6.4; open(2), BUGS
        raise os_error(EINVAL, path)
    if nameless and not access & WRITE:
        raise os_error(EINVAL, path)
    if flags & os.O_TRUNC:
        access |= WRITE

    end = walk(
        tree,
        path,
        follow_last=not (flags & os.O_NOFOLLOW or (create and exclusive)),
        directory=directory,
        create=create,
        caller=caller,
        rules=rules,
    )
    parent = tree[parent_of(end.path)]
    assert isinstance(parent, Directory)
    if not end.exists:
        if not permits(parent, WRITE | SEARCH, caller):
            raise os_error(EACCES, path)
        return Opened(end.path, "created")
    node = tree[end.path]
    if nameless:
        if not permits(node, WRITE | SEARCH, caller):
            raise os_error(EACCES, path)
        return Opened(end.path, "nameless")
    if create:
        if exclusive:
            raise os_error(EEXIST, path)
        if isinstance(node, Directory):
            raise os_error(EISDIR, path)
        if isinstance(node, Fifo | Socket) and rules.special_files == "refuse":
            raise SpecialFileError(path)
        if is_foreign_in_sticky(node, parent, caller, rules):
            raise os_error(EACCES, path)
    if flags & os.O_PATH:
        return Opened(end.path)
    if isinstance(node, Symlink | MagicLink):
        raise os_error(ELOOP, path)
    if isinstance(node, Fifo | Socket) and rules.special_files == "refuse":
        raise SpecialFileError(path)
    if isinstance(node, Directory) and access & WRITE:
        raise os_error(EISDIR, path)
    if not permits(node, access, caller):
        raise os_error(EACCES, path)
    if isinstance(node, Socket):
        raise os_error(ENXIO, path)
    if isinstance(node, Fifo) and flags & os.O_ACCMODE == os.O_WRONLY:  # nobody reads
        raise os_error(ENXIO, path)
    return Opened(end.path)


def resolve(
    tree: Tree,
    path: str,
    *,
    follow_last: bool = True,
    caller: Caller = ROOT,
    rules: Rules = LINUX,
) -> str:
    """Return the in-root path without symlinks of the object that ``path`` leads to."""
    return walk(tree, path, follow_last=follow_last, caller=caller, rules=rules).path


def readlink(tree: Tree, path: str, *, caller: Caller = ROOT, rules: Rules = LINUX) -> str:
    """Return what ``os.readlink(path)`` gives."""
    node = tree[walk(tree, path, follow_last=False, caller=caller, rules=rules).path]
    if not isinstance(node, Symlink | MagicLink):
        raise os_error(EINVAL, path)
    return node.target


def read(tree: Tree, path: str, *, caller: Caller = ROOT, rules: Rules = LINUX) -> bytes:
    """Return what reading the regular file at ``path`` gives; nothing can be read from a FIFO."""
    found = open(tree, path, os.O_RDONLY, caller=caller, rules=rules).path
    if isinstance(tree[found], Directory):
        raise os_error(EISDIR, path)
    return tree.content(found) if isinstance(tree[found], File) else b""


def permits(node: Node, wanted: int, caller: Caller) -> bool:
    """The permission bits: the owner's, else the group's, else the others'. CAP_DAC_OVERRIDE
    goes past them, but for executing a file, which nothing here does."""
    if caller.privileged or isinstance(node, Symlink | MagicLink):
        return True
    if caller.uid == (node.uid or 0):
        granted = node.mode >> 6
    elif (node.gid or 0) in {caller.gid, *caller.groups}:
        granted = node.mode >> 3
    else:
        granted = node.mode
    return granted & wanted == wanted


def follows_symlinks(tree: Tree, here: str) -> bool:
    """Whether the mount on which the directory ``here`` lies has no ``nosymfollow``."""
    while True:
        node = tree[here]
        assert isinstance(node, Directory)
        if node.mount or here == "/":
            return not node.nosymfollow
        here = parent_of(here)


def is_protected(link: Node, parent: Directory, caller: Caller, rules: Rules) -> bool:
    """``fs.protected_symlinks``: in a sticky directory that everybody may write, a symlink
    at the end is only followed for its owner, or if the directory's owner made it; not even
    for root."""
    sticky = parent.mode & 0o1002 == 0o1002
    owner = link.uid or 0
    mine = owner in (caller.uid, parent.uid or 0)
    return bool(rules.protected_symlinks) and sticky and not mine


def is_foreign_in_sticky(node: Node, parent: Directory, caller: Caller, rules: Rules) -> bool:
    """``fs.protected_regular`` and ``fs.protected_fifos``: O_CREAT does not open what
    somebody else has put into a sticky directory; what is neither file nor FIFO never."""
    level = 1
    if isinstance(node, File):
        level = rules.protected_regular
    elif isinstance(node, Fifo):
        level = rules.protected_fifos
    if not level or not parent.mode & 0o1000:
        return False
    if (node.uid or 0) in (caller.uid, parent.uid or 0):
        return False
    return bool(parent.mode & 0o002 or (parent.mode & 0o020 and level >= 2))
