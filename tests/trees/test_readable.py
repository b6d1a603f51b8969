"""Copies between a root and path objects that are no files: in archives, in memory."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pathlib_abc
import pytest

from helpers.scenery import on_tmpfs, write
from procpath import Root, RootedPath, SpecialFileError

pytestmark = pytest.mark.usefixtures("no_leak")

Tree = dict[str, Any]


class MemoryInfo:
    def __init__(self, node: Any) -> None:
        self._node = node

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        return self._node is not None

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return isinstance(self._node, dict)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return isinstance(self._node, bytes)

    def is_symlink(self) -> bool:
        return isinstance(self._node, str)


class MemoryPath(pathlib_abc.ReadablePath, pathlib_abc.WritablePath):
    """A path in nested dictionaries: bytes are files, strings links."""

    def __init__(self, tree: Tree, *segments: str) -> None:
        self._tree = tree
        self._parts = tuple(segments)

    parser = os.path

    def __vfspath__(self) -> str:
        return "/".join(self._parts)

    def with_segments(self, *segments: Any) -> MemoryPath:
        parts: list[str] = []
        for segment in segments:
            parts += segment._parts if isinstance(segment, MemoryPath) else segment.split("/")
        return MemoryPath(self._tree, *parts)

    @property
    def name(self) -> str:
        return self._parts[-1]

    @property
    def parents(self) -> list[MemoryPath]:
        return [MemoryPath(self._tree, *self._parts[:n]) for n in range(len(self._parts))]

    @property
    def _node(self) -> Any:
        node: Any = self._tree
        for part in self._parts:
            node = node.get(part)
        return node

    @property
    def info(self) -> Any:
        return MemoryInfo(self._node)

    def iterdir(self) -> Iterator[Any]:
        return (MemoryPath(self._tree, *self._parts, name) for name in self._node)

    def readlink(self) -> Any:
        # A path object without a str(), as the protocol has it.
        return self.with_segments(self._node)

    def __open_reader__(self) -> BinaryIO:
        if not isinstance(self._node, bytes):
            raise OSError(errno.EIO, "not in the archive", self.name)
        return io.BytesIO(self._node)

    def __open_writer__(self, mode: str) -> BinaryIO:
        above = MemoryPath(self._tree, *self._parts[:-1])._node

        class Writer(io.BytesIO):
            def close(writer) -> None:
                above[self.name] = writer.getvalue()
                super().close()

        return Writer()

    def mkdir(self) -> None:
        MemoryPath(self._tree, *self._parts[:-1])._node[self.name] = {}

    def symlink_to(self, target: Any, target_is_directory: bool = False) -> None:
        MemoryPath(self._tree, *self._parts[:-1])._node[self.name] = str(target)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[RootedPath]:
    with Root.at(tmp_path) as held:
        yield RootedPath(held)


TREE: Tree = {
    "tree": {
        "file": b"content",
        "sub": {"deeper": {"empty": b""}, "big": b"x" * (3 << 20)},
        "link": "/anywhere",
    }
}


def test_a_tree_comes_in(tmp_path: Path, root: RootedPath) -> None:
    MemoryPath(TREE, "tree").copy(root / "new", follow_symlinks=False)
    assert (tmp_path / "new/file").read_bytes() == b"content"
    assert (tmp_path / "new/sub/deeper/empty").read_bytes() == b""
    assert (tmp_path / "new/sub/big").stat().st_size == 3 << 20
    assert os.readlink(tmp_path / "new/link") == "/anywhere"
    assert os.listdir(tmp_path) == ["new"]


def test_a_tree_goes_out(tmp_path: Path, root: RootedPath) -> None:
    write(tmp_path / "tree/sub/file", "content")
    (tmp_path / "tree/link").symlink_to("sub/file")
    memory: Tree = {}
    (root / "tree").copy(MemoryPath(memory, "new"), follow_symlinks=False)
    assert memory == {"new": {"sub": {"file": b"content"}, "link": "sub/file"}}


def test_a_file_replaces_one_and_keeps_its_mode(tmp_path: Path, root: RootedPath) -> None:
    write(tmp_path / "old", "old", 0o640)
    MemoryPath(TREE, "tree", "file").copy(root / "old")
    assert (tmp_path / "old").read_bytes() == b"content"
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../../escape", "/absolute", "nul\0"])
def test_names_that_are_none_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    source = MemoryPath({"tree": {"sub": {name: b"escaped"}}}, "tree")
    with pytest.raises(OSError) as caught:
        source.copy(RootedPath(tmp_path / "root") / "new")
    assert caught.value.errno == errno.EINVAL
    assert os.listdir(tmp_path) == ["root"]
    assert os.listdir(tmp_path / "root") == []


def test_links_are_never_gone_through(tmp_path: Path, root: RootedPath) -> None:
    """A link and then a file below its name, as a hostile archive has them."""
    (tmp_path / "outside").mkdir()

    class Twice(dict[str, Any]):
        def __iter__(self) -> Iterator[str]:
            return iter(["sub", "sub"])

        def get(self, name: str, default: Any = None) -> Any:
            # What it is, and where it leads.
            self.asked = getattr(self, "asked", 0) + 1
            return "../outside" if self.asked <= 2 else {"file": b"escaped"}

    source = MemoryPath({"tree": Twice()}, "tree")
    with pytest.raises(OSError):
        source.copy(root / "new", follow_symlinks=False)
    assert os.listdir(tmp_path / "outside") == []
    assert os.listdir(tmp_path) == ["outside"]


@pytest.mark.parametrize(
    ("target", "number"),
    [("tree", errno.EISDIR), ("missing/new", errno.ENOENT), ("file/new", errno.ENOTDIR)],
)
def test_errors_are_those_of_a_copy(
    target: str, number: int, tmp_path: Path, root: RootedPath
) -> None:
    write(tmp_path / "file")
    (tmp_path / "tree").mkdir()
    with pytest.raises(OSError) as caught:
        MemoryPath(TREE, "tree", "file").copy(root / target)
    assert (caught.value.errno, caught.value.filename) == (number, f"/{target}")
    with pytest.raises(FileExistsError):
        MemoryPath(TREE, "tree").copy(root / "tree")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SpecialFileError):
        MemoryPath(TREE, "tree", "file").copy(root / "fifo")


def test_a_source_that_fails_leaves_nothing(tmp_path: Path, root: RootedPath) -> None:
    source = MemoryPath({"tree": {"good": b"x", "sub": {"bad": None}}}, "tree")
    with pytest.raises(OSError) as caught:
        source.copy(root / "new")
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, "bad")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        with pytest.raises(OSError) as caught:
            MemoryPath(TREE, "tree").copy(RootedPath(memory) / "new", follow_symlinks=False)
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.filename == "/new/sub/big"
        assert os.listdir(memory) == []

    on_tmpfs(tmp_path, inside, "size=1m")


def test_a_deep_tree_comes_in(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        Deep(300).copy(RootedPath(memory) / "new")
        assert (memory / "new" / "/".join(["d"] * 300)).is_dir()

    on_tmpfs(tmp_path, inside)


class Deep(pathlib_abc.ReadablePath):
    """A directory in a directory, and so on."""

    def __init__(self, levels: int) -> None:
        self._levels = levels

    parser = os.path
    parents: tuple[Any, ...] = ()

    def __vfspath__(self) -> str:
        return "d"

    def with_segments(self, *segments: Any) -> Any:
        raise NotImplementedError

    name = "d"

    @property
    def info(self) -> Any:
        return MemoryInfo({})

    def iterdir(self) -> Iterator[Any]:
        return iter([Deep(self._levels - 1)] if self._levels else [])

    def readlink(self) -> Any:
        raise NotImplementedError

    def __open_reader__(self) -> BinaryIO:
        raise NotImplementedError
