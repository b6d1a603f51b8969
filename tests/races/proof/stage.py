"""Every public operation as a victim, and the moves that an attacker has against it.

The operations are those of tests/attackers: what is added there is explored here.
"""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal

import pytest

import procpath.testing
from attackers.operations import READINGS, ROOT_READINGS, Reading
from attackers.scene import CANARY as CANARY_NAME
from attackers.scene import Scene
from attackers.writings import WRITINGS, Writing
from procpath import Root, RootedPath, linux, uapi
from procpath.testing import HOST, Directory, Fifo, File, Node, Socket, Symlink, Tree
from procpath.testing.races import Call, Exchange, Mount, Move, MoveOut, Remove, Replace, calls
from procpath.testing.races import victim as races_victim
from procpath.testing.races.calls import CallReader
from procpath.testing.races.mounts import refusal
from procpath.testing.surroundings import CANARY

Operation = Reading | Writing
Resolver = Literal["walk", "openat2"]

OPERATIONS: dict[str, Operation] = {
    **READINGS,
    **{f"Root.{name}": operation for name, operation in ROOT_READINGS.items()},
    **WRITINGS,
}

RETURN_NUMBERS = {"Root.open", "Root.opener", "Root.open_raw"}
"""They give a bare number, which os.open() too loses where an interrupt comes before it is kept."""

_DIRECTORY = "/work/dir"
_ELSEWHERE = "/else/dir"
_SUB: dict[str, Node] = {"sub/file": File(), "sub/below/file": File()}
_WRITTEN: dict[str, Node] = {
    "file": File(),
    "victim": File(),
    "emptied": Directory(),
    "tree/file": File(),
    "tree/sub": Directory(),
}
_NODES: dict[str, dict[str, Node]] = {
    "file": {"file": File()},
    "link": {"link": Symlink("a-target")},
    "sub": _SUB,
    "ghost": {"ghost": Symlink("nowhere")},
    "regular": {"regular": Directory()},
    "mounted": {"mounted": Directory()},
    "socket": {"socket": Socket()},
    "etc": {
        "file": File(),
        "etc/passwd": File(b"me:x:%d:%d::/:/bin/sh\n" % (os.getuid(), os.getgid())),
        "etc/group": File(b"us:x:%d:\n" % os.getgid()),
    },
    **dict.fromkeys(("victim", "emptied", "tree", "made"), _WRITTEN),
}
# What answers otherwise than inside, so that an answer shows where it comes from.
_OUTSIDE: dict[str, dict[str, Node]] = {
    "sub": {**_SUB, f"sub/{CANARY_NAME}": File()},
    "ghost": {"ghost": File()},
    "regular": {"regular": File()},
    "folder": {"folder": Directory()},
    "linked": {"linked": Symlink("anywhere")},
}


def tree_for(operation: Operation) -> Tree:
    """Return a small tree that has what the operation comes to."""
    entry = operation.entry
    inside = _NODES.get(entry, {entry: File()})
    nodes: dict[str, Node] = {
        f"{_DIRECTORY}/deep": Directory(),
        "/work/out": Symlink(HOST + _ELSEWHERE),
    }
    nodes |= {f"{_DIRECTORY}/{name}": node for name, node in inside.items()}
    nodes |= {f"{_ELSEWHERE}/{name}": node for name, node in _OUTSIDE.get(entry, inside).items()}
    if entry == "etc":
        nodes["/etc"] = Symlink(f"{_DIRECTORY}/etc")
    return Tree(nodes)


def moves_against(operation: Operation) -> list[Move]:
    """Return what leads out those who look twice along the path of the operation."""
    tree = tree_for(operation)
    # What is copied is attacked, not what the copy may be put on.
    entry = f"{_DIRECTORY}/{'tree' if operation.name == 'copy' else operation.entry}"
    moves: list[Move] = [
        Exchange(_DIRECTORY, "/work/out"),
        Replace(_DIRECTORY, Symlink(f"../..{_DIRECTORY}")),
        MoveOut(_DIRECTORY),
        MoveOut(f"{_DIRECTORY}/deep"),
        Remove(_DIRECTORY),
    ]
    if not refusal():
        moves.append(Mount(_DIRECTORY))
    for path in (path for path in tree if path == entry or path.startswith(entry + "/")):
        moves.append(Replace(path, Symlink(HOST + path.replace(_DIRECTORY, _ELSEWHERE))))
        is_directory = isinstance(tree[path], Directory)
        moves.append(MoveOut(path) if is_directory else Replace(path, Fifo()))
    # These would make true inside what is asked, and is to be true outside alone.
    made_true = {
        "ghost": [Replace(entry, Fifo())],
        "fifo": [Replace(entry, Fifo())],
        "linked": [move for move in moves if isinstance(move, Replace) and move.path == entry],
    }
    return [move for move in moves if move not in made_true.get(operation.entry, [])]


class Interrupted(BaseException):
    """What a signal handler raises, as a timeout does."""


Prepare = Callable[[Root, Scene], None]
"""Called before the operation, to set up handlers of signals."""


def victim(
    name: str, resolver: Resolver, host: Path, prepare: Prepare = lambda root, scene: None
) -> Callable[[Path], tuple[object, list[str]]]:
    """Return a victim that asks the operation of a root; it returns the answer or the error, and
    which descriptors are left open. What it wants of the host is in ``host``.
    """
    operation = OPERATIONS[name]
    act = operation.act if isinstance(operation, Writing) else operation.ask

    def run(directory: Path) -> tuple[object, list[str]]:
        # pytest keeps what comes in a finalizer, with what its frames hold open: what is replaced
        # of the parent's handles of procfs is finalized here.
        sys.unraisablehook = lambda unraisable: None
        before = {number for number in _open_numbers() if not _is_of_procfs(number)}
        answer: object
        _ignore_signals()
        try:
            with (
                _scene(directory, host, isinstance(operation, Writing)) as scene,
                Root.at(directory, resolver=resolver) as root,
            ):
                prepare(root, scene)
                answer = _told(act(RootedPath(root, f"{_DIRECTORY}/deep/.."), scene))
        except (Exception, Interrupted) as error:
            # Frames keep open what the error has met.
            answer = error.with_traceback(None)
            answer.__cause__ = answer.__context__ = None
        finally:
            _ignore_signals()
        return answer, _left_open(before, host)

    return run


def _ignore_signals() -> None:
    """Before the operation and after it nobody waits for one."""
    for number in (signal.SIGUSR1, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


def furnish(host: Path) -> None:
    """Make, in an empty directory, what operations want of the host."""
    for place, content in (("source/sub", b"source"), (f"outside{_DIRECTORY}", CANARY)):
        (host / place).mkdir(parents=True)
        (host / place / "file").write_bytes(content)


@contextmanager
def _scene(directory: Path, host: Path, writes: bool) -> Iterator[Scene]:
    """What operations want to know of the place."""
    outside = f"{directory.parents[3]}/host"
    inside = -1
    if writes:
        inside = os.open(f"{directory}{_DIRECTORY}", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield Scene(
            base=str(host),
            root=str(directory),
            outside=f"{outside}/else",
            limbo=f"{outside}{_ELSEWHERE}",
            source=f"{host}/source",
            inside=inside,
        )
    finally:
        if writes:
            os.close(inside)


def _told(answer: object) -> object:
    """Return the answer as something that pickles by itself."""
    if isinstance(answer, RootedPath):
        return str(answer)
    if isinstance(answer, (list, tuple)) and not isinstance(answer, os.stat_result):
        return [_told(one) for one in answer]
    return answer


def _open_numbers() -> set[int]:
    # By fcntl(2), which is not stopped. To poll(2) O_PATH descriptors are closed.
    found = set()
    for number in range(100):
        try:
            fcntl.fcntl(number, fcntl.F_GETFD)
        except OSError:
            continue
        found.add(number)
    return found


def _is_of_procfs(number: int) -> bool:
    return linux.fstatfs(number).type == uapi.PROC_SUPER_MAGIC


def _left_open(before: set[int], host: Path) -> list[str]:
    if _open_numbers() - before:
        # The thread of an interrupted connect() ends a moment later.
        end = time.monotonic() + 20
        while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < end:
            time.sleep(0.001)
        gc.collect()  # what an error has met is open as long as its cycles
    now = _open_numbers()
    left = {number: os.readlink(f"/proc/self/fd/{number}") for number in now - before}
    closed = sorted((before | _opened_by_handler) - now)
    return [f"{number} was closed, which others own" for number in closed] + [
        f"{number}: {target}"
        for number, target in left.items()
        # Handles of procfs are kept from the first use on; what closing() opens is its own.
        if not _is_of_procfs(number) and not target.startswith(str(host))
    ]


_opened_by_handler: set[int] = set()


def closing(root: Root, scene: Scene) -> None:
    """At SIGUSR1 close the root, and open directories outside, which get the free numbers."""

    def close(*_: object) -> None:
        root.close()
        for _ in range(8):
            number = os.open(f"{scene.base}/outside", os.O_PATH | os.O_DIRECTORY)
            _opened_by_handler.add(number)

    signal.signal(signal.SIGUSR1, close)


_CLOSE = {"x86_64": 3, "aarch64": 57}[os.uname().machine]


@contextmanager
def watched_closes(*, all_count: bool = False) -> Iterator[list[int]]:
    """Stop close(2) too: give the numbers that victims close and that are not open.

    With ``all_count``, each call that stops counts, whatever it is about.

    A second close that meets nothing is EBADF here, which a finalizer ignores; in a process with
    several threads it closes what another has just opened.
    """
    wrong: list[int] = []

    class Reader(CallReader):
        def read(self, stopped: linux.StoppedCall) -> Call | None:
            if stopped.number != _CLOSE:
                other = Call(calls._NAMES[stopped.number][0], ()) if all_count else None
                return super().read(stopped) or other
            number = stopped.arguments[0] & 0xFFFFFFFF
            # A Descriptor that is closed has a negative number.
            if number <= 0x7FFFFFFF and not os.path.lexists(f"/proc/{stopped.tid}/fd/{number}"):
                wrong.append(number)
            return Call("close", (str(number),)) if all_count else None

    races_victim.require_support()  # which waits for the first call of a child
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(calls._NAMES, _CLOSE, ("close", ["d0"]))
        patch.setattr(races_victim, "CallReader", Reader)
        calls.stopping_filter.cache_clear()
        yield wrong
    calls.stopping_filter.cache_clear()


_PACKAGE = os.path.dirname(procpath.__file__)
_VICTIMS = os.path.dirname(procpath.testing.__file__)


def _is_at_work(name: str) -> bool:
    return name.startswith(_PACKAGE) and not name.startswith(_VICTIMS)


def interrupting(root: Root, scene: Scene) -> None:
    """At SIGALRM raise, once and if the package is at work: what the test loses is its own."""

    def interrupt(_: int, frame: FrameType | None) -> None:
        while frame is not None and not _is_at_work(frame.f_code.co_filename):
            frame = frame.f_back
        if frame is not None:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            raise Interrupted

    signal.signal(signal.SIGALRM, interrupt)
