"""fsspec and joblib: a path in a root means nothing to them, and never a file of the host."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

import pytest

from helpers.twins import Twins
from procpath import RootedPath

fsspec: Any = pytest.importorskip("fsspec")
local: Any = pytest.importorskip("fsspec.implementations.local")
joblib: Any = pytest.importorskip("joblib")


FSSPEC: dict[str, Callable[[Any, RootedPath], object]] = {
    "fsspec.open": lambda fs, path: fsspec.open(path).open(),
    "url_to_fs": lambda fs, path: fsspec.core.url_to_fs(path),
    "open_files": lambda fs, path: fsspec.open_files([path]),
    "cat": lambda fs, path: fs.cat(path),
    "find": lambda fs, path: fs.find(path.parent),
    "get": lambda fs, path: fs.get(path, f"{path.parent}-got"),
    "info": lambda fs, path: fs.info(path),
    "isfile": lambda fs, path: fs.isfile(path),
    "ls": lambda fs, path: fs.ls(path.parent),
    "open": lambda fs, path: fs.open(path),
    "pipe": lambda fs, path: fs.pipe_file(path, b"changed"),
    "put": lambda fs, path: fs.put(os.devnull, path),
    "rm": lambda fs, path: fs.rm(path),
    "touch": lambda fs, path: fs.touch(path),
}


@pytest.mark.parametrize("name", FSSPEC)
def test_a_function_of_fsspec_refuses_it(name: str, twins: Twins) -> None:
    with pytest.raises((TypeError, AttributeError), match="RootedPath"):
        FSSPEC[name](local.LocalFileSystem(), twins.inside / "f")
    assert sorted(os.listdir(twins.host)) == ["f"]
    assert (twins.host / "f").read_text() == "HOST"


def test_fsspec_says_that_it_does_not_exist(twins: Twins) -> None:
    """Not a word about the type: exists() takes any error for a no."""
    assert local.LocalFileSystem().exists(str(twins.inside / "f"))
    assert not local.LocalFileSystem().exists(twins.inside / "f")


class RootedFileSystem(fsspec.AbstractFileSystem):
    """A file system of fsspec, to read, of paths in a root."""

    cachable = False  # The cache of instances goes by what the arguments look like.

    def __init__(self, top: RootedPath) -> None:
        super().__init__()
        self._top = top

    def ls(self, path: str, detail: bool = True, **options: object) -> list[Any]:
        top = self._top / path
        found = [self._info(each) for each in (top.iterdir() if top.is_dir() else [top])]
        return found if detail else [each["name"] for each in found]

    def info(self, path: str, **options: object) -> dict[str, Any]:
        return self._info(self._top / path)

    def _info(self, path: RootedPath) -> dict[str, Any]:
        status = path.stat()
        kind = "directory" if stat.S_ISDIR(status.st_mode) else "file"
        return {"name": str(path.relative_to(self._top)), "size": status.st_size, "type": kind}

    def _open(self, path: str, mode: str = "rb", *arguments: Any, **options: Any) -> Any:
        return (self._top / path).open(mode)


def test_a_file_system_for_fsspec_is_a_few_methods(twins: Twins) -> None:
    for directory in twins:
        (directory / "d").mkdir()
        (directory / "d/link").symlink_to(str(twins.host / "f"))
        (directory / "d/x.csv").write_text("1,2\n")
    fs = RootedFileSystem(twins.inside)
    assert fs.cat("d/link") == b"inside"
    assert fs.cat_file("d/link", start=2, end=4) == b"si"
    assert sorted(fs.find("")) == ["d/link", "d/x.csv", "f"]
    assert fs.glob("d/*.csv") == ["d/x.csv"]
    assert fs.exists("f")
    assert not fs.exists("gone")
    assert fs.info("d/link")["size"] == len("inside")
    got = twins.host / "got"
    fs.get("d", str(got), recursive=True)
    assert (got / "link").read_text() == "inside"
    with fs.open("d/x.csv", "r") as file:
        assert file.read() == "1,2\n"
    with pytest.raises(OSError):
        fs.cat("gone")


def test_joblib_caches_nothing_and_warns(twins: Twins) -> None:
    with pytest.warns(UserWarning, match="RootedPath"):
        memory = joblib.Memory(twins.inside / "cache", verbose=0)
    assert memory.cache(len)("four") == 4
    assert os.listdir(twins.host) == ["f"]
    assert [path.name for path in twins.inside.iterdir()] == ["f"]


def test_joblib_refuses_to_dump_and_to_load_it(twins: Twins) -> None:
    with pytest.raises(ValueError, match="filename or a file-like object"):
        joblib.dump([1], twins.inside / "f")
    with pytest.raises(TypeError):
        joblib.load(twins.inside / "f")
    assert (twins.host / "f").read_text() == "HOST"
    with (twins.inside / "dumped").open("wb") as file:
        joblib.dump({"from": "inside"}, file)
    joblib.dump({"from": "HOST"}, twins.host / "dumped")
    with (twins.inside / "dumped").open("rb") as file:
        assert joblib.load(file) == {"from": "inside"}


def test_joblib_hands_paths_to_its_threads(twins: Twins) -> None:
    read = joblib.delayed(RootedPath.read_text)
    with joblib.parallel_config(n_jobs=2, prefer="threads"):
        assert joblib.Parallel()(read(twins.inside / "f") for _ in range(4)) == ["inside"] * 4
