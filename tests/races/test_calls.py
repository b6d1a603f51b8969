"""Which calls of a victim count, and what is told of them."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from errno import EIO
from pathlib import Path

import pytest

from procpath.testing import File, Tree
from procpath.testing.races import (
    CANARY,
    Fail,
    calls,
    exploration,
    explore,
)
from races.test_explore import EXCHANGE, TREE, read_by_name


def test_imports_of_the_victim_do_not_count() -> None:
    def imports(directory: Path) -> bool:
        subprocess.run([sys.executable, "-c", "import json"], check=True)
        return (directory / "app").exists()

    assert [str(call) for call in explore(imports, TREE, []).calls] in (
        ["newfstatat({root}/app)"],
        ["stat({root}/app)"],
    )


def import_colorsys(directory: Path) -> bool:
    sys.path.insert(0, str(directory))
    import colorsys

    return Path(colorsys.__file__).is_relative_to(directory)


@pytest.mark.parametrize(
    ("tree", "from_tree"),
    [(TREE, False), (Tree({"/colorsys.py": File(b"")}), True)],
    ids=["of Python", "of the tree"],
)
def test_a_child_finds_what_the_last_one_imported(
    monkeypatch: pytest.MonkeyPatch, tree: Tree, from_tree: bool
) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    (alone,) = explore(import_colorsys, tree, [])
    assert alone.result is from_tree
    assert ("colorsys" in sys.modules) is not from_tree, "what a tree has is the victim's alone"


def bind(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def sendto(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", path)


def sendmsg(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendmsg([b""], [], 0, path)


def sendmmsg(path: str) -> None:
    name = struct.pack("=H", socket.AF_UNIX) + os.fsencode(path) + b"\0"
    buffer = ctypes.create_string_buffer(name)
    # struct mmsghdr: of the first message, that has no address, nothing is looked up.
    messages = struct.pack("@PI44xI4x", 0, 0, 0)
    messages += struct.pack("@PI44xI4x", ctypes.addressof(buffer), len(name), 0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        libc = ctypes.CDLL(None, use_errno=True)
        sent = libc.sendmmsg(sender.fileno(), ctypes.create_string_buffer(messages), 2, 0)
        assert sent == -1


def send_to_nobody(_: str) -> None:
    one, other = socket.socketpair()
    with one, other:
        one.sendmsg([b"x"])
        one.sendall(b"x")


@pytest.mark.parametrize("act", [bind, connect, sendto, sendmsg, sendmmsg, send_to_nobody])
def test_a_path_of_a_socket_is_a_call(act: Callable[[str], None]) -> None:
    def victim(directory: Path) -> None:
        act(f"{directory}/app/conf")

    told = [str(call) for call in explore(victim, TREE, []).calls]
    path = f"{act.__name__}({{root}}/app/conf)"
    assert told == ([] if act is send_to_nobody else [path])


def test_a_socket_whose_directory_is_exchanged_is_bound_outside() -> None:
    def victim(directory: Path) -> None:
        bind(f"{directory}/app/new")

    (attacked,) = explore(victim, TREE, [EXCHANGE]).failures
    assert "created {outside}/host/app/new" in attacked.escaped


def test_a_call_fails_from_outside() -> None:
    outcome = exploration.play(read_by_name, TREE, [(1, Fail(EIO))])
    assert isinstance(outcome.result, OSError)
    assert outcome.result.errno == EIO
    assert outcome.escaped == ()


@pytest.mark.parametrize("link", ["self/root", "{pid}/root", "self/cwd", "thread-self/root"])
def test_a_path_through_a_magic_link_counts(link: str) -> None:
    def read(directory: Path) -> bytes:
        os.chdir("/")
        start = link.format(pid=os.getpid())
        return Path(f"/proc/{start}{directory}/app/conf").read_bytes()

    explored = explore(read, TREE, [EXCHANGE])
    assert [call.name for call in explored.calls] == ["openat"]
    assert next(explored.failures).result == CANARY


def test_io_uring_is_refused() -> None:
    def set_up(_: Path) -> int:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall(425, 1, None)
        return ctypes.get_errno()

    (outcome,) = explore(set_up, TREE, [])
    assert outcome.result == 38  # ENOSYS


def test_the_filter_of_each_machine_is_whole() -> None:
    for machine, table in calls._CALLS.items():
        numbers = [number for number, _ in {**table, **calls._NEWER}.values()]
        assert len(set(numbers)) == len(numbers), machine
