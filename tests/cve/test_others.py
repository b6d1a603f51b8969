"""Image builders, toolkits, and programs that copy and unpack trees that others rule."""

from __future__ import annotations

import glob
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cve.stage import SECRET, Resolver, Stage, bind, swap_for_link
from helpers.support import private_mounts
from procpath import RootedPath

# NVIDIA Container Toolkit


def test_cve_2024_0132_by_host_paths(stage: Stage) -> None:
    (stage.container / "usr/local/cuda").mkdir(parents=True)
    (stage.container / "usr/local/cuda/compat").symlink_to(stage.host)
    found = glob.glob(f"{stage.container}/usr/local/cuda/compat/*")
    assert [Path(path).read_text() for path in found] == [SECRET]


def test_cve_2024_0132(stage: Stage, rooted: RootedPath) -> None:
    (stage.container / "usr/local/cuda").mkdir(parents=True)
    compat = stage.container / "usr/local/cuda/compat"
    compat.symlink_to(stage.host)
    assert list(rooted.glob("usr/local/cuda/compat/*")) == []
    compat.unlink()
    compat.mkdir()
    (compat / "libcuda.so.1").write_text("of the container")
    for library in rooted.glob("usr/local/cuda/compat/*.so.*"):
        # Between finding and using, too.
        swap_for_link(compat, stage.host)
        with pytest.raises(FileNotFoundError):
            library.read_text()
        return
    raise AssertionError("nothing was found")


# podman, buildah


def test_cve_2024_1753_by_host_paths(stage: Stage, tmp_path: Path) -> None:
    (stage.container / "source").symlink_to("/")
    (tmp_path / "target").mkdir()

    def mount() -> bool:
        bind(stage.container / "source", tmp_path / "target")
        return (tmp_path / "target").samefile("/")

    assert private_mounts(mount)


def test_cve_2024_1753(stage: Stage, tmp_path: Path, resolver: Resolver) -> None:
    (stage.container / "source").symlink_to("/")
    (tmp_path / "target").mkdir()

    def mount() -> bool:
        with stage.rooted(resolver) as rooted, (rooted / "source").pin() as source:
            bind(source, tmp_path / "target")
        return (tmp_path / "target").samefile(stage.container)

    assert private_mounts(mount)


def test_cve_2024_9676_by_host_paths(stage: Stage) -> None:
    (stage.container / "etc").mkdir()
    passwd = stage.container / "etc/passwd"
    passwd.symlink_to(stage.secret)
    assert passwd.read_text() == SECRET
    passwd.unlink()
    passwd.symlink_to("/dev/zero")
    with open(passwd, "rb") as file:
        # And so on, without end.
        assert len(file.read(1 << 20)) == 1 << 20


def test_cve_2024_9676(stage: Stage, rooted: RootedPath) -> None:
    (stage.container / "etc").mkdir()
    (stage.container / "dev").mkdir()
    os.mknod(stage.container / "dev/zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.mkfifo(stage.container / "dev/fifo")
    passwd = stage.container / "etc/passwd"
    for target in (stage.secret, "/dev/zero", "/dev/fifo", "/proc/kmsg"):
        passwd.symlink_to(target)
        with pytest.raises((KeyError, OSError)):
            (rooted / "dir/file").owner()
        passwd.unlink()


# rsync


def test_cve_2024_12747_by_host_paths(stage: Stage) -> None:
    path = stage.container / "dir/file"
    assert stat.S_ISREG(os.lstat(path).st_mode)
    swap_for_link(path, stage.secret)
    assert path.read_text() == SECRET


def test_cve_2024_12747(stage: Stage, rooted: RootedPath) -> None:
    path = rooted / "dir/file"
    assert stat.S_ISREG(path.lstat().st_mode)
    swap_for_link(stage.container / "dir/file", stage.secret)
    with pytest.raises(FileNotFoundError):
        path.read_text()
    with pytest.raises(FileNotFoundError):
        path.copy(stage.container.with_name("copy"))


def test_cve_2026_29518_by_host_paths(stage: Stage) -> None:
    module = stage.container
    assert (module / "dir/file").resolve().is_relative_to(module)
    (module / "dir").rename(module / "moved")
    (module / "dir").symlink_to(stage.host)
    assert (module / "dir/file").read_text() == SECRET
    (module / "dir/file").write_text("by the daemon")
    assert stage.secret.read_text() == "by the daemon"


def test_cve_2026_29518(stage: Stage, rooted: RootedPath) -> None:
    path = (rooted / "dir/file").resolve(strict=True)
    (stage.container / "dir").rename(stage.container / "moved")
    (stage.container / "dir").symlink_to(stage.host)
    for use in (
        path.read_text,
        lambda: path.write_text("by the daemon"),
        lambda: path.chmod(0o777),
        lambda: path.chown(4711),
        lambda: path.utime((0, 0)),
        lambda: path.rename(rooted / "mine"),
        path.unlink,
        path.parent.iterdir,
    ):
        with pytest.raises(FileNotFoundError):
            use()
    assert stage.host_is_untouched()


# GNU tar


@pytest.fixture
def archives(stage: Stage, tmp_path: Path) -> tuple[Path, Path]:
    """One that has a link in it, and one that has a file where that leads."""
    link = tarfile.TarInfo("x")
    link.type, link.linkname = tarfile.SYMTYPE, str(stage.host)
    file = tarfile.TarInfo("x/planted")
    file.size = len("planted")
    for name, member in {"first.tar": link, "second.tar": file}.items():
        with tarfile.open(tmp_path / name, "w") as archive:
            archive.addfile(member, io.BytesIO(b"planted") if member.isreg() else None)
    return tmp_path / "first.tar", tmp_path / "second.tar"


def _members(archive: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(archive) as opened:
        for member in opened:
            content = opened.extractfile(member) if member.isreg() else None
            yield member, content.read() if content else b""


def _extract(archive: Path, directory: Path | RootedPath) -> None:
    """As simple as can be: no name is absolute or has ``..`` in it, so what can go wrong?"""
    for member, content in _members(archive):
        assert not member.name.startswith("/")
        assert ".." not in member.name.split("/")
        if member.issym():
            (directory / member.name).symlink_to(member.linkname)
        else:
            (directory / member.name).write_bytes(content)


def test_cve_2025_45582_by_host_paths(stage: Stage, archives: tuple[Path, Path]) -> None:
    for archive in archives:
        _extract(archive, stage.container)
    assert (stage.host / "planted").read_text() == "planted"


def test_cve_2025_45582(stage: Stage, archives: tuple[Path, Path], rooted: RootedPath) -> None:
    first, second = archives
    _extract(first, rooted)
    with pytest.raises(FileNotFoundError):
        _extract(second, rooted)
    # A link to the outside is just one to another place inside.
    RootedPath(rooted.root_handle, str(stage.host)).mkdir(parents=True)
    _extract(second, rooted)
    inside = stage.container / stage.host.relative_to("/") / "planted"
    assert inside.read_text() == "planted"
    assert stage.host_is_untouched()


# Go os.Root


def test_cve_2026_39822_by_descriptor(stage: Stage) -> None:
    (stage.container / "link").symlink_to(stage.host)
    root = os.open(stage.container, os.O_PATH)
    flags = os.O_RDONLY | os.O_NOFOLLOW
    try:
        with pytest.raises(OSError, match="Too many levels of symbolic links"):
            os.open("link", flags, dir_fd=root)
        fd = os.open("link/", flags, dir_fd=root)
        assert os.listdir(fd) == ["file"]
        os.close(fd)
    finally:
        os.close(root)


def test_cve_2026_39822(stage: Stage, rooted: RootedPath) -> None:
    (stage.container / "link").symlink_to(stage.host)
    (stage.container / "to dir").symlink_to("/dir")
    root = rooted.root_handle
    for name in ("link/", "link//", "link/.", "dir/../link/", "./link/"):
        for flags in (os.O_RDONLY, os.O_NOFOLLOW, os.O_PATH, os.O_PATH | os.O_NOFOLLOW):
            with pytest.raises(FileNotFoundError):
                root.open(name, flags)
    # As in a chroot the slash does make it follow: to what is inside.
    fd = root.open("to dir/", os.O_RDONLY | os.O_NOFOLLOW)
    assert os.path.samestat(os.fstat(fd), (rooted / "dir").stat())
    os.close(fd)
