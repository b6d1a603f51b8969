"""A table of paths and flags: a chrooted process, the walker and openat2 give the same answers."""

from __future__ import annotations

import os
import pathlib
import stat
from collections.abc import Callable
from errno import EEXIST, EISDIR, ELOOP, ENOENT, ENOTDIR, ENXIO
from functools import cache
from typing import Any, Literal

import pytest

from helpers.support import chrooted, open_descriptors
from procpath import Root, VerifiedProc

DEPTH = 45
"""more directories than the walker holds open"""

FLAGS = {
    "O_PATH": os.O_PATH,
    "O_PATH|O_NOFOLLOW": os.O_PATH | os.O_NOFOLLOW,
    "O_PATH|O_DIRECTORY": os.O_PATH | os.O_DIRECTORY,
    "O_RDONLY": os.O_RDONLY | os.O_NONBLOCK,
    "O_RDONLY|O_NOFOLLOW": os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK,
    "O_DIRECTORY": os.O_RDONLY | os.O_DIRECTORY,
    "O_DIRECTORY|O_NOFOLLOW": os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW,
    "O_RDWR": os.O_RDWR | os.O_NONBLOCK,
    "O_CREAT": os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK,
    "O_CREAT|O_EXCL": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    "O_CREAT|O_NOFOLLOW": os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK,
    "O_CREAT|O_DIRECTORY": os.O_CREAT | os.O_DIRECTORY,
    "O_TMPFILE": os.O_RDWR | os.O_TMPFILE,
}

DEEP = "/".join(["d"] * DEPTH)

PATHS = [
    *("", "/", ".", "..", "./", "../", "//", "/.", "/..", "/../..", "a", "/a", "a/", "a//", "a/."),
    *("a/..", "a/../", "a/../..", "a/../../a/f", "a/f", "a/f/", "a/f/.", "a/f/..", "a/f/x"),
    *("none", "none/", "none/.", "none/..", "none/x", "a/none", "a/none/", "a/./none", "a/b/none"),
    *("to-a", "to-a/", "to-a/.", "to-a/..", "to-a/f", "to-a/f/", "to-a/../a/f", "/to-a/b/../f"),
    *("absolute", "absolute/", "absolute/f", "absolute/../a/f", "absolute/none", "climbing"),
    *("climbing/", "climbing/f", "climbing/..", "climbing/../..", "to-root", "to-root/", "to-dot"),
    *("to-root/a/f", "to-root/..", "to-root/../a", "to-dot/a/f", "to-dotdot", "to-dotdot/a/f"),
    *("to-file", "to-file/", "to-file/.", "to-file/..", "to-file/x", "to-slash", "to-slash/"),
    *("to-slash/f", "to-file-slash", "to-file-slash/", "dangling", "dangling/", "dangling/.."),
    *(
        "dangling-in-a",
        "dangling-slash",
        "dangling-deep",
        "loop",
        "loop/",
        "loop/x",
        "loop/..",
        "two1",
    ),
    *(
        "chain39",
        "chain40",
        "chain41",
        "chain39/f",
        "chain40/f",
        "chain20/../chain20/f",
        "a/to-b/g",
    ),
    *("chain20/../chain21/f", "a/to-b/../f", "a/to-b/../to-b/g", "fifo", "fifo/", "fifo/x"),
    *("n" * 255, "n" * 256, "a/" + "n" * 256, "n" * 256 + "/", "to-" + "n" * 252, "x" * 4095),
    *("./" * 2000 + "a", "a/../" * 800 + "a/f", DEEP, DEEP + "/..", DEEP + "/f", DEEP + "/to-top"),
    *(DEEP + "/.." * (DEPTH - 1), DEEP + "/.." * DEPTH, DEEP + "/.." * (DEPTH + 3) + "/a/f"),
    *(DEEP + "/.." * 40 + "/d" * 40 + "/f", DEEP + "/to-top/f", DEEP + "/up20/f", "\udcff\udcfe"),
    *("o/\udcff\udcfe", "o/ ", "o/\n", "o/\\", "o/...", "o/..\udcff", "o/-", "\t"),
]

Answer = tuple[str, int]
Asked = Callable[..., dict[tuple[str, str], Answer]]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A directory with every kind of link, and things outside it that a mistake would find."""
    outside = tmp_path_factory.mktemp("outside")
    for name in ("f", "a", "x", "b"):
        (outside / name).mkdir()
    root = outside / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/f").write_text("a/f")
    (root / "f").write_text("f")
    (root / "a/b/g").write_text("g")
    deep = root / DEEP
    deep.mkdir(parents=True)
    (deep / "f").write_text("deep")
    os.mkfifo(root / "fifo")
    (root / "o").mkdir()
    for name in ("\udcff\udcfe", " ", "\n", "\\", "...", "..\udcff", "-"):
        (root / "o" / name).write_text(ascii(name))
    links = {
        "to-a": "a",
        "absolute": "/a",
        "climbing": "../../../../../a",
        "to-root": "/",
        "to-dot": ".",
        "to-dotdot": "..",
        "to-file": "a/f",
        "to-slash": "a/",
        "to-file-slash": "a/f/",
        "dangling": "none",
        "dangling-in-a": "a/new",
        "dangling-slash": "none/",
        "dangling-deep": "none/none",
        "loop": "loop",
        "two1": "two2",
        "two2": "two1",
        "a/to-b": "b",
        "chain0": "a",
        DEEP + "/to-top": "/",
        DEEP + "/up20": "../" * 20 + "d/" * 20,
    }
    links |= {f"chain{n}": f"chain{n - 1}" for n in range(1, 42)}
    for name, target in links.items():
        (root / name).symlink_to(target)
    return root


def answers(
    open_: Literal["os"] | Root, paths: list[str], directory: int
) -> dict[tuple[str, str], Answer]:
    """What each path with each flags opens: an object or an errno; what it creates is removed."""
    before = names_in(directory)
    found = {
        (path, name): answer(open_, path, flags, directory)
        for path in paths
        for name, flags in FLAGS.items()
    }
    assert names_in(directory) == before
    return found


def answer(open_: Literal["os"] | Root, path: str, flags: int, directory: int) -> Answer:
    first = attempt(open_, path, flags, directory)
    # The kernel counts links again when a rename elsewhere makes it start again, so that more
    # than 20 are ELOOP now and then (fs/namei.c); a real loop is one each time.
    for _ in range(5):
        if first != ("errno", ELOOP):
            break
        first = attempt(open_, path, flags, directory)
    return first


def attempt(open_: Literal["os"] | Root, path: str, flags: int, directory: int) -> Answer:
    before = names_in(directory) if flags & os.O_CREAT else None
    try:
        opener = os.open if open_ == "os" else open_.open
        fd = opener(path, flags, 0o600)
    except OSError as error:
        return "errno" if error.filename == path else f"misnamed {error.filename}", error.errno or 0
    try:
        status = os.fstat(fd)
        assert not os.get_inheritable(fd)
        if before is not None and (created := names_in(directory) - before):
            [(place, name)] = created
            os.unlink(f"{place}/{name}", dir_fd=directory)
            return f"created {place}/{name}", 0
        if status.st_nlink == 0 and stat.S_ISREG(status.st_mode):
            return "unnamed", 0
        return f"{status.st_dev}:{status.st_mode}", status.st_ino
    finally:
        os.close(fd)


def names_in(directory: int) -> set[tuple[str, str]]:
    """The names in the places where something may be created."""
    return {(place, name) for place in (".", "a", "a/b", "o") for name in listed(directory, place)}


def listed(directory: int, place: str) -> list[str]:
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


@pytest.fixture(scope="module")
def truth(tree: pathlib.Path) -> dict[tuple[str, str], Answer]:
    def ask() -> dict[tuple[str, str], Answer]:
        return answers("os", PATHS, os.open("/", os.O_RDONLY))

    return chrooted(tree, ask)


@pytest.fixture(params=["walk", "openat2"])
def resolver(request: pytest.FixtureRequest) -> Literal["walk", "openat2"]:
    found: Literal["walk", "openat2"] = request.param
    return found


@pytest.fixture(scope="module")
def answers_of(tree: pathlib.Path) -> Asked:
    """What a root with these options answers, asked once."""

    @cache
    def ask(**options: Any) -> dict[tuple[str, str], Answer]:
        VerifiedProc.default().self_fd().fileno()
        before = open_descriptors()
        directory = os.open(tree, os.O_RDONLY)
        with Root.at(tree, **options) as root:
            found = answers(root, PATHS, directory)
        os.close(directory)
        assert open_descriptors() == before
        return found

    return ask


def test_the_resolvers_say_what_a_chrooted_process_says(
    truth: dict[tuple[str, str], Answer],
    answers_of: Asked,
    resolver: Literal["walk", "openat2"],
) -> None:
    said = answers_of(resolver=resolver, special_files="allow")
    differing = {key: (said[key], truth[key]) for key in truth if said[key] != truth[key]}
    # Where the kernel takes no longer path, the walker goes on (design, section 5).
    assert differing == {}


def test_refusing_special_files_changes_no_other_answer(
    truth: dict[tuple[str, str], Answer],
    answers_of: Asked,
    resolver: Literal["walk", "openat2"],
) -> None:
    said = answers_of(resolver=resolver)
    refused = {key for key in truth if said[key] != truth[key]}
    assert refused == {("fifo", how) for how in ("O_RDONLY", "O_RDONLY|O_NOFOLLOW", "O_RDWR")}
    assert {said[key] for key in refused} == {("errno", ENXIO)}


def test_the_table_holds_every_kind_of_answer(truth: dict[tuple[str, str], Answer]) -> None:
    errors = {number for kind, number in truth.values() if kind == "errno"}
    assert {ENOENT, ENOTDIR, ELOOP, EISDIR, EEXIST} <= errors
    assert sum(kind.startswith("created") for kind, _ in truth.values()) > 10
    assert truth["chain39", "O_PATH"][0] != "errno"
    assert truth["chain40", "O_PATH"] == ("errno", ELOOP)


def test_on_escape_raise_refuses_only_what_climbs(
    answers_of: Asked, resolver: Literal["walk", "openat2"]
) -> None:
    clamped = answers_of(resolver=resolver)
    raised = answers_of(resolver=resolver, on_escape="raise")
    assert raised == answers_of(resolver="walk", on_escape="raise")
    escapes = {
        path for (path, _), (kind, number) in raised.items() if (kind, number) == ("errno", 18)
    }
    assert {"..", "/..", "a/../..", "climbing", "to-dotdot", "to-root/.."} <= escapes
    assert not {"/", "a/..", "absolute/../a/f", DEEP + "/.." * DEPTH} & escapes
    for key, said in raised.items():
        if key[0] not in escapes:
            assert said == clamped[key], key


def test_without_symlinks_only_paths_through_none_are_found(
    answers_of: Asked, resolver: Literal["walk", "openat2"]
) -> None:
    said = answers_of(resolver=resolver, symlinks=False)
    assert said == answers_of(resolver="walk", symlinks=False)
    assert said["to-a/f", "O_PATH"] == said["to-a", "O_PATH"] == ("errno", ELOOP)
    assert stat.S_ISLNK(int(said["to-a", "O_PATH|O_NOFOLLOW"][0].partition(":")[2]))
    assert said["a/f", "O_RDONLY"][0] != "errno"
