"""Whole files, also those whose size says nothing."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from errno import EACCES, EINVAL, ENOENT, ENOTDIR
from pathlib import Path
from typing import Any

import pytest

from helpers.fuse import OneFile
from helpers.support import private_mounts
from procpath import Root, RootedPath


@pytest.fixture(params=["openat2", "walk"])
def top(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RootedPath]:
    with Root.at(tmp_path, resolver=request.param) as root:
        yield RootedPath(root)


SYSCTLS = ["vm/swappiness", "kernel/pid_max", "fs/file-max", "net/ipv4/ip_local_port_range"]


@pytest.mark.parametrize("name", SYSCTLS)
def test_files_that_answer_once_are_read_whole(name: str) -> None:
    with Root.at("/", special_files="allow") as root:
        path = RootedPath(root, "proc/sys", name)
        if not path.exists():
            pytest.skip(f"no {name} here")
        content = Path("/proc/sys", name).read_bytes()
        assert path.read_bytes() == content
        assert path.read_text() == content.decode()


@pytest.mark.parametrize("name", ["self/maps", "cpuinfo", "self/mountinfo"])
def test_files_without_a_size_are_read_whole(name: str) -> None:
    with Root.at("/", special_files="allow") as root:
        found = RootedPath(root, "proc", name).read_bytes()
    assert found.count(b"\n") >= len(Path("/proc", name).read_bytes().splitlines()) // 2
    assert found.endswith(b"\n")


@pytest.mark.parametrize("size", [0, 1, 5, 6, 1 << 40, 2**63 - 1])
def test_the_size_that_a_file_system_tells_is_no_bound(size: int, tmp_path: Path) -> None:
    if not os.path.exists("/dev/fuse"):
        pytest.skip("/dev/fuse is needed")
    content = b"small" * 40_000

    def read() -> tuple[bytes, bytes]:
        OneFile(tmp_path, size, content)
        path = RootedPath(tmp_path, "file")
        assert path.stat().st_size == size
        with path.open("rb") as file:
            return path.read_bytes(), file.read(len(content) + 1)

    whole, opened = private_mounts(read)
    assert whole == content
    assert opened == content


def test_a_large_file_is_in_memory_once(top: RootedPath, monkeypatch: Any, tmp_path: Path) -> None:
    """read(2) gives at most 2 GiB at once; here less, so that the test stays small."""
    size, at_once = 160 << 20, 8 << 20
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)
    read = os.read
    monkeypatch.setattr(os, "read", lambda fd, count: read(fd, min(count, at_once)))
    tracemalloc.start()
    try:
        data = (top / "large").read_bytes()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(data) == size
    assert peak < 1.3 * size


# Links


def test_readlink_that_fails_names_the_path(tmp_path: Path) -> None:
    """The kernel does not say where a process that has ended ran its program from."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        path = RootedPath("/", "proc", str(pid), "exe")
        with pytest.raises(OSError) as caught:
            path.readlink()
    finally:
        os.waitpid(pid, 0)
    assert caught.value.errno in (ENOENT, EACCES)
    assert caught.value.filename == str(path)


def test_readlink_of_what_is_no_link_names_the_path(top: RootedPath) -> None:
    (top / "file").touch()
    with pytest.raises(OSError) as caught:
        (top / "file").readlink()
    assert (caught.value.errno, caught.value.filename) == (EINVAL, "/file")


def test_resolve_strictly_all_but_the_last_name(top: RootedPath) -> None:
    (top / "d").mkdir()
    (top / "link").symlink_to("d")
    (top / "file").touch()
    (top / "dangling").symlink_to("nowhere")
    for text, resolved in {
        "link/new": "/d/new",
        "link/../new": "/new",
        "dangling": "/dangling",
        "link": "/link",
        "new": "/new",
        "link/..": "/",
    }.items():
        assert str((top / text).resolve(strict=True, follow_last=False)) == resolved
    for text, errno in {"no/new": ENOENT, "file/new": ENOTDIR, "dangling/x": ENOENT}.items():
        with pytest.raises(OSError) as caught:
            (top / text).resolve(strict=True, follow_last=False)
        assert caught.value.errno == errno
