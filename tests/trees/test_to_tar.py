"""``to_tar()``: what an archive has of a tree, and that other programs read it."""

from __future__ import annotations

import io
import os
import re
import stat
import subprocess
import tarfile
from collections.abc import Callable
from errno import EACCES, ENOSPC, ENXIO, EOVERFLOW, ESTALE
from pathlib import Path

import pytest

from helpers.portrait import portrait
from helpers.processes import process_in
from helpers.scenery import as_nobody, dig, mount_tmpfs, populate, reachable, write
from helpers.support import private_mounts
from procpath import RootedPath, SpecialFileError, linux, uapi

pytestmark = pytest.mark.usefixtures("no_leak")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    top.mkdir()
    return top


def archived(path: RootedPath | Path, **arguments: Callable[[OSError], object]) -> bytes:
    target = io.BytesIO()
    (path if isinstance(path, RootedPath) else RootedPath(path)).to_tar(target, **arguments)
    return target.getvalue()


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {member.name: member for member in opened}


class Meddling(io.BytesIO):
    """A file that does something when a text is first written to it."""

    def __init__(self, text: bytes, act: Callable[[], object]) -> None:
        super().__init__()
        self._text = text
        self._act = act

    def write(self, data: object) -> int:
        assert isinstance(data, bytes)
        if self._text and self._text in data:
            self._text = b""
            self._act()
        return super().write(data)


# What is kept


@pytest.mark.root
def test_gnu_tar_makes_the_same_tree_of_it(tmp_path: Path) -> None:
    populate(tmp_path / "tree")
    (tmp_path / "tree/socket").unlink()
    # GNU tar extracts no attributes of what is not a file or directory, and no ACLs so.
    for name in ("link", "fifo"):
        os.removexattr(tmp_path / "tree" / name, "trusted.note", follow_symlinks=False)
    os.removexattr(tmp_path / "tree/file", "system.posix_acl_access")
    os.removexattr(tmp_path / "tree/sub", "system.posix_acl_default")
    write(tmp_path / "tree" / ("d" * 200) / ("e" * 200) / "deep")
    (tmp_path / "tree/long link").symlink_to("/".join(["x" * 200] * 10))
    (tmp_path / "out").mkdir()
    command = ["tar", "-xpf-", "--xattrs", "--xattrs-include=*", "--numeric-owner"]
    wanted = portrait(tmp_path / "tree")
    subprocess.run(
        [*command, "-C", tmp_path / "out"], input=archived(tmp_path / "tree"), check=True
    )
    assert portrait(tmp_path / "out") == wanted


def test_times_and_sizes_that_headers_have_no_room_for(tree: Path) -> None:
    for number, time in enumerate((-2 * 10**9, 1, 2**40 * 10**9)):
        write(tree / f"file{number}")
        os.utime(tree / f"file{number}", ns=(0, time))
    with open(tree / "large", "wb") as file:
        file.truncate(8 << 30)
    listed = subprocess.run(
        ["tar", "--full-time", "--utc", "-tvf-"],
        input=_start(tree, 64 << 10),
        capture_output=True,
        check=False,
        text=False,
    ).stdout.decode()
    assert re.search("1969-12-31 23:59:58 +file0$", listed, re.MULTILINE)
    assert re.search("1970-01-01 00:00:00.000000001 +file1$", listed, re.MULTILINE)
    assert "8589934592" in listed


def _start(tree: Path, size: int) -> bytes:
    """The first bytes of an archive."""

    class Enough(Exception):
        pass

    class Short(io.BytesIO):
        def write(self, data: object) -> int:
            assert isinstance(data, bytes)
            super().write(data)
            if self.tell() > size:
                raise Enough
            return len(data)

    target = Short()
    with pytest.raises(Enough):
        RootedPath(tree).to_tar(target)
    return target.getvalue()


def test_names_that_are_not_utf_8_are_kept_byte_by_byte(tree: Path) -> None:
    names = [os.fsdecode(b"\xff" * 10), os.fsdecode(b"\xfe" * 200), "ä" * 100, "a\nb"]
    for name in names:
        write(tree / name)
    (tree / "link").symlink_to(os.fsdecode(b"\xfd" * 200))
    found = members(archived(tree))
    assert {name for name in found if found[name].isreg()} == set(names)
    assert found["link"].linkname == os.fsdecode(b"\xfd" * 200)


def test_an_attribute_may_have_any_bytes(tree: Path) -> None:
    write(tree / "file")
    os.setxattr(tree / "file", "user.a=b%c", b"\0\n\xff=1")
    data = archived(tree)
    assert b" SCHILY.xattr.user.a%3Db%25c=\0\n\xff=1\n" in data


def test_a_file_with_several_names_is_there_once(tree: Path) -> None:
    write(tree / "a")
    (tree / "b").hardlink_to(tree / "a")
    (tree / "sub").mkdir()
    (tree / "sub/c").hardlink_to(tree / "a")
    found = members(archived(tree))
    assert found["a"].isreg()
    assert (found["b"].linkname, found["sub/c"].linkname) == ("a", "a")


def test_a_file_is_an_archive_of_its_own(tree: Path) -> None:
    write(tree / "file", "content")
    (tree / "link").symlink_to("/file")
    assert list(members(archived(RootedPath(tree) / "file"))) == ["file"]
    # The path is followed, as by open(); links in a tree are not.
    assert members(archived(RootedPath(tree) / "link"))["link"].isreg()


def test_no_names_of_users_are_written(tree: Path) -> None:
    """GNU tar would believe them before the numbers, and the container's passwd makes them."""
    (tree / "etc").mkdir()
    (tree / "etc/passwd").write_text(f"root:x:{os.getuid()}:0::/:\n")
    assert {member.uname for member in members(archived(tree)).values()} == {""}


@pytest.mark.root
def test_owners_are_those_that_the_process_sees(tree: Path, tmp_path: Path) -> None:
    reachable(tmp_path)
    for name, owner in (("theirs", 100005), ("ours", 5)):
        write(tree / name).chmod(0o4755)
        os.chown(tree / name, owner, 200000)
        (tree / name).chmod(0o4755)
    errors: list[OSError] = []
    with process_in(tree) as pid:
        found = members(archived(RootedPath(pid), on_error=errors.append))
    assert (found["theirs"].uid, found["theirs"].gid, found["theirs"].mode) == (5, 0, 0o4755)
    # Of "/" too, which is our own.
    assert {(error.errno, error.filename) for error in errors} == {
        (EOVERFLOW, "/"),
        (EOVERFLOW, "/ours"),
    }
    assert (found["ours"].uid, found["ours"].gid, found["ours"].mode) == (65534, 65534, 0o755)


def test_a_tree_of_many_levels(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    dig(tmp_path / "tree", 500)
    with tarfile.open(fileobj=io.BytesIO(archived(tmp_path / "tree"))) as archive:
        assert sum(member.isreg() for member in archive) == 500


# What is left out


def test_a_socket_is_left_out(tree: Path) -> None:
    os.mknod(tree / "socket", stat.S_IFSOCK | 0o600)
    assert list(members(archived(tree))) == ["."]
    with pytest.raises(SpecialFileError):
        archived(RootedPath(tree) / "socket")


@pytest.mark.root
def test_a_kernel_file_system_is_an_empty_directory(tree: Path) -> None:
    def names(**options: bool) -> list[str]:
        root = RootedPath(tree).as_root(**options)
        return list(members(archived(RootedPath(root))))

    def mounted() -> tuple[list[str], list[str]]:
        (tree / "proc").mkdir()
        (tree / "memory").mkdir()
        linux.mount(b"proc", os.fsencode(tree / "proc"), b"proc")
        mount_tmpfs(tree / "memory")
        write(tree / "memory/file")
        return names(), names(cross_mounts=False)

    crossing, staying = private_mounts(mounted)
    assert crossing == [".", "memory", "memory/file", "proc"]
    assert staying == [".", "memory", "proc"]


def test_a_name_that_vanishes_is_left_out_in_silence(tree: Path) -> None:
    for name in "abc":
        write(tree / name)
    target = Meddling(b"content", (tree / "b").unlink)
    RootedPath(tree).to_tar(target)
    assert list(members(target.getvalue())) == [".", "a", "c"]


def test_what_cannot_be_read_is_told_and_the_rest_kept(tmp_path: Path) -> None:
    reachable(tmp_path)
    write(tmp_path / "tree/a", mode=0)
    write(tmp_path / "tree/b")
    (tmp_path / "tree/c").mkdir(mode=0)
    write(tmp_path / "tree/d", mode=0)

    def unreadable() -> None:
        errors: list[OSError] = []
        found = members(archived(tmp_path / "tree", on_error=errors.append))
        assert list(found) == [".", "b", "c"]
        assert [(error.errno, error.filename) for error in errors] == [
            (EACCES, "/a"),
            (EACCES, "/c"),
            (EACCES, "/d"),
        ]
        note = RootedPath(tmp_path / "tree").root_handle.note.root
        assert [error.__notes__ for error in errors] == [[note]] * 3
        target = io.BytesIO()
        with pytest.raises(PermissionError) as raised:
            RootedPath(tmp_path / "tree").to_tar(target)
        assert raised.value.filename == "/a"
        assert any("2 more errors" in note for note in raised.value.__notes__)
        assert list(members(target.getvalue())) == [".", "b", "c"]

    as_nobody(unreadable)


# Files that change


def test_a_file_that_shrinks_is_filled_up_and_told(tree: Path) -> None:
    write(tree / "a", "x" * 3000000)
    write(tree / "b", "after it")
    target = Meddling(b"xxx", lambda: os.truncate(tree / "a", 1 << 20))
    errors: list[OSError] = []
    RootedPath(tree).to_tar(target, on_error=errors.append)
    assert [(error.errno, error.filename) for error in errors] == [(ESTALE, "/a")]
    target.seek(0)
    with tarfile.open(fileobj=target) as archive:
        extracted = [archive.extractfile(name) for name in "ab"]
        content = [file.read() for file in extracted if file is not None]
    assert content == [b"x" * (1 << 20) + bytes(3000000 - (1 << 20)), b"after it"]


def test_a_file_that_grows_is_cut_at_its_header_s_size(tree: Path) -> None:
    write(tree / "a", "x" * 2000000)
    write(tree / "b", "after it")

    def grow() -> None:
        with open(tree / "a", "a") as file:
            file.write("y" * 1000000)

    target = Meddling(b"xxx", grow)
    RootedPath(tree).to_tar(target)
    found = members(target.getvalue())
    assert (found["a"].size, found["b"].size) == (2000000, 8)


# The stream


def test_whole_records_are_written(tree: Path) -> None:
    assert len(archived(tree)) == 10240


def test_an_error_of_the_stream_ends_it(tree: Path) -> None:
    write(tree / "a")
    for text in (b"./", b"content"):
        errors: list[OSError] = []

        def fail() -> None:
            raise OSError(ENOSPC, "no room")

        with pytest.raises(OSError, match="no room"):
            RootedPath(tree).to_tar(Meddling(text, fail), on_error=errors.append)
        assert errors == []


def test_a_stream_may_take_a_part_at_a_time(tree: Path) -> None:
    class Slow(io.RawIOBase):
        taken = b""

        def write(self, data: object) -> int:
            assert isinstance(data, bytes)
            self.taken += data[:1000]
            return min(len(data), 1000)

    write(tree / "file", "z" * 5000)
    slow = Slow()
    RootedPath(tree).to_tar(slow)
    assert slow.taken == archived(tree)


def test_what_is_not_there_is_an_error(tree: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        archived(RootedPath(tree) / "nowhere")
    assert raised.value.filename == "/nowhere"


@pytest.mark.root
def test_a_file_of_the_kernel_is_told(tree: Path) -> None:
    def mounted() -> list[tuple[int | None, str]]:
        write(tree / "file")
        linux.mount(b"/proc/version", os.fsencode(tree / "file"), None, uapi.MS_BIND)
        errors: list[OSError] = []
        archived(tree, on_error=errors.append)
        return [(error.errno, error.filename) for error in errors]

    assert private_mounts(mounted) == [(ENXIO, "/file")]


def test_directory_that_is_moved_away_takes_nothing_along(tree: Path, tmp_path: Path) -> None:
    """``..`` leads out of it to another directory than the one that was archived."""
    deep = [tree]
    for number in range(25):
        write(deep[-1] / "z", "behind")
        deep.append(deep[-1] / f"d{number}")
    write(deep[-1] / "file", "the deepest file")
    stream = Meddling(b"the deepest file", lambda: deep[10].rename(tmp_path / "moved"))
    errors: list[OSError] = []
    RootedPath(tree).to_tar(stream, on_error=errors.append)
    assert [error.errno for error in errors] == [ESTALE]
    assert str(errors[0].filename).startswith("/d0/d1/")
    found = members(stream.getvalue())
    behind = [path.relative_to(tree).joinpath("z").as_posix() for path in deep[:10]]
    assert set(behind) <= set(found)
    assert deep[25].relative_to(tree).joinpath("file").as_posix() in found
