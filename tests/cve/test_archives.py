"""Programs that unpack archives, and what a hostile archive made them do."""

from __future__ import annotations

import io
import lzma
import os
import shutil
import stat
import sys
import tarfile
from collections.abc import Callable
from errno import EBADMSG, ENOENT, ENOTDIR, EXDEV
from pathlib import Path

import pytest

from cve.stage import SECRET, Resolver, Stage, swap_for_link
from helpers.archives import archive, block, directory, hard_link, symlink
from helpers.support import chrooted, run_in_child
from procpath import RootedPath


def told(rooted: RootedPath, stream: io.BytesIO) -> list[tuple[int | None, str]]:
    """Extract, and return the errors."""
    errors: list[OSError] = []
    rooted.from_tar(stream, on_error=errors.append)
    return [(error.errno, error.filename) for error in errors]


# tarfile, whose filters check host paths


def test_cve_2024_12718_by_host_paths(stage: Stage) -> None:
    """A directory that is there already gets the mode of the archive's, through a link."""
    os.symlink(stage.host, stage.container / "x")
    with pytest.raises(FileExistsError):
        os.mkdir(stage.container / "x")
    os.chmod(stage.container / "x", 0o777)
    assert stat.S_IMODE(stage.host.stat().st_mode) == 0o777


def test_cve_2024_12718(stage: Stage, rooted: RootedPath) -> None:
    before = stage.host.stat()
    link, top = symlink("x", str(stage.host)), symlink("y", ".")
    changing = [directory(name, mode=0o777, mtime=5) for name in ("x", "x/", "y/../x", "y/x")]
    assert told(rooted, archive(link, top, *changing[2:])) == [
        (EXDEV, "/y/../x/"),
        (ENOTDIR, "/y/x"),
    ]
    assert told(rooted, archive(*changing)) == [
        (ENOTDIR, "/x"),
        (ENOTDIR, "/x"),
        (EXDEV, "/y/../x/"),
        (ENOTDIR, "/y/x"),
    ]
    assert stage.host.stat() == before


def test_cve_2025_4138_by_host_paths(stage: Stage) -> None:
    """Where a link leads is looked up before a later member changes where that is."""
    text = "link/../host/file"
    target = os.path.realpath(stage.container / text)
    assert Path(target).is_relative_to(stage.container)
    (stage.container / "escape").symlink_to(text)
    (stage.container / "link").symlink_to(".")
    assert (stage.container / "escape").read_text() == SECRET


def test_cve_2025_4138(stage: Stage, rooted: RootedPath) -> None:
    links = symlink("escape", "link/../host"), symlink("link", ".")
    assert told(rooted, archive(*links)) == []
    assert os.readlink(stage.container / "escape") == "link/../host"
    with pytest.raises(FileNotFoundError):
        (rooted / "escape/file").read_text()
    assert told(rooted, archive(("escape/planted", b""))) == [(ENOENT, "/escape/planted")]
    assert stage.host_is_untouched()


def test_cve_2025_4330_by_host_paths(stage: Stage) -> None:
    """A hard link to a link is made as one more link, whose text was checked elsewhere."""
    text = "../host/file"
    target = os.path.realpath(stage.container / "dir" / text)
    assert Path(target).is_relative_to(stage.container)
    (stage.container / "hard").symlink_to(text)
    assert (stage.container / "hard").read_text() == SECRET


def test_cve_2025_4330(stage: Stage, rooted: RootedPath) -> None:
    assert (
        told(rooted, archive(symlink("dir/link", "../host"), hard_link("hard", "dir/link"))) == []
    )
    assert (stage.container / "hard").lstat().st_ino == (
        stage.container / "dir/link"
    ).lstat().st_ino
    assert told(rooted, archive(("hard/planted", b""))) == [(ENOENT, "/hard/planted")]
    assert stage.host_is_untouched()


CLIMBING = "../host/planted"


def test_cve_2025_4435_by_host_paths(stage: Stage) -> None:
    """The error of the check is only noted, and the member extracted after it."""
    errors = []
    if not (stage.container / CLIMBING).resolve().is_relative_to(stage.container):
        errors.append(CLIMBING)
    (stage.container / CLIMBING).write_text("planted")
    assert errors
    assert not stage.host_is_untouched()


def test_cve_2025_4435(stage: Stage, rooted: RootedPath) -> None:
    (stage.container / "file").touch()
    stream = archive((CLIMBING, b"planted"), ("file/below", b""), ("last", b""))
    assert [number for number, _ in told(rooted, stream)] == [EXDEV, ENOTDIR]
    assert sorted(os.listdir(stage.container)) == ["dir", "file", "last"]
    assert stage.host_is_untouched()


STEPS = "abcdefghijklmnop"
LONG = "d" * 247
UP = "/".join(STEPS) + "/" + "l" * 254
"""A link back to the start, at a path that without links is longer than PATH_MAX."""


def test_cve_2025_4517_by_host_paths(stage: Stage) -> None:
    """realpath() takes what it cannot look up for something without links."""
    short = stage.container
    for step in STEPS:
        (short / LONG).mkdir()
        (short / step).symlink_to(LONG)
        short /= step
    (stage.container / UP).symlink_to("../" * len(STEPS))
    (stage.container / "escape").symlink_to(f"{UP}/../host")
    target = os.path.realpath(stage.container / "escape/planted")
    assert Path(target).is_relative_to(stage.container)
    (stage.container / "escape/planted").write_text("planted")
    assert (stage.host / "planted").exists()


def test_cve_2025_4517(stage: Stage, rooted: RootedPath) -> None:
    members = []
    for number, step in enumerate(STEPS):
        members.append(directory("/".join([LONG] * (number + 1))))
        members.append(symlink("/".join([*[LONG] * number, step]), LONG))
    members.append(symlink("/".join([LONG] * len(STEPS)) + "/" + "l" * 254, "../" * len(STEPS)))
    members.append(symlink("escape", f"{UP}/../host"))
    assert told(rooted, archive(*members)) == []
    assert (rooted / UP).samefile(rooted)
    assert told(rooted, archive(("escape/planted", b""))) == [(ENOENT, "/escape/planted")]
    assert stage.host_is_untouched()


BACKWARDS = block("a", tarfile.REGTYPE, size=b"\xff" * 10 + b"\xfe\x00")


def test_cve_2025_8194_by_adding_the_size() -> None:
    positions = [0]
    while len(positions) == len(set(positions)):
        header = tarfile.TarInfo.frombuf(BACKWARDS[positions[-1] :], "utf-8", "surrogateescape")
        positions.append(positions[-1] + tarfile.BLOCKSIZE + header.size)
    # It is the same header for ever.
    assert positions == [0, 0]


def test_cve_2025_8194(rooted: RootedPath) -> None:
    with pytest.raises(OSError, match="negative size") as raised:
        rooted.from_tar(io.BytesIO(BACKWARDS))
    assert raised.value.errno == EBADMSG


# GNU tar


def test_cve_2025_45582_by_tar_streams(stage: Stage, rooted: RootedPath) -> None:
    assert told(rooted, archive(symlink("x", str(stage.host)))) == []
    assert told(rooted, archive(("x/planted", b""))) == [(EXDEV, "/x/planted")]
    assert stage.host_is_untouched()


# podman cp, docker cp


def test_cve_2019_10152_by_host_paths(stage: Stage, tmp_path: Path) -> None:
    (stage.container / "link").symlink_to(stage.secret)
    shutil.copyfile(stage.container / "link", tmp_path / "out")
    assert (tmp_path / "out").read_text() == SECRET


def test_cve_2019_10152(stage: Stage, rooted: RootedPath, tmp_path: Path) -> None:
    (stage.container / "link").symlink_to(stage.secret)
    (stage.container / "to dir").symlink_to(stage.host)
    with pytest.raises(FileNotFoundError):
        (rooted / "link").copy(tmp_path / "out")
    with pytest.raises(FileNotFoundError):
        (rooted / "link").to_tar(io.BytesIO())
    with pytest.raises(FileNotFoundError):
        (rooted / "to dir").from_tar(archive(("file", b"planted")))
    with pytest.raises(FileNotFoundError):
        (rooted / "to dir/file").copy_from(Path(__file__))
    assert stage.host_is_untouched()


def test_cve_2026_17106_by_string_prefix(stage: Stage) -> None:
    """Names are moved from ``dir`` to the target as texts: ``dir2/file`` begins with it too."""
    target = f"{stage.host.parent}/h"
    for name in ("dir/a", "dirost/planted"):
        rebased = target + name.removeprefix("dir")
        assert rebased.startswith(target)
        os.makedirs(os.path.dirname(rebased), exist_ok=True)
        Path(rebased).touch()
    assert (stage.host / "planted").exists()


def test_cve_2026_17106(stage: Stage, rooted: RootedPath) -> None:
    (stage.container / "dir2").mkdir()
    assert told(rooted / "dir", archive(("dir/a", b""), ("dir2/b", b""), ("2/c", b""))) == []
    assert sorted(os.listdir(stage.container / "dir")) == ["2", "dir", "dir2", "file"]
    assert os.listdir(stage.container / "dir2") == []
    stream = io.BytesIO()
    (rooted / "dir").to_tar(stream)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as opened:
        assert "file" in opened.getnames()
        assert "dir2/file" not in opened.getnames()


def _audited(func: Callable[[], object]) -> list[str]:
    """What ``func`` starts as programs, or has loaded."""

    def inside() -> list[str]:
        events: list[str] = []
        sys.addaudithook(lambda event, arguments: events.append(event))
        func()
        started = ("subprocess.", "os.exec", "os.posix_spawn", "os.fork", "os.system", "ctypes.dlo")
        return [event for event in events if event.startswith(started)]

    return run_in_child(inside)


def test_cve_2026_41567_by_looking_it_up_inside(stage: Stage) -> None:
    planted = stage.container / "usr/bin/xz"
    planted.parent.mkdir(parents=True)
    planted.write_text("#!/bin/sh\nby the container\n")
    planted.chmod(0o755)
    found = chrooted(stage.container, lambda: shutil.which("xz", path="/usr/bin"))
    assert found == "/usr/bin/xz"


def test_cve_2026_41567(stage: Stage, rooted: RootedPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(stage.container))
    data = lzma.compress(archive(("made", b"")).getvalue())
    assert _audited(lambda: rooted.from_tar(io.BytesIO(data))) == []
    assert (stage.container / "made").exists()


def test_cve_2026_41568_by_host_paths(stage: Stage) -> None:
    resolved = (stage.container / "dir").resolve()
    assert resolved.is_relative_to(stage.container)
    swap_for_link(stage.container / "dir", stage.host)
    (resolved / "volume").mkdir()
    (resolved / "mountpoint").touch()
    assert sorted(os.listdir(stage.host)) == ["file", "mountpoint", "volume"]


def test_cve_2026_41568(stage: Stage, resolver: Resolver) -> None:
    class Swapping(io.BytesIO):
        """It swaps the directory when the archive has been read so far."""

        def __init__(self, data: bytes, at: int) -> None:
            super().__init__(data)
            self._at = at

        def read(self, size: int | None = -1, /) -> bytes:
            if self._at <= self.tell() and self._at >= 0:
                self._at = -1
                swap_for_link(stage.container / "dir", stage.host)
            return super().read(size)

    data = archive(
        directory("dir/volume"), ("dir/mountpoint", b""), ("dir/sub/file", b"")
    ).getvalue()
    for at in range(0, len(data), 512):
        with stage.rooted(resolver) as rooted:
            told(rooted, Swapping(data, at))
        assert stage.host_is_untouched()
        shutil.rmtree(stage.container)
        (stage.container / "dir").mkdir(parents=True)
