"""Connecting to a socket that is held: whatever interrupts it, each closes its own."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from errno import ECONNREFUSED, ENOENT
from pathlib import Path
from typing import Any, NoReturn

import pytest

from helpers.support import open_descriptors
from procpath import Root, RootedPath


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as bound:
        # The whole path may be longer than a socket's name can be.
        here = os.open(".", os.O_PATH)
        os.chdir(tmp_path)
        bound.bind("socket")
        os.fchdir(here)
        os.close(here)
        bound.listen(64)
        yield bound


@pytest.fixture(params=["openat2", "walk"])
def path(
    request: pytest.FixtureRequest, tmp_path: Path, listener: socket.socket
) -> Iterator[RootedPath]:
    with Root.at(tmp_path, resolver=request.param) as root:
        yield RootedPath(root, "socket")


def test_the_connection_is_to_the_socket(path: RootedPath, listener: socket.socket) -> None:
    with path.connect() as ours, listener.accept()[0] as theirs:
        ours.sendall(b"here")
        assert theirs.recv(8) == b"here"
        assert ours.type == socket.SOCK_STREAM
        assert not os.get_inheritable(ours.fileno())


def test_who_cannot_be_connected_to_is_named(path: RootedPath, no_leak: None) -> None:
    (path.parent / "file").touch()
    for name, errno in {"file": ECONNREFUSED, "nothing": ENOENT}.items():
        with pytest.raises(OSError) as caught:
            (path.parent / name).connect()
        assert (caught.value.errno, caught.value.filename) == (errno, f"/{name}")


@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_an_interrupted_connect_closes_nothing_twice(
    moment: str, path: RootedPath, monkeypatch: Any
) -> None:
    """The interrupt comes while the caller waits for its thread, which may have ended."""
    path.connect().close()
    start = threading.Thread.start
    threads: list[threading.Thread] = []

    def interrupted(thread: threading.Thread) -> NoReturn:
        if moment != "before":
            start(thread)
            threads.append(thread)
        if moment == "after":
            thread.join()
        raise KeyboardInterrupt

    before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            path.connect()
    for thread in threads:
        thread.join()
    assert open_descriptors() == before
