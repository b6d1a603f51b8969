"""The reading half is pathlib's: a program prints the same with its ``Path`` replaced.

Each program below is written for ``pathlib.Path``. It is run with that one, in a process whose
root is the tree, and with a class bound to the tree, by each resolver. Where older interpreters'
pathlib differs from that of 3.14, a program is compared from that version on whose pathlib agrees.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from helpers.pathlib_answers import GLOBS
from helpers.programs import ENCODINGS, Program, attempt, by_pathlib, grow, shown, through_a_root
from helpers.support import chrooted, private_mounts, run_in_child
from procpath import Root, RootedPath
from procpath.errors import UnsupportedOperation

PROGRAMS: list[tuple[Program, int]] = []


def program(*, since: tuple[int, int] = (3, 11), uid: int = 0) -> Callable[[Program], Program]:
    """Compare this program on interpreters from ``since`` on; run it as the user ``uid``."""

    def register(function: Program) -> Program:
        if sys.version_info >= since:
            PROGRAMS.append((function, uid))
        return function

    return register


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the programs read; none changes it."""
    path = tmp_path_factory.mktemp("tree")
    path.parent.chmod(0o755)
    path.parent.parent.chmod(0o755)
    grow(path)
    return path


NAMES = [
    *("", ".", "..", "/", "//", "/..", "file", "./file", "/file", "//file", "file/", "file/."),
    *("file/..", "file/x", "file/../file", "a", "a/", "a/..", "a/../file", "a/b/../../file"),
    *("../file", "empty", "missing", "missing/x", "missing/..", "missing/../file", "link", "link/"),
    *("link/x", "link/..", "alink", "alink/", "alink/..", "alink/b", "absolute", "absolute/.."),
    *("absolute/one.txt", "a/up", "a/up/file", "rounds/loop/loop/x", "dangling", "dangling/"),
    *("dangling/x", "circle", "circle/x", "itself", "itself/..", "climb", "B/across/..", "long"),
    *("under-file", "under-link", "slashed", "links/0", "links/18", "links/19", "links/44", "fifo"),
    *("socket", "dev/null", "dev/disk", "dev/null/x", "wide/\udcff", "wide/a\nb", "wide/*"),
    *("x" * 255, "x" * 256, "a/" + "x" * 256, "nul\0", "a\0/b", "\ud800", "closed", "closed/in"),
    *("closed/in/secret", "closed/..", "closed/missing", "~", "~/x"),
]  # fmt: skip


# Asking


@program(since=(3, 14))
def asking_whether_it_is_there(Path: type[Any]) -> None:
    for name in NAMES:
        attempt(name, Path(name).exists)
        attempt(name, Path(name).exists, follow_symlinks=False)


@program(since=(3, 14))
def asking_what_it_is(Path: type[Any]) -> None:
    for name in NAMES:
        path = Path(name)
        for follow in (True, False):
            attempt(name, path.is_file, follow_symlinks=follow)
            attempt(name, path.is_dir, follow_symlinks=follow)
        for ask in ("is_symlink", "is_fifo", "is_socket", "is_block_device", "is_char_device"):
            attempt((name, ask), getattr(path, ask))
        attempt(name, path.is_junction)


@program(since=(3, 14), uid=1000)
def asking_what_it_is_without_rights(Path: type[Any]) -> None:
    asking_what_it_is(Path)


@program()
def asking_the_system(Path: type[Any]) -> None:
    for name in NAMES:
        attempt(name, lambda path: tuple(path.stat())[:7], Path(name))
        attempt(name, lambda path: tuple(path.stat(follow_symlinks=False))[:7], Path(name))
        attempt(name, lambda path: tuple(path.lstat())[:7], Path(name))


@program(uid=1000)
def asking_the_system_without_rights(Path: type[Any]) -> None:
    asking_the_system(Path)


@program(since=(3, 14))
def asking_by_info(Path: type[Any]) -> None:
    for name in NAMES:
        info = Path(name).info
        for follow in (True, False):
            attempt(name, info.exists, follow_symlinks=follow)
            attempt(name, info.is_dir, follow_symlinks=follow)
            attempt(name, info.is_file, follow_symlinks=follow)
        attempt(name, info.is_symlink)


@program(since=(3, 14))
def asking_each_of_a_directory_by_info(Path: type[Any]) -> None:
    for name in ("", "a", "a/b", "dev", "wide"):
        for path in sorted(Path(name).iterdir()):
            for follow in (True, False):
                attempt(str(path), path.info.exists, follow_symlinks=follow)
                attempt(str(path), path.info.is_dir, follow_symlinks=follow)
                attempt(str(path), path.info.is_file, follow_symlinks=follow)
            attempt(str(path), path.info.is_symlink)


@program()
def comparing_files(Path: type[Any]) -> None:
    for one in ("file", "link", "a", "missing", "dangling", "alink", "circle"):
        for other in ("file", "/a/../link", "a/b/../../file", "alink/up/a", "missing", "circle"):
            attempt(one, Path(one).samefile, other)
            attempt((one, other), lambda this, that: this.samefile(that), Path(one), Path(other))


# Places


# pathlib counts no links; the kernel follows 40 (path_resolution(7)).
RESOLVABLE = [name for name in NAMES if name != "links/44"]


@program(since=(3, 13))
def resolving(Path: type[Any]) -> None:
    for name in RESOLVABLE:
        attempt(name, Path(name).resolve)


def _strictly_resolved(path: Any) -> object:
    try:
        return path.resolve(strict=True)
    except OSError as error:
        # pathlib names the part of the path that failed, not the path.
        return type(error).__name__, error.errno


@program(since=(3, 14))
def resolving_strictly(Path: type[Any]) -> None:
    for name in RESOLVABLE:
        attempt(name, _strictly_resolved, Path(name))


@program(uid=1000)
def resolving_without_rights(Path: type[Any]) -> None:
    for name in ("closed", "closed/in", "closed/in/secret", "closed/..", "closed/missing/.."):
        attempt(name, Path(name).resolve)


@program()
def reading_links(Path: type[Any]) -> None:
    for name in NAMES:
        attempt(name, Path(name).readlink)


@program()
def making_absolute(Path: type[Any]) -> None:
    for name in NAMES:
        attempt(name, Path(name).absolute)
    attempt("cwd", Path.cwd)


@program()
def going_home(Path: type[Any]) -> None:
    for name in ("~", "~/", "~/x/..", "~root", "~guest/x", "~slashed/x", "~nobody", "a/~", "/~"):
        attempt(name, Path(name).expanduser)
    for name in ("./~", "", "~\0", "~guest\0", "~homeless", "~homeless/x"):
        attempt(name, Path(name).expanduser)
    attempt("home", Path.home)


# Reading


@program()
def listing(Path: type[Any]) -> None:
    for name in NAMES:
        attempt(name, lambda path: path.iterdir(), Path(name))


@program(since=(3, 13))
def listing_complains_at_once(Path: type[Any]) -> None:
    for name in ("missing", "file", "circle", "a"):
        attempt(name, lambda path: bool(path.iterdir()), Path(name))


@program(uid=1000)
def listing_without_rights(Path: type[Any]) -> None:
    listing(Path)


@program()
def reading_whole_files(Path: type[Any]) -> None:
    for name in (name for name in NAMES if name != "fifo"):
        attempt(name, Path(name).read_bytes)
        attempt(name, Path(name).read_text)


@program()
def reading_text(Path: type[Any]) -> None:
    for name in ("newlines", "bom", "latin", "wide16", "nothing", "file"):
        for encoding in (*ENCODINGS, None, "no-such-codec", "rot13", 7):
            for errors in (None, "strict", "ignore", "replace", "surrogateescape", "no-such", 7):
                attempt(name, Path(name).read_text, encoding, errors)


@program(since=(3, 13))
def reading_text_with_newlines(Path: type[Any]) -> None:
    for name in ("newlines", "nothing", "file", "missing"):
        for newline in (None, "", "\n", "\r", "\r\n", "x", b"\n", 7):
            for encoding in ("utf-8", "utf-16", None):
                attempt(name, Path(name).read_text, encoding, "ignore", newline=newline)


def _opened(path: Any, *args: Any, **kwargs: Any) -> object:
    with path.open(*args, **kwargs) as file:
        facts = (str(file.name), file.mode, file.readable(), file.writable())
        return (type(file).__name__, *facts, getattr(file, "line_buffering", None), file.read())


MODES = [
    *("r", "rt", "tr", "rb", "br", "rU", "U", "", "t", "b", "rr", "rw", "rtb", "q", "r q"),
    *(None, 7, b"r"),
]


@program()
def opening_for_reading(Path: type[Any]) -> None:
    for name in (name for name in NAMES if name != "fifo"):
        attempt(name, lambda path: _opened(path), Path(name))
        attempt(name, lambda path: _opened(path, "rb"), Path(name))
    path = Path("newlines")
    for mode in MODES:
        for buffering in (-1, 0, 2, 8192, -7, None, "1"):
            attempt("mode", lambda *args: _opened(path, *args), mode, buffering)
    for newline in (None, "", "\n", "\r", "\r\n", "x", 7):
        for mode in ("r", "rb"):
            attempt("newline", lambda *args: _opened(path, *args), mode, -1, "utf-8", None, newline)
            attempt("newline", lambda *args: _opened(path, *args), mode, -1, None, None, newline)
    for encoding in (*ENCODINGS, "locale", None, "no-such-codec", 7):
        for errors in (None, "ignore", "no-such", 7):
            for mode in ("r", "rb"):
                attempt("codec", lambda *args: _opened(path, *args), mode, -1, encoding, errors)


# Trees


def _walked(path: Any, **kwargs: Any) -> object:
    errors: list[OSError] = []
    walked = list(path.walk(on_error=errors.append, **kwargs))
    return [*walked, *((error.errno, type(path)(error.filename)) for error in errors)]


@program(since=(3, 12))
def walking(Path: type[Any]) -> None:
    for name in ("", "/", "a", "a/", "a/..", "link", "alink", "absolute", "file", "missing"):
        for top_down in (True, False):
            attempt((name, top_down), lambda path: _walked(path), Path(name))
            attempt(name, Path(name).walk, top_down)
    for name in ("circle", "nul\0", "x" * 256):
        attempt(name, Path(name).walk)
    for name in ("B", "wide", "dev", "dangling"):
        attempt(name, Path(name).walk, follow_symlinks=True)
        attempt(name, Path(name).walk, False, follow_symlinks=True)


@program(since=(3, 12), uid=1000)
def walking_without_rights(Path: type[Any]) -> None:
    walking(Path)


def _fail(error: OSError) -> None:
    raise error


@program(since=(3, 12))
def walking_with_a_say(Path: type[Any]) -> None:
    attempt("missing", lambda path: path.walk(on_error=_fail), Path("missing"))
    attempt("file", lambda path: path.walk(on_error=_fail), Path("file"))
    for path, dirnames, filenames in Path("a").walk():
        dirnames.sort(reverse=True)
        print(shown((path, dirnames, filenames)))
        dirnames[:] = [name for name in dirnames if not name.startswith(".")][:1]
    for path, dirnames, _ in Path("").walk():
        print(shown((path, dirnames)))
        dirnames[:] = {".": ["a", "missing", "file"]}.get(str(path), [])
    for path, dirnames, _ in Path("a").walk(top_down=False):
        dirnames.clear()
        print(shown(path))


PATTERNS = [
    *("*", "*/", "*/*", "*.txt", "*.TXT", ".*", ".*/*", "?", "[ab]", "[!a]*", "[]]", "[", "[]"),
    *("[[]*", "a", "A", "a/", "a/b", "a/B", "a/*", "*/b", "*/b/", "*/*.txt", "a/one.txt"),
    *("a/one.txt/", "B/*", "**", "**/", "**/*", "**/*/", "**/*.txt", "**/b", "**/b/", "**/b/*"),
    *("a/**", "a/**/", "a/**/*", "a/**/one.txt", "a/**/b", "a/**/b/one.txt", "**/a/**", "**/**"),
    *("**/**/b", "**/c/**/one.txt", "**/.*", "**/.hidden/**", "**.txt", "a**", "**a", "***"),
    *("..", "../", "../a", "../*", "*/..", "*/../a", "**/..", "**/../one.txt", "a/..", "a/../*"),
    *("a/../a/*.txt", "a/../../a", "missing/..", "file/..", ".", "", "./", "/", "/a", "//a"),
    *("./a", "a/.", "a/./b", "a//b", "a/b/.", "./*", "*/.", ".//*//.", "missing", "missing/"),
    *("missing/*", "missing/**", "file", "file/", "file/*", "file/**", "link", "link/", "link/*"),
    *("alink", "alink/", "alink/*", "alink/**", "*/up/*", "dangling", "dangling/", "dangling*"),
    *("circle", "circle/", "circ*", "circle/*", "long", "lon*", "lon*/*", "links/4*", "fifo*/"),
    *("wide/*", "wide/[*]", "wide/*\n*", "wide/\udcff", "wide/?", "wide/x y/[[]a]", "wide/[a]"),
    *("w*/*/*", "dev/*", "closed/*", "closed/**", "closed/in/*", "closed/in/secret", "clos*/in"),
    *("~", "~/*", "x" * 256, "x" * 256 + "/*", "d*/**/d", "deep/**/"),
]  # fmt: skip


@program(since=(3, 13))
def globbing(Path: type[Any]) -> None:
    for pattern in PATTERNS:
        for start in ("", "/", "a"):
            # For the start itself pathlib says `.` instead of `/` then.
            if (start, pattern) != ("/", "**/"):
                attempt(start, Path(start).glob, pattern)
            if (start, pattern) not in (("/", "**/"), ("/", ""), ("/", "./")):
                attempt(start, Path(start).rglob, pattern)


@program(since=(3, 13))
def globbing_whatever_the_case(Path: type[Any]) -> None:
    for case_sensitive in (True, False):
        for pattern in PATTERNS:
            for start in ("", "/a"):
                attempt(start, Path(start).glob, pattern, case_sensitive=case_sensitive)
                attempt(start, Path(start).rglob, pattern, case_sensitive=case_sensitive)


@program(since=(3, 13))
def globbing_through_links(Path: type[Any]) -> None:
    for case in (None, True, False):
        for pattern in PATTERNS:
            for start in ("B", "/wide", "dev", "alink/b/c"):
                glob = Path(start).glob
                attempt(start, glob, pattern, case_sensitive=case, recurse_symlinks=True)


@program(since=(3, 13))
def globbing_from_anywhere(Path: type[Any]) -> None:
    for start in (".", "..", "//", "//a", "a/..", "a/up", "file", "file/..", "link", "alink"):
        for pattern in ("*", "**", "**/", "*/", "b", "b/", "..", "../*", "**/one.txt", "b/*"):
            attempt(start, Path(start).glob, pattern)
            attempt(start, Path(start).rglob, pattern)
    for start in ("missing", "circle", "closed"):
        for pattern in ("*", "**", "**/", "*/", "x", "x/", "..", "../*", "**/one.txt", "x/*"):
            attempt(start, Path(start).glob, pattern)
            attempt(start, Path(start).rglob, pattern)


@program(since=(3, 14))
def globbing_for_what_no_file_is_called(Path: type[Any]) -> None:
    for pattern in ("a\0", "*\0", "a\0/*", "**/a\0", "\0", "\ud800", "*\ud800"):
        for start in ("", "/", "a", "nul\0"):
            attempt(start, Path(start).glob, pattern)
            attempt(start, Path(start).rglob, pattern)
            attempt(start, Path(start).glob, pattern, recurse_symlinks=start == "nul\0")
    for pattern in ("*", "**", "x", "x/", "..", "**/x"):
        attempt("nul\0", Path("nul\0").glob, pattern)


@program(since=(3, 14))
def globbing_for_a_path(Path: type[Any]) -> None:
    for pattern in ("a/*", "**/one.txt", "a/", ".", ""):
        attempt(pattern, lambda start, wanted: start.glob(wanted), Path(""), Path(pattern))
        attempt(pattern, lambda start, wanted: start.rglob(wanted), Path(""), Path(pattern))
    for wrong in (None, 7, b"*", ["*"]):
        attempt("wrong", Path("").glob, wrong)
        attempt("wrong", Path("").rglob, wrong)


@program(since=(3, 13), uid=1000)
def globbing_without_rights(Path: type[Any]) -> None:
    globbing(Path)


@pytest.mark.parametrize(
    ("each", "uid"), PROGRAMS, ids=[function.__name__ for function, _ in PROGRAMS]
)
def test_a_program_prints_the_same_with_its_path_replaced(
    each: Program, uid: int, tree: Path
) -> None:
    printed = by_pathlib(each, tree, uid)
    for resolver in ("openat2", "walk"):
        assert through_a_root(each, tree, uid, resolver=resolver) == printed, resolver


# What older interpreters' pathlib cannot tell


def _grow_small(tree: Path) -> None:
    for name in ("a/b/c", ".h", "empty"):
        (tree / name).mkdir(parents=True)
    for name in ("f", "[z]", "a/x.txt", "a/b/x.txt", "a/b/y.PY", ".h/x.txt", "a/b/c/a"):
        (tree / name).touch()
    (tree / "to-a").symlink_to("a")
    (tree / "to-f").symlink_to("f")
    (tree / "gone").symlink_to("no")
    (tree / "loop").symlink_to("loop")
    (tree / "a/b/side").symlink_to("../../.h")


def _globbed(cls: type[Any], topic: str) -> list[str]:
    """The lines of the table, as they should read."""
    lines = []
    for line in GLOBS[topic].replace("\n    ", " ").strip().splitlines():
        expression = line.split(" => ")[0]
        try:
            found = sorted(str(path) for path in eval(expression, {"P": cls}))
            lines.append(f"{expression} => {' '.join(found) or 'nothing'}")
        except Exception as error:
            lines.append(f"{expression} => {type(error).__name__}")
    return lines


@pytest.mark.parametrize("resolver", ["openat2", "walk"])
@pytest.mark.parametrize("topic", GLOBS)
def test_globs_find_what_pathlib_of_python_3_14_finds(
    topic: str, resolver: Any, tmp_path: Path
) -> None:
    _grow_small(tmp_path)
    with Root.at(tmp_path, resolver=resolver) as root:
        found = _globbed(RootedPath.bind(root), topic)
    assert found == GLOBS[topic].replace("\n    ", " ").strip().splitlines()


if sys.version_info >= (3, 14):

    @pytest.mark.parametrize("topic", GLOBS)
    def test_the_table_says_what_pathlib_itself_finds(topic: str, tmp_path: Path) -> None:
        _grow_small(tmp_path)
        found = chrooted(tmp_path, _globbed, Path, topic)
        assert found == GLOBS[topic].replace("\n    ", " ").strip().splitlines()


def _of_os_path(names: list[str]) -> list[list[bool]]:
    asked = (os.path.exists, os.path.lexists, os.path.isfile, os.path.isdir, os.path.islink)
    return [[ask(str(PurePosixPath(name))) for ask in asked] for name in names]


def _by_method(cls: type[Any], names: list[str]) -> list[list[bool]]:
    asked = []
    for path in map(cls, names):
        there = [path.exists(), path.exists(follow_symlinks=False)]
        asked.append([*there, path.is_file(), path.is_dir(), path.is_symlink()])
    return asked


def _by_info(cls: type[Any], names: list[str]) -> list[list[bool]]:
    asked = []
    for info in (cls(name).info for name in names):
        there = [info.exists(), info.exists(follow_symlinks=False)]
        asked.append([*there, info.is_file(), info.is_dir(), info.is_symlink()])
    return asked


@pytest.mark.parametrize("resolver", ["openat2", "walk"])
@pytest.mark.parametrize("ask", [_by_method, _by_info])
def test_nothing_that_is_asked_of_a_path_raises(ask: Any, resolver: Any, tree: Path) -> None:
    with Root.at(tree, resolver=resolver) as root:
        assert ask(RootedPath.bind(root), NAMES) == chrooted(tree, _of_os_path, NAMES)


def test_what_a_list_says_of_its_entries_is_what_they_are(tree: Path) -> None:
    for name in ("/", "/a", "/a/b", "/dev", "/wide", "/B"):
        names = [str(path) for path in RootedPath(tree, name).iterdir()]
        listed = [
            [
                *(path.info.exists(), path.info.exists(follow_symlinks=False)),
                *(path.info.is_file(), path.info.is_dir(), path.info.is_symlink()),
            ]
            for path in RootedPath(tree, name).iterdir()
        ]
        assert listed == chrooted(tree, _of_os_path, names)


def _realpaths(names: list[str]) -> list[str]:
    return [os.path.realpath(str(PurePosixPath(name))) for name in names]


def test_resolve_agrees_with_realpath(
    tree: Path,
) -> None:
    names = [name for name in RESOLVABLE if "\0" not in name and name != "\ud800"]
    there = [path for path in map(RootedPath.bind(tree), names) if path.exists()]
    assert len(there) > 30
    found = [str(path.resolve(strict=True)) for path in there]
    assert found == chrooted(tree, _realpaths, [str(path) for path in there])


def _errno_of_open(names: list[str]) -> list[int]:
    answers = []
    for name in names:
        try:
            os.close(os.open(str(PurePosixPath(name)), os.O_PATH))
            answers.append(0)
        except OSError as error:
            answers.append(error.errno or 0)
    return answers


@pytest.mark.parametrize("resolver", ["openat2", "walk"])
def test_resolving_strictly_fails_as_the_kernel_does(resolver: Any, tree: Path) -> None:
    names = [name for name in NAMES if "\0" not in name and name != "\ud800"]
    answers, named = [], []
    with Root.at(tree, resolver=resolver) as root:
        for path in map(RootedPath.bind(root), names):
            try:
                path.resolve(strict=True)
                answers.append(0)
            except OSError as error:
                answers.append(error.errno or 0)
                named.append(error.filename == str(path))
    assert all(named)
    assert answers == chrooted(tree, _errno_of_open, names)


@pytest.mark.parametrize("resolver", ["openat2", "walk"])
def test_forty_links_are_followed_and_no_more(resolver: Any, tree: Path) -> None:
    """Not compared with the kernel: it counts those of a lookup that it has to repeat again."""
    with Root.at(tree, resolver=resolver) as root:
        path = RootedPath(root)
        assert (path / "links/39").read_text() == (path / "file").read_text()
        assert (path / "links/39").resolve(strict=True) == path / "file"
        assert not (path / "links/40").exists()
        for follow in (path / "links/40").stat, (path / "links/40").read_bytes:
            with pytest.raises(OSError, match="Too many levels"):
                follow()
        with pytest.raises(OSError, match="Too many levels"):
            (path / "links/40").resolve(strict=True)


@pytest.mark.parametrize("encoding", [*ENCODINGS, None])
@pytest.mark.parametrize("newline", [None, "", "\n", "\r", "\r\n"])
def test_reading_text_reads_what_open_reads(
    encoding: str | None, newline: str | None, tree: Path
) -> None:
    def read(file: Any) -> str:
        try:
            with file:
                text: str = file.read()
                return text
        except UnicodeError as error:
            return str(error)

    for name in ("newlines", "bom", "nothing", "file", "latin", "wide16"):
        path = RootedPath(tree, name)
        for errors in ("strict", "replace"):
            wanted = read(open(tree / name, encoding=encoding, errors=errors, newline=newline))
            assert read(path.open("r", -1, encoding, errors, newline)) == wanted
            try:
                text = path.read_text(encoding, errors, newline)
            except UnicodeError as error:
                text = str(error)
            assert text == wanted


# Where a path in a root is more than pathlib's


def test_cwd_and_home_of_a_class_or_a_path(tree: Path) -> None:
    bound = RootedPath.bind(tree)
    assert bound.cwd() == bound("a").cwd() == bound("/")
    assert bound.home() == bound("a").home() == RootedPath(tree).home() == bound("/root")
    for name in ("cwd", "home"):
        ask = getattr(RootedPath, name)
        with pytest.raises(UnsupportedOperation, match="needs a root"):
            ask()


def test_relative_paths_count_from_the_root(tree: Path) -> None:
    assert run_in_child(_read_from_elsewhere, tree) == ("this is 'file'\n", "/file", "/a/b")


def _read_from_elsewhere(tree: Path) -> tuple[str, str, str]:
    os.chdir(tree / "a")
    path = RootedPath.bind(tree)
    absolute = path("a/b").absolute()
    return path("file").read_text(), str(path("file").resolve()), str(absolute)


def test_there_are_no_uris(tree: Path) -> None:
    with pytest.raises(UnsupportedOperation):
        RootedPath(tree).as_uri()
    with pytest.raises(UnsupportedOperation):
        RootedPath.from_uri("file:///etc/passwd")
    assert issubclass(UnsupportedOperation, NotImplementedError)


def test_a_file_is_the_same_by_its_host_path(tree: Path) -> None:
    assert RootedPath(tree, "link").samefile(tree / "file")
    assert not RootedPath(tree, "link").samefile(tree / "newlines")
    assert not RootedPath(tree, "link").samefile("/newlines")


@pytest.mark.parametrize("resolver", ["openat2", "walk"])
def test_paths_longer_than_the_kernel_takes_are_read(resolver: Any, tmp_path: Path) -> None:
    with Root.at(tmp_path, resolver=resolver) as root:
        path = RootedPath(root)
        for _ in range(30):
            path = path / ("d" * 200)
            path.mkdir()
        (path / "file").write_text("deep")
        assert len(bytes(path)) > os.pathconf("/", "PC_PATH_MAX")
        assert (path / "file").read_text() == "deep"
        assert path.is_dir()
        assert path.info.is_dir()
        assert [str(found) for found in path.iterdir()] == [str(path / "file")]
        assert (path / ".." / path.name / "file").resolve() == path / "file"
        assert RootedPath(root, "file").exists() is False
        assert list(RootedPath(root).rglob("file")) == [path / "file"]
        assert len(list(RootedPath(root).walk())) == 31
        path.parents[28].rmtree()


def test_walk_enters_no_link_that_the_caller_adds(tree: Path) -> None:
    """pathlib would: it takes the names in the list for directories."""
    visited = []
    for path, dirnames, _ in RootedPath(tree).walk():
        visited.append(str(path))
        dirnames[:] = ["alink", "empty"] if str(path) == "/" else []
    assert visited == ["/", "/empty"]


@pytest.mark.parametrize("resolver", ["openat2", "walk"])
def test_links_that_lead_back_up_end(resolver: Any, tmp_path: Path) -> None:
    """Two of them would be 2 to the power of 41 directories; pathlib goes on."""
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/x").touch()
    for name, text in {"d/one": ".", "d/two": "../d", "d/e/up": "../..", "d/f": "e"}.items():
        (tmp_path / name).symlink_to(text)
    with Root.at(tmp_path, resolver=resolver) as root:
        path = RootedPath(root)
        errors: list[OSError] = []
        walked = [str(each) for each, _, _ in path.walk(True, errors.append, True)]
        found = sorted(map(str, path.rglob("*", recurse_symlinks=True)))
    assert sorted(walked) == ["/", "/d", "/d/e", "/d/f"]
    failed = {(error.errno, error.filename) for error in errors}
    assert failed == {(errno.ELOOP, f"/d/{name}") for name in ("one", "two", "e/up", "f/up")}
    assert found == [
        *("/d", "/d/e", "/d/e/up", "/d/f", "/d/f/up", "/d/one", "/d/two", "/d/x"),
    ]


@pytest.mark.parametrize("top_down", [True, False])
def test_walk_goes_not_through_a_directory_that_became_a_link(
    top_down: bool, tmp_path: Path
) -> None:
    for name in ("start/one/in", "start/two/in", "elsewhere/secret"):
        (tmp_path / name).mkdir(parents=True)
    errors: list[OSError] = []
    visited = []
    for path, _, _ in RootedPath(tmp_path, "start").walk(top_down, errors.append):
        visited.append(str(path))
        if len(visited) == 1:
            for name in ("one", "two"):
                if not any(done.startswith(f"/start/{name}") for done in visited):
                    (tmp_path / "start" / name).rename(tmp_path / f"moved-{name}")
                    (tmp_path / "start" / name).symlink_to("/elsewhere")
    assert not [path for path in visited if "secret" in path]
    assert errors
    assert {error.errno for error in errors} <= {errno.ELOOP, errno.ENOTDIR}


@pytest.mark.parametrize("resolver", ["openat2", "walk"])
def test_what_is_left_half_way_is_closed(resolver: Any, tree: Path, no_leak: None) -> None:
    with Root.at(tree, resolver=resolver) as root:
        path = RootedPath(root)
        started: list[Iterator[object]] = [
            *(path.iterdir(), path.glob("*/*"), path.glob("**"), path.rglob("*.txt")),
            *(path.walk(), path.walk(top_down=False), path.walk(follow_symlinks=True)),
            *(path.glob("*/**/*", recurse_symlinks=True), path.glob("a/../*/*")),
        ]
        for each in started:
            next(each)
        del each
        started.clear()


# Warnings


def test_encoding_warnings_point_at_the_caller(tmp_path: Path) -> None:
    """-X warn_default_encoding (PEP 597): line by line as pathlib's."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """\
            import sys
            if sys.argv[1] == "pathlib":
                from pathlib import Path
            else:
                from procpath import RootedPath
                Path = RootedPath.bind(sys.argv[2])
            path = Path(sys.argv[3])
            path.write_text("x")
            path.read_text()
            path.open().close()
            path.open("w").close()
            path.open("rb").close()
            path.read_text("utf-8")
            path.read_text(encoding="locale")
            path.write_text("x", "utf-8")
            path.read_text(
                None,
            )
            """
        )
    )
    command = [sys.executable, "-X", "warn_default_encoding", "-W", "always"]
    warned = [
        subprocess.run(
            [*command, script, which, tmp_path, "f"],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stderr
        for which in ("pathlib", "procpath")
    ]
    assert warned[0] == warned[1]
    assert warned[0].count("EncodingWarning") == 5


# A file system that does not tell the types of its entries


@pytest.fixture(scope="module")
def silent_image(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> Path:
    """An ext2 without the feature `filetype`: readdir(3) says DT_UNKNOWN of everything."""
    if shutil.which("mke2fs") is None or not os.path.exists("/dev/loop-control"):
        pytest.skip("mke2fs and loop devices are needed to make such a file system")
    image = tmp_path_factory.mktemp("image") / "silent.ext2"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    command = ["mke2fs", "-q", "-t", "ext2", "-O", "^filetype", "-d", tree, image]
    subprocess.run(command, check=True)
    return image


@pytest.mark.slow
def test_types_that_a_file_system_does_not_tell_are_asked_for(
    silent_image: Path, tmp_path: Path
) -> None:
    assert private_mounts(_differences_on_silent, silent_image, tmp_path) == []


def _differences_on_silent(image: Path, mount_point: Path) -> list[str]:
    subprocess.run(["mount", "-o", "loop,ro", image, mount_point], check=True)
    assert set(_entry_types(mount_point)) == {0}
    differing = []
    programs = [program for program in PROGRAMS if program[0].__name__ in ON_SILENT]
    assert programs
    for each, uid in programs:
        if through_a_root(each, mount_point, uid) != by_pathlib(each, mount_point, uid):
            differing.append(each.__name__)
    for path in RootedPath(mount_point).rglob("*"):
        host = mount_point / str(path)[1:]
        for entry in path.parent.iterdir():
            if entry == path and entry.info.is_dir(follow_symlinks=False) != stat.S_ISDIR(
                host.lstat().st_mode
            ):
                differing.append(str(path))
    return differing


ON_SILENT = (
    *("listing", "walking", "globbing", "globbing_whatever_the_case", "globbing_through_links"),
    *("asking_each_of_a_directory_by_info", "asking_what_it_is"),
)


def _entry_types(directory: Path) -> list[int]:
    """The ``d_type`` of each entry, which os.scandir() keeps to itself (readdir(3))."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(libc.opendir(bytes(directory)))
    types = []
    while entry := libc.readdir(stream):
        # struct dirent: 8 bytes d_ino, 8 bytes d_off, 2 bytes d_reclen, then d_type.
        types.append(ctypes.c_ubyte.from_address(entry + 18).value)
    libc.closedir(stream)
    return types
