"""What another party's file is read with: a bound."""

from __future__ import annotations

import os
from errno import EFBIG
from pathlib import Path

import pytest

from procpath import RootedPath


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("newline", [None, "", "\r\n"], ids=repr)
def test_a_limit_counts_bytes(tmp_path: Path, encoding: str, newline: str | None) -> None:
    data = "grün\r\n".encode(encoding)
    (tmp_path / "f").write_bytes(data)
    path = RootedPath(tmp_path, "f")
    expected = path.read_text(encoding, newline=newline)
    for enough in (len(data), len(data) + 1, 1 << 40):
        assert path.read_bytes(limit=enough) == data
        assert path.read_text(encoding, newline=newline, limit=enough) == expected
    for little in (0, 1, len(data) - 1):
        with pytest.raises(OSError) as caught:
            path.read_bytes(limit=little)
        assert (caught.value.errno, caught.value.filename) == (EFBIG, "/f")
        assert caught.value.__notes__ == [f"in the root {tmp_path}"]
        with pytest.raises(OSError) as caught:
            path.read_text(encoding, newline=newline, limit=little)
        assert (caught.value.errno, caught.value.filename) == (EFBIG, "/f")


def test_a_file_without_a_size_has_a_limit_too(no_leak: None) -> None:
    """Files of procfs say that they have none."""
    path = RootedPath("/", f"proc/{os.getpid()}/status", special_files="allow")
    assert len(path.read_bytes(limit=1 << 20)) > 100
    with pytest.raises(OSError) as caught:
        path.read_bytes(limit=100)
    assert caught.value.errno == EFBIG


@pytest.mark.usefixtures("no_leak")
def test_a_limit_is_a_number_of_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    path = RootedPath(tmp_path, "f")
    assert path.read_bytes(limit=0) == b""
    for read in (path.read_bytes, path.read_text):
        with pytest.raises(ValueError, match="negative"):
            read(limit=-1)
