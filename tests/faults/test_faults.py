"""Each system call of each operation fails in turn, in every way: no wrong answer, no leak."""

from __future__ import annotations

import errno
import gc
import os
import pathlib
import socket
import stat
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from faults.layer import Faults, faults
from helpers.forms import by_form
from helpers.seccomp import forbid
from helpers.support import open_descriptors, run_in_child
from procpath import Entry, Root, RootedPath, VerifiedProc

ERRNOS = [
    *(errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EACCES),
    *(errno.ESTALE, errno.ELOOP, errno.ENOSYS, errno.EPERM, errno.EAGAIN),
]

ONE_IN = by_form(4, 2, 1)

ANSWERS_NO_TO = {errno.EACCES, errno.ELOOP, errno.EPERM, errno.ENOSYS, errno.EAGAIN, errno.EINTR}
"""What is, or may be, about a path: `exists()` and its like say no, as pathlib's do."""

Operation = Callable[[RootedPath], Any]

READING: dict[str, Operation] = {
    "stat": lambda p: p.joinpath("to-f").stat().st_ino,
    "lstat": lambda p: stat.S_IFMT(p.joinpath("to-f").lstat().st_mode),
    "read_bytes": lambda p: p.joinpath("to-d/g").read_bytes(),
    "read_text": lambda p: p.joinpath("to-f").read_text(),
    "open": lambda p: closing_read(p.joinpath("f")),
    "iterdir": lambda p: sorted(map(str, p.iterdir())),
    "walk": lambda p: [(str(d), sorted(a), sorted(b)) for d, a, b in p.walk(on_error=reraise)],
    "scan": lambda p: sorted(map(scanned, p.scan())),
    "resolve": lambda p: str(p.joinpath("to-d/g").resolve(strict=True)),
    "readlink": lambda p: str(p.joinpath("to-f").readlink()),
    "samefile": lambda p: p.joinpath("to-f").samefile(p / "f"),
    "owner": lambda p: p.joinpath("f").owner(),
    "group": lambda p: p.joinpath("f").group(),
    "home": lambda p: str(p.home()),
    "trace": lambda p: raising_trace(p / "to-d/g"),
    "pin": lambda p: closing_pin(p / "f"),
    "connect": lambda p: p.joinpath("socket").connect().close(),
    "as_root": lambda p: closing_root(p / "d"),
}
ASKING: dict[str, Operation] = {
    "exists": lambda p: p.joinpath("to-f").exists(),
    "lexists": lambda p: p.joinpath("to-f").exists(follow_symlinks=False),
    "is_file": lambda p: p.joinpath("to-f").is_file(),
    "is_dir": lambda p: p.joinpath("to-d").is_dir(),
    "is_symlink": lambda p: p.joinpath("to-d").is_symlink(),
    "is_mount": lambda p: p.is_mount(),
    "info": lambda p: p.joinpath("to-d").info.is_dir(),
}
LENIENT: dict[str, Operation] = {
    "resolve leniently": lambda p: str(p.joinpath("to-d/none/x").resolve()),
    "glob": lambda p: sorted(map(str, p.glob("*/g"))),
    "rglob": lambda p: sorted(map(str, p.rglob("*"))),
}
WRITING: dict[str, Operation] = {
    "write_text": lambda p: p.joinpath("new").write_text("new text"),
    "touch": lambda p: p.joinpath("new").touch(),
    "mkdir": lambda p: p.joinpath("n/e/w").mkdir(parents=True),
    "unlink": lambda p: p.joinpath("to-f").unlink(),
    "rmdir": lambda p: p.joinpath("empty").rmdir(),
    "rename": lambda p: str(p.joinpath("f").rename("new")),
    "rename without replacing": lambda p: str(p.joinpath("f").rename("new", replace=False)),
    "exchange": lambda p: p.joinpath("f").exchange("d"),
    "symlink_to": lambda p: p.joinpath("new").symlink_to("f"),
    "hardlink_to": lambda p: p.joinpath("new").hardlink_to("f"),
    "chmod": lambda p: p.joinpath("to-f").chmod(0o600),
    "chown": lambda p: p.joinpath("to-f").chown(7, 8),
    "utime": lambda p: p.joinpath("to-f").utime(ns=(1, 2)),
    "copy": lambda p: str(p.joinpath("f").copy("new")),
    "copy a tree": lambda p: str(
        p.joinpath("d").copy("new", follow_symlinks=False, preserve_metadata=True)
    ),
    "copy files": lambda p: copy_all(p / "many", p / "new"),
    "copy files again": lambda p: copy_all(p / "many", p / "old"),
    "move": lambda p: str(p.joinpath("d").move("new")),
    "rmtree": lambda p: p.joinpath("d").rmtree(),
}


def copy_all(source: RootedPath, target: RootedPath) -> None:
    source.copy(target, follow_symlinks=False, preserve_metadata=True, dirs_exist_ok=True)


def reraise(error: OSError) -> None:
    raise error


def scanned(entry: Entry[RootedPath]) -> tuple[str, bool, int, bytes, str]:
    content = entry.read_bytes() if entry.is_file() else b""
    text = str(entry.readlink()) if entry.is_symlink() else ""
    return str(entry.path), entry.is_dir(), entry.stat().st_size, content, text


def raising_trace(path: RootedPath) -> list[str]:
    """A trace shows an error instead of raising it."""
    trace = path.trace()
    if trace.error is not None:
        raise trace.error
    return [step.kind for step in trace]


def closing_read(path: RootedPath) -> str:
    with path.open() as file:
        return file.read()


def closing_pin(path: RootedPath) -> int:
    with path.pin() as pinned:
        return os.fstat(pinned.fileno()).st_ino


def closing_root(path: RootedPath) -> list[str]:
    with path.as_root() as root:
        try:
            return sorted(map(str, RootedPath(root).iterdir()))
        except OSError as error:
            # What has failed in a closed root is kept by the frames of its traceback.
            raise error.with_traceback(None) from None


@pytest.fixture(params=["walk", "openat2"])
def resolver(request: pytest.FixtureRequest) -> Literal["walk", "openat2"]:
    found: Literal["walk", "openat2"] = request.param
    return found


@pytest.fixture(autouse=True)
def held_once_per_process() -> None:
    """Open what the first use of a procfs handle opens, so that no fault counts it as a leak."""
    proc = VerifiedProc.default()
    proc.self_fd().fileno()
    proc.self_fdinfo(0).close()


@pytest.fixture(autouse=True)
def quick_collections() -> Iterator[None]:
    """Each look at what is open collects garbage, and there are thousands: leave out what is
    there already.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A directory that every operation finds something in, and a socket that is listened at."""
    make_tree(tmp_path / "root")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "root/socket"))
        listener.listen(64)
        yield tmp_path / "root"


def make_tree(root: pathlib.Path) -> None:
    for name in ("d/e", "empty", "etc"):
        (root / name).mkdir(parents=True)
    for directory in ("many", "old"):
        (root / directory).mkdir()
    for name in "abc":
        (root / "many" / name).write_text(name)
        (root / "old" / name).write_text("old")
    (root / "f").write_text("f")
    (root / "d/g").write_text("g")
    (root / "d/to-g").symlink_to("g")
    (root / "to-f").symlink_to("/f")
    (root / "to-d").symlink_to("d")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")


def count_calls(operation: Operation, path: RootedPath) -> tuple[Any, list[str]]:
    operation(path)
    with faults(Faults()) as layer:
        answer = operation(path)
    return answer, layer.calls


@pytest.mark.parametrize("name", [*READING, *ASKING, *LENIENT])
def test_a_fault_while_reading_is_an_error_or_the_right_answer(
    place: pathlib.Path, resolver: Literal["walk", "openat2"], name: str
) -> None:
    operation = {**READING, **ASKING, **LENIENT}[name]
    with Root.at(place, resolver=resolver) as root:
        path = RootedPath(root)
        right, calls = count_calls(operation, path)
        assert calls
        before = open_descriptors()
        failed: list[OSError] = []
        for number in range(len(calls)):
            for code in ERRNOS:
                layer = Faults(number, code)
                try:
                    with faults(layer):
                        answer = operation(path)
                except OSError as error:
                    failed.append(error)
                else:
                    no = name in ASKING and answer is False and code in ANSWERS_NO_TO
                    passed_over = name in LENIENT and code in ANSWERS_NO_TO
                    assert answer == right or no or passed_over, (calls[number], code, answer)
        assert open_descriptors() == before
        assert all(error.errno for error in failed)
        for error in failed:
            notes = getattr(error, "__notes__", [])
            assert [note.startswith("in the root ") for note in notes].count(True) == 1


@pytest.mark.parametrize("name", WRITING)
def test_a_fault_while_writing_leaves_nothing(
    tmp_path: pathlib.Path, resolver: Literal["walk", "openat2"], name: str
) -> None:
    operation = WRITING[name]
    tried = iter(range(10**6))

    def fresh() -> pathlib.Path:
        directory = tmp_path / str(next(tried))
        make_tree(directory)
        return directory

    with Root.at(fresh(), resolver=resolver) as root:
        operation(RootedPath(root))
    with Root.at(fresh(), resolver=resolver) as root, faults(Faults()) as layer:
        operation(RootedPath(root))
    calls = layer.calls
    assert calls
    for number in range(len(calls)):
        # In the short forms not each errno at each call, but each at some.
        for code in ERRNOS[number % ONE_IN :: ONE_IN]:
            directory = fresh()
            before = open_descriptors()
            with Root.at(directory, resolver=resolver) as root:
                path = RootedPath(root)
                try:
                    with faults(Faults(number, code)):
                        operation(path)
                except OSError:
                    if name.startswith("copy"):
                        require_whole_or_absent(directory, name)
                else:
                    if name.startswith("copy"):
                        require_whole(directory, name)
            assert open_descriptors() == before, (calls[number], code)


def require_whole_or_absent(directory: pathlib.Path, name: str) -> None:
    """A file is there as a whole or not at all; of a tree entries may be missing."""
    new = directory / "new"
    if name.startswith("copy files"):
        for copied in (new, directory / "old"):
            for file in copied.iterdir() if copied.exists() else ():
                assert file.name in "abc"
                assert file.read_text() in (file.name, "old")
    elif name == "copy a tree" and new.exists():
        assert set(os.listdir(new)) <= {"e", "g", "to-g"}
        assert not (new / "g").exists() or (new / "g").read_text() == "g"
    elif os.path.lexists(new):
        require_whole(directory, name)


def require_whole(directory: pathlib.Path, name: str) -> None:
    if name == "copy":
        assert (directory / "new").read_text() == "f"
    elif name.startswith("copy files"):
        new = directory / ("old" if name.endswith("again") else "new")
        assert [file.read_text() for file in sorted(new.iterdir())] == ["a", "b", "c"]
    else:
        assert sorted(os.listdir(directory / "new")) == ["e", "g", "to-g"]
        assert (directory / "new/g").read_text() == "g"
        assert os.readlink(directory / "new/to-g") == "g"


FILTERED = ["openat2", "statx", "fsopen", "open_tree", "pidfd_open"]


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM], ids=["ENOSYS", "EPERM"])
@pytest.mark.parametrize("calls", [*[[call] for call in FILTERED], FILTERED], ids="+".join)
def test_a_forbidden_call_changes_no_answer(
    place: pathlib.Path, calls: list[str], code: int
) -> None:
    def answers() -> dict[str, Any]:
        with Root.at(place) as root:
            path = RootedPath(root)
            found = {
                name: operation(path)
                for name, operation in {**READING, **ASKING, **LENIENT}.items()
            }
        with Root.of_process(os.getppid()) as root:
            found["of_process"] = RootedPath(root, str(place), "to-d/g").exists()
            found["of_process, inside"] = RootedPath(root, str(place), "d/g").read_text()
        return found

    def filtered() -> tuple[dict[str, Any], str, bool]:
        forbid(dict.fromkeys(calls, code))
        found = answers()
        before = open_descriptors()
        answers()
        return found, VerifiedProc.default().source, open_descriptors() == before

    right = run_in_child(answers)
    found, source, kept = run_in_child(filtered)
    assert found == right
    assert kept
    if calls == FILTERED:
        assert source == "mounted"
