"""Each error says in which root it happened, once."""

from __future__ import annotations

import os
import pathlib
import resource
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from helpers.processes import living
from helpers.scenery import mount_tmpfs
from helpers.support import open_descriptors, private_mounts, run_in_child
from procpath import Root, RootedPath

FAILING: dict[str, Callable[[RootedPath], object]] = {
    "stat": lambda p: (p / "no").stat(),
    "lstat": lambda p: (p / "f/x").lstat(),
    "readlink": lambda p: (p / "f").readlink(),
    "resolve": lambda p: (p / "no").resolve(strict=True),
    "samefile": lambda p: p.samefile("no"),
    "owner": lambda p: (p / "no").owner(),
    "home": lambda p: p.home(),
    "open": lambda p: (p / "no").open(),
    "open a directory": lambda p: p.open("w"),
    "read_bytes": lambda p: p.read_bytes(),
    "read_text": lambda p: (p / "f/x").read_text(),
    "iterdir": lambda p: (p / "f").iterdir(),
    "walk": lambda p: list((p / "no").walk(on_error=_fail)),
    "walk up": lambda p: list((p / "f").walk(top_down=False, on_error=_fail)),
    "walk links": lambda p: list((p / "no").walk(on_error=_fail, follow_symlinks=True)),
    "write_bytes": lambda p: p.write_bytes(b""),
    "write_text": lambda p: (p / "no/x").write_text(""),
    "touch": lambda p: (p / "f").touch(exist_ok=False),
    "mkdir": lambda p: (p / "d").mkdir(),
    "mkdir parents": lambda p: (p / "f/x/y").mkdir(parents=True),
    "mkdir through a link": lambda p: (p / "gone/x").mkdir(parents=True),
    "unlink": lambda p: (p / "d").unlink(),
    "rmdir": lambda p: p.rmdir(),
    "rmdir a file": lambda p: (p / "f").rmdir(),
    "symlink_to": lambda p: (p / "f").symlink_to("x"),
    "hardlink_to": lambda p: (p / "f").hardlink_to("no"),
    "rename": lambda p: (p / "no").rename("x"),
    "rename, no parent": lambda p: (p / "f").rename("no/x"),
    "exchange": lambda p: (p / "f").exchange("no"),
    "chmod": lambda p: (p / "gone").chmod(0o600),
    "lchmod": lambda p: (p / "gone").lchmod(0o600),
    "chown": lambda p: (p / "no").chown(1),
    "utime": lambda p: (p / "no").utime(),
    "pin": lambda p: (p / "no").pin(),
    "connect": lambda p: (p / "f").connect(),
    "as_root": lambda p: (p / "f").as_root(),
    "copy": lambda p: (p / "no").copy("x"),
    "copy out": lambda p: (p / "no").copy(pathlib.Path("/nowhere/x")),
    "copy in": lambda p: (p / "no/x").copy_from(pathlib.Path("/")),
    "copy over": lambda p: (p / "f").copy("d"),
    "move": lambda p: (p / "no").move("x"),
    "rmtree": lambda p: (p / "no").rmtree(),
    "rmtree a file": lambda p: (p / "f").rmtree(),
    "Root.open": lambda p: p.root_handle.open("/no", os.O_RDONLY),
}


def _fail(error: OSError) -> NoReturn:
    raise error


@pytest.fixture(params=["openat2", "walk"])
def top(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[RootedPath]:
    (tmp_path / "d/in").mkdir(parents=True)
    (tmp_path / "f").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "etc/passwd").mkdir(parents=True)
    with Root.at(tmp_path, resolver=request.param) as root:
        yield RootedPath(root)


@pytest.mark.parametrize("name", FAILING)
def test_an_error_notes_its_root_once(name: str, top: RootedPath) -> None:
    with pytest.raises(OSError) as caught:
        FAILING[name](top)
    assert getattr(caught.value, "__notes__", []) == [f"in the root {top.root_handle.origin}"]


def test_the_note_names_the_process() -> None:
    with living() as pid, pytest.raises(FileNotFoundError) as caught:
        RootedPath(pid, "no/such").read_bytes()
    assert caught.value.__notes__ == [f"in the root of process {pid} (/proc/{pid}/root)"]


def test_errors_between_two_lookups_note_their_root(top: RootedPath) -> None:
    """Out of descriptors, wherever an operation is by then."""

    def notes() -> list[list[str]]:
        for operation in FAILING.values():
            try:
                operation(top)
            except OSError:
                continue
        found: list[list[str]] = []
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        for few in range(6):
            limit = len(open_descriptors()) + 1 + few
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            for operation in FAILING.values():
                try:
                    operation(top)
                except OSError as error:
                    found.append(getattr(error, "__notes__", []))
        return found

    note = f"in the root {top.root_handle.origin}"
    assert [each for each in run_in_child(notes) if each != [note]] == []


def test_what_is_asked_of_two_roots_notes_its_own(top: RootedPath, tmp_path: Any) -> None:
    (tmp_path / "other").mkdir()
    with Root.at(tmp_path / "other") as other, pytest.raises(OSError) as caught:
        (top / "f").copy(RootedPath(other, "no/x"))
    assert f"in the root {other.origin}" in caught.value.__notes__


THROUGH_A_LINK: dict[str, Callable[[RootedPath], object]] = {
    "stat": lambda p: (p / "f").stat(),
    "open": lambda p: (p / "f").open().close(),
    "write": lambda p: (p / "f").write_text(""),
    "iterdir": lambda p: p.iterdir(),
    "walk": lambda p: list(p.walk(on_error=_fail)),
    "scan": lambda p: list(p.scan()),
    "resolve": lambda p: p.resolve(strict=True),
    "mkdir": lambda p: (p / "new").mkdir(),
    "rename": lambda p: (p / "f").rename("g"),
    "rmtree": lambda p: p.rmtree(),
    "copy": lambda p: p.copy(pathlib.Path("/nowhere/x")),
    "pin": lambda p: (p / "f").pin(),
    "Root.open": lambda p: p.root_handle.open(str(p / "f"), os.O_RDONLY),
}


@pytest.mark.parametrize("resolver", ["openat2", "walk"])
@pytest.mark.parametrize("name", THROUGH_A_LINK)
def test_an_eloop_names_the_option_that_refused(
    name: str, resolver: Any, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").touch()
    (tmp_path / "link").symlink_to("d")
    refusal = "this root has symlinks=False: no symbolic link is followed"
    notes = {}
    for follow in (True, False):
        path = RootedPath(tmp_path, "link", resolver=resolver, symlinks=follow)
        try:
            THROUGH_A_LINK[name](path)
        except OSError as error:
            notes[follow] = error.__notes__
    assert notes.get(False) == [f"in the root {tmp_path}", refusal]
    assert refusal not in notes.get(True, [])


@pytest.mark.root
@pytest.mark.parametrize("resolver", ["openat2", "walk"])
def test_an_exdev_names_the_option_that_refused(resolver: Any, tmp_path: pathlib.Path) -> None:
    top, target = tmp_path / "root", tmp_path / "copy"
    (top / "mount").mkdir(parents=True)
    operations: dict[str, Callable[[RootedPath], object]] = {
        "stat": lambda p: (p / "mount/f").stat(),
        "open": lambda p: (p / "mount/f").open(),
        "listing": lambda p: (p / "mount").iterdir(),
        "copy": lambda p: p.copy(target),
        "rmtree": lambda p: (p / "mount").rmtree(),
    }

    def notes() -> dict[str, list[str]]:
        mount_tmpfs(top / "mount")
        (top / "mount/f").touch()
        path = RootedPath(top, resolver=resolver, cross_mounts=False)
        found = {}
        for name, operation in operations.items():
            with pytest.raises(OSError) as caught:
                operation(path)
            found[name] = caught.value.__notes__
        return found

    expected = [
        f"in the root {top}",
        "this root has cross_mounts=False: no mount point is entered",
    ]
    assert private_mounts(notes) == dict.fromkeys(operations, expected)
