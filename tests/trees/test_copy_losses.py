"""A tree survives what lives in it: an entry that cannot be copied stops no other."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.scenery import CAP_NET_RAW, acl, as_nobody, mount_tmpfs, place, reachable, write
from helpers.support import private_mounts
from procpath import CopyProgress, Root, RootedPath, linux, uapi
from procpath.tree import places
from procpath.tree.copy import Choices, data, leases, report
from procpath.tree.copy.files import Original
from procpath.tree.copy.tree import copy_over, file_copier

pytestmark = pytest.mark.usefixtures("no_leak")


def before_each_entry(act: Callable[[int], None]) -> Callable[[CopyProgress], None]:
    """Call ``act`` with the number of entries copied so far."""
    return lambda progress: act(progress.entries)


def test_name_that_vanishes_is_left_out(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / "tree/d" / name)

    def vanish(entries: int) -> None:
        (tmp_path / "tree/d/b").unlink(missing_ok=True)

    errors: list[OSError] = []
    RootedPath(tmp_path, "tree").copy(
        tmp_path / "out", on_progress=before_each_entry(vanish), on_error=errors.append
    )
    assert sorted(os.listdir(tmp_path / "out/d")) == ["a", "c"]
    assert errors == []


@pytest.mark.parametrize("depth", [5, 15, 25])
@pytest.mark.parametrize("through_link", [False, True])
def test_directory_that_is_moved_away_takes_nothing_along(
    through_link: bool, depth: int, tmp_path: Path
) -> None:
    """``..`` leads out of it to another directory than the one that the copy came from."""
    top = tmp_path / "tree"
    levels = [top]
    for number in range(25):
        write(levels[-1] / "0", "before")
        write(levels[-1] / "z", "behind")
        levels.append(levels[-1] / f"d{number}")
    write(levels[-1] / "file")
    if through_link:
        (top / "d0/d1/d2").rename(tmp_path / "tree/d0/elsewhere")
        (top / "d0/d1/d2").symlink_to("../elsewhere")
    moved = "/".join(f"d{number}" for number in range(depth))
    errors: list[OSError] = []

    def move(progress: CopyProgress) -> None:
        if progress.source.endswith("/file") and not (tmp_path / "moved").exists():
            os.rename((top / moved).resolve(), tmp_path / "moved")

    source = RootedPath(tmp_path, "tree")
    for name in ("copy", "there", "by the command"):
        target = tmp_path / name
        if name != "copy":
            os.rename(tmp_path / "moved", (top / moved).parent.resolve() / Path(moved).name)
        errors.clear()
        if name == "by the command":
            as_the_command(source, target, errors.append, move)
        else:
            if name == "there":
                target.mkdir()
            source.copy(target, on_error=errors.append, on_progress=move, dirs_exist_ok=True)
        assert {error.errno for error in errors} <= {errno.ESTALE}
        # All of what is still in its place; of the other, at least what was there before.
        for number in range(26):
            names = {"0", "z", f"d{number}"} if number < 25 else {"file"}
            lost: set[str] = set() if number < (3 if through_link else depth) else {"z"}
            found = {*os.listdir(target.joinpath(*(f"d{each}" for each in range(number))))}
            assert names - lost <= found <= names | {"elsewhere"}
        assert errors or depth > 17
    assert not list(tmp_path.rglob(".procpath-*"))


def as_the_command(
    source: RootedPath,
    target: Path,
    on_error: Callable[[OSError], object],
    on_progress: Callable[[CopyProgress], object],
) -> None:
    """Copy as ``procpath cp`` does."""
    ends = place(source), place(target)
    files = file_copier(*ends, Choices(), report.Errors(on_error), on_progress)
    with ends[0].find() as fd, ends[1].open_parent().dirfd as dirfd:
        copy_over(files, Original(fd, os.fstat(fd)), dirfd, target.name)


def test_errors_are_told_and_the_rest_is_kept(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / "tree" / name)
        write(tmp_path / "tree/d" / name)
    for name in ("b", "d/c"):
        (tmp_path / "tree" / name).chmod(0)
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    reachable(tmp_path)

    def inside() -> None:
        errors: list[OSError] = []
        source = RootedPath(tmp_path, "tree")
        source.copy(tmp_path / "open/one", on_error=errors.append)
        assert [error.filename for error in errors] == ["/tree/b", "/tree/d/c"]
        assert {error.errno for error in errors} == {errno.EACCES}
        assert sorted(os.listdir(tmp_path / "open/one")) == ["a", "c", "d"]
        with pytest.raises(PermissionError) as caught:
            source.copy(tmp_path / "open/two")
        assert caught.value.filename == "/tree/b"
        assert caught.value.__notes__[0] == "1 more error; everything else was copied"
        assert sorted(os.listdir(tmp_path / "open/two/d")) == ["a", "b"]

    as_nobody(inside)


def test_attribute_that_does_not_fit_is_told(tmp_path: Path) -> None:
    """A file system that takes no ACLs stands for all of them."""
    write(tmp_path / "tree/f", mode=0o640)
    os.setxattr(tmp_path / "tree/f", "system.posix_acl_access", narrow_acl())
    (tmp_path / "out").mkdir()
    # In a user namespace the user of the ACL may have no ID, which is looked at first.
    refused = (errno.ENOTSUP, errno.EINVAL)

    def inside(memory: Path) -> None:
        linux.mount(b"ramfs", os.fsencode(memory), b"ramfs")
        errors: list[OSError] = []
        source = RootedPath(tmp_path, "tree")
        source.copy(memory / "tree", preserve_metadata=True, on_error=errors.append)
        assert [error.filename for error in errors] == [str(memory / "tree/f")]
        assert errors[0].errno in refused
        # The group had no right of its own: the bits of the mode were those of the mask.
        assert stat.S_IMODE((memory / "tree/f").stat().st_mode) == 0o600
        with pytest.raises(OSError) as caught:
            RootedPath(tmp_path, "tree").move(memory / "moved")
        assert caught.value.errno in refused
        assert not (memory / "moved").exists()
        assert (tmp_path / "tree/f").exists()

    private_mounts(inside, tmp_path / "out")


def narrow_acl() -> bytes:
    """One named user may read, the group may not."""
    granted = bytearray(acl(0o640, user=1000))
    # The rights of ACL_GROUP_OBJ, the third entry.
    granted[4 + 2 * 8 + 2] = 0
    return bytes(granted)


@pytest.mark.machine_root
def test_what_has_power_on_the_host_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "root/tree/suid", mode=0o6755)
    write(tmp_path / "root/tree/capable", mode=0o755)
    os.setxattr(tmp_path / "root/tree/capable", "security.capability", CAP_NET_RAW)
    os.mknod(tmp_path / "root/tree/disk", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    root = RootedPath(tmp_path / "root")
    seen: list[CopyProgress] = []
    (root / "tree").copy(tmp_path / "out", preserve_metadata=True, on_progress=seen.append)
    assert sorted(os.listdir(tmp_path / "out")) == ["capable", "suid"]
    assert stat.S_IMODE((tmp_path / "out/suid").stat().st_mode) == 0o755
    assert os.listxattr(tmp_path / "out/capable") == []
    assert seen[-1].left_out == {"device nodes": 1, "set-ID bits": 1, "file capabilities": 1}
    for target, options in ((root / "again", {}), (tmp_path / "kept", {"special": "keep"})):
        (root / "tree").copy(target, preserve_metadata=True, **options)
    for made in (tmp_path / "root/again", tmp_path / "kept"):
        assert stat.S_IMODE((made / "suid").stat().st_mode) == 0o6755
        assert os.getxattr(made / "capable", "security.capability") == CAP_NET_RAW
        assert (made / "disk").is_block_device()
    with pytest.raises(PermissionError, match="nothing was moved"):
        (root / "tree").move(tmp_path / "moved")
    assert not (tmp_path / "moved").exists()


def test_mounts_are_left_out_when_asked(tmp_path: Path) -> None:
    for name in ("tree/mount/below", "tree/plain/file", "tree/resolv.conf", "hosts"):
        write(tmp_path / name, name)
    seen: list[CopyProgress] = []

    def inside() -> None:
        # A bind mount within one file system has the device of what is around it.
        for source, target in (("tree/plain", "tree/mount"), ("hosts", "tree/resolv.conf")):
            ends = os.fsencode(tmp_path / source), os.fsencode(tmp_path / target)
            linux.mount(*ends, None, uapi.MS_BIND)
        RootedPath(tmp_path, "tree").copy(
            tmp_path / "out", cross_mounts="skip", on_progress=seen.append
        )
        assert seen[-1].left_out == {"mount points": 2}
        errors: list[OSError] = []
        RootedPath(tmp_path, "tree").copy(
            tmp_path / "told", cross_mounts=False, on_error=errors.append
        )
        assert [error.errno for error in errors] == [errno.EXDEV] * 2

    private_mounts(inside)
    assert sorted(os.listdir(tmp_path / "out")) == ["mount", "plain", "resolv.conf"]
    assert os.listdir(tmp_path / "out/mount") == []
    assert (tmp_path / "out/resolv.conf").read_bytes() == b""
    assert (tmp_path / "out/plain/file").read_text() == "tree/plain/file"
    assert sorted(os.listdir(tmp_path / "told")) == ["plain"]


@pytest.mark.machine_root
def test_mount_point_keeps_its_acl(tmp_path: Path) -> None:
    """The bits of the mode are its mask: without the ACL the group would have them."""
    write(tmp_path / "hosts")
    write(tmp_path / "tree/file")
    (tmp_path / "tree/mount").mkdir()

    def inside() -> None:
        mount_tmpfs(tmp_path / "tree/mount")
        linux.mount(
            *(os.fsencode(tmp_path / name) for name in ("hosts", "tree/file")), None, uapi.MS_BIND
        )
        for name in ("mount", "file"):
            os.setxattr(tmp_path / "tree" / name, "system.posix_acl_access", narrow_acl())
        options = {"cross_mounts": "skip", "preserve_metadata": True}
        RootedPath(tmp_path, "tree").copy(tmp_path / "out", **options)
        for name in ("mount", "file"):
            acls = [
                os.getxattr(tmp_path / top / name, "system.posix_acl_access")
                for top in ("tree", "out")
            ]
            assert acls[0] == acls[1]

    private_mounts(inside)


# Hard links


def linked(top: Path) -> list[int]:
    """How many names each file in the tree has."""
    return sorted(p.stat().st_nlink for p in top.rglob("*") if p.is_file())


def test_hard_links_are_kept_in_a_merge(tmp_path: Path) -> None:
    write(tmp_path / "tree/bin/tool")
    for name in ("tool1", "lib/tool2", "lib/new/tool3", "z"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(tmp_path / "tree/bin/tool", tmp_path / "tree" / name)
    write(tmp_path / "out/lib/tool2", "another")
    (tmp_path / "out/bin").mkdir()
    for _ in range(2):
        RootedPath(tmp_path, "tree").copy(tmp_path / "out", dirs_exist_ok=True)
        assert linked(tmp_path / "out") == [5] * 5
        assert (tmp_path / "out/lib/tool2").read_text() == "content"


def test_without_hard_links_there_is_a_second_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    write(tmp_path / "tree/a")
    os.link(tmp_path / "tree/a", tmp_path / "tree/b")
    monkeypatch.setattr(os, "link", refuse)
    seen: list[CopyProgress] = []
    RootedPath(tmp_path, "tree").copy(tmp_path / "out", on_progress=seen.append)
    assert linked(tmp_path / "out") == [1, 1]
    assert seen[-1].left_out == {"hard links": 1}
    RootedPath(tmp_path, "tree").move(RootedPath(tmp_path / "out", "moved"))
    assert linked(tmp_path / "out/moved") == [1, 1]


def test_link_that_fails_otherwise_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    write(tmp_path / "tree/a")
    os.link(tmp_path / "tree/a", tmp_path / "tree/b")
    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(OSError) as caught:
        RootedPath(tmp_path, "tree").copy(tmp_path / "out")
    assert (caught.value.errno, caught.value.filename) == (errno.EROFS, str(tmp_path / "out/b"))
    assert os.listdir(tmp_path) == ["tree"]


# Bounds


def test_links_do_not_multiply_a_tree(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"tree/d{number:02}").mkdir(parents=True)
        if number:
            for link in "ab":
                (tmp_path / f"tree/d{number - 1:02}" / link).symlink_to(f"../d{number:02}")
    errors: list[OSError] = []
    RootedPath(tmp_path, "tree").copy(tmp_path / "out", on_error=errors.append)
    assert {error.errno for error in errors} == {errno.ELOOP}
    assert sum(len(names) for _, names, _ in os.walk(tmp_path / "out")) < 5000


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_growing_file_ends_at_the_size_it_had(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = write(tmp_path / "tree/log", "x" * size)
    seen: list[CopyProgress] = []
    real = os.read

    def grow() -> None:
        with log.open("a") as opened:
            opened.write("y" * 1000)

    def on_progress(progress: CopyProgress) -> None:
        seen.append(progress)
        grow()

    def read(fd: int, count: int) -> bytes:
        if count == 11:
            grow()
        return real(fd, count)

    monkeypatch.setattr(os, "read", read)
    RootedPath(tmp_path, "tree").copy(tmp_path / "out", on_progress=on_progress)
    monkeypatch.undo()
    assert (tmp_path / "out/log").read_text() == "x" * size
    assert seen[-1].left_out == {"growth": 1}


def test_file_without_a_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_MOST_WITHOUT_SIZE", 100)
    with pytest.raises(OSError) as caught:
        RootedPath("/", special_files="allow").joinpath("proc/self/mountinfo").copy(
            tmp_path / "out"
        )
    assert caught.value.errno == errno.EFBIG
    assert os.listdir(tmp_path) == []


def test_lease_that_is_kept_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_PATIENCE", 0.05)
    write(tmp_path / "tree/held")
    write(tmp_path / "tree/other")
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    fd = os.open(tmp_path / "tree/held", os.O_RDWR)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    errors: list[OSError] = []
    RootedPath(tmp_path, "tree").copy(tmp_path / "out", on_error=errors.append)
    os.close(fd)
    signal.signal(signal.SIGIO, before)
    assert [(error.errno, error.filename) for error in errors] == [(errno.EAGAIN, "/tree/held")]
    assert os.listdir(tmp_path / "out") == ["other"]


def test_lease_on_the_target_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is replaced is opened too, and open() would wait for 45 seconds, for each file."""
    monkeypatch.setattr(leases, "LEASE_PATIENCE", 0.05)
    for name in ("held", "other"):
        write(tmp_path / "tree" / name, "new")
        write(tmp_path / "there" / name, "old")
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    fd = os.open(tmp_path / "there/held", os.O_RDWR)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    errors: list[OSError] = []
    target = RootedPath(tmp_path, "there")
    target.copy_from(tmp_path / "tree", dirs_exist_ok=True, on_error=errors.append)
    with pytest.raises(BlockingIOError):
        (target / "held").copy_from(tmp_path / "tree/held")
    os.close(fd)
    signal.signal(signal.SIGIO, before)
    assert [(error.errno, error.filename) for error in errors] == [(errno.EAGAIN, "/there/held")]
    assert (tmp_path / "there/held").read_text() == "old"
    assert (tmp_path / "there/other").read_text() == "new"


def test_hole_that_vanishes_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is truncated between SEEK_DATA and SEEK_HOLE."""
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"data")
    real = os.lseek

    def lseek(fd: int, position: int, how: int) -> int:
        if how == os.SEEK_HOLE:
            raise OSError(errno.ENXIO, "truncated")
        return real(fd, position, how)

    monkeypatch.setattr(os, "lseek", lseek)
    RootedPath(tmp_path).joinpath("sparse").copy(tmp_path / "out")
    monkeypatch.undo()
    assert (tmp_path / "out").exists()


# Durability


def test_durable_copy_syncs_before_it_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def record(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def recorded(*arguments: object, **keywords: object) -> object:
            calls.append(name)
            return function(*arguments, **keywords)

        return recorded

    monkeypatch.setattr(os, "fsync", record("fsync", os.fsync))
    monkeypatch.setattr(os, "rename", record("rename", os.rename))
    root = RootedPath(tmp_path)
    write(tmp_path / "file")
    (root / "file").copy(root / "new", durable=True)
    assert calls == ["fsync", "rename", "fsync"]
    calls.clear()
    (root / "file").copy(root / "newer")
    assert calls == ["rename"]


def test_move_is_on_disk_before_its_source_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "one/tree/file")
    (tmp_path / "two").mkdir()
    there: list[tuple[str, bool, bool]] = []

    def record(name: str, function: Callable[[int], None]) -> Callable[[int], None]:
        def recorded(fd: int) -> None:
            is_there = (tmp_path / "two/tree/file").exists()
            there.append((name, (tmp_path / "one/tree/file").exists(), is_there))
            function(fd)

        return recorded

    monkeypatch.setattr(linux, "syncfs", record("syncfs", linux.syncfs))
    monkeypatch.setattr(os, "fsync", record("fsync", os.fsync))
    RootedPath(tmp_path / "one", "tree").move(RootedPath(tmp_path / "two", "tree"))
    assert there == [("syncfs", True, False), ("fsync", True, True)]
    assert os.listdir(tmp_path / "one") == []


# What a move leaves


def test_move_removes_what_it_copied_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "one/tree"
    for name in ("same", "again", "changed", "sub/file"):
        write(tree / name)
    os.link(tree / "same", tree / "sub/the same")
    (tmp_path / "two").mkdir()
    real = linux.syncfs

    def syncfs(fd: int) -> None:
        """What the container does while the disk is written."""
        write(tree / "sub/arrived", "new mail")
        write(tree / "changed", "other content")
        real(fd)

    monkeypatch.setattr(linux, "syncfs", syncfs)
    with pytest.raises(OSError) as caught:
        RootedPath(tmp_path / "one", "tree").move(tmp_path / "two/tree")
    assert caught.value.errno in (errno.ESTALE, errno.ENOTEMPTY)
    assert "->" not in str(caught.value)
    left = sorted(str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file())
    assert left == ["changed", "sub/arrived"]
    moved = tmp_path / "two/tree"
    assert sorted(str(p.relative_to(moved)) for p in moved.rglob("*") if p.is_file()) == [
        "again",
        "changed",
        "same",
        "sub/file",
        "sub/the same",
    ]


def test_refused_owner_is_no_reason_to_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "one/file")
    os.chown(tmp_path / "one/file", 1234, 1234)
    (tmp_path / "two").mkdir()

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(PermissionError):
        RootedPath(tmp_path / "one", "file").move(tmp_path / "two/file")
    assert (tmp_path / "one/file").exists()
    assert os.listdir(tmp_path / "two") == []


# Leftovers


@pytest.mark.machine_root
def test_append_only_directory_gets_the_copy(tmp_path: Path) -> None:
    write(tmp_path / "root/tree/file")
    out = tmp_path / "out"
    out.mkdir()
    fd = os.open(out, os.O_RDONLY)

    def set_flags(flags: int) -> None:
        # FS_IOC_SETFLAGS; FS_APPEND_FL is 0x20 (ioctl_iflags(2)).
        fcntl.ioctl(fd, 0x40086602, struct.pack("l", flags))

    try:
        set_flags(0x20)
    except OSError:
        os.close(fd)
        pytest.skip("a file system without append-only directories")
    try:
        root = RootedPath(tmp_path / "root")
        (root / "tree/file").copy(out / "file")
        (root / "tree").copy(out / "tree", preserve_metadata=True)
        assert sorted(os.listdir(out)) == ["file", "tree"]
        assert (out / "tree/file").exists()
        with pytest.raises(PermissionError):
            (root / "tree/file").copy(out / "file")
        assert sorted(os.listdir(out)) == ["file", "tree"]
    finally:
        set_flags(0)
        os.close(fd)


def test_progress_has_bytes_and_names(tmp_path: Path) -> None:
    write(tmp_path / "tree/d/file", "12345")
    seen: list[tuple[int, int, str, str]] = []
    RootedPath(tmp_path, "tree").copy(
        tmp_path / "out",
        on_progress=lambda p: seen.append((p.entries, p.bytes, p.source, p.target)),
    )
    out = str(tmp_path / "out")
    assert seen == [
        (0, 5, "/tree/d/file", f"{out}/d/file"),
        (1, 5, "/tree/d/file", f"{out}/d/file"),
        (2, 5, "/tree/d", f"{out}/d"),
        (3, 5, "/tree", out),
    ]


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    path = RootedPath(tmp_path)
    with pytest.raises(ValueError, match="special must be 'skip' or 'keep', not 'all'"):
        path.copy("new", special="all")  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        path.copy("new", new_mode=0o777)  # type: ignore[call-overload]


def test_file_that_fails_in_the_middle_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "tree/a", "a" * 10)
    write(tmp_path / "tree/b", "b" * 20)
    real = os.read

    def read(fd: int, size: int) -> bytes:
        if size == 11:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        return real(fd, size)

    errors: list[OSError] = []
    monkeypatch.setattr(os, "read", read)
    RootedPath(tmp_path, "tree").copy(tmp_path / "out", on_error=errors.append)
    monkeypatch.undo()
    assert [error.filename for error in errors] == ["/tree/a"]
    assert os.listdir(tmp_path / "out") == ["b"]


def test_links_in_a_deep_directory_are_not_looked_up_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes as long as the tree is deep, once for each link and once for climbing up."""
    deep = tmp_path / "tree" / "/".join("d" * 50)
    write(deep / "file", "content")
    for number in range(20):
        (deep / f"beside{number}").symlink_to("file")
        (deep / f"below{number}").symlink_to(f"./sub//file{number}")
        write(deep / f"sub/file{number}", "content")
        (deep / f"above{number}").symlink_to("../d/file")
    climbed: list[int] = []
    looked_up: list[bytes] = []

    def lies_within(dirfd: int, top: os.stat_result) -> bool:
        climbed.append(dirfd)
        return real(dirfd, top)

    real = places.lies_within
    monkeypatch.setattr(places, "lies_within", lies_within)
    root = Root.at(tmp_path)
    find = root.resolver.open_parent_of_target
    monkeypatch.setattr(
        root.resolver, "open_parent_of_target", lambda raw: (looked_up.append(raw), find(raw))[1]
    )
    RootedPath(root, "tree").copy(tmp_path / "out")
    made = tmp_path / "out" / "/".join("d" * 50)
    assert len(list(made.iterdir())) == 62
    assert {path.read_text() for path in made.iterdir() if path.name != "sub"} == {"content"}
    assert len(looked_up) == 20
    assert len(climbed) == 1
