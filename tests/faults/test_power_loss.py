"""Losses of power at each step of a copy: the old or the new content has the final name.

The file system is shut down at the step (its ioctl SHUTDOWN, made for such tests): what is in the
page cache alone is lost, with or without what was not written to the journal yet.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers.forms import one_in
from helpers.scenery import mount_tmpfs
from helpers.support import private_mounts
from procpath import RootedPath, linux
from procpath.tree.copy.staging import PREFIX

pytestmark = pytest.mark.machine_root

FILE_SYSTEMS = [name for name in ("ext4", "xfs") if shutil.which(f"mkfs.{name}")]

SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN."""
JOURNALS = {"written": 1, "lost": 2}
"""Whether what is to come to the journal is written to it, as after some seconds, or lost."""

NEW, OLD = b"new" * 20_000, b"old" * 20_000

STEPS = [(os, "fsync"), (os, "rename"), (os, "unlink"), (os, "rmdir")]
STEPS += [(linux, "renameat2"), (linux, "syncfs")]
MOST_STEPS = 100
AT_THE_END = 255
"""The exit status of a process that lost the power at the end; before, the number of the step."""


def durable(source: RootedPath, target: RootedPath) -> None:
    source.copy(target, durable=True, preserve_metadata=True, dirs_exist_ok=True)


def move(source: RootedPath, target: RootedPath) -> None:
    source.move(target)


class Case(NamedTuple):
    copy: Callable[[RootedPath, RootedPath], None]
    name: str
    """of the source, which is a file or a tree, and of the target"""
    is_there: bool
    """the target has the old content"""


CASES = [
    *(Case(durable, "file", True), Case(durable, "file", False)),
    *(Case(durable, "tree", True), Case(durable, "tree", False)),
    *(Case(move, "file", True), Case(move, "file", False), Case(move, "tree", False)),
]


class Disk:
    """A file system on a disk that loses its power."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.image = directory / "image"
        self.top = directory / "mounted"
        self.top.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(330 << 20)
        subprocess.run([f"mkfs.{kind}", "-q", self.image], check=True, capture_output=True)
        self.mount()

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop", self.image, self.top], check=True)

    def shut_down(self, journal: str) -> None:
        fd = os.open(self.top, os.O_RDONLY)
        fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", JOURNALS[journal]))
        os.close(fd)

    def restart(self) -> None:
        subprocess.run(["umount", self.top], check=True)
        self.mount()


def make(top: Path, content: bytes) -> None:
    """Make a file and a tree, with a file of two names, in a directory that exists."""
    (top / "tree/sub").mkdir(parents=True)
    for name in ("file", "tree/file", "tree/sub/file"):
        (top / name).write_bytes(content)
    os.link(top / "tree/sub/file", top / "tree/sub/the same")


def contents(top: Path, name: str) -> dict[str, bytes]:
    """The content of each file at ``name`` and below, but of those that are unfinished."""
    files = [top / name, *(top / name).rglob("*")]
    return {
        str(path.relative_to(top)): path.read_bytes()
        for path in files
        if path.is_file() and PREFIX not in str(path)
    }


def clear(top: Path) -> None:
    for name in os.listdir(top):
        shutil.rmtree(top / name) if (top / name).is_dir() else (top / name).unlink()


def copy_and_lose_power(case: Case, source: Path, disk: Disk, lost_at: int, journal: str) -> int:
    """Copy, and lose the power before the step ``lost_at`` or at the end; return where it was."""
    taken = 0

    def stepping(function: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **keywords: object) -> object:
            nonlocal taken
            if taken == lost_at:
                disk.shut_down(journal)
                os._exit(taken)
            taken += 1
            return function(*arguments, **keywords)

        return step

    pid = os.fork()
    if pid == 0:
        for module, name in STEPS:
            setattr(module, name, stepping(getattr(module, name)))
        try:
            case.copy(RootedPath(source) / case.name, RootedPath(disk.top) / case.name)
        finally:
            disk.shut_down(journal)
            os._exit(AT_THE_END)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def try_each_step(case: Case, source: Path, disk: Disk, journal: str) -> int:
    """Return how many steps there were."""
    for step in range(MOST_STEPS):
        for top in (source, disk.top):
            clear(top)
        make(source, NEW)
        if case.is_there:
            make(disk.top, OLD)
        os.sync()
        old, new = contents(disk.top, case.name), contents(source, case.name)
        lost_at = copy_and_lose_power(case, source, disk, step, journal)
        disk.restart()
        found, left = contents(disk.top, case.name), contents(source, case.name)
        if lost_at == AT_THE_END:
            assert found == new
            assert left == ({} if case.copy is move else new)
            return step
        assert lost_at == step
        for name, content in found.items():
            assert content in (old.get(name), new[name]), f"{name} after {step} steps"
        # What was there is there, and what has left the source is in the target.
        assert found.keys() >= old.keys()
        assert left == new or found == new
    raise AssertionError("the copy does not end")


@pytest.mark.parametrize("journal", one_in(2, [*JOURNALS]))
@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_final_name_has_old_or_new_content(kind: str, journal: str, tmp_path: Path) -> None:
    def inside() -> None:
        mount_tmpfs(tmp_path)
        source = tmp_path / "source"
        source.mkdir()
        disk = Disk(kind, tmp_path)
        for case in one_in(2, CASES):
            steps = try_each_step(case, source, disk, journal)
            assert steps >= 3

    private_mounts(inside)


@pytest.mark.skipif("xfs" not in FILE_SYSTEMS, reason="no mkfs.xfs")
def test_without_durable_content_can_be_lost(tmp_path: Path) -> None:
    """What the test above is worth: it would see a copy that is not written to the disk."""

    def inside() -> None:
        mount_tmpfs(tmp_path)
        source = tmp_path / "source"
        source.mkdir()
        case = Case(lambda one, other: one.copy(other) and None, "file", True)
        with pytest.raises(AssertionError):
            try_each_step(case, source, Disk("xfs", tmp_path), "written")

    private_mounts(inside)
