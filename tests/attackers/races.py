"""Attackers: processes that change a tree as fast as they can while somebody reads it.

Each :class:`Shape` is one way to lead a reader out: it says along which in-root path the
reader must come, and what is renamed or mounted on that path meanwhile. The attacker is a
forked child; it stops when told to, when its parent is gone, or when its time is over, and
always leaves the tree as it found it. Uses renameat2(2) with ``RENAME_EXCHANGE``.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from attackers.scene import DEPTH, Scene
from procpath import linux, uapi
from procpath.options import OptionArguments

Round = Callable[[], None]
"""Lead the path outside, and back again."""

_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST: Final = 120.0
"""seconds after which an attacker that nobody stops ends"""


def _hold(path: str) -> int:
    return os.open(path, _DIRECTORY)


def _exchange(dirfd: int, one: bytes, other: bytes) -> None:
    linux.renameat2(dirfd, one, dirfd, other, uapi.RENAME_EXCHANGE)


def _directory_and_link(scene: Scene, _: str) -> Round:
    work = _hold(f"{scene.root}/work")

    def attack() -> None:
        for link in (b"absolute", b"climbing"):
            _exchange(work, b"dir", link)
            _exchange(work, b"dir", link)

    return attack


def _file_and_link(scene: Scene, entry: str) -> Round:
    directory = _hold(f"{scene.root}/work/dir")
    # The file too, for pathlib to fall for.
    names = [(name.encode(), f"{name}.evil".encode()) for name in {entry, "file"}]
    for name, evil in names:
        os.symlink(os.fsencode(f"{scene.outside}/dir/") + name, evil, dir_fd=directory)

    def attack() -> None:
        for name, evil in names:
            _exchange(directory, name, evil)
        for name, evil in names:
            _exchange(directory, name, evil)

    return attack


def _parent_and_link(scene: Scene, _: str) -> Round:
    root = _hold(scene.root)

    def attack() -> None:
        _exchange(root, b"work", b"evil")
        _exchange(root, b"work", b"evil")

    return attack


def _moved_out(scene: Scene, _: str) -> Round:
    inside, limbo = _hold(f"{scene.root}/work/dir"), _hold(scene.limbo)

    def attack() -> None:
        linux.renameat2(inside, b"deep", limbo, b"deep")
        linux.renameat2(limbo, b"deep", inside, b"deep")

    return attack


def _middle_moved_out(scene: Scene, _: str) -> Round:
    half = DEPTH // 2
    inside = _hold(f"{scene.root}/work/dir/deep/{'d/' * (half - 1)}")
    limbo = _hold(f"{scene.limbo}/{'e/' * half}")

    def attack() -> None:
        linux.renameat2(inside, b"d", limbo, b"d")
        linux.renameat2(limbo, b"d", inside, b"d")

    return attack


def _overmounted(scene: Scene, _: str) -> Round:
    source = os.fsencode(f"{scene.outside}/dir")
    target = os.fsencode(f"{scene.root}/work/dir")

    def attack() -> None:
        linux.mount(source, target, None, uapi.MS_BIND)
        # Unmounting takes so long that otherwise it would be mounted too seldom.
        time.sleep(0.0002)
        linux.umount2(target, uapi.MNT_DETACH)

    return attack


@dataclass(frozen=True)
class Shape:
    """One way to lead a reader out of the root."""

    name: str
    directory: str
    """in-root path, without the leading slash, of what should be ``work/dir``"""
    begin: Callable[[Scene, str], Round]
    """makes the attack on the directory's entry of that name ready"""
    moves: bool = False
    """directories of the path are away for a while, and must not be made again meanwhile"""
    long_way: str = ""
    """for pathlib, where the kernel is too fast along :attr:`directory` to be caught often"""
    survives_resolve: bool = True
    """``resolve()`` and ``is_relative_to()`` fall for it; they take ``..`` lexically"""
    only_where_followed: bool = False
    """it is the entry itself that becomes a link, so who does not follow it sees no harm"""
    cross_mounts: bool = True

    def options(self, resolver: str) -> OptionArguments:
        """Of the root that is attacked."""
        if resolver == "walk":
            return {"resolver": "walk", "cross_mounts": self.cross_mounts}
        return {"resolver": "openat2", "cross_mounts": self.cross_mounts}


SHAPES: Final = {
    shape.name: shape
    for shape in (
        Shape("directory and link", "work/dir", _directory_and_link),
        Shape("file and link", "work/dir", _file_and_link, only_where_followed=True),
        Shape("parent and link", "work/dir", _parent_and_link),
        # More directories than the walker holds open. And a long way between going down and
        # coming up is time to move them in between.
        Shape(
            "moved out",
            f"work/dir/deep/{'d/' * DEPTH}{'../' * DEPTH}..",
            _moved_out,
            moves=True,
            long_way=f"work/dir/deep/{'d/../' * 700}..",
            survives_resolve=False,
        ),
        Shape(
            "middle moved out",
            f"work/dir/deep/{'d/' * DEPTH}{'../' * DEPTH}..",
            _middle_moved_out,
            moves=True,
            long_way=f"work/dir/deep/{'d/' * DEPTH}{'../d/' * 600}{'../' * DEPTH}..",
            survives_resolve=False,
        ),
        Shape("overmounted", "work/dir", _overmounted, cross_mounts=False),
    )
}


class _Shared(ctypes.Structure):
    """What the attacker and those who watch it share."""

    _fields_ = [("rounds", ctypes.c_uint64), ("stop", ctypes.c_uint64)]


class Attacker:
    """A running attacker."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._shared = _Shared.from_buffer(memory)

    @property
    def rounds(self) -> int:
        """How often it has led the path outside and back."""
        return int(self._shared.rounds)

    def stop(self) -> None:
        self._shared.stop = 1

    def run(self, attack: Round) -> None:
        """Be the attacker."""
        parent, end = os.getppid(), time.monotonic() + _LONGEST
        shared = self._shared
        while not shared.stop:
            for _ in range(16):
                attack()
                shared.rounds += 1
            if os.getppid() != parent or time.monotonic() > end:
                break


@contextmanager
def attacking(attack: Round) -> Iterator[Attacker]:
    """Have a child repeat ``attack``; afterwards it has ended, at the end of a round."""
    attacker = Attacker(mmap.mmap(-1, ctypes.sizeof(_Shared)))
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            attacker.run(attack)
            status = 0
        finally:
            os._exit(status)
    try:
        yield attacker
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    attacker.stop()
    ended = os.waitpid(pid, 0)[1]
    assert ended == 0, f"the attacker failed, wait status {ended:#x}"
