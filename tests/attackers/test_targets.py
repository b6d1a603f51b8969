"""What is being made, copied, moved or removed is replaced meanwhile, from within.

Not the way to it is attacked but the tree itself: as soon as a directory ``sub`` appears in
anything new, it is taken away and a link to the outside put in its place.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from attackers.engine import LIMIT, Totals, require_control, run_writing
from attackers.races import Round, Shape
from attackers.scene import INSIDE, MANY, Scene
from attackers.writings import Writing
from procpath import Root, RootedPath

_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
_NURSERY: Final = "../nursery"


def _replacing_sub(scene: Scene, _: str) -> Round:
    directory = os.dup(scene.inside)
    os.makedirs(f"{scene.root}/work/nursery", exist_ok=True)
    os.makedirs(f"{scene.root}/work/stolen", exist_ok=True)
    stolen = os.open(f"{scene.root}/work/stolen", _DIRECTORY)
    listing = os.open(f"{scene.root}/work/dir", os.O_RDONLY)
    known = {*os.listdir(listing)} - {"tree"}
    number = 0

    def attack() -> None:
        nonlocal number
        # What is not yet whole has another name each time.
        os.lseek(listing, 0, os.SEEK_SET)
        for name in os.listdir(listing):
            if name not in known:
                number += 1
                with suppress(OSError):
                    _replace(name, str(number))

    def _replace(name: str, kept: str) -> None:
        found = os.open(name, _DIRECTORY, dir_fd=directory)
        try:
            os.close(os.open("sub", _DIRECTORY, dir_fd=found))
            os.rename("sub", kept, src_dir_fd=found, dst_dir_fd=stolen)
            os.symlink(f"{scene.outside}/dir/many", "sub", dir_fd=found)
        finally:
            os.close(found)

    return attack


SHAPE: Final = Shape("sub replaced", "work/dir", _replacing_sub)


def _renew(dirfd: int) -> None:
    """A new ``tree`` with many files in its ``sub``, and nothing else that is new.

    It is made where the attacker does not look, and then moved there.
    """
    nursery = os.open(_NURSERY, _DIRECTORY, dir_fd=dirfd)
    try:
        for name in ("made", "tree"):
            # The attacker may be putting something into it.
            while _is_there(name, dirfd):
                with suppress(OSError):
                    shutil.rmtree(name, dir_fd=dirfd)
        stolen = os.open("../stolen", _DIRECTORY, dir_fd=dirfd)
        for name in os.listdir(f"/proc/self/fd/{stolen}"):
            with suppress(OSError):
                shutil.rmtree(name, dir_fd=stolen)
        os.close(stolen)
        os.mkdir("tree", dir_fd=nursery)
        os.mkdir("tree/sub", dir_fd=nursery)
        for number in range(MANY):
            fd = os.open(f"tree/sub/{number}", os.O_WRONLY | os.O_CREAT, dir_fd=nursery)
            os.write(fd, INSIDE.encode())
            os.close(fd)
        os.rename("tree", "tree", src_dir_fd=nursery, dst_dir_fd=dirfd)
    finally:
        os.close(nursery)


def _is_there(name: str, dirfd: int) -> bool:
    return os.access(name, os.F_OK, dir_fd=dirfd, follow_symlinks=False)


def _remove_by_paths(top: Path) -> None:
    """As simple programs do; shutil.rmtree() knows better."""
    for directory, _, names in os.walk(top, topdown=False):
        for name in names:
            os.unlink(os.path.join(directory, name))
        os.rmdir(directory)


def _move_to_another_file_system(directory: RootedPath, scene: Scene) -> object:
    # Every tmpfs is one of its own; this one is in the way of nobody.
    with Root.at("/dev/shm") as shm:
        target = RootedPath(shm, f"pp-{os.getpid()}")
        try:
            (directory / "tree").move(target)
            return _texts(target)
        finally:
            target.rmtree(ignore_errors=True)


def _texts(top: RootedPath) -> object:
    """Of all files, links not followed."""
    return [
        (path / name).read_bytes()
        for path, _, names in top.walk()
        for name in names
        if not (path / name).is_symlink()
    ]


def _copy_out(directory: RootedPath, scene: Scene) -> object:
    target = Path(scene.base, "copied out")
    try:
        (directory / "tree").copy(target)
        return _texts(RootedPath(target))
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _copy(**choices: bool) -> Callable[[RootedPath, Scene], object]:
    def act(directory: RootedPath, _: Scene) -> object:
        (directory / "tree").copy(directory / "made", **choices)

    return act


def _copy_in(directory: RootedPath, scene: Scene) -> object:
    source = Path(scene.source, "with sub")
    if not source.exists():
        shutil.copytree(f"{scene.source}/many", source / "sub")
    (directory / "made").copy_from(source, preserve_metadata=True)
    return None


def _make_parents(directory: RootedPath, _: Scene) -> object:
    (directory / "made/sub/a/b/c").mkdir(parents=True, exist_ok=True)
    return None


def _rename_into(directory: RootedPath, _: Scene) -> object:
    (directory / "tree/sub/0").rename(directory / "tree/sub/renamed")
    return None


def _remove(directory: RootedPath, _: Scene) -> object:
    (directory / "tree").rmtree(ignore_errors=True)
    return None


TARGETS: Final = {
    writing.name: writing
    for writing in (
        Writing(
            "mkdir",
            "made",
            _make_parents,
            lambda p: (p / "made/sub/a/b/c").mkdir(parents=True, exist_ok=True),
            restore=_renew,
        ),
        Writing(
            "copy",
            "made",
            _copy(),
            lambda p: shutil.copytree(p / "tree", p / "made"),
            restore=_renew,
        ),
        Writing(
            "copy:with metadata",
            "made",
            _copy(preserve_metadata=True),
            lambda p: shutil.copytree(p / "tree", p / "made"),
            restore=_renew,
        ),
        Writing(
            "copy:links as links",
            "made",
            _copy(follow_symlinks=False),
            lambda p: shutil.copytree(p / "tree", p / "made", symlinks=True),
            restore=_renew,
        ),
        Writing(
            "copy:out",
            "tree",
            _copy_out,
            lambda p: (p / "tree/sub/0").touch(),
            restore=_renew,
        ),
        Writing(
            "copy_from",
            "made",
            _copy_in,
            lambda p: shutil.copytree(p / "tree", p / "made"),
            restore=_renew,
        ),
        Writing(
            "move",
            "tree",
            _move_to_another_file_system,
            lambda p: _remove_by_paths(p / "tree"),
            restore=_renew,
        ),
        Writing(
            "rename",
            "tree",
            _rename_into,
            lambda p: (p / "tree/sub/0").rename(p / "tree/sub/renamed"),
            restore=_renew,
        ),
        Writing(
            "rmtree",
            "tree",
            _remove,
            lambda p: _remove_by_paths(p / "tree"),
            restore=_renew,
        ),
    )
}


@pytest.mark.parametrize("resolver", ["walk", "openat2"])
@pytest.mark.parametrize("name", TARGETS)
def test_what_is_replaced_meanwhile_leads_nowhere(name: str, resolver: str, totals: Totals) -> None:
    outcome = run_writing(SHAPE, resolver, TARGETS[name])
    totals.add(outcome)
    assert outcome.revealed == []
    assert outcome.changed_outside == []
    assert outcome.unexpected == []
    assert outcome.left_open == {}
    assert outcome.answered, f"nothing was done in {LIMIT} s: {outcome}"
    require_control(
        outcome.plain.leaked, f"plain Python was not led outside in {LIMIT} s: {outcome}"
    )
