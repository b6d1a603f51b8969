"""What rmtree removes, what it leaves, and what it says about it."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.portrait import portrait
from helpers.scenery import (
    NOBODY,
    as_nobody,
    dig,
    mount_tmpfs,
    on_tmpfs,
    populate,
    reachable,
    write,
)
from helpers.support import no_free_number_below, private_mounts
from procpath import ClosedRootError, Root, RootedPath, linux, uapi

pytestmark = pytest.mark.usefixtures("no_leak")

Failure = tuple[str, str, int | None]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[RootedPath]:
    with Root.at(tmp_path) as held:
        yield RootedPath(held)


def failures(path: RootedPath, **choices: bool) -> list[Failure]:
    """What onexc is called with: function, path and errno."""
    told: list[Failure] = []

    def onexc(function: Callable[..., object], where: RootedPath, error: OSError) -> None:
        assert isinstance(where, type(path))
        assert error.filename == str(where)
        told.append((function.__name__, str(where), error.errno))

    path.rmtree(onexc=onexc, **choices)
    return told


def test_everything_below_is_removed(tmp_path: Path, root: RootedPath) -> None:
    populate(tmp_path / "tree")
    (root / "tree").rmtree()
    assert os.listdir(tmp_path) == []


def test_links_are_removed_and_never_followed(tmp_path: Path, root: RootedPath) -> None:
    write(tmp_path / "outside/file")
    write(tmp_path / "tree/sub/file")
    for link, text in {
        "tree/to outside": "../outside",
        "tree/sub/absolute": str(tmp_path / "outside"),
        "tree/up": "..",
        "tree/loop": ".",
    }.items():
        (tmp_path / link).symlink_to(text)
    (root / "tree").rmtree()
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(tmp_path / "outside") == ["file"]


def test_links_on_the_way_to_the_top_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "root/real/tree/file")
    (tmp_path / "root/link").symlink_to("/real")
    RootedPath(tmp_path / "root").joinpath("link/tree").rmtree()
    assert os.listdir(tmp_path / "root/real") == []


@pytest.mark.parametrize(
    ("name", "function", "number"),
    [
        ("link", "islink", errno.ELOOP),
        ("dangling", "islink", errno.ELOOP),
        ("file", "open", errno.ENOTDIR),
        ("fifo", "open", errno.ENOTDIR),
        ("missing", "lstat", errno.ENOENT),
        ("missing/below", "lstat", errno.ENOENT),
        ("file/below", "lstat", errno.ENOTDIR),
        ("n" * 256, "lstat", errno.ENAMETOOLONG),
        (".", "lstat", errno.EBUSY),
        ("tree/..", "lstat", errno.EBUSY),
    ],
)
def test_a_top_that_is_no_directory_is_refused(
    name: str, function: str, number: int, tmp_path: Path, root: RootedPath
) -> None:
    write(tmp_path / "tree/file")
    write(tmp_path / "file")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("tree")
    (tmp_path / "dangling").symlink_to("nothing")
    before = portrait(tmp_path)
    path = root / name
    with pytest.raises(OSError) as caught:
        path.rmtree()
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert failures(path) == [(function, str(path), number)]
    path.rmtree(ignore_errors=True)
    assert portrait(tmp_path) == before


def test_a_closed_root_is_no_error_to_ignore(tmp_path: Path) -> None:
    held = Root.at(tmp_path)
    path = RootedPath(held) / "tree"
    held.close()
    with pytest.raises(ClosedRootError):
        path.rmtree(ignore_errors=True)


# Big trees


@pytest.mark.slow
def test_ten_thousand_levels_take_twenty_descriptors(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        (memory / "deep").mkdir()
        dig(memory / "deep", 10_000)
        with no_free_number_below() as used:
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, used + 20))
            started = time.monotonic()
            RootedPath(memory).joinpath("deep").rmtree()
            assert time.monotonic() - started < 60
            assert os.listdir(memory) == []

    on_tmpfs(tmp_path, inside)


def test_a_directory_of_many_thousand_files_is_removed(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        (memory / "wide").mkdir()
        for number in range(20_000):
            os.close(os.open(memory / f"wide/{number}", os.O_CREAT | os.O_WRONLY))
        for number in range(2_000):
            (memory / f"wide/d{number}").mkdir()
        RootedPath(memory).joinpath("wide").rmtree()
        assert os.listdir(memory) == []

    on_tmpfs(tmp_path, inside)


# Mounts


@pytest.mark.parametrize("others", [0, 50], ids=["few files", "many files"])
def test_what_is_mounted_in_the_tree_is_left_alone(tmp_path: Path, others: int) -> None:
    """Of many files the kernel is asked, which refuses to unlink mount points of our namespace."""
    write(tmp_path / "root/tree/file")
    for number in range(others):
        write(tmp_path / f"root/tree/sub/{number}")
    write(tmp_path / "bound", "precious")
    write(tmp_path / "root/tree/sub/bound")
    for name in ("mounted", "same file system"):
        (tmp_path / "root/tree/sub" / name).mkdir()

    def inside() -> None:
        top = tmp_path / "root/tree/sub"
        mount_tmpfs(top / "mounted")
        write(top / "mounted/precious")
        write(tmp_path / "elsewhere/precious")
        for source, target in (("elsewhere", "same file system"), ("bound", "bound")):
            linux.mount(
                os.fsencode(tmp_path / source), os.fsencode(top / target), None, uapi.MS_BIND
            )
        path = RootedPath(tmp_path / "root") / "tree"
        told = failures(path)
        assert sorted(told) == [
            ("open", "/tree/sub/mounted", errno.EXDEV),
            ("open", "/tree/sub/same file system", errno.EXDEV),
            ("rmdir", "/tree", errno.ENOTEMPTY),
            ("rmdir", "/tree/sub", errno.ENOTEMPTY),
            ("unlink", "/tree/sub/bound", errno.EXDEV),
        ]
        assert (top / "mounted/precious").exists()
        assert (tmp_path / "elsewhere/precious").exists()
        assert (tmp_path / "bound").read_text() == "precious"
        assert sorted(os.listdir(top)) == ["bound", "mounted", "same file system"]
        with pytest.raises(OSError) as caught:
            path.rmtree()
        assert caught.value.errno == errno.EXDEV

    private_mounts(inside)


def test_mounts_are_emptied_when_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "tree/mounted").mkdir(parents=True)

    def inside() -> None:
        mount_tmpfs(tmp_path / "tree/mounted")
        write(tmp_path / "tree/mounted/sub/file")
        path = RootedPath(tmp_path) / "tree"
        assert failures(path, cross_mounts=True) == [
            ("rmdir", "/tree/mounted", errno.EBUSY),
            ("rmdir", "/tree", errno.ENOTEMPTY),
        ]
        assert os.listdir(tmp_path / "tree/mounted") == []

    private_mounts(inside)


def test_a_mount_point_as_the_top_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()

    def inside() -> None:
        mount_tmpfs(tmp_path / "mounted")
        write(tmp_path / "mounted/precious")
        path = RootedPath(tmp_path) / "mounted"
        assert failures(path) == [("open", "/mounted", errno.EXDEV)]
        assert (tmp_path / "mounted/precious").exists()

    private_mounts(inside)


@pytest.mark.parametrize("others", [0, 50], ids=["few files", "many files"])
def test_mounts_of_another_namespace_stay(tmp_path: Path, others: int) -> None:
    """Linux lets a process unlink the mount points of another mount namespace (since 3.18)."""
    write(tmp_path / "precious", "precious")
    for number in range(others):
        write(tmp_path / f"root/tree/{number}")
    write(tmp_path / "root/tree/file")
    (tmp_path / "root/tree/directory").mkdir()

    def inside() -> None:
        top = tmp_path / "root/tree"
        mount_tmpfs(top / "directory")
        write(top / "directory/precious")
        linux.mount(
            os.fsencode(tmp_path / "precious"), os.fsencode(top / "file"), None, uapi.MS_BIND
        )
        path = RootedPath(tmp_path / "root") / "tree"
        first = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        linux.unshare(uapi.CLONE_NEWNS)
        linux.umount2(os.fsencode(top / "file"))
        linux.umount2(os.fsencode(top / "directory"))
        assert sorted(failures(path)) == [
            ("open", "/tree/directory", errno.EXDEV),
            ("rmdir", "/tree", errno.ENOTEMPTY),
            ("unlink", "/tree/file", errno.EXDEV),
        ]
        linux.setns(first, uapi.CLONE_NEWNS)
        assert (path / "file").read_text() == "precious"
        assert (path / "directory/precious").exists()

    private_mounts(inside)


# Errors


def told_by_shutil(top: Path, below: Path) -> list[Failure]:
    told: list[Failure] = []

    def onexc(function: Callable[..., object], where: str, error: BaseException) -> None:
        number = error.errno if isinstance(error, OSError) else None
        told.append((function.__name__, "/" + os.path.relpath(where, top), number))

    if sys.version_info >= (3, 12):
        shutil.rmtree(below, onexc=onexc)
    else:
        shutil.rmtree(below, onerror=lambda f, path, error: onexc(f, path, error[1]))
    return told


def test_errors_are_reported_as_by_shutil(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        top = tmp_path / name
        write(top / "tree/a/file")
        write(top / "tree/unreadable/file")
        write(top / "tree/read only/file")
        write(top / "tree/z/file")
        for directory in (top, *(path for path in top.rglob("*") if path.is_dir())):
            os.chown(directory, NOBODY, NOBODY)
        (top / "tree/unreadable").chmod(0)
        (top / "tree/read only").chmod(0o555)
    reachable(tmp_path)

    def inside() -> None:
        ours = failures(RootedPath(tmp_path / "ours") / "tree")
        theirs = told_by_shutil(tmp_path / "theirs", tmp_path / "theirs/tree")
        assert sorted(ours) == sorted(theirs)
        assert len(ours) == 4
        for name in ("ours", "theirs"):
            assert sorted(os.listdir(tmp_path / name / "tree")) == ["read only", "unreadable"]
        RootedPath(tmp_path / "ours").joinpath("tree").rmtree(ignore_errors=True)

    as_nobody(inside)


def test_without_a_handler_the_first_error_ends_it(tmp_path: Path) -> None:
    write(tmp_path / "tree/sub/file")
    for directory in (tmp_path / "tree", tmp_path / "tree/sub"):
        os.chown(directory, NOBODY, NOBODY)
    (tmp_path / "tree/sub").chmod(0o555)
    reachable(tmp_path)

    def inside() -> None:
        with pytest.raises(PermissionError) as caught:
            RootedPath(tmp_path).joinpath("tree").rmtree()
        assert caught.value.filename == "/tree/sub/file"

    as_nobody(inside)


def test_a_handler_that_raises_ends_it(tmp_path: Path, root: RootedPath) -> None:
    def onexc(function: Callable[..., object], where: RootedPath, error: OSError) -> None:
        raise LookupError(str(where))

    with pytest.raises(LookupError, match="/missing"):
        (root / "missing").rmtree(onexc=onexc)


def test_the_path_of_an_error_can_be_acted_upon(tmp_path: Path) -> None:
    write(tmp_path / "tree/sub/file")
    for directory in (tmp_path, tmp_path / "tree", tmp_path / "tree/sub"):
        os.chown(directory, NOBODY, NOBODY)
    (tmp_path / "tree/sub").chmod(0o555)
    reachable(tmp_path)

    def inside() -> None:
        def onexc(function: Callable[..., object], where: RootedPath, error: OSError) -> None:
            if function is os.unlink:
                where.parent.chmod(0o755)
                where.unlink()
            else:
                raise error

        RootedPath(tmp_path).joinpath("tree").rmtree(onexc=onexc)

    as_nobody(inside)
    assert not (tmp_path / "tree").exists()


def test_a_read_only_file_system(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        write(memory / "tree/sub/file")
        linux.mount(None, os.fsencode(memory), None, uapi.MS_REMOUNT | uapi.MS_RDONLY)
        path = RootedPath(memory) / "tree"
        assert failures(path) == [
            ("unlink", "/tree/sub/file", errno.EROFS),
            ("rmdir", "/tree/sub", errno.EROFS),
            ("rmdir", "/tree", errno.EROFS),
        ]

    on_tmpfs(tmp_path, inside)


def test_subclasses_get_paths_of_their_own_kind(tmp_path: Path) -> None:
    class Mine(RootedPath):
        pass

    write(tmp_path / "file")
    assert failures(Mine(tmp_path) / "file") == [("open", "/file", errno.ENOTDIR)]


# Changed while it runs


def test_entries_that_vanish_meanwhile_are_no_errors(tmp_path: Path) -> None:
    def inside(memory: Path) -> list[list[Failure]]:
        told = []
        for _ in range(30):
            for number in range(200):
                write(memory / f"tree/{number}/file")
            rival = threading.Thread(target=shutil.rmtree, args=(memory / "tree", True))
            rival.start()
            path = RootedPath(memory) / "tree"
            told.append(failures(path) if path.exists() else [])
            rival.join()
            assert os.listdir(memory) == []
        return told

    # Who comes last finds the top gone, and that was asked for.
    allowed = [("lstat", "/tree", errno.ENOENT), ("open", "/tree", errno.ENOENT)]
    allowed.append(("rmdir", "/tree", errno.ENOENT))
    for told in on_tmpfs(tmp_path, inside):
        assert told in ([], *([failure] for failure in allowed))


def test_a_directory_moved_away_takes_nothing_with_it(tmp_path: Path) -> None:
    """Going up from a directory that was moved would go on in somebody else's."""

    def inside(memory: Path) -> None:
        tree = memory / "root/tree"
        tree.mkdir(parents=True)
        dig(tree, 40)
        bottom = tree / "/".join(["d"] * 40)
        (bottom / "mounted").mkdir()
        mount_tmpfs(bottom / "mounted")
        write(memory / "elsewhere/precious")
        (memory / "elsewhere/d").mkdir()
        told: list[tuple[str, int | None]] = []

        def onexc(function: object, where: RootedPath, error: OSError) -> None:
            told.append((where.name, error.errno))
            if where.name == "mounted":
                # Below directories that were let go by now.
                os.rename(tree / "/".join(["d"] * 20), memory / "elsewhere/moved")

        RootedPath(memory / "root").joinpath("tree").rmtree(onexc=onexc)
        assert told[0] == ("mounted", errno.EXDEV)
        assert told[-1] == ("d", errno.ESTALE)
        assert ("tree", errno.ENOTEMPTY) not in told
        assert sorted(os.listdir(memory / "elsewhere")) == ["d", "moved", "precious"]
        linux.umount2(os.fsencode(memory / "elsewhere/moved" / "/".join(["d"] * 20) / "mounted"))

    on_tmpfs(tmp_path, inside)


def test_directories_swapped_for_links_are_not_entered(tmp_path: Path) -> None:
    """Seen as directories, links by the time they are entered."""
    for number in range(5):
        write(tmp_path / f"root/tree/{number}/file")
    write(tmp_path / "root/tree/mounted")
    write(tmp_path / "outside/precious")

    def inside() -> None:
        tree = tmp_path / "root/tree"
        linux.mount(
            os.fsencode(tmp_path / "outside/precious"),
            os.fsencode(tree / "mounted"),
            None,
            uapi.MS_BIND,
        )
        told: list[tuple[str, int | None]] = []

        def onexc(function: object, where: RootedPath, error: OSError) -> None:
            told.append((where.name, error.errno))
            if where.name == "mounted":
                # All entries of the tree were listed, and none of its directories entered.
                for number in range(5):
                    os.rename(tree / str(number), tmp_path / f"taken{number}")
                    (tree / str(number)).symlink_to(tmp_path / "outside")

        RootedPath(tmp_path / "root").joinpath("tree").rmtree(onexc=onexc)
        swapped = [(str(number), errno.ENOTDIR) for number in range(5)]
        assert sorted(told[1:-1]) == swapped
        assert (tmp_path / "outside/precious").exists()

    private_mounts(inside)


def test_an_interrupted_removal_leaves_no_descriptor(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        (memory / "tree").mkdir()
        dig(memory / "tree", 100)
        (memory / "tree/d/d/d/mounted").mkdir()
        mount_tmpfs(memory / "tree/d/d/d/mounted")

        def onexc(*_: Any) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            RootedPath(memory).joinpath("tree").rmtree(onexc=onexc)
        linux.umount2(os.fsencode(memory / "tree/d/d/d/mounted"))
        RootedPath(memory).joinpath("tree").rmtree()
        assert stat.S_ISDIR(memory.stat().st_mode)

    on_tmpfs(tmp_path, inside)
