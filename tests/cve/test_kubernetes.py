"""The kubelet, which mounts parts of a volume, named by the user, into a container."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cve.stage import SECRET, Resolver, Stage, bind, swap_for_link
from helpers.support import private_mounts


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the container will see the volume."""
    directory = tmp_path / "target"
    directory.mkdir()
    return directory


def test_cve_2017_1002101_by_host_paths(stage: Stage, target: Path) -> None:
    (stage.container / "sub").symlink_to(stage.host)

    def mount() -> str:
        bind(stage.container / "sub", target)
        return (target / "file").read_text()

    assert private_mounts(mount) == SECRET


def test_cve_2017_1002101(stage: Stage, target: Path, resolver: Resolver) -> None:
    (stage.container / "sub").symlink_to(stage.host)
    (stage.container / "good").symlink_to("/dir")

    def mount() -> str:
        with stage.rooted(resolver) as rooted:
            with pytest.raises(FileNotFoundError):
                (rooted / "sub").pin()
            with (rooted / "good").pin() as source:
                bind(source, target)
        return (target / "file").read_text()

    assert private_mounts(mount) == "of the container"


def test_cve_2021_25741_by_host_paths(stage: Stage, target: Path) -> None:
    def mount() -> str:
        source = stage.container / "dir"
        assert stat.S_ISDIR(os.lstat(source).st_mode)
        swap_for_link(source, stage.host)
        bind(source, target)
        return (target / "file").read_text()

    assert private_mounts(mount) == SECRET


def test_cve_2021_25741(stage: Stage, target: Path, resolver: Resolver) -> None:
    def mount() -> str:
        with stage.rooted(resolver) as rooted, (rooted / "dir").pin() as source:
            assert stat.S_ISDIR(source.stat().st_mode)
            swap_for_link(stage.container / "dir", stage.host)
            bind(source, target)
        return (target / "file").read_text()

    assert private_mounts(mount) == "of the container"
