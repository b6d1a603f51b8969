"""``procpath cp`` with a link at the target: the container that made it chooses nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers.commandline import here

QUIET = (0, b"", "")
REFUSED = "a symbolic link; with a slash at its end it is followed"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "rootfs/etc").mkdir(parents=True)
    return tmp_path / "rootfs"


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that local paths count from."""
    (tmp_path / "local").mkdir()
    (tmp_path / "host").mkdir()
    (tmp_path / "host/shadow").write_text("of the host")
    monkeypatch.chdir(tmp_path / "local")
    return tmp_path / "local"


@pytest.mark.parametrize("options", [["-a"], ["-r"]])
def test_second_run_does_not_follow_the_first_ones_link(
    options: list[str], root: Path, local: Path
) -> None:
    nginx = root / "etc/nginx"
    nginx.symlink_to(local.parent / "host")
    assert here("cp", "-a", f"{root}:/etc/nginx", "./nginx") == QUIET
    nginx.unlink()
    nginx.mkdir()
    (nginx / "evil.cron").write_text("evil")
    ran = here("cp", *options, f"{root}:/etc/nginx", "./nginx")
    assert ran == (1, b"", f"procpath: ./nginx: {REFUSED}\n")
    assert os.listdir(local.parent / "host") == ["shadow"]


@pytest.mark.parametrize("there", ["shadow", "missing"])
@pytest.mark.parametrize("options", [["-a"], []])
def test_file_is_not_written_through_a_link(
    options: list[str], there: str, root: Path, local: Path
) -> None:
    conf = root / "etc/app.conf"
    conf.symlink_to(local.parent / "host" / there)
    assert here("cp", "-a", f"{root}:/etc/app.conf", "app.conf") == QUIET
    conf.unlink()
    conf.write_text("evil")
    ran = here("cp", *options, f"{root}:/etc/app.conf", "app.conf")
    assert ran == (1, b"", f"procpath: app.conf: {REFUSED}\n")
    assert os.listdir(local.parent / "host") == ["shadow"]
    assert (local.parent / "host/shadow").read_text() == "of the host"


def test_slash_asks_for_the_links_directory(root: Path, local: Path) -> None:
    (root / "etc/f").write_text("f")
    (local / "link").symlink_to("../host")
    assert here("cp", "-a", f"{root}:/etc", "link/") == QUIET
    assert (local.parent / "host/etc/f").read_text() == "f"


def test_archive_into_a_root_follows_no_link_either(root: Path, local: Path) -> None:
    (root / "etc/app").mkdir()
    (root / "app").symlink_to("etc/app")
    (local / "f").write_text("f")
    target = f"{root}:/app"
    assert here("cp", "-a", "f", target) == (1, b"", f"procpath: {target}: {REFUSED}\n")
    assert here("cp", "-a", "f", f"{target}/") == QUIET
    assert here("cp", "f", target) == QUIET
    assert os.listdir(root / "etc/app") == ["f"]


def test_nothing_is_made_through_a_dangling_link(root: Path, local: Path) -> None:
    (root / "new").symlink_to("etc/made")
    (local / "f").write_text("f")
    target = f"{root}:/new"
    reason = "not writing through a dangling symbolic link"
    assert here("cp", "f", target) == (1, b"", f"procpath: {target}: {reason}\n")
    assert os.listdir(root / "etc") == []
