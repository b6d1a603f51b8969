"""Readers and writers of a root with holes that people dig: each is to be caught."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from posixpath import normpath

from procpath import RootedPath

Reader = Callable[[Path, str], bytes]


def joins(root: Path, path: str) -> bytes:
    return (root / path.lstrip("/")).read_bytes()


def resolves_and_compares(root: Path, path: str) -> bytes:
    found = (root / path.lstrip("/")).resolve()
    if not found.is_relative_to(root):
        raise PermissionError(path)
    return found.read_bytes()


def real_path_then_open(root: Path, path: str) -> bytes:
    found = os.path.realpath(root / path.lstrip("/"))
    if os.path.commonpath([found, root]) != str(root):
        raise PermissionError(path)
    with open(found, "rb") as file:
        return file.read()


def one_level_of_links(root: Path, path: str) -> bytes:
    place = root / path.lstrip("/")
    if place.is_symlink():
        target = os.readlink(place)
        start = root if target.startswith("/") else place.parent
        place = start / target.lstrip("/")
        if ".." in place.parts:
            raise PermissionError(path)
    return place.read_bytes()


def absolute_links_only(root: Path, path: str) -> bytes:
    place = root / path.lstrip("/")
    for _ in range(40):
        if not place.is_symlink():
            break
        target = os.readlink(place)
        place = (root if target.startswith("/") else place.parent) / target.lstrip("/")
    return place.read_bytes()


def lexical_dots(root: Path, path: str) -> bytes:
    return (root / normpath("/" + path).lstrip("/")).read_bytes()


def nofollow_at_the_end(root: Path, path: str) -> bytes:
    fd = os.open(root / path.lstrip("/"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        return file.read()


def check_then_use(root: Path, path: str) -> bytes:
    place = root
    for name in path.strip("/").split("/"):
        if name == "..":
            raise PermissionError(path)
        place = place / name
        if place.is_symlink():
            raise PermissionError(path)
    return place.read_bytes()


def cached_prefix(root: Path, path: str) -> bytes:
    parent, _, name = path.rpartition("/")
    trusted = (root / parent.lstrip("/")).resolve()
    if not trusted.is_relative_to(root) or name == "..":
        raise PermissionError(path)
    (trusted / name).lstat()
    fd = os.open(trusted / name, os.O_RDONLY | os.O_NOFOLLOW)
    with open(fd, "rb") as file:
        return file.read()


def stat_then_open(root: Path, path: str) -> bytes:
    place = root / path.lstrip("/")
    if not stat.S_ISREG(place.lstat().st_mode):
        raise PermissionError(path)
    return place.read_bytes()


def rooted(root: Path, path: str) -> bytes:
    return RootedPath(root, path).read_bytes()


READERS: list[Reader] = [
    joins,
    resolves_and_compares,
    real_path_then_open,
    one_level_of_links,
    absolute_links_only,
    lexical_dots,
    nofollow_at_the_end,
    check_then_use,
    cached_prefix,
    stat_then_open,
]
BY_TREES = [
    joins,
    one_level_of_links,
    absolute_links_only,
    lexical_dots,
    nofollow_at_the_end,
    stat_then_open,
]
"""led out by a tree alone, without a race"""


def extracts(root: Path) -> None:
    """Unpacks as tar once did: the name is checked, what is there is not."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        member = tarfile.TarInfo("a/f")
        archive.addfile(member, io.BytesIO())
    data.seek(0)
    with tarfile.open(fileobj=data) as archive:
        archive.extractall(root, filter="fully_trusted")


def makes_parents(root: Path) -> None:
    (root / "a/b/c").mkdir(parents=True, exist_ok=True)


def removes_by_names(root: Path) -> None:
    for place, directories, files in os.walk(root / "a", topdown=False):
        for name in files:
            os.unlink(os.path.join(place, name))
        for name in directories:
            os.rmdir(os.path.join(place, name))


def copies_into(root: Path) -> None:
    if not (root / "a/f").is_symlink():
        shutil.copyfile("/etc/hostname", root / "a/f")


WRITERS = [extracts, makes_parents, removes_by_names, copies_into]


def extracts_rooted(root: Path) -> None:
    """Unpacks as examples/extract_layer.py does."""
    file = RootedPath(root) / "a/f"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with file.open("xb") as made:
        made.write(b"new")


def makes_parents_rooted(root: Path) -> None:
    (RootedPath(root) / "a/b/c").mkdir(parents=True, exist_ok=True)


def removes_rooted(root: Path) -> None:
    (RootedPath(root) / "a").rmtree()


def copies_into_rooted(root: Path) -> None:
    (RootedPath(root) / "a/f").copy_from(Path("/etc/hostname"))


ROOTED_WRITERS = [extracts_rooted, makes_parents_rooted, removes_rooted, copies_into_rooted]
