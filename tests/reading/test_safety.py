"""What holds beyond the right answer: refusals, descriptors, threads, forks, and hostile sizes.

A path of a root is refused wherever the host's own functions would take it for theirs; bad input
gets the error that says so; nothing leaks, nothing takes for ever, and no answer comes from
outside.
"""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, Literal

import pytest

from attackers.engine import in_a_new_place
from attackers.operations import READINGS
from attackers.scene import build
from helpers.processes import become_user, living
from helpers.support import open_descriptors, run_in_child
from procpath import (
    ClosedRootError,
    PinnedPath,
    ProcessGoneError,
    Root,
    RootedPath,
    VerifiedProc,
)

Resolver = Literal["walk", "openat2"]

DEPTH = 2000


@pytest.fixture(params=["walk", "openat2"])
def resolver(request: pytest.FixtureRequest) -> Resolver:
    chosen: Resolver = request.param
    return chosen


@pytest.fixture
def rooted(tmp_path: Path, resolver: Resolver) -> Iterator[RootedPath]:
    """A root with a file, a directory and a link in it."""
    (tmp_path / "root/directory").mkdir(parents=True)
    (tmp_path / "root/file").write_text("content")
    (tmp_path / "root/link").symlink_to("/file")
    (tmp_path / "beside the root").write_text("of the host")
    with Root.at(tmp_path / "root", resolver=resolver) as root:
        yield RootedPath(root)


# Refused by the host's functions

HOST_FUNCTIONS: dict[str, Callable[[Any], object]] = {
    "open": open,
    "os.open": lambda path: os.open(path, os.O_RDONLY),
    "os.stat": os.stat,
    "os.listdir": os.listdir,
    "os.fspath": os.fspath,
    "os.path.join": lambda path: os.path.join(path, "x"),
    "os.path.exists": os.path.exists,
    "os.remove": os.remove,
    "shutil.copy": lambda path: shutil.copy(path, "/nowhere"),
    "shutil.rmtree": shutil.rmtree,
    "os.fsencode": os.fsencode,
    "Path": Path,
}


@pytest.mark.parametrize("function", HOST_FUNCTIONS)
def test_functions_of_the_host_refuse_a_rooted_path(rooted: RootedPath, function: str) -> None:
    path = rooted / "file"
    with pytest.raises(TypeError):
        HOST_FUNCTIONS[function](path)
    assert path.read_text() == "content"


def test_a_rooted_path_is_no_path_of_the_host(rooted: RootedPath) -> None:
    assert not isinstance(rooted, os.PathLike)
    assert not issubclass(RootedPath, os.PathLike)
    assert not hasattr(rooted, "__fspath__")
    assert not issubclass(RootedPath, PurePath)
    assert not issubclass(RootedPath.bind(rooted.root_handle), os.PathLike)
    assert issubclass(PinnedPath, os.PathLike)


# Bad input


@pytest.mark.parametrize("pid", [-1, 0, True, False, -(2**70)])
def test_what_can_be_no_pid_is_a_value_error(pid: int) -> None:
    for make in (RootedPath, RootedPath.bind, Root.of_process):
        with pytest.raises(ValueError):
            make(pid)


@pytest.mark.parametrize("root", [1.5, None, b"/", object(), ["/"], RootedPath("/")])
def test_what_can_be_no_root_is_a_type_error(root: Any) -> None:
    for make in (RootedPath, RootedPath.bind):
        with pytest.raises(TypeError):
            make(root)


@pytest.mark.parametrize("segment", [1, None, b"etc", object(), 1.5])
def test_what_can_be_no_segment_is_a_type_error(rooted: RootedPath, segment: Any) -> None:
    for join in (
        lambda: rooted / segment,
        lambda: segment / rooted,
        lambda: rooted.joinpath("x", segment),
        lambda: RootedPath(rooted.root_handle, segment),
        lambda: rooted.relative_to(segment),
        lambda: rooted.samefile(segment),
        lambda: rooted.rename(segment),
    ):
        with pytest.raises(TypeError):
            join()


@pytest.mark.parametrize(
    "options",
    [
        {"resolver": "kernel"},
        {"on_escape": "ignore"},
        {"special_files": None},
    ],
    ids=str,
)
def test_an_unknown_choice_is_a_value_error(tmp_path: Path, no_leak: None, options: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Root.at(tmp_path, **options)


@pytest.mark.parametrize("options", [{"symlinks": 1}, {"cross_mounts": "no"}, {"follow": True}])
def test_an_option_of_the_wrong_type_is_a_type_error(
    tmp_path: Path, no_leak: None, options: Any
) -> None:
    with pytest.raises(TypeError, match=next(iter(options))):
        Root.at(tmp_path, **options)


def test_a_host_path_that_is_no_directory_is_refused(tmp_path: Path, no_leak: None) -> None:
    (tmp_path / "file").touch()
    for make in (RootedPath, RootedPath.bind, Root.at):
        with pytest.raises(NotADirectoryError) as raised:
            make(tmp_path / "file")
        assert raised.value.filename == str(tmp_path / "file")
        with pytest.raises(FileNotFoundError):
            make(str(tmp_path / "nothing"))
        with pytest.raises(ValueError):
            make(f"{tmp_path}\0")
    with open(tmp_path / "file") as file, pytest.raises(NotADirectoryError):
        Root.from_fd(file.fileno())


def test_no_such_process_is_named(no_leak: None) -> None:
    with living() as pid:
        pass
    for make in (RootedPath, RootedPath.bind, Root.of_process):
        with pytest.raises(ProcessGoneError) as raised:
            make(pid)
        assert raised.value.pid == pid
        assert str(pid) in str(raised.value)
    with pytest.raises(ProcessLookupError):
        RootedPath(2**40)


def test_an_untraceable_process_names_the_right() -> None:
    def as_somebody_else(pid: int) -> str:
        become_user(65534)
        before = open_descriptors()
        with pytest.raises(PermissionError) as raised:
            RootedPath(pid)
        with pytest.raises(PermissionError):
            Root.of_process(pid)
        assert len(open_descriptors()) <= len(before) + 2  # what procfs needs is opened once
        return str(raised.value)

    with living() as pid:
        message = run_in_child(as_somebody_else, pid)
    assert f"process {pid}" in message
    assert "CAP_SYS_PTRACE" in message


def test_paths_of_two_roots_do_not_mix(rooted: RootedPath, tmp_path: Path) -> None:
    with Root.at(tmp_path) as another:
        other = RootedPath(another, "beside the root")
        for mix in (
            lambda: rooted / other,
            lambda: rooted.joinpath("x", other),
            lambda: (rooted / "file").rename(other),
            lambda: (rooted / "file").replace(other),
            lambda: (rooted / "file").exchange(other),
            lambda: (rooted / "new").hardlink_to(other),
        ):
            with pytest.raises(ValueError, match="root"):
                mix()
        with pytest.raises(ValueError):
            rooted.relative_to(other)
        with pytest.raises(TypeError):
            assert rooted < other
        assert rooted != other
        assert not other.is_relative_to(rooted)
        assert other.read_text() == "of the host"


NO_BYTES: dict[str, Callable[[RootedPath], object]] = {
    "stat": lambda path: path.stat(),
    "lstat": lambda path: path.lstat(),
    "open": lambda path: path.open(),
    "open to write": lambda path: path.open("w"),
    "read_bytes": lambda path: path.read_bytes(),
    "read_text": lambda path: path.read_text(),
    "iterdir": lambda path: list(path.iterdir()),
    "readlink": lambda path: path.readlink(),
    "resolve": lambda path: path.resolve(strict=True),
    "as_root": lambda path: path.as_root(),
    "pin": lambda path: path.pin(),
    "connect": lambda path: path.connect(),
    "write_bytes": lambda path: path.write_bytes(b""),
    "touch": lambda path: path.touch(),
    "mkdir": lambda path: path.mkdir(parents=True),
    "unlink": lambda path: path.unlink(missing_ok=True),
    "rmdir": lambda path: path.rmdir(),
    "symlink_to": lambda path: path.symlink_to("file"),
    "rename": lambda path: path.rename("new"),
    "chmod": lambda path: path.chmod(0o600),
    "Root.open": lambda path: path.root_handle.open(str(path), os.O_PATH),
    "Root.beneath": lambda path: path.root_handle.beneath(str(path)),
}


@pytest.mark.parametrize("operation", NO_BYTES)
def test_a_nul_byte_is_a_value_error(rooted: RootedPath, no_leak: None, operation: str) -> None:
    for text in ("file\0", "file\0/x", "\0", "directory\0/../../beside the root"):
        with pytest.raises(ValueError, match="null"):
            NO_BYTES[operation](rooted / text)


def test_nothing_has_a_name_with_a_nul_byte(rooted: RootedPath) -> None:
    path = rooted / "file\0"
    assert not path.exists()
    assert not path.is_file()
    assert not path.is_symlink()
    assert not path.is_mount()
    assert not path.info.exists()
    assert list(rooted.glob("file\0")) == []
    assert list(rooted.glob("*/../file\0")) == []
    assert list(rooted.rglob("file\0x")) == []


CLOSED: dict[str, Callable[[RootedPath], object]] = {
    **{name: operation for name, operation in NO_BYTES.items() if name != "Root.beneath"},
    "exists": lambda path: path.exists(),
    "is_dir": lambda path: path.is_dir(),
    "is_symlink": lambda path: path.is_symlink(),
    "is_mount": lambda path: path.is_mount(),
    "info": lambda path: path.info.exists(),
    "lenient resolve": lambda path: path.resolve(),
    "trace": lambda path: path.trace(),
    "glob": lambda path: list(path.glob("*")),
    "rglob": lambda path: list(path.rglob("x")),
    "walk": lambda path: list(path.walk()),
    "owner": lambda path: path.owner(),
    "home": lambda path: path.home(),
    "samefile": lambda path: path.samefile("/"),
    "Root.fileno": lambda path: path.root_handle.fileno(),
    "with Root": lambda path: path.root_handle.__enter__(),
    "RootedPath": lambda path: RootedPath(path.root_handle),
    "bind": lambda path: RootedPath.bind(path.root_handle),
}


@pytest.mark.parametrize("operation", CLOSED)
def test_a_closed_root_says_so(rooted: RootedPath, operation: str) -> None:
    rooted.root_handle.close()
    # Its number may be a directory of the host now; nobody looks there.
    reused = os.open("/", os.O_PATH)
    try:
        for path in (rooted, rooted / "file"):
            with pytest.raises(ClosedRootError, match="closed"):
                CLOSED[operation](path)
    finally:
        os.close(reused)


@pytest.mark.parametrize("make", ["walk", "glob", "rglob"])
def test_a_root_closed_while_it_is_walked_says_so(
    tmp_path: Path, resolver: Resolver, make: str
) -> None:
    (tmp_path / "a/b/c/d").mkdir(parents=True)
    root = Root.at(tmp_path, resolver=resolver)
    path = RootedPath(root)
    started: dict[str, Iterator[object]] = {
        "walk": path.walk(follow_symlinks=True),
        "glob": path.glob("*/b/*/d"),
        "rglob": path.rglob("*", recurse_symlinks=True),
    }
    running = started[make]
    if make != "glob":
        next(running)
    root.close()
    with pytest.raises(ClosedRootError):
        list(running)


# Descriptors

FAILING: dict[str, tuple[int, Callable[[RootedPath], object]]] = {
    "missing": (30_000, lambda path: (path / "nothing").stat()),
    "in a file": (20_000, lambda path: (path / "file/x").read_bytes()),
    "loop": (4_000, lambda path: (path / "loop").stat()),
    "no link": (10_000, lambda path: (path / "file").readlink()),
    "is a directory": (10_000, lambda path: (path / "directory").read_bytes()),
    "no directory": (10_000, lambda path: (path / "file").iterdir()),
    "not to be made": (5_000, lambda path: (path / "directory").mkdir()),
    "not to be removed": (5_000, lambda path: (path / "directory").unlink()),
    "not to be renamed": (3_000, lambda path: (path / "nothing").rename("new")),
    "no root": (2_000, lambda path: (path / "link").as_root()),
    "no pin": (500, lambda path: (path / "nothing").pin()),
    "no socket": (200, lambda path: (path / "file").connect()),
    "no copy": (300, lambda path: (path / "file").copy("directory")),
    "no process": (1_000, lambda path: RootedPath(2**22 + 1)),
}


@pytest.mark.slow
def test_100000_failing_calls_leak_no_descriptor(rooted: RootedPath, no_leak: None) -> None:
    (rooted / "loop").symlink_to("loop")
    assert sum(times for times, _ in FAILING.values()) > 100_000
    for what, (times, fail) in FAILING.items():
        before = open_descriptors()
        for _ in range(times):
            try:
                fail(rooted)
            except OSError:
                continue
            raise AssertionError(f"{what} did not fail")
        assert open_descriptors() == before, what


def _inheritable(but_for: set[int]) -> set[int]:
    """Descriptors that a program started now would get."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            flags = fcntl.fcntl(int(name), fcntl.F_GETFD)
        except OSError:
            continue
        if not flags & fcntl.FD_CLOEXEC:
            found.add(int(name))
    return found - but_for


@pytest.mark.parametrize("operation", READINGS)
def test_every_descriptor_is_close_on_exec_at_every_moment(
    resolver: Resolver, operation: str
) -> None:
    """Looked at whenever a function in C returns, also in threads that the operation starts."""

    def inside(base: str) -> tuple[set[str], int]:
        scene = build(base)
        ours = _inheritable(set())
        found: set[str] = set()
        looks = 0

        def look(frame: Any, event: str, argument: object) -> None:
            nonlocal looks
            if event == "c_return":
                looks += 1
                for fd in _inheritable(ours):
                    found.add(f"{fd} after {argument}")

        with Root.at(scene.root, resolver=resolver) as root:
            threading.setprofile(look)
            sys.setprofile(look)
            try:
                READINGS[operation].ask(RootedPath(root, "work/dir"), scene)
            finally:
                sys.setprofile(None)
                threading.setprofile(None)
        return found, looks

    found, looks = in_a_new_place(inside)
    assert found == set()
    assert looks > 0


# Threads and forks


def test_one_root_serves_many_threads(rooted: RootedPath) -> None:
    names = [f"file-{number}" for number in range(8)]
    for name in names:
        (rooted / "directory" / name).write_text(name)
        (rooted / f"to-{name}").symlink_to(f"/directory/../directory/{name}")
    wrong: list[object] = []
    barrier = threading.Barrier(len(names))

    def work(name: str) -> None:
        barrier.wait()
        try:
            for _ in range(150):
                link = rooted / f"to-{name}"
                assert link.read_text() == name
                assert link.resolve() == rooted / "directory" / name
                assert [
                    path.name for path in rooted.glob(f"directory/{name[:-1]}[{name[-1]}]")
                ] == [name]
                assert {path.name for path in (rooted / "directory").iterdir()} == set(names)
                assert not (rooted / name).exists()
        except BaseException as error:
            wrong.append(error)

    before = open_descriptors()
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert open_descriptors() == before


def test_a_root_is_valid_in_a_forked_child(rooted: RootedPath, resolver: Resolver) -> None:
    careful = Root.at("/", resolver=resolver, special_files="refuse")
    before = rooted.stat(), (rooted / "link").read_text()
    with careful:
        # Through this process's own descriptors in procfs, which are the parent's no more.
        careful_path = RootedPath(careful, "etc/hostname")
        content = careful_path.read_text()

        def in_the_child() -> tuple[object, ...]:
            (rooted / "made").write_text("by the child")
            (rooted / "made").chmod(0o640)
            with (rooted / "link").pin() as pinned:
                through_pin = Path(pinned).read_text()
            return (
                rooted.stat().st_ino,
                (rooted / "link").read_text(),
                through_pin,
                careful_path.read_text(),
            )

        found = run_in_child(in_the_child)
    assert found == (before[0].st_ino, before[1], "content", content)
    assert stat.S_IMODE((rooted / "made").stat().st_mode) == 0o640
    assert (rooted / "link").read_text() == "content"


# Hostile sizes


def _chain(top: str | Path, name: str, depth: int) -> None:
    """Directories in directories, too deep for a path of the host; ``file`` is in the last."""
    fd = _deeper(os.open(top, os.O_PATH), name, depth)
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def _deeper(fd: int, name: str, depth: int) -> int:
    """Directories in directories from ``fd`` on, which is closed; the last one."""
    for _ in range(depth):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_PATH, dir_fd=fd)
        os.close(fd)
        fd = below
    return fd


DEEP: dict[str, Callable[[RootedPath], object]] = {
    "stat": lambda deep: (deep / "file").stat(),
    "there and back": lambda deep: (
        deep / ("../" * (DEPTH - 1)) / ("d/" * DEPTH)[2:] / "file"
    ).stat(),
    "read_bytes": lambda deep: (deep / "file").read_bytes(),
    "resolve": lambda deep: (deep / "file/../x").resolve(),
    "strictly": lambda deep: (deep / "file").resolve(strict=True),
    "iterdir": lambda deep: list(deep.iterdir()),
    "glob": lambda deep: list(deep.glob("*")),
    "rglob": lambda deep: sum(1 for _ in deep.with_segments("/").rglob("*")),
    "walk": lambda deep: sum(1 for _ in deep.with_segments("/").walk()),
    "walk up": lambda deep: sum(1 for _ in deep.with_segments("/").walk(top_down=False)),
    "trace": lambda deep: len((deep / "file").trace()),
    "mkdir": lambda deep: (deep / "x/y/z").mkdir(parents=True),
    "write": lambda deep: (deep / "new").write_text("x"),
    "rename": lambda deep: (deep / "file").rename(deep / "renamed"),
    "copy": lambda deep: deep.with_segments("/d").copy("/copy"),
    "rmtree": lambda deep: deep.with_segments("/d").rmtree(),
}


@pytest.mark.parametrize("operation", DEEP)
def test_2000_components_need_no_more_than_64_descriptors(
    resolver: Resolver, operation: str
) -> None:
    def inside(base: str) -> None:
        _chain(base, "d", DEPTH)
        with Root.at(base, resolver=resolver) as root:
            deep = RootedPath(root, "d/" * DEPTH)
            # What is held once per process does not count.
            VerifiedProc.default().self_fd().fileno()
            deep.pin().close()
            highest = max(open_descriptors())
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + 64,) * 2)
            DEEP[operation](deep)

    in_a_new_place(inside)


@pytest.mark.parametrize("chosen", ["walk", "openat2", "auto"])
def test_paths_longer_than_the_kernel_takes_work(tmp_path: Path, chosen: Any) -> None:
    name, depth = "n" * 60, 200
    _chain(tmp_path, name, depth)
    with Root.at(tmp_path, resolver=chosen) as root:
        deep = RootedPath(root, *[name] * depth)
        assert len(str(deep)) > 2 * 4096
        assert (deep / "file").read_text() == ""
        assert (deep / "file").resolve(strict=True) == deep / "file"
        assert [path.name for path in deep.iterdir()] == ["file"]
        assert list(RootedPath(root).rglob("file")) == [deep / "file"]
        (deep / "below/it").mkdir(parents=True)
        (deep / "below/it/link").symlink_to("/" + name)
        assert (deep / "below/it/link" / name / "..").resolve() == RootedPath(root, name)
        assert not (deep / "nothing/there").exists()
        with pytest.raises(NotADirectoryError):
            (deep / "file/x").stat()
        with pytest.raises(OSError, match="File name too long"):
            (deep / ("n" * 256)).stat()
        with (deep / "below").as_root() as below:
            assert [str(path) for path in RootedPath(below).rglob("*")] == ["/it", "/it/link"]


@pytest.mark.slow
def test_links_that_stretch_a_path_are_bounded(resolver: Resolver) -> None:
    """40 links, as many as Linux follows, each 500 directories further down."""
    step, links = 500, 40
    ways: dict[str, Callable[[RootedPath], object]] = {
        "strict": lambda path: path.root_handle.walker.try_find(os.fsencode(str(path))),
        "lenient": lambda path: path.resolve(),
        "trace": lambda path: path.trace(),
    }

    def inside(base: str) -> dict[str, float]:
        fd = os.open(base, os.O_PATH)
        for number in range(links):
            text = "d/" * step + ("link" if number < links - 1 else "nothing")
            os.symlink(text, "link", dir_fd=fd)
            fd = _deeper(fd, "d", step)
        os.close(fd)
        with Root.at(base, resolver=resolver) as root:
            path = RootedPath(root, "link")
            assert str(path.resolve()) == "/d" * (step * links) + "/nothing"
            trace = path.trace()
            assert len(trace) + trace.omitted > step * links
            assert sum(len(each.directory) for each in trace) < 64 << 20
            return {way: _seconds(partial(ask, path)) for way, ask in ways.items()}

    seconds = in_a_new_place(inside)
    assert seconds["lenient"] < 10 * seconds["strict"]
    assert seconds["trace"] < 10 * seconds["strict"]


def _seconds(work: Callable[[], object]) -> float:
    """How much time of the processor it takes."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def test_names_made_for_it_cannot_make_a_pattern_take_for_ever(rooted: RootedPath) -> None:
    (rooted / ("-" * 255)).touch()

    def match() -> None:
        assert list(rooted.glob("*-*-*-*.x")) == []
        assert list(rooted.glob("**/*-*-*-*.x", recurse_symlinks=True)) == []
        assert not (rooted / ("-/" * 120)).full_match("**/-/**/-/**/x")

    assert _seconds(match) < 0.3


def test_an_account_file_made_for_it_only_lacks_its_own_lines(rooted: RootedPath) -> None:
    (rooted / "etc").mkdir()
    (rooted / "etc/passwd").write_text(
        f"digits:x:{'9' * 5000}:0::/:\nindic:x:\u0660:0::/:\nmany::::::::::\n\0\n"
        f"me:x:{os.getuid()}:0::/home/me:/bin/sh\n"
    )
    (rooted / "etc/group").write_text(f"digits:x:{'9' * 5000}:\nus:x:{os.getgid()}:\n")
    assert (rooted / "file").owner() == "me"
    assert (rooted / "file").group() == "us"
    assert str(rooted.home()) == "/home/me"


@pytest.mark.parametrize("kind", ["fifo", "endless", "directory", "/dev/zero"])
def test_an_account_file_that_is_none_is_not_read(rooted: RootedPath, kind: str) -> None:
    (rooted / "etc").mkdir()
    passwd = Path(str(rooted.root_handle.origin), "etc/passwd")
    if kind == "fifo":
        os.mkfifo(passwd)
    elif kind == "endless":
        passwd.touch()
        os.truncate(passwd, 1 << 43)
    elif kind == "directory":
        passwd.mkdir()
    else:
        os.mknod(passwd, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    with pytest.raises((OSError, KeyError)):
        (rooted / "file").owner()


@pytest.mark.parametrize(
    "name", ["..", "../..", "directory/../..", ".", "", "/..", "link/..", "./../.", "x\0/.."]
)
def test_no_name_put_into_a_walk_leads_outside(rooted: RootedPath, name: str) -> None:
    """``walk()`` lets its caller say where to go on; the words may come from anywhere."""
    (rooted / "directory/below").mkdir()
    for top in (rooted, rooted / "directory", rooted / "directory/below"):
        for follow_symlinks in (False, True):
            walk = top.walk(follow_symlinks=follow_symlinks)
            _, dirnames, _ = next(walk)
            dirnames[:] = [name]
            # In what such names lead to there may be directories again, so this may not end.
            seen = set[str]()
            try:
                for _, _, filenames in islice(walk, 20):
                    seen |= set(filenames)
            except ValueError:
                assert "\0" in name
            assert seen <= {"file", "link"}


def test_out_of_descriptors_is_an_error_and_no_answer(rooted: RootedPath) -> None:
    def inside() -> None:
        # What is held once per process.
        (rooted / "file").resolve()
        (rooted / "file").exists()
        entry = next(iter((rooted / "directory").parent.iterdir()))
        highest = max(open_descriptors())
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        taken = []
        try:
            while True:
                taken.append(os.open("/", os.O_PATH))
        except OSError:
            pass
        for ask in (
            lambda: (rooted / "file").exists(),
            lambda: (rooted / "file").is_file(),
            lambda: (rooted / "link").is_symlink(),
            lambda: rooted.is_mount() or (rooted / "directory").is_mount(),
            lambda: (rooted / "link").info.is_file(),
            lambda: list(rooted.glob("*/x")),
            lambda: list(rooted.glob("**/file")),
            lambda: list(rooted.rglob("*")),
            lambda: list(rooted.rglob("*", recurse_symlinks=True)),
            lambda: (rooted / "nothing/x").resolve(),
            lambda: rooted.owner(),
        ):
            with pytest.raises(OSError, match="Too many open files"):
                ask()
        assert entry.info.exists()

    run_in_child(inside)


# Signals


def test_a_signal_handler_may_use_the_library(rooted: RootedPath) -> None:
    """Handlers run between a system call and the look at its errno."""
    handled = 0

    def handle(number: int, frame: object) -> None:
        nonlocal handled
        handled += 1
        assert not (rooted / "file/x").exists()
        with pytest.raises(IsADirectoryError):
            (rooted / "directory").read_bytes()
        # Not a timer that repeats: on a slow machine handlers would pile up in handlers.
        signal.setitimer(signal.ITIMER_REAL, 0.0002)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0002)
    try:
        end = time.monotonic() + 30
        while handled < 3000 and time.monotonic() < end:
            with pytest.raises(FileNotFoundError):
                (rooted / "nothing").stat()
            assert (rooted / "link").read_bytes() == b"content"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled >= 3000
