"""What a copy holds goes with it: no cycle keeps a root until a garbage collection."""

from __future__ import annotations

import gc
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.scenery import write
from procpath import RootedPath


def unpacked(path: RootedPath) -> None:
    stream = io.BytesIO()
    (path / "tree").to_tar(stream)
    stream.seek(0)
    (path / "empty").from_tar(stream)


def failing(act: Callable[[], object]) -> None:
    errors: list[str] = []
    try:
        act()
    except OSError as error:
        errors.append(str(error))
    assert errors


OPERATIONS: dict[str, Callable[[RootedPath], object]] = {
    "a file": lambda path: (path / "tree/file").copy("/copy"),
    "a tree": lambda path: (path / "tree").copy("/copy", preserve_metadata=True),
    "a merge": lambda path: (path / "tree").copy("/empty", dirs_exist_ok=True),
    "a failure": lambda path: failing(lambda: (path / "tree").copy("/tree/below")),
    "a failed entry": lambda path: failing(
        lambda: (path / "tree").copy("/there", dirs_exist_ok=True)
    ),
    "to_tar": lambda path: (path / "tree").to_tar(io.BytesIO()),
    "from_tar": unpacked,
    "move": lambda path: (path / "tree").move(
        RootedPath(Path(path.root_handle.origin, "empty"), "moved")
    ),
}


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("name", OPERATIONS)
def test_root_goes_with_its_last_path(name: str, tmp_path: Path) -> None:
    for entry in ("file", "sub/file"):
        write(tmp_path / "warm/tree" / entry)
        write(tmp_path / "tree" / entry)
    os.link(tmp_path / "tree/file", tmp_path / "tree/sub/same")
    for top in (tmp_path, tmp_path / "warm"):
        (top / "empty").mkdir()
        (top / "there/file").mkdir(parents=True)
    # What the process holds from the first use on.
    OPERATIONS[name](RootedPath(tmp_path / "warm"))
    gc.collect()
    # Not by open_descriptors(), which collects.
    before = len(os.listdir("/proc/self/fd"))
    OPERATIONS[name](RootedPath(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before
