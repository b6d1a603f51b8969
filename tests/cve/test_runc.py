"""runc, which mounts into the container's tree and writes to procfs on its behalf."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cve.stage import SECRET, Resolver, Stage, bind, swap_for_link
from helpers.support import private_mounts
from procpath import MagicLinkError, RootedPath, UnverifiedProcError, VerifiedProc, linux

LABEL = "label"


def _fake_proc(directory: Path) -> Path:
    """A directory that looks like a procfs to who wants to write a label."""
    attributes = directory / "self/attr"
    attributes.mkdir(parents=True)
    (attributes / "exec").touch()
    (attributes / "apparmor").mkdir()
    return directory


def test_cve_2019_16884_by_host_paths(stage: Stage) -> None:
    def write_label() -> str:
        bind(_fake_proc(stage.container / "volume"), "/proc")
        Path("/proc/self/attr/exec").write_text(LABEL)
        return (stage.container / "volume/self/attr/exec").read_text()

    # No error, and no label on the process.
    assert private_mounts(write_label) == LABEL


def test_cve_2019_16884(stage: Stage) -> None:
    def write_label() -> str:
        volume = _fake_proc(stage.container / "volume")
        bind(volume, "/proc")
        with pytest.raises(UnverifiedProcError):
            VerifiedProc(source="mounted")
        # There is a procfs that nobody can mount on; it has this process, and its name.
        with VerifiedProc(source="fsopen") as proc, proc.process() as process:
            with process.open("comm", "w") as comm:
                comm.write(LABEL)
            assert process.read_text("comm") == f"{LABEL}\n"
        return (volume / "self/attr/exec").read_text()

    assert private_mounts(write_label) == ""


def test_cve_2019_19921_by_host_paths(stage: Stage) -> None:
    _fake_proc(stage.container / "volume/proc")
    (stage.container / "proc").symlink_to("volume/proc")
    exec_label = stage.container / "proc/self/attr/exec"
    exec_label.write_text(LABEL)
    assert (stage.container / "volume/proc/self/attr/exec").read_text() == LABEL


def test_cve_2019_19921(stage: Stage) -> None:
    _fake_proc(stage.container / "volume/proc")
    (stage.container / "proc").symlink_to("volume/proc")
    # A link is not a place of a procfs, and neither is the directory behind it.
    with pytest.raises(NotADirectoryError):
        VerifiedProc(stage.container / "proc")
    with pytest.raises(UnverifiedProcError):
        VerifiedProc(stage.container / "volume/proc", source="mounted")
    assert (stage.container / "volume/proc/self/attr/exec").read_text() == ""


def test_cve_2021_30465_by_host_paths(stage: Stage) -> None:
    def mount() -> list[str]:
        destination = (stage.container / "dir").resolve()
        assert destination.is_relative_to(stage.container)
        swap_for_link(stage.container / "dir", stage.host)
        linux.mount(b"tmpfs", os.fsencode(destination), b"tmpfs")
        return os.listdir(stage.host)

    # The host's directory is covered.
    assert private_mounts(mount) == []


def test_cve_2021_30465(stage: Stage, resolver: Resolver) -> None:
    def mount() -> list[str]:
        with stage.rooted(resolver) as rooted, (rooted / "dir").resolve().pin() as destination:
            swap_for_link(stage.container / "dir", stage.host)
            linux.mount(b"tmpfs", os.fsencode(destination), b"tmpfs")
        assert stage.host_is_untouched()
        return os.listdir(stage.container / "dir.aside")

    assert private_mounts(mount) == []


def test_cve_2024_45310_by_host_paths(stage: Stage) -> None:
    parent = (stage.container / "dir").resolve()
    assert parent.is_relative_to(stage.container)
    swap_for_link(stage.container / "dir", stage.host)
    os.makedirs(parent / "a/b")
    (parent / "a/b/mountpoint").touch()
    assert (stage.host / "a/b/mountpoint").exists()


def test_cve_2024_45310(stage: Stage, rooted: RootedPath) -> None:
    parent = (rooted / "dir").resolve()
    swap_for_link(stage.container / "dir", stage.host)
    # What is missing where the link leads inside is made there, as for a process inside.
    with pytest.raises(FileExistsError):
        (parent / "a/b").mkdir(parents=True, exist_ok=True)
    with pytest.raises(FileNotFoundError):
        (parent / "mountpoint").touch()
    (stage.container / stage.host.relative_to("/")).mkdir(parents=True)
    (parent / "a/b").mkdir(parents=True)
    (parent / "a/b/mountpoint").touch()
    inside = RootedPath(rooted.root_handle, str(stage.host), "a/b/mountpoint")
    assert inside.is_file()
    assert stage.host_is_untouched()


def _mask(path: Path, null: str | os.PathLike[str]) -> None:
    """Hide a file of the container behind ``/dev/null``."""
    path.touch(exist_ok=True)
    bind(null, path)


def test_cve_2025_31133_by_host_paths(stage: Stage) -> None:
    (stage.container / "dev").mkdir()
    (stage.container / "dev/null").symlink_to(stage.secret)

    def mask() -> str:
        _mask(stage.container / "masked", stage.container / "dev/null")
        (stage.container / "masked").write_text("by the container")
        return stage.secret.read_text()

    assert private_mounts(mask) == "by the container"


def _is_null(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.makedev(1, 3)


def test_cve_2025_31133(stage: Stage, rooted: RootedPath, resolver: Resolver) -> None:
    null = stage.container / "dev/null"
    null.parent.mkdir()
    null.symlink_to(stage.secret)
    with pytest.raises(FileNotFoundError):
        (rooted / "dev/null").pin()
    with (rooted / "dev/null").pin(follow_symlinks=False) as link:
        assert not _is_null(link.stat())
    null.unlink()
    os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))

    def mask() -> bytes:
        with (
            stage.rooted(resolver, special_files="allow") as here,
            (here / "dev/null").pin() as pinned,
        ):
            assert _is_null(pinned.stat())
            # What was looked at is what gets mounted.
            swap_for_link(null, stage.secret)
            _mask(stage.container / "masked", pinned)
        (stage.container / "masked").write_text("by the container")
        return (stage.container / "masked").read_bytes()

    assert private_mounts(mask) == b""
    assert stage.host_is_untouched()


def test_cve_2025_52565_by_host_paths(stage: Stage) -> None:
    (stage.container / "dev/pts").mkdir(parents=True)
    (stage.container / "dev/pts/0").symlink_to(stage.secret)
    console = stage.container / "dev/console"

    def mount_console() -> str:
        console.touch()
        bind(stage.container / "dev/pts/0", console)
        console.write_text("by the container")
        return stage.secret.read_text()

    assert private_mounts(mount_console) == "by the container"


def test_cve_2025_52565(stage: Stage, rooted: RootedPath, resolver: Resolver) -> None:
    (stage.container / "dev/pts").mkdir(parents=True)
    (stage.container / "dev/pts/0").symlink_to(stage.secret)
    (rooted / "dev/console").touch()
    with pytest.raises(FileNotFoundError):
        (rooted / "dev/pts/0").pin()
    (stage.container / "dev/pts/0").unlink()
    (stage.container / "dev/pts/0").touch()

    def mount_console() -> str:
        with stage.rooted(resolver) as here:
            terminal, console = here / "dev/pts/0", here / "dev/console"
            with terminal.pin() as source, console.pin() as target:
                swap_for_link(stage.container / "dev/pts/0", stage.secret)
                swap_for_link(stage.container / "dev/console", stage.secret)
                bind(source, target)
        assert stage.host_is_untouched()
        return (stage.container / "dev/console.aside").read_text()

    assert private_mounts(mount_console) == ""


def _cross_over(entry: str, other: str) -> None:
    """Mount one real file of this process's procfs directory over another."""
    bind(f"/proc/{os.getpid()}/{other}", f"/proc/{os.getpid()}/{entry}")


def test_cve_2025_52881_by_host_paths(stage: Stage) -> None:
    def write() -> str:
        _cross_over("oom_score_adj", "comm")
        Path("/proc/self/oom_score_adj").write_text("17")
        return Path("/proc/self/comm").read_text()

    # It is on procfs, and it is a regular file of it: but not the one that was meant.
    assert private_mounts(write) == "17\n"


def test_cve_2025_52881(stage: Stage) -> None:
    def write() -> tuple[str, str]:
        _cross_over("oom_score_adj", "comm")
        with VerifiedProc(source="mounted") as proc, proc.process() as process:
            with pytest.raises(UnverifiedProcError):
                process.open("oom_score_adj", "w")
        with VerifiedProc(source="open_tree") as proc, proc.process() as process:
            with process.open("oom_score_adj", "w") as file:
                file.write("17")
            return process.read_text("oom_score_adj"), process.read_text("comm")

    score, comm = private_mounts(write)
    assert score == "17\n"
    assert comm != "17\n"


def test_cve_2025_52881_by_magic_links(stage: Stage, resolver: Resolver) -> None:
    """They jump to wherever the process that reads them is; no path in a root goes on there."""
    (stage.container / "proc").mkdir()

    def follow() -> str:
        linux.mount(b"proc", os.fsencode(stage.container / "proc"), b"proc")
        (stage.container / "attr").symlink_to("/proc/self/cwd/file")
        os.chdir(stage.host)
        with stage.rooted(resolver) as rooted:
            for path in ("attr", "proc/self/cwd/file", "proc/self/root/etc/hostname"):
                with pytest.raises(MagicLinkError):
                    (rooted / path).read_text()
        return (stage.container / "proc/self/cwd/file").read_text()

    assert private_mounts(follow) == SECRET
