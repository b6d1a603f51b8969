"""``from_tar()``: what is made of an archive, of any format, and what is kept of it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from errno import (
    EBADMSG,
    EBUSY,
    EDQUOT,
    EFBIG,
    EINVAL,
    EISDIR,
    ENOENT,
    ENOSPC,
    ENOTDIR,
    ENOTSUP,
    EOVERFLOW,
    ERANGE,
    EXDEV,
)
from pathlib import Path
from typing import Any

import pytest

from helpers.archives import archive, directory, entry, hard_link, symlink
from helpers.portrait import holes, portrait
from helpers.processes import process_in
from helpers.scenery import (
    CAP_NET_RAW,
    NOBODY,
    acl,
    as_nobody,
    mount_tmpfs,
    nothing_temporary,
    on_tmpfs,
    populate,
    reachable,
    write,
)
from helpers.support import private_mounts
from procpath import Root, RootedPath, SpecialFileError, linux, uapi

pytestmark = pytest.mark.usefixtures("no_leak")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    directory = tmp_path / "top"
    directory.mkdir()
    return directory


@pytest.fixture
def rooted(top: Path) -> Iterator[RootedPath]:
    with Root.at(top) as held:
        yield RootedPath(held)


def told(rooted: RootedPath, stream: io.BytesIO, **options: Any) -> list[tuple[int | None, str]]:
    """Extract, and return the errors."""
    errors: list[OSError] = []
    rooted.from_tar(stream, on_error=errors.append, **options)
    return [(error.errno, error.filename) for error in errors]


# Archives of all kinds


@pytest.mark.root
def test_a_tree_comes_back_as_it_was(tmp_path: Path, top: Path, rooted: RootedPath) -> None:
    populate(tmp_path / "tree")
    (tmp_path / "tree/socket").unlink()
    for name in ("link", "fifo"):
        os.removexattr(tmp_path / "tree" / name, "trusted.note", follow_symlinks=False)
    stream = io.BytesIO()
    wanted = portrait(tmp_path / "tree")
    RootedPath(tmp_path / "tree").to_tar(stream)
    stream.seek(0)
    rooted.from_tar(stream, special="keep")
    # Whoever made the target has chosen its mode and times.
    wanted.pop("")
    made = portrait(top)
    made.pop("")
    assert made == wanted


@pytest.mark.root
@pytest.mark.parametrize("format_", ["gnu", "oldgnu", "posix", "ustar", "v7"])
def test_archives_of_gnu_tar(format_: str, tmp_path: Path, top: Path, rooted: RootedPath) -> None:
    tree = tmp_path / "tree"
    write(tree / "dir/sub/file", "content", 0o640)
    write(tree / "empty", "", 0o4711)
    (tree / "dir/same").hardlink_to(tree / "dir/sub/file")
    (tree / "link").symlink_to("dir/sub")
    os.link(tree / "link", tree / "same link", follow_symlinks=False)
    (tree / os.fsdecode(b"odd \xff")).mkdir(mode=0o700)
    if format_ != "v7":
        os.mkfifo(tree / "fifo")
        os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    if format_ not in ("v7", "ustar"):
        write(tree / ("d" * 200) / ("e" * 200))
        (tree / "long").symlink_to("t/" * 150)
        os.chown(tree / "empty", 3000000, 3000001)
        (tree / "empty").chmod(0o4711)
    if format_ == "posix":
        os.setxattr(tree / "dir", "user.a=%", b"\0\xff\n")
    for path in tree.rglob("*"):
        # Formats but POSIX's have whole seconds.
        ns = 10**18 + (5 if format_ == "posix" else 0)
        os.utime(path, ns=(ns, ns), follow_symlinks=False)
    command = ["tar", f"--format={format_}", "-cC", tree, "."]
    if format_ == "posix":
        command.append("--xattrs")
    made = subprocess.run(command, capture_output=True, check=True).stdout
    rooted.from_tar(io.BytesIO(made), special="keep")
    wanted, found = portrait(tree), portrait(top)
    wanted.pop("")
    found.pop("")
    assert found == wanted


@pytest.mark.parametrize(
    "options",
    [
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("parts", [0, 1, 3, 100], ids=str)
def test_holes_of_gnu_tar(
    options: list[str], parts: int, tmp_path: Path, top: Path, rooted: RootedPath
) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        for number in range(parts):
            file.seek(number << 16)
            file.write(b"%d" % number * 4096)
        file.truncate((parts + 1) << 16)
    (tmp_path / "after").write_text("after it")
    made = subprocess.run(
        ["tar", "--sparse", *options, "-cC", tmp_path, "sparse", "after"],
        capture_output=True,
        check=True,
    ).stdout
    rooted.from_tar(io.BytesIO(made))
    assert (top / "sparse").read_bytes() == (tmp_path / "sparse").read_bytes()
    assert holes(top / "sparse")
    assert (top / "after").read_text() == "after it"


def _zstd(data: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.compress(data)
    raise AssertionError("no zstd before Python 3.14")


COMPRESSIONS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress]
if sys.version_info >= (3, 14):
    COMPRESSIONS.append(_zstd)


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("read_at_once", [1, 10**9])
def test_compressed_archives(
    compress: Callable[[bytes], bytes],
    read_at_once: int,
    top: Path,
    rooted: RootedPath,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    data = archive(("file", os.urandom(5000) + bytes(300000)), ("last", b"last")).getvalue()
    # Streams behind each other, as parallel compressors and cat(1) make them.
    stream = io.BytesIO(compress(data[:7000]) + compress(data[7000:]))

    class Pipe:
        """It has no more than read(), and gives what it likes."""

        def read(self, size: int) -> bytes:
            return stream.read(min(size, read_at_once))

    pipe: Any = Pipe()
    rooted.from_tar(pipe)
    assert (top / "file").stat().st_size == 305000
    assert (top / "last").read_text() == "last"


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("harm", [lambda data: data[:-20], lambda data: data[:20] + b"x" * 500])
def test_broken_compression_is_an_error(
    compress: Callable[[bytes], bytes], harm: Callable[[bytes], bytes], rooted: RootedPath
) -> None:
    stream = io.BytesIO(harm(compress(archive(("file", os.urandom(3000))).getvalue()[:3500])))
    with pytest.raises(OSError, match=r"cut off|unpacked") as raised:
        rooted.from_tar(stream)
    assert raised.value.errno == EBADMSG


if sys.version_info < (3, 14):

    def test_zstd_takes_a_newer_python(rooted: RootedPath) -> None:
        with pytest.raises(OSError, match=r"takes Python 3\.14") as raised:
            rooted.from_tar(io.BytesIO(b"\x28\xb5\x2f\xfd" + bytes(500)))
        assert raised.value.errno == ENOTSUP


def test_an_xz_header_cannot_ask_for_all_memory(rooted: RootedPath) -> None:
    data = bytearray(lzma.compress(bytes(600)))
    # The block header's only byte for the dictionary (xz's file format, 5.3.1): 4 GiB.
    assert data[14:16] == b"\x21\x01"
    data[16] = 40
    data[20:24] = zlib.crc32(data[12:20]).to_bytes(4, "little")
    with pytest.raises(OSError, match=r"[Mm]emory") as raised:
        rooted.from_tar(io.BytesIO(data))
    assert raised.value.errno == EBADMSG


def test_an_empty_archive_has_no_members(top: Path, rooted: RootedPath) -> None:
    rooted.from_tar(io.BytesIO(bytes(10240)))
    assert os.listdir(top) == []
    with pytest.raises(OSError, match="it is empty") as raised:
        rooted.from_tar(io.BytesIO())
    assert raised.value.errno == EBADMSG


# What is there already


def test_files_and_links_are_replaced_and_directories_merged(
    top: Path, rooted: RootedPath, tmp_path: Path
) -> None:
    write(top / "file", "old", 0o600)
    other = tmp_path / "other name"
    other.hardlink_to(top / "file")
    write(tmp_path / "outside", "untouched")
    (top / "link").symlink_to(tmp_path / "outside")
    write(top / "dir/kept", "kept")
    stream = archive(
        entry("file", mode=0o644), ("link", b"new"), directory("dir", mode=0o750), ("dir/new", b"")
    )
    rooted.from_tar(stream)
    assert (top / "file").read_bytes() == b""
    assert other.read_text() == "old"
    assert not (top / "link").is_symlink()
    assert (tmp_path / "outside").read_text() == "untouched"
    assert sorted(os.listdir(top / "dir")) == ["kept", "new"]
    assert stat.S_IMODE((top / "dir").stat().st_mode) == 0o750


def test_neither_a_directory_nor_a_file_replaces_the_other(top: Path, rooted: RootedPath) -> None:
    write(top / "dir/file")
    write(top / "file")
    stream = archive(("dir", b""), directory("file"), symlink("dir", "x"), ("last", b""))
    assert told(rooted, stream) == [(EISDIR, "/dir"), (ENOTDIR, "/file"), (EISDIR, "/dir")]
    assert (top / "dir/file").read_text() == (top / "file").read_text() == "content"
    assert (top / "last").exists()
    assert nothing_temporary(top)


def test_a_link_on_the_way_is_followed_where_it_stays_below(top: Path, rooted: RootedPath) -> None:
    (top / "target/usr/lib").mkdir(parents=True)
    (top / "elsewhere").mkdir()
    (top / "target/lib").symlink_to("usr/lib")
    (top / "target/absolute").symlink_to("/target/usr")
    (top / "target/out").symlink_to("/elsewhere")
    (top / "target/up").symlink_to("../elsewhere")
    (top / "target/nowhere").symlink_to("gone")
    stream = archive(
        directory("lib"),
        ("lib/a", b""),
        ("absolute/lib/b", b""),
        ("out/c", b""),
        ("up/d", b""),
        ("nowhere/e", b""),
        directory("out"),
    )
    assert told(rooted / "target", stream) == [
        (ENOTDIR, "/target/lib"),
        (EXDEV, "/target/out/c"),
        (EXDEV, "/target/up/d"),
        (ENOENT, "/target/nowhere/e"),
        (ENOTDIR, "/target/out"),
    ]
    assert sorted(os.listdir(top / "target/usr/lib")) == ["a", "b"]
    assert os.listdir(top / "elsewhere") == []
    assert (top / "target/lib").is_symlink()


def test_a_directory_gives_nothing_through_a_link(top: Path, rooted: RootedPath) -> None:
    (top / "target/etc").mkdir(parents=True)
    (top / "target/home").mkdir()
    (top / "target/home/x").symlink_to("/target/etc")
    (top / "target/m").symlink_to(".")
    (top / "target/up").symlink_to("/target")
    before = [each.stat() for each in (top / "target", top / "target/etc")]
    stream = archive(
        directory("m", mode=0o777, mtime=5, uid=NOBODY),
        directory("up/", mode=0o777, mtime=5, uid=NOBODY),
        directory("home/x/", mode=0o777, mtime=5, uid=NOBODY),
    )
    assert told(rooted / "target", stream) == [
        (ENOTDIR, "/target/m"),
        (ENOTDIR, "/target/up"),
        (ENOTDIR, "/target/home/x"),
    ]
    with pytest.raises(NotADirectoryError, match="a link, and a directory in the archive"):
        (rooted / "target").from_tar(archive(directory("m")))
    assert [each.stat() for each in (top / "target", top / "target/etc")] == before


@pytest.mark.root
def test_the_target_mounted_in_itself_stays_as_it_is(top: Path) -> None:
    def mounted() -> list[tuple[int | None, str]]:
        (top / "again").mkdir()
        linux.mount(os.fsencode(top), os.fsencode(top / "again"), None, uapi.MS_BIND)
        return told(RootedPath(top), archive(directory("again", mode=0o777, uid=NOBODY)))

    before = top.stat()
    assert private_mounts(mounted) == []
    assert (top.stat().st_mode, top.stat().st_uid) == (before.st_mode, before.st_uid)


def test_a_root_without_links_follows_none(top: Path) -> None:
    (top / "usr").mkdir()
    (top / "link").symlink_to("usr")
    with Root.at(top, symlinks=False) as root:
        assert told(RootedPath(root), archive(("link/a", b""))) == [(EXDEV, "/link/a")]


@pytest.mark.root
def test_a_mount_point_is_not_replaced(top: Path, rooted: RootedPath) -> None:
    def mounted() -> tuple[list[tuple[int | None, str]], list[tuple[int | None, str]]]:
        write(top / "resolv.conf")
        write(top / "other", "other")
        linux.mount(
            os.fsencode(top / "other"), os.fsencode(top / "resolv.conf"), None, uapi.MS_BIND
        )
        (top / "memory").mkdir()
        mount_tmpfs(top / "memory")
        with Root.at(top, cross_mounts=False) as staying:
            refused = told(RootedPath(staying), archive(("memory/file", b"")))
        stream = archive(("resolv.conf", b"new"), ("memory/file", b""))
        errors = told(RootedPath(top), stream)
        assert os.listdir(top / "memory") == ["file"]
        return refused, errors

    refused, errors = private_mounts(mounted)
    assert refused == [(EXDEV, "/memory/file")]
    assert errors == [(EBUSY, "/resolv.conf")]
    assert (top / "resolv.conf").read_text() == "content"


@pytest.mark.root
def test_nothing_is_made_on_a_kernel_file_system(top: Path) -> None:
    def mounted() -> list[tuple[str, str]]:
        (top / "proc").mkdir()
        linux.mount(b"proc", os.fsencode(top / "proc"), b"proc")
        errors: list[OSError] = []
        stream = archive(("proc/sys/kernel/core_pattern", b"|/evil"), directory("proc"))
        RootedPath(top).from_tar(stream, on_error=errors.append)
        return [(type(error).__name__, error.filename) for error in errors]

    assert private_mounts(mounted) == [
        ("SpecialFileError", "/proc/sys/kernel/core_pattern"),
        ("SpecialFileError", "/proc"),
    ]


def test_the_target_must_be_a_directory(top: Path, rooted: RootedPath) -> None:
    write(top / "file")
    for name, error in (("file", NotADirectoryError), ("gone", FileNotFoundError)):
        with pytest.raises(error) as raised:
            (rooted / name).from_tar(archive(("a", b"")))
        assert raised.value.filename == f"/{name}"
        assert rooted.root_handle.note.root in raised.value.__notes__


def test_the_target_keeps_its_own_mode(top: Path, rooted: RootedPath) -> None:
    top.chmod(0o1777)
    rooted.from_tar(archive(directory("./", mode=0o700), ("./file", b"")))
    assert stat.S_IMODE(top.stat().st_mode) == 0o1777


# Links and order


def test_a_later_member_of_the_same_name_counts(top: Path, rooted: RootedPath) -> None:
    stream = archive(
        ("a", b"old"),
        hard_link("b", "a"),
        ("a", b"new"),
        symlink("c", "x"),
        ("c", b"file"),
        ("d", b"file"),
        symlink("d", "y"),
    )
    rooted.from_tar(stream)
    assert [(top / name).read_text() for name in "abc"] == ["new", "old", "file"]
    assert os.readlink(top / "d") == "y"


def test_a_member_below_a_link_of_the_archive_is_an_error(top: Path, rooted: RootedPath) -> None:
    (top / "there").mkdir()
    stream = archive(symlink("link", "there"), ("link/file", b""), directory("link/sub"))
    assert told(rooted, stream) == [(ENOTDIR, "/link/file"), (ENOTDIR, "/link/sub")]
    assert os.readlink(top / "link") == "there"
    assert os.listdir(top / "there") == []


def test_hard_links_lead_to_members_of_the_archive_alone(top: Path, rooted: RootedPath) -> None:
    write(top / "before")
    (top / "dir").mkdir()
    stream = archive(
        hard_link("a", "before"),
        hard_link("early", "file"),
        ("file", b"content"),
        hard_link("dir/b", "/./file"),
        hard_link("c", "dir"),
        hard_link("d", "../file"),
        hard_link("file", "file"),
        symlink("link", "file"),
        hard_link("same link", "link"),
    )
    assert told(rooted, stream) == [(EXDEV, "/d"), (ENOENT, "/a"), (ENOENT, "/c")]
    assert (top / "file").stat().st_ino == (top / "dir/b").stat().st_ino
    assert (top / "file").stat().st_ino == (top / "early").stat().st_ino
    assert (top / "link").lstat().st_ino == (top / "same link").lstat().st_ino
    assert nothing_temporary(top)


def test_a_hard_link_that_is_there_already_stays(top: Path, rooted: RootedPath) -> None:
    stream = archive(("a", b"1"), hard_link("b", "a"), hard_link("b", "a"))
    rooted.from_tar(stream)
    assert (top / "a").samefile(top / "b")
    assert nothing_temporary(top)


def test_a_file_system_without_links_gets_a_second_file(
    top: Path, rooted: RootedPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    rooted.from_tar(archive(entry("a", mode=0o640, mtime=5), hard_link("b", "a")))
    first, second = (top / "a").stat(), (top / "b").stat()
    assert first.st_ino != second.st_ino
    assert (first.st_mode, first.st_mtime) == (second.st_mode, second.st_mtime)


# Metadata


def test_directories_get_their_modes_and_times_at_the_end(top: Path) -> None:
    def extract() -> None:
        stream = archive(
            directory("a", mode=0o500, mtime=5),
            directory("a/b", mode=0, mtime=6),
            ("a/b/file", b""),
            symlink("a/link", "x"),
        )
        RootedPath(top).from_tar(stream)

    reachable(top)
    top.chmod(0o777)
    as_nobody(extract)
    assert stat.S_IMODE((top / "a").stat().st_mode) == 0o500
    assert (top / "a").stat().st_mtime == 5
    assert stat.S_IMODE((top / "a/b").stat().st_mode) == 0
    assert (top / "a/b").stat().st_mtime == 6
    assert os.listdir(top / "a/b") == ["file"]


def test_set_id_bits_go_with_their_owner(top: Path) -> None:
    def extract() -> None:
        stream = archive(entry("a", uid=0, gid=0, mode=0o6755), entry("b", mode=0o4755, uid=NOBODY))
        RootedPath(top).from_tar(stream)

    reachable(top)
    top.chmod(0o777)
    as_nobody(extract)
    assert (top / "a").stat().st_mode & 0o7777 == 0o755
    assert (top / "b").stat().st_mode & 0o7777 == 0o4755


@pytest.mark.root
def test_owners_are_numbers_of_the_root_s_process(top: Path) -> None:
    reachable(top)
    members = (
        entry("dir/a", uid=5, gid=6, mode=0o4755),
        entry("b", uid=4000, gid=0, mode=0o4755),
        directory("c", uid=5001),
        symlink("d", "x"),
    )
    with process_in(top) as pid:
        errors = told(RootedPath(pid), archive(*members))
        assert errors == [(EOVERFLOW, "/b")]
        owners = {
            name: ((top / name).lstat().st_uid, (top / name).lstat().st_gid)
            for name in ("dir", "dir/a", "b", "c", "d")
        }
        assert owners == {
            "dir": (100000, 200000),
            "dir/a": (100005, 200006),
            "b": (100000, 200000),
            "c": (300001, 200000),
            "d": (100000, 200000),
        }
        assert (top / "dir/a").stat().st_mode & 0o7777 == 0o4755
        assert (top / "b").stat().st_mode & 0o7777 == 0o755
        RootedPath(pid).from_tar(archive(*members), owners="host")
        assert (top / "dir/a").stat().st_uid == 5


@pytest.mark.root
def test_acls_name_users_of_the_root_s_process(top: Path) -> None:
    reachable(top)
    value = acl(0o640, user=7).decode("utf-8", "surrogateescape")
    os.chown(top, 100000, 200000)
    member = entry("a", mode=0o640, pax_headers={"SCHILY.xattr.system.posix_acl_access": value})
    with process_in(top) as pid:
        RootedPath(pid).from_tar(archive(member))
        stream = io.BytesIO()
        RootedPath(pid).to_tar(stream)
    assert os.getxattr(top / "a", "system.posix_acl_access") == acl(0o640, user=100007)
    assert acl(0o640, user=7) in stream.getvalue()


@pytest.mark.root
def test_capabilities_hold_in_the_process_s_namespace_alone(top: Path) -> None:
    reachable(top)
    os.chown(top, 100000, 200000)
    value = CAP_NET_RAW.decode("utf-8", "surrogateescape")
    member = entry("a", pax_headers={"SCHILY.xattr.security.capability": value})
    with process_in(top) as pid:
        RootedPath(pid).from_tar(archive(member))
        stream = io.BytesIO()
        RootedPath(pid).to_tar(stream)
    # Version 3, with the user who is root inside (capabilities(7)); version 2 holds everywhere.
    made = os.getxattr(top / "a", "security.capability")
    assert made == CAP_NET_RAW[:3] + b"\3" + CAP_NET_RAW[4:] + (100000).to_bytes(4, "little")
    assert CAP_NET_RAW in stream.getvalue()


@pytest.mark.machine_root
def test_powerful_attributes_need_special_keep(top: Path, rooted: RootedPath) -> None:
    records = {
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.user.note": "note",
        "SCHILY.xattr.user.n\0l": "nul",
    }
    rooted.from_tar(archive(entry("a", pax_headers=records)))
    assert os.listxattr(top / "a") == ["user.note"]
    rooted.from_tar(archive(entry("a", pax_headers=records)), special="keep")
    assert sorted(os.listxattr(top / "a")) == ["trusted.overlay.redirect", "user.note"]


def test_an_attribute_without_room_is_lost_alone(
    top: Path, rooted: RootedPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ext4 has no room for one of some KiB, however much there is on the disk."""
    original = os.setxattr

    def set_some(file: int, name: str, value: bytes) -> None:
        refused = {"user.large": ENOSPC, "user.quota": EDQUOT}.get(name)
        if refused is not None:
            raise OSError(refused, os.strerror(refused))
        original(file, name, value)

    monkeypatch.setattr(os, "setxattr", set_some)
    names = ("user.large", "user.quota", "user." + "x" * 300, "user.small")
    records = {f"SCHILY.xattr.{name}": "value" for name in names}
    stream = archive(
        entry("a", pax_headers=records), directory("b", pax_headers=records), ("last", b"")
    )
    errors = told(rooted, stream)
    assert errors == [(number, f"/{name}") for name in "ab" for number in (ENOSPC, EDQUOT, ERANGE)]
    assert os.listxattr(top / "a") == os.listxattr(top / "b") == ["user.small"]
    assert (top / "last").exists()


@pytest.mark.root
def test_an_inherited_acl_is_removed_whatever_fails(top: Path, rooted: RootedPath) -> None:
    os.setxattr(top, "system.posix_acl_default", acl(0o660, user=7))
    long, odd = f"SCHILY.xattr.user.{'x' * 300}", "SCHILY.xattr.system.posix_acl_access"
    stream = archive(
        entry("a", pax_headers={long: "1"}),
        entry("b", pax_headers={odd: "odd"}),
        directory("c", pax_headers={odd: "odd value"}),
    )
    # The kernel's EINVAL may also mean that the file system has no ACLs, and is not an error.
    assert told(rooted, stream) == [(ERANGE, "/a"), (EINVAL, "/c")]
    assert [os.listxattr(top / name) for name in "abc"] == [[], [], []]


@pytest.mark.parametrize("value", [acl(0o600, user=7), acl(0o600, user=7)[:-1]], ids=["", "cut"])
def test_an_acl_that_is_lost_grants_its_mask_to_nobody(
    value: bytes, top: Path, rooted: RootedPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group bits of the archive's mode are the mask then, not what the group had (acl(5))."""

    def refuse(*arguments: object) -> None:
        raise OSError(ENOTSUP, os.strerror(ENOTSUP))

    monkeypatch.setattr(os, "setxattr", refuse)
    key = "SCHILY.xattr.system.posix_acl_access"
    records = {key: value.decode("utf-8", "surrogateescape")}
    stream = archive(
        entry("a", mode=0o674, pax_headers=records), directory("b", mode=0o775, pax_headers=records)
    )
    told(rooted, stream)
    assert stat.S_IMODE((top / "a").stat().st_mode) == 0o604
    assert stat.S_IMODE((top / "b").stat().st_mode) == 0o705


def test_special_files_are_asked_for(top: Path, rooted: RootedPath) -> None:
    fifo = entry("fifo", tarfile.FIFOTYPE, mode=0o620)
    null = entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3)
    rooted.from_tar(archive(fifo, null))
    assert os.listdir(top) == []
    rooted.from_tar(archive(fifo), special="keep")
    assert stat.filemode((top / "fifo").stat().st_mode) == "prw--w----"


def test_a_device_takes_a_privilege(top: Path) -> None:
    def extract() -> None:
        with pytest.raises(SpecialFileError, match="CAP_MKNOD"):
            RootedPath(top).from_tar(
                archive(entry("null", tarfile.CHRTYPE, devmajor=1, devminor=3)), special="keep"
            )

    reachable(top)
    top.chmod(0o777)
    as_nobody(extract)


# Errors and bounds


def test_the_first_error_is_raised_after_the_rest(top: Path, rooted: RootedPath) -> None:
    write(top / "file")
    stream = archive(("file/a", b""), ("b", b""), ("file/c", b""), ("d", b""))
    with pytest.raises(NotADirectoryError) as raised:
        rooted.from_tar(stream)
    assert raised.value.filename == "/file/a"
    assert raised.value.__notes__ == [
        "1 more error; everything else was copied",
        rooted.root_handle.note.root,
    ]
    assert sorted(os.listdir(top)) == ["b", "d", "file"]


def test_a_full_disk_ends_it_and_leaves_no_half_file(tmp_path: Path) -> None:
    def extract(top: Path) -> None:
        errors: list[OSError] = []
        with pytest.raises(OSError) as raised:
            RootedPath(top).from_tar(
                archive(("small", b"x"), ("large", bytes(1 << 20)), ("last", b"")),
                on_error=errors.append,
            )
        assert (raised.value.errno, raised.value.filename) == (ENOSPC, "/large")
        assert errors == []
        assert os.listdir(top) == ["small"]

    on_tmpfs(tmp_path, extract, "size=64k")


@pytest.mark.parametrize("room", [0, 100, 5000])
def test_the_limit_counts_everything(room: int, top: Path, rooted: RootedPath) -> None:
    data = archive(("a", b"x" * 2000), symlink("b", "a")).getvalue()
    needed = 512 + 2048 + 512 + 512
    rooted.from_tar(io.BytesIO(gzip.compress(data)), limit=needed + room)
    with pytest.raises(OSError, match="more than") as raised:
        rooted.from_tar(io.BytesIO(gzip.compress(data)), limit=needed - 1 - min(room, 2000))
    assert raised.value.errno == EFBIG


def test_a_cut_off_archive_leaves_no_half_file(top: Path, rooted: RootedPath) -> None:
    data = archive(("a", b"whole"), ("b", b"x" * 5000)).getvalue()
    with pytest.raises(OSError, match="cut off") as raised:
        rooted.from_tar(io.BytesIO(data[:3000]))
    assert (raised.value.errno, raised.value.filename) == (EBADMSG, "/b")
    assert os.listdir(top) == ["a"]


def test_an_error_of_the_stream_is_passed_on(rooted: RootedPath) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError(104, "reset")

    with pytest.raises(ConnectionResetError):
        rooted.from_tar(Failing())


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"special": "all"}, "special"), ({"owners": "x"}, "owners"), ({"limit": -1}, "limit")],
)
def test_a_wrong_choice_is_a_value_error(
    options: dict[str, Any], reason: str, rooted: RootedPath
) -> None:
    with pytest.raises(ValueError, match=reason):
        rooted.from_tar(archive(("a", b"")), **options)
