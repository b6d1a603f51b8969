"""docker cp, which copies between the host and a container that may be hostile."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

import pytest

from cve.stage import SECRET, Resolver, Stage, bind, swap_for_link
from helpers.support import chrooted, private_mounts
from procpath import RootedPath


def test_cve_2018_15664_by_host_paths(stage: Stage) -> None:
    """The path is resolved, found to be inside, and used after it was swapped."""
    resolved = (stage.container / "dir").resolve()
    assert resolved.is_relative_to(stage.container)
    swap_for_link(stage.container / "dir", stage.host)
    assert (resolved / "file").read_text() == SECRET
    (resolved / "planted").write_text("by docker cp")
    assert (stage.host / "planted").exists()


def test_cve_2018_15664(stage: Stage, rooted: RootedPath, tmp_path: Path) -> None:
    resolved = (rooted / "dir").resolve()
    swap_for_link(stage.container / "dir", stage.host)
    with pytest.raises(FileNotFoundError):
        (resolved / "file").read_text()
    with pytest.raises(FileNotFoundError):
        (resolved / "planted").write_text("by docker cp")
    with pytest.raises(FileNotFoundError):
        (resolved / "planted").copy_from(Path(__file__))
    with pytest.raises(FileNotFoundError):
        (resolved / "file").copy(tmp_path / "copied out")
    assert stage.host_is_untouched()
    assert not (tmp_path / "copied out").exists()


def _plant_libraries(container: Path) -> Path:
    """Something that can be loaded, wherever a process in the container looks for libraries."""
    with open("/proc/self/maps") as maps:
        library = next(line.split()[-1] for line in maps if "/libm" in line)
    directory = Path(library).parent
    for place in {directory, Path("/lib"), Path("/usr/lib"), Path("/lib64"), Path("/usr/lib64")}:
        target = container / place.relative_to("/")
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target / "libcanary.so.2")
    (container / "etc").mkdir()
    (container / "etc/nsswitch.conf").write_text("passwd: canary\ngroup: canary\n")
    (container / "etc/passwd").write_text(f"insider:x:{os.getuid()}:0::/home:/bin/sh\n")
    (container / "etc/group").write_text(f"insiders:x:{os.getgid()}:\n")
    return container


def _libraries_loaded() -> list[str]:
    with open("/proc/self/maps") as maps:
        return [line for line in maps if "canary" in line]


def test_cve_2019_14271_by_changing_the_root(stage: Stage) -> None:
    """Who changes its root into the container gets its libraries from there."""

    def load() -> list[str]:
        ctypes.CDLL("libcanary.so.2")
        return _libraries_loaded()

    proc = _plant_libraries(stage.container) / "proc"
    proc.mkdir()

    def inside() -> list[str]:
        bind("/proc", proc)
        return chrooted(stage.container, load)

    # glibc loads the modules of nsswitch.conf(5) like this when a name is looked up.
    assert private_mounts(inside)


def test_cve_2019_14271(stage: Stage, rooted: RootedPath) -> None:
    _plant_libraries(stage.container)
    assert (rooted / "dir/file").owner() == "insider"
    assert (rooted / "dir/file").group() == "insiders"
    assert str(rooted.home()) == "/home"
    assert _libraries_loaded() == []


def test_cve_2026_42306_by_host_paths(stage: Stage) -> None:
    def mount_volume() -> bool:
        destination = stage.container / "dir"
        destination.mkdir(exist_ok=True)
        swap_for_link(destination, stage.host)
        bind(stage.container / "dir.aside", destination)
        return stage.secret.read_text() == SECRET

    assert not private_mounts(mount_volume)


def test_cve_2026_42306(stage: Stage, resolver: Resolver) -> None:
    volume = stage.container.with_name("volume")
    volume.mkdir()
    (volume / "file").write_text("of the volume")

    def mount_volume() -> str:
        with stage.rooted(resolver) as rooted:
            (rooted / "dir").mkdir(exist_ok=True)
            with (rooted / "dir").pin() as destination:
                swap_for_link(stage.container / "dir", stage.host)
                bind(volume, destination)
            with pytest.raises(FileNotFoundError):
                (rooted / "dir").pin()
        assert stage.host_is_untouched()
        return (stage.container / "dir.aside/file").read_text()

    # Over the directory that was meant, whatever has its name now.
    assert private_mounts(mount_volume) == "of the volume"
