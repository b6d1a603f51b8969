"""A private copy on the host: what is in it, what is not, and that it is gone afterwards."""

from __future__ import annotations

import fcntl
import gc
import importlib.resources
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from errno import EACCES, EAGAIN, EBUSY, EFBIG, ENXIO
from pathlib import Path
from typing import Any

import pytest

from helpers.scenery import as_nobody, dig, reachable
from helpers.support import open_descriptors
from helpers.twins import Twins
from procpath import Root, RootedPath, SpecialFileError, handing
from procpath.resolve.walk import Walker
from procpath.tree.copy import leases


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where copies are made; nothing is left of them after the test."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory
    assert os.listdir(directory) == []


@pytest.fixture(params=["openat2", "walk"])
def top(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RootedPath]:
    (tmp_path / "root/srv").mkdir(parents=True)
    with Root.at(tmp_path / "root", resolver=request.param) as root:
        yield RootedPath(root)


def modes(copy: Path) -> set[str]:
    """The modes in a copy, of its directories and its files."""
    found = {f"{stat.filemode(path.lstat().st_mode)}" for path in copy.rglob("*")}
    return {mode for mode in found if not mode.startswith("l")}


# One file


def test_a_copy_has_the_name_and_what_is_in_the_file(top: RootedPath) -> None:
    (top / "srv/wheel-1.0.whl").write_bytes(b"content")
    (top / "srv/wheel-1.0.whl").chmod(0o6755)
    with (top / "srv/wheel-1.0.whl").as_file() as copy:
        assert type(copy) is type(Path())
        assert (copy.name, copy.suffix, copy.read_bytes()) == ("wheel-1.0.whl", ".whl", b"content")
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700
        assert os.listdir(copy.parent) == [copy.name]
        copy.write_text("changed")
        (copy.parent / "beside").write_text("by the user")
    assert not copy.exists()
    assert (top / "srv/wheel-1.0.whl").read_bytes() == b"content"


def test_a_link_to_a_file_is_followed_inside(twins: Twins) -> None:
    """``conf -> /etc/hostname`` was copied as a link, which led to the host's."""
    (twins.inside / "conf").symlink_to(str(twins.inside / "f"))
    (twins.host / "conf").symlink_to(twins.host / "f")
    with (twins.inside / "conf").as_file() as copy:
        assert (copy.name, copy.is_symlink(), copy.read_text()) == ("conf", False, "inside")


@pytest.mark.parametrize("text", ["/", "..", "srv/.."])
def test_the_root_is_called_root(text: str, tmp_path: Path) -> None:
    (tmp_path / "root/srv").mkdir(parents=True)
    bound = RootedPath.bind(tmp_path / "root")
    with bound(text).as_file() as copy:
        assert (copy.name, os.listdir(copy)) == ("root", ["srv"])
    with bound("srv/../srv/.").as_file() as copy:
        assert copy.name == "srv"


@pytest.mark.parametrize("kind", ["fifo", "socket", "missing", "loop"])
def test_it_refuses_what_open_refuses(kind: str, top: RootedPath, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "root/fifo")
    os.mknod(tmp_path / "root/socket", stat.S_IFSOCK | 0o600)
    (top / "loop").symlink_to("loop")
    with pytest.raises(OSError) as opened:
        (top / kind).open()
    with pytest.raises(OSError) as caught, (top / kind).as_file():
        raise AssertionError("not reached")
    assert (type(caught.value), caught.value.errno) == (type(opened.value), opened.value.errno)
    assert caught.value.filename == f"/{kind}"
    assert caught.value.__notes__ == [f"in the root {tmp_path}/root"]


def test_a_fifo_is_not_read_even_by_request(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    path = RootedPath(tmp_path, "fifo", special_files="allow")
    with pytest.raises(SpecialFileError, match="a FIFO is not copied"), path.as_file():
        raise AssertionError("not reached")


def test_files_of_the_kernel_are_copied_only_by_request() -> None:
    name = f"proc/{os.getpid()}/status"
    with pytest.raises(SpecialFileError), RootedPath("/", name).as_file():
        raise AssertionError("not reached")
    path = RootedPath("/", name, special_files="allow")
    with path.as_file() as copy:
        assert copy.read_text().startswith("Name:")
    with pytest.raises(OSError, match="limit") as caught, path.as_file(limit=10):
        raise AssertionError("not reached")
    assert caught.value.errno == EFBIG


# Siblings


def write_database(path: Any, word: str, host_directory: Path) -> None:
    """A database with two rows, of which the second is still in the write-ahead log."""
    made = host_directory / "made.sqlite"
    database = sqlite3.connect(made)
    database.execute("pragma journal_mode=wal")
    database.execute("create table t (word text)")
    database.execute("insert into t values ('first')")
    database.commit()
    database.execute("pragma wal_checkpoint(truncate)")
    database.execute("insert into t values (?)", [word])
    database.commit()
    for suffix in ("", "-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        beside.write_bytes(Path(f"{made}{suffix}").read_bytes())
    database.close()
    made.unlink()


def rows(path: Path) -> list[str]:
    database = sqlite3.connect(path)
    try:
        return [word for (word,) in database.execute("select word from t")]
    finally:
        database.close()


@pytest.mark.parametrize("through_a_link", [False, True])
def test_sqlite_reads_the_container_s_database_with_its_log(
    through_a_link: bool, twins: Twins, tmp_path: Path
) -> None:
    write_database(twins.host / "db.sqlite", "HOST", tmp_path)
    write_database(twins.inside / "db.sqlite", "inside", tmp_path)
    path = twins.inside / "db.sqlite"
    if through_a_link:
        (twins.inside / "other").mkdir()
        path = twins.inside / "other/named"
        path.symlink_to("../db.sqlite")
    with path.pin() as pinned:
        assert rows(Path(pinned)) == ["first", "HOST"]
    with path.as_file(siblings=("{name}-wal", "{name}-shm")) as copy:
        assert rows(copy) == ["first", "inside"]
        assert copy.name == path.name
    with path.as_file() as copy:
        assert rows(copy) == ["first"]
    with twins.inside.as_file() as copy:
        assert rows(copy / "db.sqlite") == ["first", "inside"]


def test_where_the_host_has_no_database_none_is_made(twins: Twins, tmp_path: Path) -> None:
    write_database(twins.inside / "db.sqlite", "inside", tmp_path)
    with (twins.inside / "db.sqlite").as_file(siblings=("{name}-wal",)) as copy:
        assert rows(copy) == ["first", "inside"]
    assert os.listdir(twins.host) == ["f"]


def test_siblings_follow_the_same_rules(top: RootedPath, tmp_path: Path) -> None:
    (top / "srv/db").write_text("database")
    (top / "srv/db-log").symlink_to("/elsewhere")
    (top / "elsewhere").write_text("log")
    siblings = ("{name}-log", "{name}-lock", "{name}-d", "x" * 253 + "{name}")
    (top / "srv/db-d").mkdir()
    (top / "srv/db-d/part").touch()
    with (top / "srv/db").as_file(siblings=siblings) as copy:
        assert sorted(os.listdir(copy.parent)) == ["db", "db-d", "db-log"]
        assert (copy.parent / "db-log").read_text() == "log"
        assert not (copy.parent / "db-log").is_symlink()
        assert os.listdir(copy.parent / "db-d") == ["part"]
    os.mkfifo(tmp_path / "root/srv/db-lock")
    with pytest.raises(SpecialFileError) as caught, (top / "srv/db").as_file(siblings=siblings):
        raise AssertionError("not reached")
    assert caught.value.filename == "/srv/db-lock"


@pytest.mark.machine_root
def test_a_sibling_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """Left out, its rows would be missing without a word."""
    reachable(tmp_path)
    (tmp_path / "db").touch(0o644)
    (tmp_path / "db-wal").touch(0o600)
    (tmp_path / "temporary").chmod(0o777)

    def copy() -> None:
        with RootedPath(tmp_path, "db").as_file() as made:
            assert made.exists()
        with pytest.raises(OSError) as caught:
            RootedPath(tmp_path, "db").as_file(siblings=("{name}-wal",)).__enter__()
        assert (caught.value.errno, caught.value.filename) == (EACCES, "/db-wal")

    as_nobody(copy)


@pytest.mark.parametrize("sibling", ["-wal", "{name}", "../{name}-wal", "/{name}-wal", ""])
def test_a_sibling_is_another_name(sibling: str, top: RootedPath) -> None:
    with pytest.raises(ValueError, match="sibling"):
        top.as_file(siblings=(sibling,))
    with pytest.raises(TypeError, match="not a str"):
        top.as_file(siblings="{name}-wal")
    with pytest.raises(ValueError, match="negative"):
        top.as_file(limit=-1)


# Directories


@pytest.fixture
def tree(top: RootedPath, tmp_path: Path) -> RootedPath:
    """``/srv``, with links of all kinds and special files."""
    srv = top / "srv"
    (srv / "sub/deep").mkdir(parents=True)
    (srv / "sub/deep/f").write_text("deep")
    (srv / "run.sh").write_text("#!/bin/sh")
    (srv / "run.sh").chmod(0o4755)
    (srv / "sub").chmod(0o2755)
    (top / "etc").mkdir()
    (top / "etc/hostname").write_text("inside")
    for name, text in {
        "absolute": "/srv/sub/deep/f",
        "sub/deep/up": "../../run.sh",
        "sub/around": "../../etc/../srv/sub/deep",
        "chain": "absolute",
        "itself": ".",
        "conf": "/etc/hostname",
        "climbs": "../../../../etc/hostname",
        "dangling": "nothing",
        "loop": "loop",
    }.items():
        (srv / name).symlink_to(text)
    os.mkfifo(tmp_path / "root/srv/sub/fifo")
    return srv


def test_links_stay_in_the_copy_or_out_of_it(tree: RootedPath) -> None:
    with tree.as_file() as copy:
        links = {
            str(path.relative_to(copy)): os.readlink(path)
            for path in copy.rglob("*")
            if path.is_symlink()
        }
        assert links == {
            "absolute": "sub/deep/f",
            "chain": "sub/deep/f",
            "itself": ".",
            "sub/around": "deep",
            "sub/deep/up": "../../run.sh",
        }
        for name in links:
            assert (copy / name).resolve().is_relative_to(copy)
        assert (copy / "chain").read_text() == "deep"
        assert modes(copy) == {"drwx------", "-rw-------"}
        assert not (copy / "sub/fifo").exists()


def test_an_error_has_a_note_of_what_was_left_out(tree: RootedPath) -> None:
    with pytest.raises(FileNotFoundError) as caught, tree.as_file() as copy:
        (copy / "conf").read_text()
    [note] = caught.value.__notes__
    assert note.startswith("left out of the copy of '/srv': ")
    for name, why in {
        "conf": "a link that leads out of it",
        "climbs": "a link that leads out of it",
        "dangling": "a link that leads nowhere",
        "loop": "a link that leads nowhere",
        "sub/fifo": "a FIFO",
    }.items():
        assert f"'/srv/{name}' ({why})" in note


def test_the_note_is_bounded(top: RootedPath) -> None:
    for number in range(100):
        (top / f"srv/{number}").symlink_to("/out")
    with pytest.raises(KeyError) as caught, top.as_file():
        raise KeyError
    [note] = caught.value.__notes__
    assert note.endswith(" and 90 more")
    assert len(note) < 1000


def test_deep_trees_take_few_descriptors(top: RootedPath, tmp_path: Path) -> None:
    dig(tmp_path / "root/srv", 120)
    before = open_descriptors()
    with (top / "srv").as_file() as copy:
        assert open_descriptors() == before
        levels = sum(1 for _ in os.walk(copy))
    assert levels == 121


def test_a_tree_on_a_kernel_file_system_is_left_out() -> None:
    with pytest.raises(KeyError) as caught, RootedPath("/", "proc/self/task").as_file():
        raise KeyError
    assert "(on procfs)" in caught.value.__notes__[0]


# Bounds, changes, and the end


def test_the_limit_bounds_all_files_together(top: RootedPath, tmp_path: Path) -> None:
    for name in ("a", "b", "a-wal"):
        (top / "srv" / name).write_bytes(b"x" * 1000)
    with (top / "srv").as_file(limit=3000), (top / "srv/a").as_file(limit=1000):
        pass
    for path, siblings, limit in (
        (top / "srv", (), 2999),
        (top / "srv/a", (), 999),
        (top / "srv/a", ("{name}-wal",), 1999),
    ):
        with pytest.raises(OSError, match="limit") as caught:
            path.as_file(siblings=siblings, limit=limit).__enter__()
        assert caught.value.errno == EFBIG
        assert os.listdir(tmp_path / "temporary") == []
    with open(tmp_path / "root/srv/sparse", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="limit"):
        (top / "srv/sparse").as_file().__enter__()


def test_entries_are_bounded(top: RootedPath, monkeypatch: pytest.MonkeyPatch) -> None:
    assert handing.MOST_ENTRIES == 1_000_000
    monkeypatch.setattr(handing, "MOST_ENTRIES", 5)
    for name in ("a/b/c/d", "e"):
        (top / "srv" / name).mkdir(parents=True)
    with (top / "srv").as_file() as copy:
        assert len(list(copy.rglob("*"))) == 5
    (top / "srv/f").touch()
    with pytest.raises(OSError, match="5 entries") as caught:
        (top / "srv").as_file().__enter__()
    assert caught.value.errno == EFBIG


CHANGES: dict[str, Callable[[Path], object]] = {
    "written to": lambda srv: (srv / "f").write_text("as long"),
    "grown": lambda srv: (srv / "f").write_text("longer than before"),
    "replaced": lambda srv: os.replace(srv / "other", srv / "f"),
    "a sibling more": lambda srv: (srv / "f-wal").write_text("log"),
    "removed below": lambda srv: (srv / "sub/g").unlink(),
    "added below": lambda srv: (srv / "sub/h").touch(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_meanwhile_is_copied_again(
    change: str, top: RootedPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    srv = tmp_path / "root/srv"
    (srv / "sub").mkdir()
    for name in ("f", "other", "sub/g"):
        (srv / name).write_text("at first"[: -1 if name == "f" else None])
    changes = [CHANGES[change]]
    copy_data = handing.copy_data

    def copy_and_change(*args: Any) -> None:
        copy_data(*args)
        if changes:
            changes.pop()(srv)

    monkeypatch.setattr(handing, "copy_data", copy_and_change)
    path = top / ("srv" if "below" in change else "srv/f")
    with path.as_file(siblings=("{name}-wal",)) as copy:
        now = {p.name: p.read_bytes() for p in copy.parent.rglob("*") if p.is_file()}
    if "below" in change:
        assert now == {p.name: p.read_bytes() for p in srv.rglob("*") if p.is_file()}
    else:
        assert now == {p.name: p.read_bytes() for p in srv.glob("f*")}
    assert changes == []


def test_what_goes_on_changing_is_busy(
    top: RootedPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (top / "srv/f").write_text("x")
    copy_data = handing.copy_data

    def copy_and_change(*args: Any) -> None:
        copy_data(*args)
        with open(tmp_path / "root/srv/f", "a") as file:
            file.write("x")

    monkeypatch.setattr(handing, "copy_data", copy_and_change)
    with pytest.raises(OSError, match="changed while it was copied") as caught:
        (top / "srv/f").as_file().__enter__()
    assert (caught.value.errno, caught.value.filename) == (EBUSY, "/srv/f")


@pytest.mark.parametrize("error", [KeyError("user's"), KeyboardInterrupt(), SystemExit()])
@pytest.mark.usefixtures("no_leak")
def test_the_copy_is_gone_after_any_error(error: BaseException, tree: RootedPath) -> None:
    def use(copy: Path) -> None:
        (copy / "sub").chmod(0)
        raise error

    with pytest.raises(type(error)) as caught, tree.as_file() as copy:
        use(copy)
    assert caught.value is error
    assert not copy.exists()


@pytest.mark.usefixtures("no_leak")
def test_a_copy_that_fails_leaves_nothing(
    tree: RootedPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise OSError(ENXIO, os.strerror(ENXIO))

    monkeypatch.setattr(handing, "copy_data", fail)
    with pytest.raises(OSError) as caught:
        tree.as_file().__enter__()
    assert caught.value.errno == ENXIO
    assert caught.value.filename.startswith("/srv/")
    caught.value.__traceback__ = None


@pytest.mark.parametrize("has_error", [False, True])
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, TimeoutError])
@pytest.mark.usefixtures("no_leak")
def test_an_interrupted_removal_is_done_again(
    has_error: bool,
    interrupt: type[BaseException],
    tree: RootedPath,
    monkeypatch: pytest.MonkeyPatch,
    temporary: Path,
) -> None:
    with pytest.raises(interrupt), tree.as_file():
        interrupt_removals(monkeypatch, [interrupt()], KeyError() if has_error else None)
    assert os.listdir(temporary) == []


@pytest.mark.usefixtures("no_leak")
def test_two_interrupts_leave_nothing_in_the_end(
    tree: RootedPath, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    copying = tree.as_file()
    copying.__enter__()
    interrupt_removals(monkeypatch, [KeyboardInterrupt(), KeyboardInterrupt()])
    try:
        copying.__exit__(None, None, None)
    except KeyboardInterrupt:
        assert len(os.listdir(temporary)) == 1
    del copying
    gc.collect()
    assert os.listdir(temporary) == []


def test_a_child_does_not_remove_the_copy_of_its_parent(top: RootedPath, temporary: Path) -> None:
    (top / "srv/f").touch()
    made = handing._PrivateDirectory()
    pid = os.fork()
    if not pid:
        del made
        os._exit(0)
    os.waitpid(pid, 0)
    assert len(os.listdir(temporary)) == 1
    del made
    assert os.listdir(temporary) == []


def test_a_copy_that_cannot_be_removed_is_told(
    tree: RootedPath, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    refusals: list[BaseException] = [OSError(ENXIO, "no")] * 2
    with pytest.raises(KeyError) as caught, tree.as_file():
        interrupt_removals(monkeypatch, refusals.copy(), KeyError())
    assert "could not be removed: [Errno 6] no" in caught.value.__notes__[-1]
    with pytest.raises(OSError) as refused, tree.as_file():
        interrupt_removals(monkeypatch, refusals.copy())
    assert refused.value.errno == ENXIO
    for left in temporary.iterdir():
        shutil.rmtree(left)


def interrupt_removals(
    monkeypatch: pytest.MonkeyPatch, errors: list[BaseException], cause: Exception | None = None
) -> None:
    """Let each of the next removals end in the middle with an error, and raise ``cause``."""
    remove_own = handing.remove_own

    def remove(*args: Any) -> None:
        if errors:
            raise errors.pop()
        remove_own(*args)

    monkeypatch.setattr(handing, "remove_own", remove)
    if cause is not None:
        raise cause


# Time that others could take


def test_where_a_link_leads_is_asked_once_and_not_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk from the root to each of a chain of links took 40 seconds."""
    (tmp_path / "srv/a/b").mkdir(parents=True)
    for directory in ("srv", "srv/a", "srv/a/b"):
        for name, text in {"dangling": "no", "here": ".", "file": "f/", "up": ".."}.items():
            (tmp_path / directory / name).symlink_to(text)
        (tmp_path / directory / "f").touch()
    time.sleep(0.03)  # or the first attempt finds it too new
    monkeypatch.setattr(Walker, "locate", lambda *_: pytest.fail("walked"))
    for on_escape in ("clamp", "raise"):
        with Root.at(tmp_path, resolver="openat2", on_escape=on_escape) as root:
            asked = count_calls(root.resolver, "locate", monkeypatch)
            with RootedPath(root, "srv").as_file() as copy:
                assert os.readlink(copy / "a/b/here") == "."
                assert os.readlink(copy / "a/b/up") == ".."
        # And the path itself in each of the two passes.
        assert len(asked) == 12 + 2


def count_calls(of: object, name: str, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Let a method of one argument keep what it is called with."""
    asked: list[bytes] = []
    method = getattr(of, name)

    def ask(argument: bytes) -> object:
        asked.append(argument)
        return method(argument)

    monkeypatch.setattr(of, name, ask)
    return asked


def test_links_that_take_too_long_end_the_copy(
    tree: RootedPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing, "_LINK_PATIENCE", 1e-9)
    with pytest.raises(OSError, match="too long to follow") as caught:
        tree.as_file().__enter__()
    assert (caught.value.errno, caught.value.filename) == (EFBIG, "/srv/chain")


def test_a_lease_that_is_kept_is_an_error(
    top: RootedPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """open(2) would wait 45 seconds for each file."""
    monkeypatch.setattr(leases, "LEASE_PATIENCE", 0.05)
    (top / "srv/held").write_text("x")
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    fd = os.open(tmp_path / "root/srv/held", os.O_RDWR)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        with pytest.raises(OSError, match="another process holds a lease") as caught:
            (top / "srv").as_file().__enter__()
    finally:
        os.close(fd)
        signal.signal(signal.SIGIO, before)
    assert (caught.value.errno, caught.value.filename) == (EAGAIN, "/srv/held")


# Those for whom it is made


def test_realpath_and_lstat_find_the_copy(twins: Twins) -> None:
    with (twins.inside / "f").as_file() as copy:
        assert Path(os.path.realpath(copy)).read_text() == "inside"
        assert stat.S_ISREG(os.lstat(copy).st_mode)
    with (twins.inside / "f").pin() as pinned:
        assert Path(os.path.realpath(pinned)).read_text() == "HOST"


def test_a_script_runs_from_its_own_directory(twins: Twins) -> None:
    """An interpreter that is given a pinned script imports from the host's directory."""
    for directory, word in ((twins.inside, "inside"), (twins.host, "HOST")):
        (directory / "script.py").write_text("import module")
        (directory / "module.py").write_text(f"print({word!r})")
    with (twins.inside / "script.py").pin() as pinned:
        done = subprocess.run(
            [sys.executable, "-B", pinned],
            pass_fds=[pinned.fileno()],
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == "HOST\n"
    with twins.inside.as_file() as copy:
        assert (
            subprocess.check_output([sys.executable, "-B", copy / "script.py"], text=True)
            == "inside\n"
        )


def test_importlib_s_as_file_works_too(twins: Twins) -> None:
    with importlib.resources.as_file(twins.inside / "f") as copy:
        assert copy.read_text() == "inside"


def test_time_is_not_lost_on_what_is_old(top: RootedPath, monkeypatch: pytest.MonkeyPatch) -> None:
    (top / "srv/f").touch()
    time.sleep(0.03)
    slept: list[float] = []
    monkeypatch.setattr(handing.time, "sleep", slept.append)
    with (top / "srv/f").as_file():
        assert slept == [0]
