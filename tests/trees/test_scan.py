"""scan(): everything below, once, with the status it has, and nothing that lies elsewhere."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.scenery import as_nobody, reachable, write
from helpers.support import open_descriptors
from procpath import Entry, Root, RootedPath, SpecialFileError


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A directory with some of everything, in three levels."""
    made = tmp_path / "top"
    write(made / "file", "content")
    write(made / "sub/deeper/deepest", "deep")
    write(made / "sub/file", "in sub")
    (made / "empty").mkdir()
    (made / "to-file").symlink_to("file")
    (made / "to-sub").symlink_to("sub")
    (made / "dangling").symlink_to("/nowhere")
    os.mkfifo(made / "fifo")
    write(made / os.fsdecode(b"odd \xff\n"), "odd")
    return made


BELOW = {
    *("/dangling", "/empty", "/fifo", "/file", "/sub", "/sub/deeper", "/sub/deeper/deepest"),
    *("/sub/file", "/to-file", "/to-sub", os.fsdecode(b"/odd \xff\n")),
}


def entry_of(path: RootedPath, name: str) -> Entry[RootedPath]:
    """The entry, which acts no more."""
    return next(entry for entry in path.scan(max_depth=1) if entry.name == name)


def test_everything_below_is_yielded_once(top: Path) -> None:
    found = [str(entry.path) for entry in RootedPath(top).scan()]
    assert len(found) == len(set(found))
    assert set(found) == BELOW


def test_a_directory_comes_before_its_contents(top: Path) -> None:
    seen = {"/"}
    for entry in RootedPath(top).scan():
        assert str(entry.path.parent) in seen
        seen.add(str(entry.path))


def test_an_entry_has_its_name_depth_and_path(top: Path) -> None:
    for entry in RootedPath(top).scan():
        assert isinstance(entry, Entry)
        assert entry.name == entry.path.name
        assert entry.depth == len(entry.path.parts) - 1
        assert repr(entry) == f"<Entry {str(entry.path)!r}>"


def test_paths_are_below_the_path_that_was_scanned(top: Path) -> None:
    assert {str(entry.path) for entry in (RootedPath(top) / "sub").scan()} == {
        *("/sub/file", "/sub/deeper", "/sub/deeper/deepest")
    }
    bound = RootedPath.bind(top)
    assert {str(entry.path) for entry in bound("sub").scan(max_depth=1)} == {
        *("sub/file", "sub/deeper")
    }
    assert {str(entry.path) for entry in bound().scan(max_depth=1)} >= {"sub", "file"}
    assert {str(entry.path) for entry in bound("to-sub").scan(max_depth=1)} == {
        *("to-sub/file", "to-sub/deeper")
    }


def test_a_path_has_the_type_of_the_scanned_one(top: Path) -> None:
    class Mine(RootedPath):
        pass

    for entry in Mine(top).scan():
        assert type(entry.path) is Mine
        assert entry.path == RootedPath(top) / str(entry.path)


def test_types_and_status_are_those_of_the_entry_itself(top: Path) -> None:
    for entry in RootedPath(top).scan():
        status = os.lstat(f"{top}{entry.path}")
        assert entry.stat() == status
        assert entry.is_dir() == stat.S_ISDIR(status.st_mode)
        assert entry.is_file() == stat.S_ISREG(status.st_mode)
        assert entry.is_symlink() == stat.S_ISLNK(status.st_mode)


def test_max_depth_is_how_many_levels_are_yielded(top: Path) -> None:
    for most in range(5):
        entries = RootedPath(top).scan(max_depth=most)
        found = {str(entry.path) for entry in entries}
        assert found == {path for path in BELOW if path.count("/") <= most}
    with pytest.raises(ValueError, match="max_depth"):
        RootedPath(top).scan(max_depth=-1)


def test_a_skipped_directory_is_not_entered(top: Path) -> None:
    found = set()
    for entry in RootedPath(top).scan():
        found.add(str(entry.path))
        if entry.name in ("deeper", "file", "to-sub"):
            entry.skip()
    assert found == BELOW - {"/sub/deeper/deepest"}


def test_an_entry_is_opened_as_by_open(top: Path) -> None:
    read = {}
    for entry in RootedPath(top).scan():
        if entry.is_file():
            with entry.open("rb") as file:
                read[str(entry.path)] = file.read()
                assert file.name == entry.path
            with entry.open(encoding="utf-8") as text:
                assert text.read().encode() == read[str(entry.path)]
                assert text.name == entry.path
            with entry.open("rb", buffering=0) as raw:
                assert raw.read() == read[str(entry.path)]
                assert raw.name == entry.path
            assert entry.read_bytes() == read[str(entry.path)]
    assert read == {
        "/file": b"content",
        "/sub/deeper/deepest": b"deep",
        "/sub/file": b"in sub",
        os.fsdecode(b"/odd \xff\n"): b"odd",
    }


@pytest.mark.parametrize("mode", ["w", "a", "x", "r+", "rb+", "wb"])
def test_an_entry_is_not_opened_for_writing(mode: str, top: Path) -> None:
    for entry in RootedPath(top).scan():
        with pytest.raises(ValueError, match="for reading"):
            entry.open(mode)
    assert (top / "file").read_text() == "content"


def test_a_limit_bounds_what_is_read(tmp_path: Path) -> None:
    write(tmp_path / "file", "x" * 1000)
    write(tmp_path / "empty", "")
    for entry in RootedPath(tmp_path).scan():
        size = entry.stat().st_size
        assert len(entry.read_bytes(size)) == len(entry.read_bytes(limit=size + 1)) == size
        with pytest.raises(ValueError, match="limit"):
            entry.read_bytes(-1)
        if size:
            for limit in (0, 1, size - 1):
                with pytest.raises(OSError) as caught:
                    entry.read_bytes(limit)
                assert caught.value.errno == errno.EFBIG
                assert caught.value.filename == "/file"


@pytest.mark.parametrize("special_files", ["refuse", "allow"])
def test_what_is_not_a_regular_file_is_not_read(special_files: str, top: Path) -> None:
    root = Root.at(top, special_files=special_files)
    os.unlink(top / "fifo")
    for entry in RootedPath(root).scan():
        expected = errno.EISDIR if entry.is_dir() else errno.ELOOP
        if not entry.is_file():
            for act in (entry.open, entry.read_bytes):
                with pytest.raises(OSError) as caught:
                    act()
                assert caught.value.errno == expected
                assert caught.value.filename == str(entry.path)
                assert caught.value.__notes__ == [root.note.root]


def test_a_special_file_is_listed_and_not_opened(top: Path) -> None:
    entries = [entry for entry in RootedPath(top).scan() if entry.name == "fifo"]
    assert len(entries) == 1
    for entry in RootedPath(top).scan():
        if entry.name == "fifo":
            assert stat.S_ISFIFO(entry.stat().st_mode)
            for act in (entry.open, entry.read_bytes):
                with pytest.raises(SpecialFileError) as caught:
                    act()
                assert caught.value.filename == "/fifo"
    writer = os.open(top / "fifo", os.O_RDWR)
    os.write(writer, b"through")
    for entry in RootedPath(Root.at(top, special_files="allow")).scan():
        if entry.name == "fifo":
            with entry.open("rb", buffering=0) as file:
                assert file.read(7) == b"through"
    os.close(writer)


def test_a_link_says_where_it_leads(top: Path) -> None:
    links = {}
    for entry in RootedPath(top).scan():
        if entry.is_symlink():
            links[entry.name] = entry.readlink()
            assert links[entry.name] == entry.path.readlink()
        else:
            with pytest.raises(OSError) as caught:
                entry.readlink()
            assert caught.value.errno == errno.EINVAL
    assert {name: str(path) for name, path in links.items()} == {
        "to-file": "file",
        "to-sub": "sub",
        "dangling": "/nowhere",
    }


ACTIONS: dict[str, Callable[[Entry[RootedPath]], object]] = {
    "stat": lambda entry: entry.stat(),
    "open": lambda entry: entry.open(),
    "read_bytes": lambda entry: entry.read_bytes(),
    "readlink": lambda entry: entry.readlink(),
    "skip": lambda entry: entry.skip(),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_an_entry_kept_past_its_time_does_not_act(action: str, top: Path) -> None:
    before = None
    for entry in RootedPath(top).scan():
        if before is not None:
            with pytest.raises(ValueError, match="gone on"):
                ACTIONS[action](before)
        before = entry
    assert before is not None
    with pytest.raises(ValueError, match="gone on"):
        ACTIONS[action](before)


def test_what_was_asked_before_stays_known(top: Path) -> None:
    entries = []
    for entry in RootedPath(top).scan():
        entry.stat()
        entries.append(entry)
    modes = {str(entry.path): os.lstat(f"{top}{entry.path}").st_mode for entry in entries}
    (top / "sub").rename(top / "moved")
    os.truncate(top / "file", 0)
    for entry in entries:
        mode = modes[str(entry.path)]
        assert entry.stat().st_mode == mode
        assert entry.is_dir() == stat.S_ISDIR(mode)
        assert entry.is_file() == stat.S_ISREG(mode)
        assert entry.is_symlink() == stat.S_ISLNK(mode)
        if entry.name == "file" and entry.depth == 1:
            assert entry.stat().st_size == len("content")


def test_types_take_no_system_call(top: Path) -> None:
    """They are known of entries whose directory is long gone."""
    entries = list(RootedPath(top).scan())
    kinds = {entry.name: (entry.is_dir(), entry.is_file(), entry.is_symlink()) for entry in entries}
    assert kinds["deeper"] == (True, False, False)
    assert kinds["deepest"] == (False, True, False)
    assert kinds["to-sub"] == (False, False, True)
    assert kinds["fifo"] == (False, False, False)


def test_a_number_that_another_file_has_got_is_never_used(top: Path, tmp_path: Path) -> None:
    (tmp_path / "other/sub").mkdir(parents=True)
    for name in ("file", "sub/file", "deeper", "deepest", "empty", "to-sub", "fifo"):
        write(tmp_path / "other" / name, "from elsewhere")
    kept = list(RootedPath(top).scan())
    opened = [os.open(tmp_path / "other", os.O_RDONLY) for _ in range(40)]
    try:
        for entry in kept:
            for act in ACTIONS.values():
                with pytest.raises(ValueError):
                    act(entry)
    finally:
        for fd in opened:
            os.close(fd)


def test_kept_entries_hold_no_descriptor(top: Path) -> None:
    before = open_descriptors()
    root = Root.at(top)
    kept = list(RootedPath(root).scan())
    assert len(open_descriptors()) == len(before) + 1
    assert {str(entry.path) for entry in kept} == BELOW
    root.close()
    assert open_descriptors() == before


@pytest.mark.usefixtures("no_leak")
def test_a_scan_that_is_not_finished_leaves_nothing_open(top: Path) -> None:
    for number in range(len(BELOW)):
        scan = RootedPath(top).scan()
        for _ in range(number + 1):
            entry = next(scan)
        if number % 2:
            scan.close()
            with pytest.raises(ValueError, match="gone on"):
                entry.skip()
        del scan, entry


@pytest.mark.usefixtures("no_leak")
def test_an_error_that_is_kept_keeps_nothing_open(top: Path) -> None:
    root = Root.at(top)

    def look_into_sub() -> None:
        for entry in RootedPath(root).scan():
            if entry.depth == 2:
                entry.path.parent.readlink()

    kept = []
    for act in (look_into_sub, lambda: list(RootedPath(root, "file").scan())):
        with pytest.raises(OSError) as caught:
            act()
        kept.append(caught.value)
    root.close()
    assert len(kept) == 2


def test_the_start_must_be_a_directory(top: Path) -> None:
    expected = {"missing": errno.ENOENT, "file": errno.ENOTDIR, "dangling": errno.ENOENT}
    for name, number in expected.items():
        path = RootedPath(top) / name
        with pytest.raises(OSError) as caught:
            list(path.scan())
        assert (caught.value.errno, caught.value.filename) == (number, f"/{name}")
        assert caught.value.__notes__ == [path.root_handle.note.root]
        errors: list[OSError] = []
        assert list(path.scan(on_error=errors.append)) == []
        assert [error.errno for error in errors] == [number]


def test_a_directory_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "open/file")
    write(tmp_path / "shut/file")
    write(tmp_path / "unsearchable/file")
    os.mkfifo(tmp_path / "unsearchable/fifo")
    reachable(tmp_path)
    tmp_path.chmod(0o755)
    (tmp_path / "shut").chmod(0o300)
    (tmp_path / "unsearchable").chmod(0o744)

    def inside() -> None:
        root = Root.at(tmp_path)
        errors: list[OSError] = []
        found = {}
        for entry in RootedPath(root).scan(on_error=errors.append):
            found[str(entry.path)] = entry.is_file()
            if str(entry.path) == "/unsearchable/file":
                for act in (entry.stat, entry.open, entry.read_bytes):
                    with pytest.raises(PermissionError) as caught:
                        act()
                    assert caught.value.filename == "/unsearchable/file"
        assert found == {
            "/open": False,
            "/open/file": True,
            "/shut": False,
            "/unsearchable": False,
            "/unsearchable/fifo": False,
            "/unsearchable/file": True,
        }
        assert [(error.errno, error.filename) for error in errors] == [(errno.EACCES, "/shut")]
        assert errors[0].__notes__ == [root.note.root]
        with pytest.raises(PermissionError):
            list(RootedPath(root).scan())

    as_nobody(inside)


def test_a_closed_root_is_not_scanned(top: Path) -> None:
    root = Root.at(top)
    path = RootedPath(root)
    scan = path.scan()
    next(scan)
    root.close()
    # It ends on the directory that it began with.
    assert len(list(scan)) == len(BELOW) - 1
    with pytest.raises(ValueError, match="closed"):
        list(path.scan())
