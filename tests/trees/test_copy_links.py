"""A copy whose target is a link."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from helpers.scenery import write
from procpath import RootedPath

pytestmark = pytest.mark.usefixtures("no_leak")


def test_on_the_way_out_a_targets_link_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "root/app.conf", "evil")
    write(tmp_path / "shadow", "of the host")
    source = RootedPath(tmp_path / "root") / "app.conf"
    for text in ("shadow", "missing"):
        link = tmp_path / f"to {text}"
        link.symlink_to(text)
        for preserve in (False, True):
            with pytest.raises(OSError) as caught:
                source.copy(link, follow_symlinks=False, preserve_metadata=preserve)
            assert (caught.value.errno, caught.value.filename) == (errno.ELOOP, str(link))
    assert (tmp_path / "shadow").read_text() == "of the host"
    assert sorted(os.listdir(tmp_path)) == ["root", "shadow", "to missing", "to shadow"]


def test_nothing_is_made_through_a_dangling_link(tmp_path: Path) -> None:
    root = RootedPath(tmp_path)
    write(tmp_path / "file", "new")
    write(tmp_path / "old", "old")
    (tmp_path / "dangling").symlink_to("missing")
    (tmp_path / "link").symlink_to("old")
    with pytest.raises(OSError) as caught:
        (root / "file").copy(root / "dangling", follow_symlinks=False)
    assert (caught.value.errno, caught.value.filename) == (errno.ELOOP, "/dangling")
    (root / "file").copy(root / "link", follow_symlinks=False)
    assert (tmp_path / "old").read_text() == "new"
    # As open() does, and pathlib with it.
    (root / "file").copy(root / "dangling")
    assert (tmp_path / "missing").read_text() == "new"
