"""Extended attributes of files, directories and links."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.seccomp import forbid
from helpers.support import run_in_child
from procpath import Root, RootedPath, SpecialFileError

pytestmark = pytest.mark.usefixtures("no_leak")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[RootedPath]:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("")
    (tmp_path / "link").symlink_to("/f")
    with Root.at(tmp_path) as held:
        yield RootedPath(held)


def round_trip(path: RootedPath, host: Path) -> None:
    assert path.listxattr() == []
    path.setxattr("user.a", b"\0value\xff")
    path.setxattr(b"user.b", bytearray(b""))
    assert sorted(path.listxattr()) == ["user.a", "user.b"] == sorted(os.listxattr(host))
    assert path.getxattr("user.a") == b"\0value\xff" == os.getxattr(host, "user.a")
    with pytest.raises(FileExistsError):
        path.setxattr("user.a", b"", os.XATTR_CREATE)
    path.removexattr("user.a")
    with pytest.raises(OSError) as caught:
        path.getxattr("user.a")
    assert (caught.value.errno, caught.value.filename) == (errno.ENODATA, str(path))


@pytest.mark.parametrize("name", ["f", "d", "link"])
def test_attributes_come_and_go(name: str, root: RootedPath, tmp_path: Path) -> None:
    round_trip(root / name, tmp_path / ("f" if name == "link" else name))


def test_without_the_new_calls_files_are_opened(root: RootedPath, tmp_path: Path) -> None:
    def inside() -> None:
        calls = ("setxattrat", "getxattrat", "listxattrat", "removexattrat")
        forbid(dict.fromkeys(calls, errno.ENOSYS))
        round_trip(root / "f", tmp_path / "f")
        round_trip(root / "d", tmp_path / "d")
        with pytest.raises(OSError) as caught:
            (root / "link").listxattr(follow_symlinks=False)
        assert caught.value.errno == errno.EOPNOTSUPP

    run_in_child(inside)


@pytest.mark.machine_root
def test_links_have_their_own(root: RootedPath, tmp_path: Path) -> None:
    link = root / "link"
    link.setxattr("trusted.x", b"1", follow_symlinks=False)
    assert link.listxattr(follow_symlinks=False) == ["trusted.x"]
    assert link.getxattr("trusted.x", follow_symlinks=False) == b"1"
    assert link.listxattr() == []
    with pytest.raises(PermissionError):
        link.setxattr("user.x", b"1", follow_symlinks=False)
    link.removexattr("trusted.x", follow_symlinks=False)
    assert link.listxattr(follow_symlinks=False) == []


def test_kernel_files_are_not_changed() -> None:
    with pytest.raises(SpecialFileError):
        RootedPath("/", "proc/version").setxattr("user.x", b"")


def test_wrong_arguments(root: RootedPath) -> None:
    with pytest.raises(ValueError, match="null"):
        (root / "f").getxattr("user.\0")
    with pytest.raises(FileNotFoundError):
        (root / "missing").listxattr()
    with pytest.raises(TypeError):
        (root / "f").setxattr("user.x", "text")  # type: ignore[arg-type]
