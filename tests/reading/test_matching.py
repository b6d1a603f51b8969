"""`glob` and `rglob`: the paths and the order of pathlib, few descriptors, no way out."""

from __future__ import annotations

import gc
import itertools
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import globbing
from helpers.support import open_descriptors, private_mounts, run_in_child
from procpath import ClosedRootError, Root, RootedPath, linux
from procpath.patterns import compile_name, name_filter

Resolver = Literal["walk", "openat2"]
T = TypeVar("T")

NOBODY = 65534
MOST_HELD = 40
"""descriptors that an iteration may hold: 32 directories and a few"""

PARTS = [
    *("*", "**", "***", "?", "*.py", "e*", "*1*", ".*", "*e", "[[]x]", "[!a-l]*"),
    *("a", "e1", "b", "f.py", "la", "up", "broken", "nope", ".."),
]


@pytest.fixture(params=["walk", "openat2"])
def resolver(request: pytest.FixtureRequest) -> Resolver:
    found: Resolver = request.param
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory two levels below the root of the test, so that ``..`` leads nowhere else."""
    top = tmp_path_factory.mktemp("root") / "x/y"
    for directory in ("a/b/c", "a/d", ".hid/x", "e1/e1/e1", "[x]", "n\nl", "a/.git"):
        (top / directory).mkdir(parents=True)
    for file in (
        *("top.py", "a/f.py", "a/m.PY", "a/b/g.py", "a/b/c/h.txt", ".hid/x/i.py", "e1/j.py"),
        *("e1/e1/.py", "[x]/k.py", "n\nl/l.py", "a/.git/config"),
    ):
        (top / file).touch()
    for link, target in {
        "la": "a",
        "a/le": "../e1",
        "broken": "nowhere",
        "loop": "loop",
        "a/up": "..",
        "to-file.py": "top.py",
    }.items():
        (top / link).symlink_to(target)
    os.mkfifo(top / "a/fifo.py")
    os.mkdir(os.fsencode(top) + b"/\xff\xfe")
    return str(top)


def deep(top: pathlib.Path, levels: int, names: tuple[str, ...]) -> None:
    """Make a tree of many levels with the same names in each; the last name leads on."""
    dirfd = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        for name in names:
            os.mkdir(name, dir_fd=dirfd)
            os.mkdir(f"{name}/leaf", dir_fd=dirfd)
        below = os.open(names[-1], os.O_RDONLY, dir_fd=dirfd)
        os.close(dirfd)
        dirfd = below
    os.close(dirfd)


def on_tmpfs(top: pathlib.Path, func: Callable[[pathlib.Path], T]) -> T:
    """Call ``func`` in a child where ``top`` is a file system in memory: removed with it."""

    def inside() -> T:
        linux.mount(b"tmpfs", os.fsencode(top), b"tmpfs")
        return func(top)

    return private_mounts(inside)


def rooted(tree: str, resolver: Resolver, start: str = "") -> RootedPath:
    """The path of ``start`` in the tree, as seen from two levels above it."""
    top = pathlib.Path(tree)
    return RootedPath(Root.at(top.parent.parent, resolver=resolver), "x/y", start)


def ours(path: RootedPath, pattern: str, **keywords: Any) -> list[str]:
    return [str(found) for found in path.glob(pattern, **keywords)]


def plainly(tree: str, start: str, pattern: str, **keywords: Any) -> list[str]:
    outside = len(str(pathlib.Path(tree).parent.parent))
    top = f"{tree}/{start}/" if start else f"{tree}/"
    return [found[outside:] for found in globbing.glob(top, pattern, **keywords)]


def by_pathlib(tree: str, start: str, pattern: str, **keywords: Any) -> list[str]:
    outside = len(str(pathlib.Path(tree).parent.parent))
    return [str(found)[outside:] for found in pathlib.Path(tree, start).glob(pattern, **keywords)]


def patterns() -> Iterator[str]:
    for length in (1, 2):
        for parts in itertools.product(PARTS, repeat=length):
            if parts[:2] != ("..", ".."):
                yield "/".join(parts)
                yield "/".join(parts) + "/"
    for parts in itertools.islice(itertools.product(PARTS, repeat=3), 0, None, 17):
        if parts.count("..") < 2:
            yield "/".join(parts)


EXPECTATIONS = {"plainly": plainly}
if sys.version_info >= (3, 13):
    EXPECTATIONS["pathlib"] = by_pathlib


@pytest.mark.parametrize("start", ["", "a", "la", "e1/e1", "top.py", "nope"])
def test_glob_finds_what_pathlib_finds_in_its_order(tree: str, start: str) -> None:
    paths = [rooted(tree, "openat2", start), rooted(tree, "walk", start)]
    for pattern in patterns():
        found = [ours(path, pattern) for path in paths]
        for expected in EXPECTATIONS.values():
            assert found == [expected(tree, start, pattern)] * 2, pattern


@pytest.mark.parametrize("expected", EXPECTATIONS.values(), ids=EXPECTATIONS.keys())
@pytest.mark.parametrize("case_sensitive", [True, False])
def test_a_choice_of_case_is_that_of_pathlib(
    tree: str, case_sensitive: bool, expected: Callable[..., list[str]]
) -> None:
    path = rooted(tree, "openat2")
    for pattern in [
        "A",
        "a/F.PY",
        "*/*.py",
        "**/*.py",
        "**/E1",
        "*/f.py",
        "top.PY",
        "E1/**",
        "nope",
    ]:
        found = ours(path, pattern, case_sensitive=case_sensitive)
        assert found == expected(tree, "", pattern, case_sensitive=case_sensitive), pattern


def test_rglob_is_glob_with_two_stars_before(tree: str, resolver: Resolver) -> None:
    path = rooted(tree, resolver)
    for pattern in PARTS:
        assert list(path.rglob(pattern)) == list(path.glob(f"**/{pattern}"))
    assert list(path.rglob("")) == list(path.glob("**/"))


def test_two_stars_go_through_links_when_asked(tmp_path: pathlib.Path, resolver: Resolver) -> None:
    (tmp_path / "real/below").mkdir(parents=True)
    (tmp_path / "real/below/file").touch()
    (tmp_path / "away").symlink_to("/real")
    path = RootedPath(Root.at(tmp_path, resolver=resolver))

    def found(pattern: str) -> list[str]:
        return sorted(ours(path, pattern, recurse_symlinks=True))

    assert found("**/file") == ["/away/below/file", "/real/below/file"]
    assert found("**/") == ["/", "/away", "/away/below", "/real", "/real/below"]
    assert found("**/below/..") == ["/away/below/..", "/real/below/.."]
    assert found("**") == sorted([*found("**/"), *found("**/file")])
    assert sorted(ours(path, "**/file")) == ["/real/below/file"]


def test_a_name_with_a_null_is_nowhere(tree: str, resolver: Resolver) -> None:
    path = rooted(tree, resolver)
    for pattern in ("a\0", "*/f.py\0", "**/f.py\0x", "top.py\0"):
        assert ours(path, pattern) == []


def test_what_may_not_be_listed_is_passed_over(tmp_path: pathlib.Path, resolver: Resolver) -> None:
    for mode in (0o700, 0o444, 0o111, 0o000):
        (tmp_path / f"{mode:o}/in").mkdir(parents=True)
        (tmp_path / f"{mode:o}/in/file").touch()
        (tmp_path / f"{mode:o}").chmod(mode)
    starts = ("", "700/", "444/", "111/", "0/", "111/in/")
    patterns = ("*", "**", "**/", "*/*", "**/*", "*/**", "*/*/**", "**/..", "*/..", "*/*/..")
    literal = ("**/in", "*/in", "in", "in/*", "in/..", "**/in/file", "**/in/*", "*/in/file")

    def as_nobody() -> list[tuple[str, str, list[str], list[str]]]:
        path = become_nobody_at(tmp_path, resolver)
        return [
            (start, pattern, ours(path / start, pattern), [f"/{found}" for found in plain])
            for start in starts
            for pattern in (*patterns, *literal)
            for plain in [globbing.glob(start, pattern)]
        ]

    for start, pattern, found, expected in run_in_child(as_nobody):
        assert found == expected, (start, pattern)


def become_nobody_at(top: pathlib.Path, resolver: Resolver) -> RootedPath:
    """Give up all rights; ``top`` is the working directory then, and the root of the path."""
    path = RootedPath(Root.at(top, resolver=resolver))
    top.chmod(0o755)
    os.chdir(top)
    os.setgroups([])
    os.setresuid(NOBODY, NOBODY, NOBODY)
    return path


def test_a_closed_root_is_told(tree: str, resolver: Resolver) -> None:
    path = rooted(tree, resolver)
    path.root_handle.close()
    for pattern in ("*", "**", "a", "**/a", "*/*"):
        with pytest.raises(ClosedRootError):
            list(path.glob(pattern))


ITERATIONS: dict[str, Callable[[RootedPath], Iterator[Any]]] = {
    "rglob": lambda path: path.rglob("*"),
    "directories": lambda path: path.glob("**/"),
    "whole tree": lambda path: path.glob("**"),
    "tree in tree": lambda path: path.glob("**/b/**/leaf"),
    "walk": lambda path: path.walk(),
    "walk bottom up": lambda path: path.walk(top_down=False),
}


@pytest.mark.parametrize("name", ITERATIONS)
def test_few_descriptors_are_held_in_any_tree(
    tmp_path: pathlib.Path, resolver: Resolver, name: str
) -> None:
    def held(top: pathlib.Path) -> list[int]:
        # What other tests have left behind must not be closed in between.
        gc.collect()
        deep(top, 80, ("a", "b"))
        for number in range(100):
            (top / f"wide{number}/b/leaf").mkdir(parents=True)
        with Root.at(top, resolver=resolver) as root:
            before = len(os.listdir("/proc/self/fd"))
            found = ITERATIONS[name](RootedPath(root))
            held = [len(os.listdir("/proc/self/fd")) - before for _ in found]
            return [*held, len(os.listdir("/proc/self/fd")) - before]

    *during, after = on_tmpfs(tmp_path, held)
    assert len(during) > 300
    assert max(during) <= MOST_HELD
    assert after == 0


@pytest.mark.parametrize("name", ITERATIONS)
def test_an_iteration_given_up_closes_what_it_holds(
    tmp_path: pathlib.Path, resolver: Resolver, name: str
) -> None:
    deep(tmp_path, 20, ("a", "b"))
    with Root.at(tmp_path, resolver=resolver) as root:
        for steps in (0, 1, 10, 50):
            before = open_descriptors()
            found = ITERATIONS[name](RootedPath(root))
            for _ in range(steps):
                next(found)
            assert steps == 0 or open_descriptors() != before
            found.close()
            assert open_descriptors() == before


@pytest.mark.slow
def test_ten_thousand_levels_are_no_trouble(tmp_path: pathlib.Path, resolver: Resolver) -> None:
    def count(top: pathlib.Path) -> list[int]:
        deep(top, 10_000, ("b",))
        path = RootedPath(Root.at(top, resolver=resolver))
        found = (path.rglob("leaf"), path.glob("**"), path.walk(), path.walk(top_down=False))
        return [sum(1 for _ in each) for each in found]

    assert on_tmpfs(tmp_path, count) == [10_000, 20_001, 20_001, 20_001]


def test_directories_that_were_let_go_are_found_again(
    tmp_path: pathlib.Path, resolver: Resolver
) -> None:
    # Each level leaves a directory behind, in which there is more to do at the end.
    def count(top: pathlib.Path) -> list[int]:
        deep(top, 600, ("a", "b"))
        path = RootedPath(Root.at(top, resolver=resolver))
        return [sum(1 for _ in each) for each in (path.rglob("leaf"), path.walk())]

    assert on_tmpfs(tmp_path, count) == [1200, 2401]


@pytest.mark.parametrize("pattern", ["**", "**/*", "**/canary", "*/*", "*/*/*", "**/b/*", "*/**/*"])
def test_a_directory_become_a_link_is_not_entered(
    tmp_path: pathlib.Path, resolver: Resolver, pattern: str
) -> None:
    """At each step of the iteration, what was seen to be a directory becomes a link."""
    outside = tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    (outside / "canary").touch()
    (outside / "b/canary").touch()
    for step in range(8):
        inside = tmp_path / f"inside{step}"
        for directory in ("a/b", "b/b", "c/b"):
            (inside / directory).mkdir(parents=True)
        found = []
        with Root.at(inside, resolver=resolver) as root:
            for number, path in enumerate(RootedPath(root).glob(pattern)):
                found.append(str(path))
                if number == step:
                    for name in ("a", "b", "c"):
                        (inside / name).rename(inside / f"was-{name}")
                        (inside / name).symlink_to(outside)
        assert not [path for path in found if path.endswith("canary")]


def test_mounts_are_crossed_only_when_allowed(tmp_path: pathlib.Path, resolver: Resolver) -> None:
    (tmp_path / "a/mnt").mkdir(parents=True)
    (tmp_path / "a/own").mkdir()
    (tmp_path / "a/own/f").touch()

    def found(cross_mounts: bool) -> list[list[str]]:
        linux.mount(b"tmpfs", os.fsencode(tmp_path / "a/mnt"), b"tmpfs")
        (tmp_path / "a/mnt/in").mkdir()
        (tmp_path / "a/mnt/in/f").touch()
        path = RootedPath(Root.at(tmp_path, resolver=resolver, cross_mounts=cross_mounts))
        walked = sorted(str(visited) for visited, _, _ in path.walk())
        return [sorted(ours(path, "**/f")), sorted(ours(path, "*/*/*")), walked]

    assert private_mounts(found, True) == [
        ["/a/mnt/in/f", "/a/own/f"],
        ["/a/mnt/in", "/a/own/f"],
        ["/", "/a", "/a/mnt", "/a/mnt/in", "/a/own"],
    ]
    assert private_mounts(found, False) == [
        ["/a/own/f"],
        ["/a/own/f"],
        ["/", "/a", "/a/own"],
    ]


@pytest.fixture
def untyped_image(tmp_path: pathlib.Path) -> pathlib.Path:
    """An ext4 file system whose directories do not tell the types of their entries."""
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(4 << 20)
    made = ["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^filetype,^has_journal", image]
    subprocess.run(made, check=True)
    return image


def mount_untyped(image: pathlib.Path, top: pathlib.Path) -> None:
    top.mkdir(parents=True)
    subprocess.run(["mount", "-o", "loop", image, top], check=True)
    (top / "lost+found").rmdir()
    (top / "d/e").mkdir(parents=True)
    (top / "d/e/f").touch()
    (top / "f").touch()
    (top / "to-d").symlink_to("d")
    os.mkfifo(top / "fifo")


def test_types_are_found_where_lists_do_not_tell_them(
    untyped_image: pathlib.Path, tmp_path: pathlib.Path, resolver: Resolver
) -> None:
    def compare() -> list[Any]:
        top = tmp_path / "x/y"
        mount_untyped(untyped_image, top)
        path = rooted(str(top), resolver)
        for pattern in ("*", "**", "**/", "*/*", "**/f", "*/e/*", "**/*"):
            assert ours(path, pattern) == plainly(str(top), "", pattern), pattern
        walked = [(str(at), sorted(dirs), sorted(files)) for at, dirs, files in path.walk()]
        kinds = {
            child.name: (child.info.is_dir(), child.info.is_file(), child.info.is_symlink())
            for child in path.iterdir()
        }
        return [walked, kinds]

    walked, kinds = private_mounts(compare)
    assert walked == [
        ("/x/y", ["d"], ["f", "fifo", "to-d"]),
        ("/x/y/d", ["e"], []),
        ("/x/y/d/e", [], ["f"]),
    ]
    assert kinds == {
        "d": (True, False, False),
        "f": (False, True, False),
        "fifo": (False, False, False),
        "to-d": (True, False, True),
    }


def test_an_entry_whose_type_cannot_be_asked_has_none(
    untyped_image: pathlib.Path, tmp_path: pathlib.Path, resolver: Resolver
) -> None:
    def look() -> list[Any]:
        mount_untyped(untyped_image, tmp_path / "x")
        (tmp_path / "x/d").chmod(0o444)
        path = become_nobody_at(tmp_path / "x", resolver) / "d"
        (child,) = path.iterdir()
        info = child.info
        return [
            str(child),
            [info.exists(), info.is_dir(), info.is_file(), info.is_symlink()],
            [(str(at), dirs, files) for at, dirs, files in path.walk()],
            *(ours(path, pattern) for pattern in ("**", "*/*", "**/*")),
        ]

    assert private_mounts(look) == [
        "/d/e",
        [True, False, False, False],
        [("/d", [], ["e"])],
        ["/d", "/d/e"],
        [],
        ["/d/e"],
    ]


NAMES = st.text(st.sampled_from("aA.b\n*[]é"), min_size=1, max_size=6)
GLOBS = st.text(st.sampled_from("aA.b\n*?[]!é"), min_size=1, max_size=6)


@given(GLOBS, st.lists(NAMES, max_size=8), st.booleans())
def test_a_filter_keeps_what_the_expression_matches(
    part: str, names: list[str], case_sensitive: bool
) -> None:
    matches = compile_name(part, case_sensitive)
    assert name_filter(part, case_sensitive)(names) == [name for name in names if matches(name)]


@pytest.mark.parametrize("name", ["\ud800", "a\0"])
@pytest.mark.parametrize("pattern", ["{}", "*/{}", "{}/", "{}/a", "**/{}", "*{}"])
def test_what_no_file_can_be_called_matches_nothing(
    tree: str, resolver: Resolver, name: str, pattern: str
) -> None:
    with Root.at(tree, resolver=resolver) as root:
        assert list(RootedPath(root).glob(pattern.format(name))) == []
        with pytest.raises(ValueError, match=r"null byte|surrogates not allowed"):
            list(RootedPath(root).glob(f"{name}/*"))


def test_a_link_that_is_found_is_not_looked_up_again(
    resolver: Resolver, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the root, that would take as long as the tree is deep."""
    with Root.at(tmp_path, resolver=resolver) as root:
        (RootedPath(root) / "a/b/c").mkdir(parents=True)
        for above in ("", "a", "a/b", "a/b/c"):
            (RootedPath(root) / above / "wanted").symlink_to("nowhere")
        looked_up: list[bytes] = []
        monkeypatch.setattr(root, "find_last", looked_up.append)
        monkeypatch.setattr(root, "try_find", looked_up.append)
        found = [str(path) for path in RootedPath(root).rglob("wanted")]
    assert found == ["/wanted", "/a/wanted", "/a/b/wanted", "/a/b/c/wanted"]
    assert looked_up == []
