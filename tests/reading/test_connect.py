"""Connecting to a socket that is held: whatever interrupts it, each closes its own."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from errno import ECONNREFUSED, ENOENT
from pathlib import Path
from typing import Any, NoReturn

import pytest

from helpers.support import open_descriptors, wait_until
from procpath import Root, RootedPath, unix_sockets


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as bound:
        # The whole path may be longer than a socket's name can be.
        here = os.open(".", os.O_PATH)
        os.chdir(tmp_path)
        bound.bind("socket")
        os.fchdir(here)
        os.close(here)
        bound.listen(1024)
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
    moment: str, path: RootedPath, listener: socket.socket, monkeypatch: Any
) -> None:
    """The interrupt comes while the caller waits for its thread, which may have ended."""
    path.connect().close()
    start = unix_sockets.start_new_thread
    ended = threading.Event()

    def interrupted(run: Callable[[], None], arguments: tuple[()]) -> NoReturn:
        def run_and_tell() -> None:
            run()
            ended.set()

        if moment == "before":
            ended.set()
        else:
            start(run_and_tell, arguments)
        if moment == "after":
            ended.wait()
        raise KeyboardInterrupt

    before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(unix_sockets, "start_new_thread", interrupted)
        with pytest.raises(KeyboardInterrupt):
            path.connect()
    ended.wait()
    assert open_descriptors() == before


# An interrupt between two lines loses the socket to the collector, which closes it and warns.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_time_closes_nothing_of_others(path: RootedPath) -> None:
    """Whatever is opened behind the interrupt keeps its number."""
    path.connect().close()

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(300):
            others: list[int] = []
            try:
                signal.setitimer(signal.ITIMER_REAL, 20e-6 + number * 1e-6)
                path.connect().close()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except (KeyboardInterrupt, BlockingIOError):
                others = [os.open("/", os.O_PATH) for _ in range(6)]
            signal.setitimer(signal.ITIMER_REAL, 0)
            if others:
                time.sleep(0.001)
            for fd in others:
                os.close(fd)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def test_an_interrupted_connect_ends_its_thread(path: RootedPath, tmp_path: Path) -> None:
    """Whoever listens may let its backlog be full for ever (listen(2))."""

    class Interrupted(Exception):
        pass

    def interrupt(number: int, frame: object) -> NoReturn:
        raise Interrupted

    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as waiting:
        # The whole path may be longer than a socket's name can be.
        here = os.open(tmp_path, os.O_PATH)
        full.bind(f"/proc/self/fd/{here}/full")
        full.listen(0)
        waiting.connect(full.getsockname())
        os.close(here)
        before = signal.signal(signal.SIGALRM, interrupt)
        open_before = open_descriptors()
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Interrupted):
                path.with_name("full").connect()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        wait_until(lambda: open_descriptors() == open_before)
        # Without interrupts it waits for room, as connect(2) does.
        accepted = threading.Timer(0.1, lambda: full.accept()[0].close())
        accepted.start()
        with path.with_name("full").connect() as connected:
            assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16) == bytes(16)
        accepted.join()
