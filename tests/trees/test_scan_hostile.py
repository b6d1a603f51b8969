"""scan() while the tree is changed under it, and on trees that are made to hurt.

A scan is a generator: what happens between two entries happens in the loop, without a race.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.fuse import Names, Untyped
from helpers.scenery import dig, mount_tmpfs, on_tmpfs, write
from helpers.support import open_descriptors, private_mounts
from procpath import Entry, Root, RootedPath, SpecialFileError, linux, uapi
from procpath.tree import scanning

CANARY = "canary"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with two levels, beside a directory with a canary in a place of each name."""
    for top, content in (("root", "inside"), ("outside", CANARY)):
        for name in ("a", "b", "a/c", "b/c"):
            write(tmp_path / top / name / "file", content)
    return tmp_path / "root"


def looked_at(entries: Iterator[Entry[RootedPath]]) -> dict[str, object]:
    """What the entries say of themselves."""
    found: dict[str, object] = {}
    for entry in entries:
        found[str(entry.path)] = entry.read_bytes() if entry.is_file() else entry.stat().st_ino
    return found


@pytest.mark.parametrize("resolver", ["walk", "openat2"])
@pytest.mark.parametrize("text", ["../outside/{}", "{outside}/{}", "../../../../../outside/{}"])
def test_a_link_in_the_place_of_a_directory_is_not_entered(
    text: str, resolver: str, root: Path
) -> None:
    target = text.format("a", outside=root.parent / "outside")
    found: dict[str, object] = {}
    for entry in RootedPath(Root.at(root, resolver=resolver)).scan():
        if entry.name in ("a", "b") and entry.depth == 1:
            (root / entry.name).rename(root.parent / f"moved-{entry.name}")
            (root / entry.name).symlink_to(target)
        found[str(entry.path)] = entry.is_dir()
    # They were directories when they were listed, and have vanished since.
    assert found == {"/a": True, "/b": True}


def test_a_link_in_the_place_of_a_file_is_not_followed(root: Path) -> None:
    for entry in RootedPath(root).scan():
        if entry.is_file():
            place = Path(f"{root}{entry.path}")
            place.unlink()
            place.symlink_to(root.parent / "outside/a/file")
            for act in (entry.open, entry.read_bytes):
                with pytest.raises(OSError) as caught:
                    act()
                assert caught.value.errno == errno.ELOOP
            assert stat.S_ISLNK(entry.stat().st_mode)


@pytest.mark.parametrize("special_files", ["refuse", "allow"])
def test_a_special_file_in_the_place_of_a_file(special_files: str, root: Path) -> None:
    for entry in RootedPath(Root.at(root, special_files=special_files)).scan():
        if entry.is_file():
            place = Path(f"{root}{entry.path}")
            place.unlink()
            if special_files == "allow":
                place.write_text("another")
                assert entry.read_bytes() == b"another"
                continue
            os.mkfifo(place)
            for act in (entry.open, entry.read_bytes):
                with pytest.raises(SpecialFileError):
                    act()


def test_a_directory_moved_out_shows_only_its_entries(root: Path) -> None:
    """It is held: what is in it was in the root, as for a process with a directory open."""
    found = []
    for entry in RootedPath(root).scan():
        found.append(str(entry.path))
        if entry.depth == 2 and entry.name == "c":
            above = entry.path.parent.name
            (root / above).rename(root.parent / f"moved-{above}")
            if entry.stat().st_mode:
                write(root.parent / f"moved-{above}/c/late", "inside")
    assert {path.rpartition("/")[2] for path in found} <= {"a", "b", "c", "file", "late"}


def test_the_way_back_up_does_not_leave_a_tree_that_was_moved(root: Path) -> None:
    """No ``..`` is followed: it would lead to where the directory has been moved."""
    for level in range(80):
        (root / f"a/c/{'d/' * level}d").mkdir()
        write(root / f"a/c/{'d/' * level}e/file", "inside")
    moved = False
    for entry in RootedPath(root).scan():
        if entry.depth == 75 and not moved:
            moved = True
            (root / "a/c/d").rename(root.parent / "outside/d")
        if entry.is_file():
            assert CANARY.encode() not in entry.read_bytes()
    assert moved


def test_what_vanishes_is_left_out(root: Path) -> None:
    errors: list[OSError] = []
    found = []
    for entry in RootedPath(root).scan(on_error=errors.append):
        found.append(str(entry.path))
        if entry.depth == 1:
            for name in ("file", "c/file"):
                (root / entry.name / name).unlink()
            (root / entry.name / "c").rmdir()
            if entry.name == "a":
                (root / "a").rmdir()
                with pytest.raises(FileNotFoundError) as caught:
                    entry.stat()
                assert caught.value.filename == "/a"
    assert sorted(found) == ["/a", "/b"]
    assert errors == []


def test_a_tree_may_be_removed_behind_the_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "_AT_A_TIME", 7)
    for number in range(90):
        write(tmp_path / f"{number % 3}/{number}", "x")
    seen = 0
    for entry in RootedPath(tmp_path).scan():
        if entry.is_file():
            entry.path.unlink()
            seen += 1
    assert seen == 90
    assert [list(path.iterdir()) for path in tmp_path.iterdir()] == [[], [], []]


@pytest.mark.parametrize("levels", [2000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_a_deep_tree_takes_few_descriptors_and_little_memory(levels: int, tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        dig(memory, levels)
        root = Root.at(memory)
        highest = max(open_descriptors())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + 50,) * 2)
        files = deepest = 0
        tracemalloc.start()
        for entry in RootedPath(root).scan():
            if entry.is_file():
                assert entry.stat().st_size == 0
                files += 1
            deepest = max(deepest, entry.depth)
        peak = tracemalloc.get_traced_memory()[1]
        assert (files, deepest) == (levels, levels)
        assert len(str(entry.path)) > levels
        assert peak < levels * 1000
        root.close()

    on_tmpfs(tmp_path, inside)


def test_many_entries_of_a_directory_take_no_memory(tmp_path: Path) -> None:
    entries = 30_000

    def inside(memory: Path) -> None:
        directory = os.open(memory, os.O_PATH)
        for number in range(entries):
            os.symlink("x", f"{number:0200}", dir_fd=directory)
        os.close(directory)
        tracemalloc.start()
        assert sum(entry.is_symlink() for entry in RootedPath(memory).scan()) == entries
        assert tracemalloc.get_traced_memory()[1] < 2_000_000

    on_tmpfs(tmp_path, inside)


def test_what_is_kept_does_not_grow_with_depth_times_entries(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        fd = os.open(memory, os.O_PATH)
        for _ in range(50):
            for number in range(300):
                os.symlink("x", f"{number:0200}", dir_fd=fd)
            os.mkdir("d" * 200, dir_fd=fd)
            below = os.open("d" * 200, os.O_PATH, dir_fd=fd)
            os.close(fd)
            fd = below
        os.close(fd)
        tracemalloc.start()
        assert sum(1 for entry in RootedPath(memory).scan() if str(entry.path)) == 50 * 301
        assert tracemalloc.get_traced_memory()[1] < 1_000_000

    on_tmpfs(tmp_path, inside)


def test_mounts_are_entered_unless_that_is_forbidden(root: Path) -> None:
    (root / "mounted").mkdir()
    everything = {"/a", "/b", "/a/c", "/b/c", "/a/file", "/b/file", "/a/c/file", "/b/c/file"}

    def found(options: dict[str, bool], cross_mounts: bool | None) -> set[str]:
        errors: list[OSError] = []
        with Root.at(root, **options) as held:
            scan = RootedPath(held).scan(cross_mounts=cross_mounts, on_error=errors.append)
            entries = {str(entry.path): entry.stat().st_dev for entry in scan}
        assert errors == []
        return entries.keys() - everything

    def inside() -> None:
        mount_tmpfs(root / "mounted")
        write(root / "mounted/precious")
        # The same device as what it is mounted on.
        linux.mount(bytes(root / "a"), bytes(root / "b/c"), None, uapi.MS_BIND)
        below_bound = {"/b/c/c", "/b/c/c/file"}
        assert found({}, None) == {"/mounted", "/mounted/precious", *below_bound}
        assert found({}, True) == {"/mounted", "/mounted/precious", *below_bound}
        assert found({}, False) == {"/mounted"}
        for cross_mounts in (None, True, False):
            assert found({"cross_mounts": False}, cross_mounts) == {"/mounted"}

    private_mounts(inside)


def test_a_file_on_another_mount_is_not_opened(root: Path) -> None:
    def inside() -> None:
        outside = bytes(root.parent / "outside/a/file")
        linux.mount(outside, bytes(root / "a/file"), None, uapi.MS_BIND)
        opened = []
        for entry in RootedPath(root).scan(cross_mounts=False):
            if str(entry.path) == "/a/file":
                for act in (entry.open, entry.read_bytes):
                    with pytest.raises(OSError) as caught:
                        act()
                    assert caught.value.errno == errno.EXDEV
            elif entry.is_file():
                opened.append(entry.read_bytes())
        assert opened == [b"inside"] * 3
        contents = [e.read_bytes() for e in RootedPath(root).scan() if e.is_file()]
        assert CANARY.encode() in contents

    private_mounts(inside)


def with_kernel_file_systems(root: Path, func: Callable[[], None]) -> None:
    for name in ("proc", "sys"):
        (root / name).mkdir()

    def inside() -> None:
        linux.mount(b"proc", bytes(root / "proc"), b"proc")
        linux.mount(b"sysfs", bytes(root / "sys"), b"sysfs")
        func()

    private_mounts(inside)


def test_kernel_file_systems_are_yielded_and_not_entered(root: Path) -> None:
    def inside() -> None:
        below = [str(entry.path) for entry in RootedPath(root).scan()]
        assert {"/proc", "/sys"} < set(below)
        assert not [path for path in below if path.startswith(("/proc/", "/sys/"))]

    with_kernel_file_systems(root, inside)


def test_allowing_special_enters_kernel_file_systems(root: Path) -> None:
    def inside() -> None:
        read = None
        top = RootedPath(Root.at(root, special_files="allow"))
        for entry in top.scan(max_depth=4, on_error=lambda _: None):
            if str(entry.path) == "/proc/sys/kernel/ostype":
                read = entry.read_bytes()
            elif entry.depth > 1 and not str(entry.path).startswith("/proc/sys"):
                entry.skip()
        assert read == b"Linux\n"

    with_kernel_file_systems(root, inside)


def test_a_scan_goes_on_in_procfs_if_started_there(root: Path) -> None:
    def inside() -> None:
        # Another kernel file system in it, and one of the same type.
        mount_at = root / "proc/sys/fs/binfmt_misc"
        linux.mount(b"sysfs", bytes(mount_at), b"sysfs")
        found = set()
        for entry in (RootedPath(root) / "proc/sys").scan(on_error=lambda _: None):
            found.add(str(entry.path))
            if entry.name == "ostype":
                with pytest.raises(SpecialFileError):
                    entry.read_bytes()
        assert {"/proc/sys/kernel/ostype", "/proc/sys/fs/binfmt_misc"} < found
        assert not [path for path in found if path.startswith("/proc/sys/fs/binfmt_misc/")]

    with_kernel_file_systems(root, inside)


def test_a_kernel_file_mounted_on_a_file_is_refused(root: Path) -> None:
    def inside() -> None:
        linux.mount(b"/proc/sys/kernel/ostype", bytes(root / "a/file"), None, uapi.MS_BIND)
        refused = 0
        for entry in RootedPath(root).scan():
            if str(entry.path) == "/a/file":
                for act in (entry.open, entry.read_bytes):
                    with pytest.raises(SpecialFileError):
                        act()
                    refused += 1
        assert refused == 2

    private_mounts(inside)


@pytest.mark.parametrize("name", [b"\0x", b"/", b"a/b"])
def test_no_name_of_a_file_system_leads_elsewhere(name: bytes, tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()
    write(tmp_path / "b", CANARY)

    def inside() -> None:
        Names(tmp_path / "mounted", [name])
        errors: list[OSError] = []
        found = [str(entry.path) for entry in RootedPath(tmp_path).scan(on_error=errors.append)]
        assert sorted(found) == ["/b", "/mounted"]
        assert [(error.errno, error.filename) for error in errors] == [(errno.EIO, "/mounted")]
        with pytest.raises(OSError) as caught:
            list(RootedPath(tmp_path).scan())
        assert caught.value.errno == errno.EIO

    private_mounts(inside)


def test_entries_without_a_type_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()

    def inside() -> None:
        names: dict[bytes, int | list[int]]
        names = {b"directory": 0, b"vanished": errno.ENOENT, b"broken": errno.EIO}
        Untyped(tmp_path / "mounted", names)
        path = RootedPath(tmp_path, "mounted")
        errors: list[OSError] = []
        kinds = {}
        for entry in path.scan(on_error=errors.append, max_depth=1):
            kinds[entry.name] = (entry.is_dir(), entry.is_file(), entry.is_symlink())
            if entry.name == "broken":
                with pytest.raises(OSError, match="Input/output error"):
                    entry.stat()
        assert kinds == {"directory": (True, False, False), "broken": (False, False, False)}
        assert [(error.errno, error.filename) for error in errors] == [
            (errno.EIO, "/mounted/broken")
        ]
        with pytest.raises(OSError, match="Input/output error"):
            list(path.scan())

    private_mounts(inside)


def test_an_entry_without_a_type_asks_for_none_later(tmp_path: Path) -> None:
    """By then its directory's number may be that of another, whose file it would answer for."""
    (tmp_path / "mounted").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/name").touch()

    def inside() -> None:
        # What is_file(), is_dir() and is_symlink() take for vanished, and stat() does not.
        Untyped(tmp_path / "mounted", {b"name": [errno.ENOENT] * 3 + [errno.EACCES]})
        (kept,) = RootedPath(tmp_path, "mounted").scan()
        taken = [os.open(tmp_path / "other", os.O_RDONLY) for _ in range(10)]
        assert (kept.is_dir(), kept.is_file(), kept.is_symlink()) == (False, False, False)
        for fd in taken:
            os.close(fd)

    private_mounts(inside)


def test_another_thread_that_acts_keeps_the_directory_open(root: Path) -> None:
    """The loop goes on at any time: the entry answers for itself, or says that it is too late."""
    truth = {f"/{a}{c}/file" for a in "ab" for c in ("", "/c")}
    inodes = {os.lstat(f"{root}{path}").st_ino for path in truth}
    wrong: list[object] = []
    entries: list[Entry[RootedPath]] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            for entry in entries[-3:]:
                try:
                    with entry.open("rb") as file:
                        if file.read() != b"inside" or os.fstat(file.fileno()).st_ino not in inodes:
                            wrong.append(file)
                except ValueError:
                    continue

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(60):
            for entry in RootedPath(root).scan():
                if entry.is_file():
                    entries.append(entry)
            # Directories that would get the numbers of those that were closed.
            for fd in [os.open(root.parent / "outside/a", os.O_PATH) for _ in range(5)]:
                os.close(fd)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.usefixtures("no_leak")
def test_an_error_of_on_error_ends_the_scan(root: Path) -> None:
    def fail(error: OSError) -> None:
        raise KeyError(error.filename)

    with Root.at(root) as held, pytest.raises(KeyError, match="/missing"):
        list(RootedPath(held, "missing").scan(on_error=fail))
