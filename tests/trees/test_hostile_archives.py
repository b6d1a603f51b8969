"""Archives that no honest program writes: nothing outside the target is made, read or changed."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import tarfile
import tempfile
from collections.abc import Iterator
from errno import EBADMSG, EFBIG, EINVAL, ENAMETOOLONG, ENOTSUP, EOVERFLOW, EXDEV
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.archives import (
    END,
    archive,
    block,
    directory,
    entry,
    extended,
    hard_link,
    padded,
    symlink,
)
from helpers.support import run_in_child
from procpath import Root, RootedPath, linux
from procpath.testing import File, Symlink, Tree, races

pytestmark = pytest.mark.usefixtures("no_leak")

Told = list[tuple[int | None, str]]

FILE = block("file", tarfile.REGTYPE, size=b"00000000004") + padded(b"text")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    made = tmp_path / "top"
    made.mkdir()
    return made


@pytest.fixture
def rooted(top: Path) -> Iterator[RootedPath]:
    with Root.at(top) as held:
        yield RootedPath(held)


def told(rooted: RootedPath, data: bytes | io.BytesIO, **options: Any) -> Told:
    errors: list[OSError] = []
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    rooted.from_tar(stream, on_error=errors.append, **options)
    return [(error.errno, error.filename) for error in errors]


def refused(rooted: RootedPath, data: bytes) -> str:
    """What is said of an archive that is not valid."""
    with pytest.raises(OSError, match=r"not a valid tar archive") as raised:
        rooted.from_tar(io.BytesIO(data))
    assert raised.value.errno == EBADMSG
    assert raised.value.filename == "/"
    return str(raised.value.strerror).partition(": ")[2]


# Headers

MINUS_512 = b"\xff" * 10 + b"\xfe\x00"
OCTAL_MINUS = b"-0000001000"
LARGEST = b"\x80" + b"\xff" * 11


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (block("a", tarfile.REGTYPE, size=MINUS_512), "negative size"),
        (block("a", tarfile.REGTYPE, size=OCTAL_MINUS), "negative size"),
        (block("a", tarfile.XHDTYPE, size=MINUS_512), "negative size"),
        (block("a", tarfile.XGLTYPE, size=MINUS_512), "negative size"),
        (block("a", tarfile.GNUTYPE_LONGNAME, size=MINUS_512), "negative size"),
        (extended(b"13 size=-512\n") + FILE, "invalid number"),
        (extended(b"12 size=1e3\n") + FILE, "invalid number"),
        (extended(b"14 mtime=1e99\n") + FILE, "invalid time"),
        (extended(b"0 path=a\n") + FILE, "invalid record"),
        (extended(b"8 path=a\n") + FILE, "invalid record"),
        (extended(b"11 path=a\n") + FILE, "invalid record"),
        (extended(b"99999999 path=a\n") + FILE, "invalid record"),
        (extended(b"99999999999999999999 path=a\n") + FILE, "invalid record"),
        (extended(b"path=a\n") + FILE, "invalid record"),
        (extended(b"7 path\n") + FILE, "invalid record"),
        (extended(b"10 path=a\n"), "within a member"),
        (extended(b"10 path=a\n") + END, "within a member"),
        (FILE[:-1], "cut off"),
        (FILE[:300], "cut off"),
        (FILE + b"x" * 512, "bad checksum|invalid header"),
        (b"\x80" * 512, "bad checksum|invalid header"),
        (FILE[:140] + b"\xff" + FILE[141:], "bad checksum"),
    ],
    ids=range(22),
)
def test_an_invalid_archive_is_refused(data: bytes, reason: str, rooted: RootedPath) -> None:
    assert any(each in refused(rooted, data) for each in reason.split("|"))


def sparse(records: str, data: bytes) -> bytes:
    """A file with a map of holes in PAX records."""
    lines = b""
    for record in records.split():
        rest = f" GNU.sparse.{record}\n".encode()
        length = len(rest) + 2
        lines += b"%d%s" % (length, rest)
    header = block("file", tarfile.REGTYPE, size=b"%011o" % len(data))
    return extended(lines) + header + padded(data) + END


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (sparse("size=100 map=0,4,2,4", b"12345678"), "not in order"),
        (sparse("size=100 map=90,20", b"x" * 20), "does not fit"),
        (sparse("size=100 map=0,20", b"x" * 10), "does not fit"),
        (sparse("size=100 map=0,20,30", b"x" * 20), "cut off"),
        (sparse("size=100 map=0,-20", b"x" * 20), "invalid number"),
        (sparse("map=0,20", b"x" * 20), "does not fit"),
        (sparse("major=1 realsize=100", b"1\n0\n"), "cut off"),
        (sparse("major=1 realsize=100", padded(b"999999999999999\n0\n")), "cut off"),
        (sparse("major=1 realsize=100", padded(b"x\n0\n")), "invalid number"),
    ],
    ids=range(9),
)
def test_an_invalid_map_of_holes_is_refused(data: bytes, reason: str, rooted: RootedPath) -> None:
    assert reason in refused(rooted, data)


@pytest.mark.parametrize(
    "fields",
    [
        {"real_size": LARGEST},
        {"real_size": b"\x80" + bytes(3) + b"\x80" + bytes(7)},
        {"first_offset": LARGEST, "first_length": b"10", "real_size": LARGEST},
    ],
    ids=range(3),
)
def test_a_file_larger_than_the_kernel_has_is_refused(
    fields: dict[str, bytes], rooted: RootedPath
) -> None:
    data = block("a", tarfile.GNUTYPE_SPARSE, size=b"10", **fields) + padded(b"12345678")
    assert "invalid number" in refused(rooted, data + END)


def test_an_endless_map_of_holes_is_bounded(rooted: RootedPath) -> None:
    raw = bytearray(block("a", tarfile.GNUTYPE_SPARSE))
    raw[482] = 1
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    more = bytearray(512)
    more[504] = 1
    with pytest.raises(OSError, match="headers of a member") as raised:
        rooted.from_tar(io.BytesIO(bytes(raw) + bytes(more) * 10000))
    assert raised.value.errno == EFBIG


@pytest.mark.parametrize(
    "data",
    [
        extended(b"10 path=a\n") * 5000,
        block("a", tarfile.GNUTYPE_LONGNAME) * 10000,
        extended(b"", tarfile.XGLTYPE) * 10000,
        block("a", tarfile.GNUTYPE_LONGNAME, size=b"77777777777"),
        block("a", tarfile.XHDTYPE, size=b"\x80" + bytes(3) + b"\xff" * 8),
    ],
    ids=range(5),
)
def test_headers_of_one_member_are_bounded(data: bytes, rooted: RootedPath) -> None:
    """tarfile calls itself for each, and reads at once what a header says."""
    with pytest.raises(OSError, match="headers of a member") as raised:
        rooted.from_tar(io.BytesIO(data + FILE))
    assert raised.value.errno == EFBIG


def test_a_size_that_lies_takes_no_memory(top: Path, rooted: RootedPath) -> None:
    header = block("a", tarfile.REGTYPE, size=b"\x80" + bytes(4) + b"\x7f" + b"\xff" * 6)

    def extract() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        with pytest.raises(OSError, match="cut off"):
            rooted.from_tar(io.BytesIO(header + b"x" * 1000))

    run_in_child(extract)
    assert os.listdir(top) == []


def test_a_record_belongs_to_one_member(top: Path, rooted: RootedPath) -> None:
    """Not to the header of a long name between (CVE-2026-53655), nor to the next member."""
    data = (
        extended(b"10 size=4\n")
        + block("x", tarfile.GNUTYPE_LONGNAME, size=b"00000000005")
        + padded(b"named")
        + block("file", tarfile.REGTYPE)
        + padded(b"text")
        + block("next", tarfile.REGTYPE)
        + END
    )
    assert told(rooted, data) == []
    assert (top / "named").read_text() == "text"
    assert (top / "next").read_text() == ""


def test_global_records_name_nothing(top: Path, rooted: RootedPath) -> None:
    records = b"10 path=a\n11 size=99\n15 mtime=12345\n"
    assert told(rooted, extended(records, tarfile.XGLTYPE) + FILE + END) == []
    assert (top / "file").stat().st_mtime == 12345
    assert os.listdir(top) == ["file"]


def test_a_size_of_what_has_no_data_is_nothing(top: Path, rooted: RootedPath) -> None:
    kinds = (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)
    for number, kind in enumerate(kinds):
        told(rooted, block(f"a{number}", kind, size=b"00000001000") + FILE + END)
        assert (top / "file").read_text() == "text"
        (top / "file").unlink()


def test_a_long_name_s_slash_counts_not_the_header_s(top: Path, rooted: RootedPath) -> None:
    data = (
        block("x", tarfile.GNUTYPE_LONGNAME, size=b"00000000004")
        + padded(b"file")
        + block("file/", tarfile.AREGTYPE, size=b"00000000004")
        + padded(b"text")
        + block("dir/", tarfile.AREGTYPE)
        + END
    )
    assert told(rooted, data) == []
    assert (top / "file").read_text() == "text"
    assert (top / "dir").is_dir()


# Members


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (b"..", EXDEV),
        (b"../a", EXDEV),
        (b"a/../../b", EXDEV),
        (b"a/..", EXDEV),
        (b"/../a", EXDEV),
        (b"x" * 20000, ENAMETOOLONG),
        (b"d/" * 1001, ENAMETOOLONG),
        (b"x" * 300, ENAMETOOLONG),
        (b"a\0b", EINVAL),
    ],
    ids=range(9),
)
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])
def test_a_name_that_cannot_be_below_is_told(
    name: bytes, number: int, kind: bytes, top: Path, rooted: RootedPath
) -> None:
    rest = b" path=" + name + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length += 1
    data = extended(b"%d%s" % (length, rest)) + block("x", kind) + FILE + END
    assert [each[0] for each in told(rooted, data)] == [number]
    assert os.listdir(top) == ["file"]
    assert os.listdir(top.parent) == ["top"]


def test_a_name_that_ends_in_nothing_is_not_a_file(top: Path, rooted: RootedPath) -> None:
    stream = archive(("./", b""), ("/", b""), symlink(".", "x"), ("", b""), ("last", b""))
    errors = told(rooted, stream)
    assert {each[1] for each in errors} == {"/"}
    assert os.listdir(top) == ["last"]


def test_owners_and_times_out_of_range(top: Path, rooted: RootedPath) -> None:
    largest = b"\x80" + b"\x7f" + b"\xff" * 6
    data = block("a", tarfile.REGTYPE, uid=largest) + block("b", tarfile.REGTYPE, uid=b"-0001")
    data += block("c", tarfile.REGTYPE, uid=b"\x80" + bytes(3) + b"\xff" * 4)
    data += block("d", tarfile.REGTYPE, mtime=b"\x80" + b"\x7f" + b"\xff" * 10)
    data += block("e", tarfile.REGTYPE, mtime=b"\xff\x80" + bytes(10)) + END
    errors = told(rooted, data)
    assert errors == [(EOVERFLOW, "/a"), (EOVERFLOW, "/b"), (EOVERFLOW, "/c")]
    assert sorted(os.listdir(top)) == ["a", "b", "c", "d", "e"]
    assert {(top / name).stat().st_uid for name in "abc"} == {os.getuid()}


def test_devices_out_of_range_are_told(rooted: RootedPath) -> None:
    data = block("a", tarfile.CHRTYPE, major=b"\x80" + b"\xff" * 7) + END
    assert told(rooted, data, special="keep") == [(EINVAL, "/a")]


def test_links_out_of_range_are_told(top: Path, rooted: RootedPath) -> None:
    stream = archive(symlink("a", "x" * 5000), hard_link("b", "y/" * 9000), symlink("c", ""))
    assert [each[1] for each in told(rooted, stream)] == ["/a", "/b", "/c"]
    assert os.listdir(top) == []


def test_a_member_of_an_unknown_type_is_told(top: Path, rooted: RootedPath) -> None:
    data = block("a", b"M", size=b"00000000004") + padded(b"xxxx") + block("label", b"V")
    assert told(rooted, data + FILE + END) == [(ENOTSUP, "/a")]
    assert os.listdir(top) == ["file"]


def test_entries_are_bounded(rooted: RootedPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("procpath.tree.copy.archive.members._MOST_ENTRIES", 3)
    rooted.from_tar(archive(*[(name, b"") for name in "abc"]))
    with pytest.raises(OSError, match="more than 3 entries") as raised:
        rooted.from_tar(archive(*[(name, b"") for name in "abcd"]))
    assert (raised.value.errno, raised.value.filename) == (EFBIG, "/")


def test_what_is_kept_to_the_end_is_bounded(
    rooted: RootedPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("procpath.tree.copy.archive.extracting._MOST_KEPT", 10000)
    with pytest.raises(OSError, match="too many links") as raised:
        rooted.from_tar(archive(*[symlink(str(number), "x" * 1000) for number in range(10)]))
    assert raised.value.errno == EFBIG


def test_attributes_that_are_kept_to_the_end_are_bounded(
    top: Path, rooted: RootedPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of directories, whose names alone can be millions of objects. A link gets none."""
    monkeypatch.setattr("procpath.tree.copy.archive.extracting._MOST_KEPT", 10000)
    many = {f"SCHILY.xattr.{number}": "" for number in range(100)}
    links = [entry(str(n), tarfile.SYMTYPE, link="x", pax_headers=many) for n in range(3)]
    rooted.from_tar(archive(*links))
    assert len(os.listdir(top)) == 3
    with pytest.raises(OSError, match="too many links") as raised:
        rooted.from_tar(archive(directory("a", pax_headers=many)))
    assert raised.value.errno == EFBIG


def test_the_names_of_attributes_are_bounded(rooted: RootedPath) -> None:
    many = {f"SCHILY.xattr.user.{number:0200}": "" for number in range(400)}
    with pytest.raises(OSError, match="attributes") as raised:
        rooted.from_tar(archive(entry("a", pax_headers=many)))
    assert (raised.value.errno, raised.value.filename) == (EFBIG, "/")


DEPTH = 100


@pytest.mark.parametrize(
    "members",
    [
        [directory("/".join("d" * depth)) for depth in range(1, DEPTH + 1)],
        [("/".join([*"d" * depth, "f"]), b"") for depth in range(DEPTH)],
        [directory("/".join([*"d" * (DEPTH - 1), str(number)])) for number in range(DEPTH)],
    ],
    ids=["directories", "files", "in the deepest"],
)
def test_a_deep_tree_is_not_entered_from_the_top_again(
    members: list[tarfile.TarInfo | tuple[str, bytes]],
    rooted: RootedPath,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = 0
    original = linux._openat

    def counted(*arguments: object) -> Any:
        nonlocal calls
        calls += 1
        return original(*arguments)

    stream = archive(*members)
    monkeypatch.setattr(linux, "_openat", counted)
    rooted.from_tar(stream)
    assert calls < 15 * DEPTH


def test_a_way_that_is_moved_meanwhile_is_entered_from_the_top(
    top: Path, rooted: RootedPath
) -> None:
    """The directories above the deepest are closed, and their ``..`` leads elsewhere by then."""
    way = "a/b/c/d/e/f/g/h/i/j/k/l"
    data = archive((f"{way}/1", b""), ("a/b/2", b""), (f"{way}/3", b"")).getvalue()

    class Moving(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() == 512 and (top / way).exists():
                (top / "a/b/c").rename(top / "moved")
            return super().read(size)

    assert told(rooted, Moving(data)) == []
    assert os.listdir(top / "moved/d/e/f/g/h/i/j/k/l") == ["1"]
    assert os.listdir(top / way) == ["3"]
    assert sorted(os.listdir(top / "a/b")) == ["2", "c"]


# Whatever it holds

NAMES = ["a", "b", "a/b", "b/a", "a/b/c", "out", "out/f", "out/d/x", "up", "up/f"]
CLIMBING = ["../a", "..", "a/../../f", "/a", "//out/f", ".", "", "a/", "./b", "a\0b"]
TARGETS = ["a", "b", "a/b", "../outside", "/outside", "..", ".", "/", "../../x", "out/f", "a/b/c"]

names = st.sampled_from(NAMES + CLIMBING)


@st.composite
def members(draw: st.DrawFn) -> tarfile.TarInfo | tuple[str, bytes]:
    name = draw(names)
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return name, b"made"
    if kind == 1:
        return directory(name, mode=draw(st.sampled_from([0o777, 0o700, 0])))
    if kind == 2:
        return symlink(name, draw(st.sampled_from(TARGETS)))
    if kind == 3:
        return hard_link(name, draw(st.sampled_from(NAMES + TARGETS)))
    return entry(name, tarfile.FIFOTYPE)


@given(
    st.lists(st.lists(members(), max_size=6), min_size=1, max_size=3),
    st.sampled_from(["walk", "openat2"]),
)
def test_whatever_the_members_nothing_outside_is_changed(
    archives: list[list[tarfile.TarInfo | tuple[str, bytes]]], resolver: Literal["walk", "openat2"]
) -> None:
    with tempfile.TemporaryDirectory() as base:
        root = Path(base, "root")
        target, outside = root / "target", root / "outside"
        (outside / "d").mkdir(parents=True)
        (outside / "f").write_text("canary")
        target.mkdir()
        (target / "out").symlink_to("../outside")
        (target / "up").symlink_to("/outside")
        before = _seen(outside), sorted(os.listdir(root)), os.listdir(base)
        with Root.at(root, resolver=resolver) as held:
            for each in archives:
                RootedPath(held, "target").from_tar(
                    archive(*each), special="keep", on_error=lambda error: None
                )
        after = _seen(outside), sorted(os.listdir(root)), os.listdir(base)
        assert after == before
        assert not [name for name in _below(target) if "procpath" in name]
        # Links may lead anywhere; they are the container's, which follows them in its own root.
        os.chmod(target, 0o700)
        for name in _below(target):
            if os.path.isdir(name) and not os.path.islink(name):
                os.chmod(name, 0o700)


def _seen(directory: Path) -> list[tuple[str, int, int, int]]:
    """All that would change if anything was made, linked to, or written."""
    paths = [directory, *sorted(directory.rglob("*"))]
    return [(str(p), p.stat().st_mtime_ns, p.stat().st_ctime_ns, p.stat().st_nlink) for p in paths]


def _below(directory: Path) -> Iterator[str]:
    for where, below, files in os.walk(directory):
        for name in below + files:
            yield os.path.join(where, name)


@given(st.binary(max_size=600), st.integers(0, 1535), st.booleans())
def test_a_damaged_archive_is_an_error_or_an_archive(
    harm: bytes, start: int, mends_checksum: bool
) -> None:
    data = bytearray(extended(b"10 path=a\n") + FILE + FILE + END)
    data[start : start + len(harm)] = harm
    if mends_checksum:
        for at in range(0, len(data) - 512, 512):
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    with tempfile.TemporaryDirectory() as base:
        Path(base, "root").mkdir()
        with contextlib.suppress(OSError):
            RootedPath(Path(base, "root")).from_tar(io.BytesIO(bytes(data)), limit=1 << 20)
        assert os.listdir(base) == ["root"]


# While it is extracted

ARCHIVE = archive(directory("a", mode=0o700), ("a/f", b"made"), symlink("a/l", "x")).getvalue()


def _extract(root: Path) -> None:
    with contextlib.suppress(OSError):
        RootedPath(root).from_tar(io.BytesIO(ARCHIVE))


def _extract_by_tarfile(root: Path) -> None:
    with contextlib.suppress(OSError), tarfile.open(fileobj=io.BytesIO(ARCHIVE)) as opened:
        opened.extractall(root, filter="data")


TREE = Tree({"/a/f": File(), "/b": Symlink(races.HOST + "/a")})


def test_a_race_leads_tarfile_s_own_filter_out() -> None:
    assert next(races.explore(_extract_by_tarfile, TREE).failures, None) is not None


@pytest.mark.parametrize(
    "moves",
    [
        [races.Exchange("/a", "/b")],
        [races.Replace("/a/f", Symlink(races.HOST + "/a/f"))],
        [races.MoveOut("/a")],
    ],
    ids=str,
)
def test_no_race_leads_out_of_the_root(moves: list[races.Move]) -> None:
    explored = races.explore(_extract, TREE, moves)
    outcomes = list(explored)
    assert len(outcomes) > 10
    assert not [outcome for outcome in outcomes if outcome.escaped], str(explored)
