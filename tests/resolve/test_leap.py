"""Paths over ``PATH_MAX``: the kernel's resolver leaps, and answers as the walker does."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Container
from contextlib import ExitStack
from errno import ENOENT
from pathlib import Path
from typing import Any

import pytest

from helpers.scenery import on_tmpfs
from procpath import Root
from procpath.linux import Descriptor, openat
from procpath.resolve import identity, interface, leap, walk
from procpath.resolve.interface import Parent, Resolver, Rules
from procpath.resolve.kernel import KernelResolver
from procpath.resolve.walk import Walker

DEPTH = 3000
LINKS = {
    "here": ".",
    "on": "d",
    "up": "..",
    "top": "/",
    "slash": "d/",
    "long": "d/../" * 400 + "d",
    "dots": "./" * 2000 + "on",
    "high": "../" * 1000 + "d",
    "loop": "loop",
    "dangling": "missing",
}
QUESTIONS: dict[str, Callable[[Resolver, bytes], object]] = {
    "find": lambda resolver, path: resolver.find(path),
    "find_last": lambda resolver, path: resolver.find_last(path),
    "read": lambda resolver, path: resolver.open(path, os.O_RDONLY),
    "directory": lambda resolver, path: resolver.open(path, os.O_RDONLY | os.O_DIRECTORY),
    "create": lambda resolver, path: resolver.open(path, os.O_CREAT | os.O_WRONLY, 0o600),
    "parent": lambda resolver, path: resolver.open_parent(path),
    "target": lambda resolver, path: resolver.open_parent_of_target(path),
    "locate": lambda resolver, path: resolver.locate(path),
    "try_find": lambda resolver, path: resolver.try_find(path),
}


def dig(top: Path, depth: int, with_links: Container[int]) -> None:
    """Make a chain of directories ``d``, with each of ``LINKS`` and a file at some levels."""
    fd = os.open(top, os.O_PATH)
    for level in range(depth):
        if level in with_links:
            for name, text in LINKS.items():
                os.symlink(text, name, dir_fd=fd)
            os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_PATH, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def long_path(chance: random.Random) -> str:
    """A path of 4,096 bytes or more."""
    parts = [""] if chance.random() < 0.5 else []
    while True:
        name = chance.choice(
            ["d", ".", "", "..", "d/.."] * 6 + ["here", "on", "up", "top", "long", "dots", "high"]
        )
        parts += [name] * (chance.choice([1, 2, 7, 50, 200]) if name not in LINKS else 1)
        if chance.random() < 0.02:
            parts.append(chance.choice([*LINKS, "f", "missing"]))
        path = "/".join(parts)
        if len(path) >= 4096:
            return path + chance.choice(["", "", "/", "/.", "/..", "/f", "/on", "/missing"])


def answer(ask: Callable[[Resolver, bytes], Any], resolver: Resolver, path: bytes) -> object:
    """What a resolver says, so that it can be compared."""

    def which(held: Descriptor) -> object:
        if held.value < 0:
            return held.value
        with held as fd:
            status = os.fstat(fd)
            return status.st_dev, status.st_ino, status.st_mode

    try:
        said = ask(resolver, path)
    except OSError as error:
        return type(error), error.errno, error.filename
    if isinstance(said, Parent):
        return which(said.dirfd), said.name, said.must_be_directory
    return which(said) if isinstance(said, Descriptor) else said


def differences(top: Path, rules: Rules, seeds: range) -> list[tuple[str, str, object, object]]:
    """Where the two resolvers say different things of a long path."""
    found = []
    with ExitStack() as held:
        fd = Descriptor(os.open(top, os.O_PATH))
        held.enter_context(fd)
        kernel, walker = KernelResolver(fd, rules), Walker(fd, rules)
        for seed in seeds:
            path = long_path(random.Random(seed))
            raw = path.encode()
            for name, ask in QUESTIONS.items():
                one, other = answer(ask, kernel, raw), answer(ask, walker, raw)
                if one != other:
                    found.append((name, path, one, other))
    return found


def test_both_resolvers_answer_alike(tmp_path: Path) -> None:
    def inside(memory: Path) -> list[object]:
        dig(memory, 1000, range(1000))
        found: list[object] = []
        for seed in range(8):
            rules = Rules(clamp=seed % 3 != 1, symlinks=seed % 4 != 3, cross_mounts=seed % 2 == 0)
            found += differences(memory, rules, range(seed, seed + 1))
        return found

    assert on_tmpfs(tmp_path, inside) == []


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The single steps that are taken, from now on."""
    taken: list[bytes] = []

    def openat_counted(dirfd: int, name: bytes, flags: int, mode: int = 0) -> Descriptor:
        taken.append(name)
        return openat(dirfd, name, flags, mode)

    for module in (walk, leap, interface):
        monkeypatch.setattr(module, "openat", openat_counted)
    return taken


LONG_PATHS = [
    (b"d/" * 3000, 20),
    (b"d/" * 2990 + b"dots", 200),
    (b"d/" * 2990 + b"high", 7 * 1000),
    # A link in the middle, which is to be found.
    (b"d/" * 2000 + b"here/" + b"d/" * 1000 + b"missing", 100),
    (b"d/" * 2900 + b"up/up/up/" + b"d/" * 20, 300),
    # Up the whole way: each directory is to be held once more.
    (b"d/" * 3000 + b"../" * 3000, 7 * 3000),
    (b"d/" * 3000 + (b"./" * 40 + b"../") * 1000, 42_000),
]


def test_a_long_path_takes_few_single_steps(tmp_path: Path, steps: list[bytes]) -> None:
    def inside(memory: Path) -> list[int]:
        dig(memory, DEPTH, (*range(2000, 2010), *range(2890, DEPTH)))
        counts = []
        with Root.at(memory, resolver="openat2") as root:
            for path, _ in LONG_PATHS:
                steps.clear()
                root.try_find(path).close()
                counts.append(len(steps))
        return counts

    for count, (path, most) in zip(on_tmpfs(tmp_path, inside), LONG_PATHS, strict=True):
        assert count <= most, path


def test_the_parent_of_a_chain_of_links_takes_few_single_steps(
    tmp_path: Path, steps: list[bytes]
) -> None:
    for number in range(39):
        (tmp_path / str(number)).symlink_to("./" * 2000 + str(number + 1))
    with Root.at(tmp_path, resolver="openat2") as root:
        parent = root.resolver.open_parent_of_target(b"0")
        assert parent.name == b"39"
        parent.dirfd.close()
    assert len(steps) <= 39 * 20


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_way_that_is_changed_before_it_is_gone_again_leads_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_replaced: bool
) -> None:
    """``..`` is never that of a directory which was moved away."""
    moved: list[int] = []

    def inside(memory: Path) -> bool:
        top, outside = memory / "root", memory / "outside"
        for directory in (top, outside):
            directory.mkdir()
            dig(directory, 2048, (2046,))

        def birth_after_the_change(fd: int) -> identity.Birth:
            if not moved:
                moved.append(fd)
                (top / "d").rename(memory / "away")
                if is_replaced:
                    (outside / "d").rename(top / "d")
            return identity.birth(fd)

        monkeypatch.setattr(leap, "birth", birth_after_the_change)
        with Root.at(top, resolver="openat2") as root:
            path = b"d/" * 2047 + b"../f"
            if is_replaced:
                with root.find(path) as found, root.find(b"d/" * 2046 + b"f") as wanted:
                    assert os.path.samestat(os.fstat(found), os.fstat(wanted))
            else:
                assert root.try_find(path).value == -ENOENT
        return bool(moved)

    assert on_tmpfs(tmp_path, inside)
