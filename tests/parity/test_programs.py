"""The writing half is pathlib's: a program prints, and leaves, the same with its ``Path`` replaced.

Each program runs twice on two trees that are grown alike: with ``pathlib.Path`` in a process whose
root is the one, and with a class bound to the other. What it prints and what it leaves behind
must be the same.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from helpers.programs import Program, attempt, by_pathlib, grow, through_a_root

PROGRAMS: list[tuple[Program, int]] = []


def program(*, since: tuple[int, int] = (3, 11), uid: int = 0) -> Callable[[Program], Program]:
    """Compare this program on interpreters from ``since`` on; run it as the user ``uid``."""

    def register(function: Program) -> Program:
        if sys.version_info >= since:
            PROGRAMS.append((function, uid))
        return function

    return register


NAMES = [
    *("", ".", "..", "/", "//", "/..", "file", "file/", "file/.", "file/..", "file/x", "//file"),
    *("a", "a/", "a/.", "a/..", "empty", "empty/", "empty/..", "empty/x", "new", "new/", "new/x"),
    *("new/..", "link", "link/", "link/x", "alink", "alink/", "alink/new", "absolute/new"),
    *("B/across", "a/up/new", "dangling", "dangling/", "dangling/x", "circle", "circle/x"),
    *("itself", "long", "under-file", "slashed", "climb", "links/9", "links/44", "socket"),
    *("dev/null", "dev/disk", "wide/\udcff", "wide/new\n", "x" * 255, "x" * 256, "nul\0"),
    *("\ud800", "closed/new", "~"),
]  # fmt: skip


def _kind_of_failure(call: Callable[[], object]) -> object:
    """Which of its files, and how, an error names is not compared."""
    try:
        return call()
    except OSError as error:
        return type(error).__name__, error.errno


def _opened(path: Any, mode: str) -> object:
    with path.open(mode) as file:
        position = file.tell() if file.seekable() else None
        text = file.read(8) if file.readable() else None
        if file.writable():
            file.write(b"written" if "b" in mode else "written")
        return type(file).__name__, str(file.name), file.mode, position, text


@program()
def opening_in_every_mode(Path: type[Any]) -> None:
    modes = ("w", "wb", "a", "ab", "x", "xb", "r+", "r+b", "rb+", "w+", "wb+", "a+", "x+", "wt")
    for mode in (*modes, "wx", "w a", "w+b+", "aw", "xr"):
        for name in NAMES:
            attempt((name, mode), _opened, Path(name), mode)
        if mode.startswith("x"):
            for name in ("new", "alink/new", "nowhere/at/all"):
                attempt(name, Path(name).unlink)


@program()
def opening_with_every_buffer(Path: type[Any]) -> None:
    for mode in ("w", "wb", "a+b"):
        for buffering in (-1, 0, 2, 8192, -7):
            attempt(
                (mode, buffering), lambda *args: Path("new").open(*args).close(), mode, buffering
            )


@program()
def writing_whole_files(Path: type[Any]) -> None:
    for name in (name for name in NAMES if name != "dev/disk"):
        attempt(name, Path(name).write_bytes, b"bytes\0")
        attempt(name, Path(name).write_text, "text\r\n")
    path = Path("new")
    views = [memoryview(b"abc"), memoryview(b"abcd")[::2], memoryview(bytes(8)).cast("d")]
    for number, data in enumerate([b"", bytearray(b"ab"), *views, "text", None, 7]):
        attempt(number, partial(path.write_bytes, data))
        attempt("then", path.read_bytes)
    for text in ("", "\n", "é", "a\nb\r\nc\rd", "\udcff", b"bytes", None, 7):
        for encoding in (None, "utf-8", "latin-1", "ascii", "utf-16", "utf-8-sig", "no-such", 7):
            for errors in (None, "strict", "replace", "surrogateescape", "no-such"):
                # Where the text cannot be encoded pathlib's file is empty by then.
                path.write_bytes(b"")
                attempt("text", path.write_text, text, encoding, errors)
                attempt("then", path.read_bytes)
    for newline in (None, "", "\n", "\r", "\r\n", "x", 7):
        attempt("newline", path.write_text, "a\nb\r\nc\r", newline=newline)
        attempt("then", path.read_bytes)


@program()
def touching(Path: type[Any]) -> None:
    for name in NAMES:
        attempt(name, Path(name).touch)
        attempt(name, Path(name).touch, exist_ok=False)
    for mode in (0o666, 0o600, 0o777, 0, 0o7777):
        attempt(mode, Path(f"mode-{mode:o}").touch, mode)
    path = Path("file")
    before = path.stat().st_mtime_ns
    path.touch()
    print(path.stat().st_mtime_ns > before, path.read_bytes())


# Too long to ask whether it is a directory, which mkdir() does; pathlib said so before 3.14.
MAKEABLE = [name for name in NAMES if name not in ("long", "x" * 256)]


@program()
def making_directories(Path: type[Any]) -> None:
    for name in MAKEABLE:
        attempt(name, Path(name).mkdir)
        attempt(name, Path(name).mkdir, exist_ok=True)
    for name in MAKEABLE:
        attempt(name, Path(name).mkdir, parents=True)
        attempt(name, Path(name).mkdir, parents=True, exist_ok=True)
        attempt(name, (Path(name) / "p/q/r").mkdir, parents=True)
        attempt(name, (Path(name) / "p/../s/./t").mkdir, 0o700, True, True)
    for mode in (0o777, 0o700, 0o555, 0, 0o1777, 0o7777):
        attempt(mode, Path(f"mode-{mode:o}").mkdir, mode)
        attempt(mode, Path(f"modes-{mode:o}/below").mkdir, mode, parents=True)


@program(since=(3, 15))
def making_directories_above(Path: type[Any]) -> None:
    for name in MAKEABLE:
        attempt(name, (Path(name) / "p/q/r").mkdir, parents=True, parent_mode=0o700)
        attempt(name, (Path(name) / "p/../s/./t").mkdir, 0o711, True, True, parent_mode=0o750)
    for mode in (0o777, 0o700, 0o555, 0, 0o1777, 0o7777, None):
        attempt(mode, Path(f"a-{mode}/b/c").mkdir, 0o710, parents=True, parent_mode=mode)
        attempt(mode, Path(f"b-{mode}").mkdir, 0o710, parent_mode=mode)
        attempt(mode, Path(f"b-{mode}/b/c").mkdir, parent_mode=mode)
    attempt("wrong", Path("words/b").mkdir, parents=True, parent_mode="700")


@program()
def removing(Path: type[Any]) -> None:
    for name in NAMES:
        attempt(name, Path(name).rmdir)
    for name in NAMES:
        attempt(name, Path(name).unlink, missing_ok=True)
        attempt(name, Path(name).unlink)
    for name in ("a", "a/b", "wide", "B", "missing/x", "file/x"):
        attempt(name, Path(name).rmdir)
        attempt(name, Path(name).unlink, missing_ok=True)


@program()
def linking(Path: type[Any]) -> None:
    targets = ("file", "/a", "../x", "", ".", "a//b/./c", "nul\0", "\udcff", "x" * 5000, b"bytes")
    for number, target in enumerate(targets):
        attempt(number, Path(f"s{number}").symlink_to, target)
        attempt(number, Path(f"d{number}").symlink_to, target, target_is_directory=True)
    for number, target in enumerate(("file", "/a", "a//b/./c", "", "..")):
        attempt(number, lambda link, to: link.symlink_to(to), Path(f"p{number}"), Path(target))
    for name in NAMES:
        attempt(name, Path(name).symlink_to, "file")


# Before 3.14 os.link() does not follow them (gh-81793).
LINKS = (
    *("link", "link/", "alink", "alink/", "dangling", "dangling/", "circle", "itself", "long"),
    *("under-file", "slashed", "climb", "links/9", "links/44", "B/across"),
)  # fmt: skip


@program()
def linking_hard(Path: type[Any]) -> None:
    for name in NAMES:
        attempt(name, lambda link, to: link.hardlink_to(to), Path(name), Path("file"))
    _link_to_each((name for name in NAMES if name not in LINKS), Path)


@program(since=(3, 14))
def linking_hard_to_links(Path: type[Any]) -> None:
    _link_to_each(LINKS, Path)


def _link_to_each(names: Iterable[str], Path: type[Any]) -> None:
    for name in names:
        attempt(name, lambda link, to: link.hardlink_to(to), Path("hard"), Path(name))
        attempt(name, Path("hard").is_symlink)
        attempt(name, Path("hard").unlink)


RAW = ("", ".", "a/", "a/.", "file/", "new/", "link/", "alink/", "dangling/", "empty/", "/", "..")


@program()
def naming_targets_by_words(Path: type[Any]) -> None:
    """A slash at the end counts, though a path has none. Errors may name them with or without."""

    def attempt_each(label: str, call: Callable[[str], object]) -> None:
        for name in RAW:
            attempt((label, name), partial(_kind_of_failure, partial(call, name)))

    attempt_each("missing", Path("missing").rename)
    attempt_each("file", Path("file").hardlink_to)
    for name in RAW:
        attempt(name, partial(_kind_of_failure, partial(Path("hard").hardlink_to, name)))
        Path("hard").unlink(missing_ok=True)
    for name in RAW:
        Path("source").write_text("source")
        attempt(name, partial(_kind_of_failure, partial(Path("source").rename, name)))
        attempt(name, partial(_kind_of_failure, partial(Path("source").replace, name)))
    for name in RAW:
        Path("directory").mkdir(exist_ok=True)
        attempt(name, partial(_kind_of_failure, partial(Path("directory").rename, name)))


@program()
def renaming(Path: type[Any]) -> None:
    def rename(path: Any, target: Any) -> object:
        return path.rename(target)

    for name in NAMES:
        attempt(name, rename, Path("missing"), Path(name))
    for name in NAMES:
        Path("source").write_text(ascii(name))
        attempt(name, rename, Path("source"), Path(name))
    for name in NAMES:
        Path("directory/below").mkdir(parents=True, exist_ok=True)
        attempt(name, lambda path, target: path.replace(target), Path("directory"), Path(name))
    for name in NAMES:
        attempt(name, rename, Path(name), Path("moved"))
        attempt(name, rename, Path("moved"), Path("moved-on"))
    for one, other in (("a", "a"), ("a", "a/b/c"), ("a/b", "a"), ("empty", "B"), ("B", "empty")):
        attempt(one, Path(one).rename, other)
        attempt(one, lambda this, that: this.replace(that), Path(one), Path(other))
    for wrong in (None, ["file"]):
        attempt("wrong", Path("file").rename, wrong)


@program()
def changing_modes(Path: type[Any]) -> None:
    for name in NAMES:
        for mode in (0o600, 0o7755):
            attempt(name, Path(name).chmod, mode)
            attempt(name, lambda path: oct(path.stat().st_mode), Path(name))
    for mode in (0, -1, 1 << 40, "600", None):
        attempt("mode", Path("file").chmod, mode)


# Special files pathlib opens and reads, which may wait for ever, and a slash at the end of a link's
# text it forgets; ours are copied as what they are.
_NOT_COPIED = ("socket", "dev/null", "dev/disk", "slashed", "/", "//", "", ".", "..", "/..")
COPIED = [name for name in NAMES if name not in (*_NOT_COPIED, "a/..", "a/up/new")]


@program(since=(3, 14))
def copying(Path: type[Any]) -> None:
    # That link leads to the copies themselves, and owners only ours preserve.
    Path("a/up").unlink()
    Path("file").unlink()
    Path("file").write_text("file")
    for name in COPIED:
        for follow in (True, False):
            for metadata in (True, False):
                options = {"follow_symlinks": follow, "preserve_metadata": metadata}
                target = Path(f"copies/{follow}-{metadata}")
                target.mkdir(parents=True, exist_ok=True)
                copy = partial(Path(name).copy, target / "copy", **options)
                attempt(name, partial(_kind_of_failure, copy))
                copy_into = partial(Path(name).copy_into, target, **options)
                attempt(name, partial(_kind_of_failure, copy_into))
    for one, other in (("file", "file"), ("file", "a"), ("a", "file"), ("a", "a/b/c"), ("a", "a")):
        for copy in (Path(one).copy, Path(one).copy_into):
            attempt(one, partial(_kind_of_failure, partial(copy, other)))
            attempt(one, partial(_kind_of_failure, partial(copy, other, follow_symlinks=False)))
    for wrong in (None, ["new"]):
        attempt("wrong", Path("file").copy, wrong)


@program(since=(3, 14))
def moving(Path: type[Any]) -> None:
    for name in COPIED:
        attempt(name, partial(_kind_of_failure, partial(Path(name).move, Path("moved"))))
        attempt(name, partial(_kind_of_failure, partial(Path("moved").move, Path("moved-on"))))
        move_into = partial(Path("moved-on").move_into, Path("empty"))
        attempt(name, partial(_kind_of_failure, move_into))
    for one, other in (("a", "a/b/c"), ("a", "a"), ("B", "a"), ("newlines", "a"), ("a", "wide16")):
        attempt(one, partial(_kind_of_failure, partial(Path(one).move, other)))
        attempt(one, partial(_kind_of_failure, partial(Path(one).move_into, other)))


@program(uid=1000)
def writing_without_rights(Path: type[Any]) -> None:
    for name in NAMES:
        attempt(name, Path(name).write_text, "x")
        attempt(name, Path(name).touch)
        attempt(name, Path(name).mkdir)
        if name in MAKEABLE:
            attempt(name, Path(name).mkdir, parents=True, exist_ok=True)
        attempt(name, Path(name).unlink)
        attempt(name, Path(name).rmdir)
        attempt(name, Path(name).symlink_to, "x")
        attempt(name, lambda path, to: path.hardlink_to(to), Path(name), Path("file"))
        attempt(name, lambda path, to: path.rename(to), Path(name), Path("other"))
        attempt(name, Path(name).chmod, 0o644)


def _left(tree: Path) -> dict[str, tuple[Any, ...]]:
    """Everything in the tree: kind and mode, and contents or target."""
    left: dict[str, tuple[Any, ...]] = {}
    for top, directories, files in os.walk(tree):
        for name in [*directories, *files]:
            place = os.path.join(top, name)
            status = os.lstat(place)
            content: object = None
            if stat.S_ISREG(status.st_mode):
                content = Path(place).read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(place)
            facts = (oct(status.st_mode), status.st_nlink, status.st_uid, status.st_gid, content)
            left[os.path.relpath(place, tree)] = facts
    return left


@pytest.mark.parametrize("resolver", ["openat2", "walk"])
@pytest.mark.parametrize(
    ("each", "uid"), PROGRAMS, ids=[function.__name__ for function, _ in PROGRAMS]
)
def test_a_ported_program_does_the_same(
    each: Program, uid: int, resolver: str, tmp_path: Path
) -> None:
    for above in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        above.chmod(0o755)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for tree in (ours, theirs):
        tree.mkdir()
        grow(tree)
    assert through_a_root(each, ours, uid, resolver=resolver) == by_pathlib(each, theirs, uid)
    assert _left(ours) == _left(theirs)
