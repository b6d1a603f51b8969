"""What pathlib of Python 3.14 and 3.15 does, on each Python."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from errno import EEXIST, ELOOP, ENOENT, ENOSPC, EPERM, EXDEV
from pathlib import Path
from typing import Any

import pytest

from procpath import Root, RootedPath


@pytest.fixture(params=["openat2", "walk"])
def top(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RootedPath]:
    (tmp_path / "file").write_text("inside")
    with Root.at(tmp_path, resolver=request.param) as root:
        yield RootedPath(root)


@pytest.mark.parametrize("text", ["file", "/file", "../../file", "other"])
def test_hardlink_to_a_link_is_of_its_file(top: RootedPath, text: str) -> None:
    (top / "other").symlink_to("/file")
    (top / "link").symlink_to(text)
    (top / "hard").hardlink_to("link")
    assert not (top / "hard").is_symlink()
    assert (top / "hard").samefile(top / "file")
    assert (top / "file").stat().st_nlink == 2


@pytest.mark.parametrize(
    ("text", "errno"), [("gone", ENOENT), ("link", ELOOP), ("/etc/passwd", ENOENT), ("/", EPERM)]
)
def test_hardlink_to_a_link_without_a_file(top: RootedPath, text: str, errno: int) -> None:
    (top / "link").symlink_to(text)
    with pytest.raises(OSError) as caught:
        (top / "hard").hardlink_to(top / "link")
    found = caught.value
    assert (found.errno, found.filename, found.filename2) == (errno, "/link", "/hard")
    assert not (top / "hard").exists(follow_symlinks=False)


def test_hardlink_to_replaces_nothing(top: RootedPath) -> None:
    (top / "link").symlink_to("gone")
    for name in ("link", "file"):
        with pytest.raises(OSError) as caught:
            (top / name).hardlink_to("file")
        assert caught.value.errno == EEXIST


@pytest.mark.parametrize("mode", [0o700, 0o751, None])
def test_mkdir_parent_mode(top: RootedPath, mode: Any) -> None:
    umask = os.umask(0o022)
    try:
        (top / "a/b/c").mkdir(0o710, parents=True, parent_mode=mode)
    finally:
        os.umask(umask)
    modes = [stat.S_IMODE((top / name).stat().st_mode) for name in ("a", "a/b", "a/b/c")]
    above = 0o755 if mode is None else mode
    assert modes == [above, above, 0o710]


def test_copy_raises_what_stops_a_clone(top: RootedPath, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno, os.strerror(errno))

    monkeypatch.setattr(fcntl, "ioctl", fail)
    errno = EXDEV
    assert (top / "file").copy("other").read_text() == "inside"
    errno = ENOSPC
    with pytest.raises(OSError) as caught:
        (top / "file").copy("new")
    assert caught.value.errno == ENOSPC
    assert not (top / "new").exists()
