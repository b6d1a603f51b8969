"""The place of an attack: a root, what is outside of it, and what must never be seen or changed.

Inside and outside look alike: the same names, so that whoever is led out of the root
notices nothing, but everything outside bears :data:`CANARY`, in its content, in its links, in
its accounts and in the kinds of its files. Made in a private mount namespace by a process
that may mount and make devices.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from procpath import RootedPath, linux

CANARY: Final = "CANARY-5e1f"
"""What nobody who stays inside the root can come to see."""

INSIDE: Final = "inside"

MANY: Final = 8
"""How many files there are in the directory ``many``."""

DEPTH: Final = 40
"""More directories than the walker holds open, which is 32."""


_BROUGHT_BY_ATTACKERS: Final = ("deep", "d")
_PLACES: Final = ("root", "outside", "limbo", "source")


class Entry(NamedTuple):
    """What :func:`snapshot` keeps of one file."""

    ino: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    content: bytes


@dataclass(frozen=True)
class Scene:
    """The directories of an attack, by host paths, and held where attackers rename in them."""

    base: str
    root: str
    outside: str
    limbo: str
    """outside, where attackers move directories of the root to"""
    source: str
    """outside too: a tree that anybody may copy into the root"""
    inside: int
    """the real ``work/dir`` of the root, held, whatever has its name"""

    @property
    def places_outside(self) -> tuple[str, str]:
        return self.outside, self.limbo

    def host_path(self, in_root: str) -> str:
        """What somebody without this library makes of an in-root path."""
        return f"{self.root}/{in_root}"


def build(base: str) -> Scene:
    """Lay everything out in the directory ``base``, which is made."""
    root, outside, limbo, source = (f"{base}/{name}" for name in _PLACES)
    for directory, text in {
        f"{root}/work/dir": INSIDE,
        f"{outside}/dir": CANARY,
        limbo: CANARY,
        source: INSIDE,
    }.items():
        os.makedirs(directory)
        _furnish(directory, text)
    inside = os.open(f"{root}/work/dir", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    scene = Scene(base, root, outside, limbo, source, inside)
    # What an absolute link to the outside means inside: the root has such directories too.
    decoy = scene.root + scene.outside
    os.makedirs(f"{decoy}/dir")
    _furnish(f"{decoy}/dir", INSIDE)
    _link(f"{scene.root}/work/absolute", f"{scene.outside}/dir")
    _link(f"{scene.root}/work/climbing", "../../outside/dir")
    _link(f"{scene.root}/evil", scene.outside)
    os.makedirs(f"{scene.root}/work/dir/deep/{'d/' * DEPTH}")
    # The place from which as many steps up as lead from below to the middle of `deep` end
    # in limbo.
    os.makedirs(f"{scene.limbo}/{'e/' * (DEPTH // 2)}")
    return scene


def _furnish(directory: str, text: str) -> None:
    """Put one entry of every kind there, or what looks like it until one looks twice."""
    is_outside = text == CANARY

    def at(name: str) -> str:
        return f"{directory}/{name}"

    for name in ("file", "etc/passwd", "sub/file", "sub/below/file"):
        os.makedirs(os.path.dirname(at(name)), exist_ok=True)
        _write(at(name), f"{text}\n")
    _write(at("etc/passwd"), f"{text}:x:{os.getuid()}:{os.getgid()}::/{text}:/bin/sh\n")
    _write(at("etc/group"), f"{text}:x:{os.getgid()}:\n")
    _link(at("link"), f"{text}-target")
    # For operations that write.
    os.mkdir(at("emptied"))
    os.makedirs(at("tree/sub"))
    _write(at("tree/file"), text)
    _write(at("victim"), text)
    os.mkdir(at("many"))
    for number in range(MANY):
        _write(at(f"many/{number}"), text)
    os.mkdir(at("mounted"))
    if is_outside:
        _write(at(f"sub/{CANARY}"), CANARY)
        _write(at(f"sub/below/{CANARY}"), CANARY)
        _write(at(f"tree/{CANARY}"), CANARY)
        _write(at("ghost"), CANARY)
        os.mkdir(at("folder"))
        _write(at("regular"), CANARY)
        _link(at("linked"), CANARY)
        os.mkfifo(at("fifo"))
        os.mknod(at("char"), stat.S_IFCHR | 0o600, os.makedev(1, 3))
        os.mknod(at("block"), stat.S_IFBLK | 0o600, os.makedev(7, 0))
        with socket.socket(socket.AF_UNIX) as unbound:
            unbound.bind(at("bound"))
        linux.mount(b"tmpfs", os.fsencode(at("mounted")), b"tmpfs")
    else:
        _link(at("ghost"), "nowhere")
        os.mkdir(at("regular"))
        for name in ("folder", "linked", "fifo", "char", "block", "bound"):
            _write(at(name), INSIDE)
    # Not a stream: nobody needs to accept, and no backlog fills up.
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(at("socket"))
    _servers.append(server)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _link(path: str, text: str) -> None:
    os.symlink(text, path)


_servers: list[socket.socket] = []
"""open until the process, which is made for one attack, ends"""


def is_of(scene: Scene, identity: tuple[int, int]) -> bool:
    """Whether ``(st_dev, st_ino)`` is a file outside."""
    return identity in identities(scene)


_identities: dict[str, frozenset[tuple[int, int]]] = {}


def identities(scene: Scene) -> frozenset[tuple[int, int]]:
    """``(st_dev, st_ino)`` of every file outside, as it was when first asked for."""
    found = _identities.get(scene.base)
    if found is None:
        paths = [path for place in scene.places_outside for path in _tree(place)]
        statuses = [os.lstat(path) for path in paths]
        found = frozenset((status.st_dev, status.st_ino) for status in statuses)
        _identities[scene.base] = found
    return found


def snapshot(scene: Scene) -> dict[str, Entry]:
    """Everything outside: names, numbers, modes, owners, times of change and contents.

    Of :attr:`Scene.limbo`, where attackers themselves come and go, neither the time and size of
    directories counts, nor what they have brought.
    """
    found = {}
    for place in scene.places_outside:
        for path in _tree(place):
            status = os.lstat(path)
            entry = Entry(
                status.st_ino,
                status.st_mode,
                status.st_uid,
                status.st_gid,
                status.st_size,
                status.st_mtime_ns,
                _content(path, status.st_mode),
            )
            if _is_limbo(scene, path):
                entry = entry._replace(size=0, mtime_ns=0)
            found[path] = entry
    return found


def _is_limbo(scene: Scene, path: str) -> bool:
    return path == scene.limbo or path.endswith("/e")


def _content(path: str, mode: int) -> bytes:
    if stat.S_ISREG(mode):
        with open(path, "rb") as file:
            return file.read()
    return os.fsencode(os.readlink(path)) if stat.S_ISLNK(mode) else b""


def _tree(top: str) -> Iterator[str]:
    yield top
    for directory, dirnames, filenames in os.walk(top):
        dirnames[:] = [name for name in dirnames if name not in _BROUGHT_BY_ATTACKERS]
        for name in dirnames + filenames:
            yield os.path.join(directory, name)


def reveals(scene: Scene, value: Any) -> bool:
    """Whether ``value``, the answer of an operation, is of something outside the root."""
    match value:
        case bytes():
            return CANARY.encode() in value
        case str():
            return CANARY in value
        case os.stat_result():
            return is_of(scene, (value.st_dev, value.st_ino))
        case RootedPath():
            return CANARY in str(value)
        case tuple() | list():
            return any(reveals(scene, each) for each in value)
        case None | bool():
            return False
    raise TypeError(f"no way to tell where {value!r} comes from")
