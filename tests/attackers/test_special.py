"""Nothing special is ever opened, whatever takes the place of a regular file meanwhile.

Every public operation of a path and of a root, on both resolvers, while an attacker puts a FIFO, a
device, a socket or a link to a file of a procfs where a regular file was, and a regular file
there again. The special file is one inode with many names, watched by inotify(7): what opens
it by any name is seen, however briefly. Beside it plain Python works in a place of its own,
and does open it.
"""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from errno import (
    EAGAIN,
    EEXIST,
    EINVAL,
    ELOOP,
    ENOENT,
    ENOTDIR,
    ENOTEMPTY,
    EOPNOTSUPP,
    ESTALE,
    EXDEV,
)
from pathlib import Path
from typing import Literal

import pytest

from attackers.engine import Totals, in_a_new_place, require_control
from attackers.operations import READINGS, ROOT_READINGS, Reading
from attackers.races import Round, attacking
from attackers.scene import CANARY, Scene, build, reveals
from attackers.writings import WRITINGS, Writing, restore
from helpers.forms import one_in
from helpers.processes import end_after
from helpers.support import open_descriptors
from procpath import Root, RootedPath, SpecialFileError, VerifiedProc, linux, uapi

LIMIT = 20.0
"""seconds after which what has not happened is not waited for"""

_ROUNDS = 50
KINDS = ("FIFO", "kernel file", "socket", "device", "block device")

_CLONE_NEWUTS = 0x04000000
_POSSIBLE = {ENOENT, ENOTDIR, ELOOP, EAGAIN, EEXIST, ENOTEMPTY, ESTALE, EXDEV, EOPNOTSUPP, EINVAL}
"""What a path under attack may turn out to be, and what stands in the way of writing there;
EXDEV of a link to a file of the procfs, EOPNOTSUPP of lchmod() of a link, and EINVAL of two
names of one special file, or of an account file that is not a regular file."""
_NAMES = ("file", "victim", "sub/file", "tree/file", "etc/passwd", "etc/group", "many/0")
_URANDOM = os.makedev(1, 9)
_EMPTY_LOOP = os.makedev(7, 200)
"""loop(4): no file is behind it, since losetup(8) takes the first free number"""
_KERNEL_FILES = {"a": "hostname", "b": "domainname"}
"""Both belong to a UTS namespace (uts_namespaces(7)), so each place has one of its own."""


class _Trap:
    """A special file of a scene, and who has touched it."""

    def __init__(self, scene: Scene, kind: str) -> None:
        store = f"{scene.root}/store"
        os.mkdir(store)
        self.path = f"{store}/special"
        self._queue = linux.inotify_init()
        self._held = -1
        self._server: socket.socket | None = None
        watched = self.path
        if kind == "FIFO":
            os.mkfifo(self.path)
            self._held = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
            os.write(self._held, CANARY.encode())
        elif kind == "device":
            os.mknod(self.path, stat.S_IFCHR | 0o600, _URANDOM)
        elif kind == "block device":
            os.mknod(self.path, stat.S_IFBLK | 0o600, _EMPTY_LOOP)
        elif kind == "socket":
            self._server = socket.socket(socket.AF_UNIX)
            self._server.bind(self.path)
            self._server.listen()
            self._server.setblocking(False)
        else:
            kernel = f"{scene.root}/kernel"
            os.mkdir(kernel)
            linux.mount(b"proc", kernel.encode(), b"proc")
            watched = f"{kernel}/sys/kernel/{_KERNEL_FILES[os.path.basename(scene.base)]}"
            Path(watched).write_text(CANARY)
        self._watch(watched)

    def _watch(self, path: str) -> None:
        mask = uapi.IN_OPEN | uapi.IN_ACCESS | uapi.IN_MODIFY
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.inotify_add_watch(self._queue.value, os.fsencode(path), mask) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch", path)

    def touched(self) -> list[str]:
        """How the special file was used since this was last asked."""
        found = [f"event {mask:#x}" for _, mask, _ in linux.inotify_read(self._queue.value)]
        if self._held >= 0:
            try:
                content = os.read(self._held, 100)
            except BlockingIOError:
                content = b""
            if content != CANARY.encode():
                found.append(f"the FIFO has {content!r}")
            os.write(self._held, CANARY.encode())
            # These were our own.
            linux.inotify_read(self._queue.value)
        if self._server is not None:
            with suppress(BlockingIOError):
                self._server.accept()[0].close()
                found.append("somebody connected")
        return found


def _putting(scene: Scene, kind: str) -> Round:
    """Puts the special file in the place of regular ones, and regular ones there again."""
    directory = os.dup(scene.inside)
    store = os.open(f"{scene.root}/store", os.O_PATH | os.O_DIRECTORY)

    contents = {name: Path(scene.root, "work/dir", name).read_bytes() for name in _NAMES}

    def make_special(name: str, depth: int, dirfd: int) -> None:
        if kind == "kernel file":
            file = _KERNEL_FILES[os.path.basename(scene.base)]
            os.symlink(f"{'../' * depth}kernel/sys/kernel/{file}", name, dir_fd=dirfd)
        else:
            os.link("special", name, src_dir_fd=store, dst_dir_fd=dirfd, follow_symlinks=False)

    def put(name: str) -> None:
        # A rename over what is there, of the wrong kind or not.
        with suppress(OSError):
            os.stat(name, dir_fd=directory, follow_symlinks=False)
            make_special("next", 2 + name.count("/"), store)
            os.rename("next", name, src_dir_fd=store, dst_dir_fd=directory)
        with suppress(FileNotFoundError):
            os.unlink("next", dir_fd=store)

    def put_back(name: str) -> None:
        with suppress(OSError):
            os.stat(name, dir_fd=directory, follow_symlinks=False)
            fd = os.open("next", os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=store)
            os.write(fd, contents[name])
            os.close(fd)
            os.rename("next", name, src_dir_fd=store, dst_dir_fd=directory)
        with suppress(FileNotFoundError):
            os.unlink("next", dir_fd=store)

    def attack() -> None:
        for name in _NAMES:
            put(name)
        # Where something new is being made, it is there already and then is not.
        with suppress(OSError):
            make_special("made", 2, directory)
            os.unlink("made", dir_fd=directory)
        for name in _NAMES:
            put_back(name)

    return attack


@dataclass
class _Result:
    """What came of an attack."""

    rounds: int = 0
    seconds: float = 0.0
    answered: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    """with SpecialFileError"""
    fell: bool = False
    """plain Python opened the special file"""
    wrong: list[str] = field(default_factory=list)
    left_open: dict[int, str] = field(default_factory=dict)


def _open_plainly(directory: Path) -> None:
    with open(directory / "file", "rb", buffering=0) as file:
        file.read(64)


def _connect_plainly(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fsencode(directory / "file"))


def _attack(base: str, kind: str, resolver: Literal["walk", "openat2"]) -> _Result:
    end_after(300)
    linux.unshare(_CLONE_NEWUTS)
    scene, other = build(f"{base}/a"), build(f"{base}/b")
    trap, others = _Trap(scene, kind), _Trap(other, kind)
    ours, theirs = _putting(scene, kind), _putting(other, kind)

    def attack() -> None:
        ours()
        theirs()

    result = _Result()
    # What is held once per process: both kinds of procfs handle.
    VerifiedProc.default().self_fd().fileno()
    RootedPath("/").pin().close()
    descriptors = open_descriptors()
    begin = time.monotonic()
    with Root.at(scene.root, resolver=resolver) as root, attacking(attack) as attacker:
        directory = RootedPath(root, "work/dir")
        for name, operation in OPERATIONS.items():
            _race(scene, directory, name, operation, trap, result)
        end = time.monotonic() + LIMIT
        while not (result.fell and attacker.rounds >= _ROUNDS) and time.monotonic() < end:
            with suppress(OSError):
                (_connect_plainly if kind == "socket" else _open_plainly)(
                    Path(other.root, "work/dir")
                )
            result.fell = result.fell or bool(others.touched())
        result.rounds = attacker.rounds
    result.seconds = time.monotonic() - begin
    # By number: what a name leads to may change on a busy machine.
    result.left_open = {fd: to for fd, to in open_descriptors().items() if fd not in descriptors}
    return result


def _race(
    scene: Scene,
    directory: RootedPath,
    name: str,
    operation: Reading | Writing,
    trap: _Trap,
    result: _Result,
) -> None:
    begin = time.monotonic()
    while True:
        _try(scene, directory, name, operation, result)
        touched = trap.touched()
        if operation.member != "connect":
            result.wrong += [f"{name}: {each}" for each in touched]
        seconds = time.monotonic() - begin
        if seconds > (each_has() if result.answered[name] else LIMIT):
            return


def each_has() -> float:
    """The seconds that each operation is attacked for, if it has answered by then."""
    return one_in(2, [0.004, 0.04])[-1]


def _try(
    scene: Scene, directory: RootedPath, name: str, operation: Reading | Writing, result: _Result
) -> None:
    try:
        if isinstance(operation, Writing):
            _restore(scene)
            answer = operation.act(directory, scene)
        else:
            answer = operation.ask(directory, scene)
    except SpecialFileError:
        result.refused += 1
    except OSError as error:
        if error.errno in operation.may_raise:
            # Its answer, as for as_file() that what it copies changes all the time.
            result.answered[name] += 1
        elif error.errno not in _POSSIBLE:
            result.wrong.append(f"{name}: {error!r}")
    except (KeyError, RuntimeError) as error:
        # No such account, where /etc/passwd is special at this moment.
        if operation.entry != "etc":
            result.wrong.append(f"{name}: {error!r}")
    else:
        result.answered[name] += 1
        if reveals(scene, answer):
            result.wrong.append(f"{name} answered {answer!r}")


def _restore(scene: Scene) -> None:
    # What exchange() and move_into() have left.
    for left in ("emptied", "emptied/victim"):
        with suppress(OSError):
            os.unlink(left, dir_fd=scene.inside)
    for _ in range(100):
        # The attacker may put something there between two steps.
        with suppress(OSError):
            return restore(scene.inside)
    raise AssertionError("the tree could not be made as it was")


OPERATIONS: dict[str, Reading | Writing] = {
    **READINGS,
    **{f"Root.{name}": operation for name, operation in ROOT_READINGS.items()},
    **WRITINGS,
}


@pytest.mark.parametrize(
    ("kind", "resolver"),
    one_in(3, [(kind, resolver) for kind in KINDS for resolver in ("walk", "openat2")]),
)
def test_nothing_special_is_opened(
    kind: str, resolver: Literal["walk", "openat2"], totals: Totals
) -> None:
    result = in_a_new_place(lambda base: _attack(base, kind, resolver))
    totals.rounds += result.rounds
    totals.seconds += result.seconds
    assert result.wrong == []
    assert result.left_open == {}
    assert [name for name in OPERATIONS if not result.answered[name]] == []
    why = f"no operation and no plain Python met the special file in {LIMIT} s"
    require_control(result.fell and result.refused, why)
