"""dissect.target, which looks for what an operating system keeps, in a root."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ports.ground import Ground
from procpath import BoundPath

Target: Any = pytest.importorskip("dissect.target").Target
module: Any = pytest.importorskip("dissect.target.filesystems.dir")

NAMES = (
    *("etc/os-release", "etc/accounts/passwd", "opt/app/tool", "opt/tool", "var/lib/dpkg/status"),
    *("bin/sh", "lib64", "nowhere", "etc/os-release/x", "srv/climb", "srv/current", "evil"),
)


class RootedEntry(module.DirectoryFilesystemEntry):
    """The entry of a directory, with a path in a root where ``os`` was asked by a name."""

    def readlink(self) -> str:
        if not self.is_symlink():
            raise module.NotASymlinkError
        return str(self.entry.readlink())

    def attr(self) -> dict[str, bytes]:
        return self._attributes(follow_symlinks=True)

    def lattr(self) -> dict[str, bytes]:
        return self._attributes(follow_symlinks=False)

    def _attributes(self, *, follow_symlinks: bool) -> dict[str, bytes]:
        names = self.entry.listxattr(follow_symlinks=follow_symlinks)
        return {name: self.entry.getxattr(name, follow_symlinks=follow_symlinks) for name in names}


def answers(top: Any) -> dict[str, Any]:
    directory = module.DirectoryFilesystem(top)
    target = Target()
    target.filesystems.add(directory)
    target.fs.mount("/", directory)
    target.apply()
    return {
        "system": (target.os, target.version, target.hostname, target.architecture),
        "users": sorted((user.name, user.uid, str(user.home)) for user in target.users()),
        "files": {str(path): facts(path) for path in below(target.fs.path("/"))},
        "by name": {name: facts(directory.path(name)) for name in NAMES},
    }


def below(top: Any) -> Iterator[Any]:
    for path in sorted(top.iterdir()):
        yield path
        # Those of the kernel change from one moment to the next.
        if not path.is_symlink() and path.is_dir() and str(path) not in ("/proc", "/sys", "/dev"):
            yield from below(path)


def facts(path: Any) -> tuple[Any, ...]:
    link = str(path.readlink()) if path.is_symlink() else None
    try:
        if not path.is_file():
            return link, path.exists(), path.is_dir()
        # Of the links to one program, hundreds of a busybox, one will do.
        content = b"" if link == "/bin/busybox" else path.read_bytes()
        return link, path.stat().st_size, hashlib.sha256(content).hexdigest(), attributes(path)
    except Exception as error:
        return link, type(error).__name__


def attributes(path: Any) -> object:
    try:
        return path.get().lattr()
    except Exception as error:
        return type(error).__name__


def stock(root: str) -> dict[str, Any]:
    # Not the name alone: that of the root of a process is a link to a directory.
    return answers(Path(root, "usr/.."))


def ported(P: type[BoundPath]) -> dict[str, Any]:
    # The file system makes its entries by this name.
    module.DirectoryFilesystemEntry = RootedEntry
    return answers(P("/"))


# It does not close the files that it reads.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_it_finds_what_is_in_the_root(ground: Ground) -> None:
    expected = ground.compare(stock, ported)
    assert expected["system"][:2] == ("linux", "Cellar 1.0")
    assert expected["users"]
