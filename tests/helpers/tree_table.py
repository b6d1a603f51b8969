"""What ``copy`` and ``move`` of pathlib in Python 3.14 do, case by case.

Each case is an operation on one and the same small tree and how it ends there: an ``errno``, or
which entries of the tree are new or other than before. Recorded from pathlib, and on
interpreters that have it the test asks pathlib again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from errno import (
    EEXIST,
    EINVAL,
    EISDIR,
    ELOOP,
    ENAMETOOLONG,
    ENOENT,
    ENOTDIR,
    ENOTEMPTY,
)
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

LONG = "n" * 256
OLD = 1_000_000_000 * 10**9 + 123_456_789

Changes = dict[str, tuple[Any, ...] | None]


def build(top: Path) -> None:
    """The tree of every case; all of it is old."""
    for directory in ("dir/sub", "empty", "broken", "looping/in"):
        (top / directory).mkdir(parents=True)
    for file, content, mode in (
        ("file", "file", 0o640),
        ("other", "other content", 0o600),
        ("program", "program", 0o755),
        ("dir/one", "one", 0o644),
        ("dir/sub/two", "two", 0o400),
    ):
        (top / file).write_text(content)
        (top / file).chmod(mode)
    for link, text in (
        ("link", "file"),
        ("dirlink", "dir"),
        ("dangling", "created"),
        ("loop", "loop"),
        ("dir/link", "sub/two"),
        ("dir/up", "../other"),
        ("dir/dirlink", "sub"),
        ("broken/dangling", "nothing"),
        ("looping/in/loop", "../in"),
    ):
        (top / link).symlink_to(text)
    (top / "dir").chmod(0o750)
    for directory, names, files in os.walk(top, topdown=False):
        for name in names + files:
            os.utime(os.path.join(directory, name), ns=(OLD, OLD), follow_symlinks=False)


def look(top: Path) -> dict[str, tuple[Any, ...]]:
    """Everything in the tree: its mode, whether it is old, and what it says."""
    found: dict[str, tuple[Any, ...]] = {}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = Path(directory, name)
            status = path.lstat()
            says: str | None = None
            if path.is_symlink():
                says = os.readlink(path)
            elif path.is_file():
                says = path.read_text()
            # When a directory was changed is how it is done, not what is done.
            old = status.st_mtime_ns == OLD and not stat.S_ISDIR(status.st_mode)
            mode = f"{stat.filemode(status.st_mode)}{' old' if old else ''}"
            found[str(path.relative_to(top))] = (mode, says)
    return found


def changes(before: dict[str, Any], after: dict[str, Any]) -> Changes:
    """What is new or other, and with None what is gone."""
    changed: Changes = {name: None for name in before if name not in after}
    changed |= {name: entry for name, entry in after.items() if before.get(name) != entry}
    return changed


def at(name: str, tree: Changes) -> Changes:
    """The entries of a tree, if it stands at ``name``."""
    return {f"{name}/{below}".rstrip("/"): entry for below, entry in tree.items()}


# What becomes of the tree "dir".
TREE: Changes = {
    "": ("drwxr-xr-x", None),
    "dirlink": ("drwxr-xr-x", None),
    "dirlink/two": ("-rw-r--r--", "two"),
    "link": ("-rw-r--r--", "two"),
    "one": ("-rw-r--r--", "one"),
    "sub": ("drwxr-xr-x", None),
    "sub/two": ("-rw-r--r--", "two"),
    "up": ("-rw-r--r--", "other content"),
}
TREE_AS_IT_IS: Changes = {
    "": ("drwxr-x---", None),
    "dirlink": ("drwxr-xr-x", None),
    "dirlink/two": ("-r-------- old", "two"),
    "link": ("-r-------- old", "two"),
    "one": ("-rw-r--r-- old", "one"),
    "sub": ("drwxr-xr-x", None),
    "sub/two": ("-r-------- old", "two"),
    "up": ("-rw------- old", "other content"),
}
TREE_WITH_LINKS: Changes = {
    "": ("drwxr-xr-x", None),
    "dirlink": ("lrwxrwxrwx", "sub"),
    "link": ("lrwxrwxrwx", "sub/two"),
    "one": ("-rw-r--r--", "one"),
    "sub": ("drwxr-xr-x", None),
    "sub/two": ("-rw-r--r--", "two"),
    "up": ("lrwxrwxrwx", "../other"),
}
TREE_WITH_LINKS_AS_IT_IS: Changes = {
    "": ("drwxr-x---", None),
    "dirlink": ("lrwxrwxrwx old", "sub"),
    "link": ("lrwxrwxrwx old", "sub/two"),
    "one": ("-rw-r--r-- old", "one"),
    "sub": ("drwxr-xr-x", None),
    "sub/two": ("-r-------- old", "two"),
    "up": ("lrwxrwxrwx old", "../other"),
}
GONE: Changes = dict.fromkeys(at("dir", TREE_WITH_LINKS))

NOT_FOLLOWED: dict[str, bool] = {"follow_symlinks": False}
KEPT: dict[str, bool] = {"preserve_metadata": True}


class Case(NamedTuple):
    """``source.method(target, **choices)``, and how it ends: with the umask 022."""

    name: str
    method: str
    source: str
    target: str
    ends: int | Changes
    choices: Mapping[str, bool] = MappingProxyType({})


CASES = [
    Case("a file", "copy", "file", "new", {"new": ("-rw-r--r--", "file")}),
    Case("a program", "copy", "program", "new", {"new": ("-rw-r--r--", "program")}),
    Case(
        "a program with its metadata",
        "copy",
        "program",
        "new",
        {"new": ("-rwxr-xr-x old", "program")},
        KEPT,
    ),
    Case("a file over a file", "copy", "file", "other", {"other": ("-rw-------", "file")}),
    Case(
        "a file with its metadata over a file",
        "copy",
        "file",
        "other",
        {"other": ("-rw-r----- old", "file")},
        KEPT,
    ),
    Case(
        "a file over a link to a file",
        "copy",
        "other",
        "link",
        {"file": ("-rw-r-----", "other content")},
    ),
    Case(
        "a file over a dangling link",
        "copy",
        "file",
        "dangling",
        {"created": ("-rw-r--r--", "file")},
    ),
    Case("a file over a loop", "copy", "file", "loop", ELOOP),
    Case("a file over a directory", "copy", "file", "empty", EISDIR),
    Case("a file over a link to a directory", "copy", "file", "dirlink", EISDIR),
    Case("a file over itself", "copy", "file", "file", EINVAL),
    Case("a file over a link to it", "copy", "file", "link", EINVAL),
    Case("a link over the file that it leads to", "copy", "link", "file", EINVAL),
    Case("a file to a name that is too long", "copy", "file", LONG, ENAMETOOLONG),
    Case("a file into a missing directory", "copy", "file", "nowhere/new", ENOENT),
    Case("a file below a file", "copy", "file", "other/new", ENOTDIR),
    Case("a missing file", "copy", "nothing", "new", ENOENT),
    Case("below a file", "copy", "file/x", "new", ENOTDIR),
    Case("a link", "copy", "link", "new", {"new": ("-rw-r--r--", "file")}),
    Case("a link as a link", "copy", "link", "new", {"new": ("lrwxrwxrwx", "file")}, NOT_FOLLOWED),
    Case(
        "a link as a link, with its metadata",
        "copy",
        "link",
        "new",
        {"new": ("lrwxrwxrwx old", "file")},
        NOT_FOLLOWED | KEPT,
    ),
    Case("a link as a link over a file", "copy", "link", "other", EEXIST, NOT_FOLLOWED),
    Case("a link as a link over a dangling link", "copy", "link", "dangling", EEXIST, NOT_FOLLOWED),
    Case("a link to a directory", "copy", "dirlink", "new", at("new", TREE)),
    Case(
        "a link to a directory as a link",
        "copy",
        "dirlink",
        "new",
        {"new": ("lrwxrwxrwx", "dir")},
        NOT_FOLLOWED,
    ),
    Case("a dangling link", "copy", "dangling", "new", ENOENT),
    Case(
        "a dangling link as a link",
        "copy",
        "dangling",
        "new",
        {"new": ("lrwxrwxrwx", "created")},
        NOT_FOLLOWED,
    ),
    Case("a loop", "copy", "loop", "new", ELOOP),
    Case("a loop as a link", "copy", "loop", "new", {"new": ("lrwxrwxrwx", "loop")}, NOT_FOLLOWED),
    Case("a tree", "copy", "dir", "new", at("new", TREE)),
    Case("a tree with its links", "copy", "dir", "new", at("new", TREE_WITH_LINKS), NOT_FOLLOWED),
    Case("a tree with its metadata", "copy", "dir", "new", at("new", TREE_AS_IT_IS), KEPT),
    Case(
        "a tree with its links and metadata",
        "copy",
        "dir",
        "new",
        at("new", TREE_WITH_LINKS_AS_IT_IS),
        NOT_FOLLOWED | KEPT,
    ),
    Case("an empty directory", "copy", "empty", "new", {"new": ("drwxr-xr-x", None)}),
    Case("a tree with a dangling link", "copy", "broken", "new", ENOENT),
    Case(
        "a tree with a dangling link as a link",
        "copy",
        "broken",
        "new",
        {"new": ("drwxr-xr-x", None), "new/dangling": ("lrwxrwxrwx", "nothing")},
        NOT_FOLLOWED,
    ),
    Case("a tree with a loop", "copy", "looping", "new", ELOOP),
    Case(
        "a tree with a loop as a link",
        "copy",
        "looping",
        "new",
        {
            "new": ("drwxr-xr-x", None),
            "new/in": ("drwxr-xr-x", None),
            "new/in/loop": ("lrwxrwxrwx", "../in"),
        },
        NOT_FOLLOWED,
    ),
    Case("a tree over an empty directory", "copy", "dir", "empty", EEXIST),
    Case("a tree over a file", "copy", "dir", "file", EEXIST),
    Case("a tree over a link to a directory", "copy", "dir", "dirlink", EEXIST),
    Case("a tree over a dangling link", "copy", "dir", "dangling", EEXIST),
    Case("a tree over itself", "copy", "dir", "dir", EINVAL),
    Case("a tree into itself", "copy", "dir", "dir/sub/new", EINVAL),
    Case("a tree into a missing directory", "copy", "dir", "nowhere/new", ENOENT),
    Case("a tree to a name that is too long", "copy", "dir", LONG, ENAMETOOLONG),
    Case(
        "a file into a directory",
        "copy_into",
        "file",
        "empty",
        {"empty/file": ("-rw-r--r--", "file")},
    ),
    Case(
        "a file into a link to a directory",
        "copy_into",
        "file",
        "dirlink",
        {"dir/file": ("-rw-r--r--", "file")},
    ),
    Case("a file into a file", "copy_into", "file", "other", ENOTDIR),
    Case("a file into what is missing", "copy_into", "file", "nowhere", ENOENT),
    Case("a file into its own directory", "copy_into", "file", "", EINVAL),
    Case(
        "a tree into a directory",
        "copy_into",
        "broken",
        "empty",
        {"empty/broken": ("drwxr-xr-x", None), "empty/broken/dangling": ("lrwxrwxrwx", "nothing")},
        NOT_FOLLOWED,
    ),
    Case("move a file", "move", "file", "new", {"file": None, "new": ("-rw-r----- old", "file")}),
    Case(
        "move a file over a file",
        "move",
        "file",
        "other",
        {"file": None, "other": ("-rw-r----- old", "file")},
    ),
    Case("move a file over a directory", "move", "file", "empty", EISDIR),
    Case(
        "move a file over a link",
        "move",
        "other",
        "link",
        {"other": None, "link": ("-rw------- old", "other content")},
    ),
    Case(
        "move a file over a dangling link",
        "move",
        "file",
        "dangling",
        {"file": None, "dangling": ("-rw-r----- old", "file")},
    ),
    Case("move a file over itself", "move", "file", "file", EINVAL),
    Case("move a file over a link to it", "move", "file", "link", EINVAL),
    Case("move a link over the file that it leads to", "move", "link", "file", EINVAL),
    Case("move a link", "move", "link", "new", {"link": None, "new": ("lrwxrwxrwx old", "file")}),
    Case(
        "move a dangling link",
        "move",
        "dangling",
        "new",
        {"dangling": None, "new": ("lrwxrwxrwx old", "created")},
    ),
    Case("move a missing file", "move", "nothing", "new", ENOENT),
    Case("move a tree", "move", "dir", "new", GONE | at("new", TREE_WITH_LINKS_AS_IT_IS)),
    Case(
        "move a tree over an empty directory",
        "move",
        "dir",
        "empty",
        GONE | at("empty", TREE_WITH_LINKS_AS_IT_IS),
    ),
    Case("move a tree over a directory with files", "move", "looping", "dir", ENOTEMPTY),
    Case("move a tree over a file", "move", "dir", "file", ENOTDIR),
    Case("move a tree over itself", "move", "dir", "dir", EINVAL),
    Case("move a tree into itself", "move", "dir", "dir/sub/new", EINVAL),
    Case("move a file to a name that is too long", "move", "file", LONG, ENAMETOOLONG),
    Case(
        "move a file into a directory",
        "move_into",
        "file",
        "empty",
        {"file": None, "empty/file": ("-rw-r----- old", "file")},
    ),
    Case("move a file into what is missing", "move_into", "file", "nowhere", ENOENT),
    Case(
        "move a tree into a directory",
        "move_into",
        "dir",
        "empty",
        GONE | at("empty/dir", TREE_WITH_LINKS_AS_IT_IS),
    ),
]
