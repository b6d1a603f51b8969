"""Each check by itself: it lets through what the running kernel's procfs really has, and refuses
the objects that it is there to refuse.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers.seccomp import forbid
from helpers.support import private_mounts, run_in_child
from procpath import linux, uapi
from procpath.errors import UnverifiedProcError
from procpath.proc import checks


@contextmanager
def held(path: str | Path, flags: int = os.O_PATH | os.O_NOFOLLOW) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def kind_of(mode: int) -> checks.Kind:
    if stat.S_ISDIR(mode):
        return checks.DIRECTORY
    return checks.LINK if stat.S_ISLNK(mode) else checks.FILE


def test_every_entry_of_the_running_kernel_passes() -> None:
    """No false alarm on any file, directory or link: all of ``/proc``, all of this process."""
    device = os.stat("/proc").st_dev
    examined = 0
    for top in ("/proc", f"/proc/{os.getpid()}", f"/proc/{os.getppid()}"):
        for directory, subdirectories, files in os.walk(top):
            if directory == "/proc":
                subdirectories[:] = [name for name in subdirectories if not name.isdecimal()]
            for name in (*subdirectories, *files):
                path = f"{directory}/{name}"
                try:
                    st = os.lstat(path)
                except (FileNotFoundError, ProcessLookupError, PermissionError):
                    continue
                if st.st_dev != device:
                    continue  # a mount point, such as binfmt_misc
                kind = kind_of(st.st_mode)
                checks.require_usual(kind, st, path)
                checks.require_device(st, device, path)
                examined += 1
    assert examined > 1000


def test_directories_pass_by_their_kinds() -> None:
    for path, kind in {
        "/proc": checks.ROOT,
        f"/proc/{os.getpid()}": checks.PROCESS,
        "/proc/2": checks.PROCESS,
        "/proc/self/fd": checks.FD,
        "/proc/self/fdinfo": checks.FDINFO,
    }.items():
        st = os.stat(path)
        checks.require_usual(kind, st, path)


def test_superblock_of_something_else_is_refused(tmp_path: Path) -> None:
    for path in (str(tmp_path), "/sys", "/dev"):
        with held(path) as fd, pytest.raises(UnverifiedProcError, match="superblock magic") as told:
            checks.require_procfs(fd, path)
        assert told.value.filename == path
    with held("/proc/self/status") as fd:
        assert "0x9fa0" in checks.require_procfs(fd, "/proc/self/status")


def test_inode_of_the_root_is_one() -> None:
    assert checks.require_inode_one(os.stat("/proc"), "/proc")
    device = os.stat("/proc").st_dev
    checks.require_device(os.stat("/proc/1"), device, "/proc/1")
    with pytest.raises(UnverifiedProcError, match="inode number is"):
        checks.require_inode_one(os.stat("/proc/1"), "/proc")
    with pytest.raises(UnverifiedProcError, match="inode number is 1"):
        checks.require_device(os.stat("/proc"), device, "/proc/self")


def test_device_with_a_disk_is_refused() -> None:
    assert checks.require_unnamed_device(os.stat("/proc"), "/proc")

    def disk() -> os.stat_result:
        values = list(os.stat("/proc"))
        values[2] = os.makedev(8, 1)
        return os.stat_result(values)

    with pytest.raises(UnverifiedProcError, match="major number is 8"):
        checks.require_unnamed_device(disk(), "/proc")


def test_other_device_is_refused() -> None:
    device = os.stat("/proc").st_dev
    checks.require_device(os.stat("/proc/self/status"), device, "/proc/self/status")
    with pytest.raises(UnverifiedProcError, match="device is"):
        checks.require_device(os.stat("/dev/null"), device, "/proc/self/status")


@pytest.mark.parametrize("statx", ["statx", "rename probe"])
def test_mount_points_are_told_from_directories(statx: str) -> None:
    def asked() -> dict[str, tuple[bool, bool]]:
        place = tempfile.mkdtemp()
        os.mkdir(f"{place}/plain")
        os.mkdir(f"{place}/bound")
        linux.mount(f"{place}/plain".encode(), f"{place}/bound".encode(), None, uapi.MS_BIND)
        linux.mount(b"tmpfs", b"/proc/self/task", b"tmpfs", uapi.MS_RDONLY)
        linux.mount(b"/proc/1", f"/proc/{os.getpid()}/net".encode(), None, uapi.MS_BIND)
        if statx != "statx":
            forbid({"statx": errno.ENOSYS})
        found = {}
        for path in (
            "/proc",
            "/proc/1",
            "/proc/sys/kernel",
            f"{place}/plain",
            f"{place}/bound",
            "/proc/self/task",
            "/proc/self/net",
            "/proc/self/fd",
        ):
            with held(path, os.O_PATH | os.O_DIRECTORY) as fd:
                found[path.removeprefix(place)] = (
                    passes(checks.require_mount_root, fd),
                    passes(checks.require_no_mount_point, fd),
                )
        return found

    is_mount_point, is_directory = (True, False), (False, True)
    assert private_mounts(asked) == {
        "/proc": is_mount_point,
        "/proc/1": is_directory,
        "/proc/sys/kernel": is_directory,
        "/plain": is_directory,
        "/bound": is_mount_point,
        "/proc/self/task": is_mount_point,
        "/proc/self/net": is_mount_point,
        "/proc/self/fd": is_directory,
    }


def passes(check: object, *arguments: object) -> bool:
    assert callable(check)
    try:
        check(*arguments, "/proc/somewhere")
    except UnverifiedProcError:
        return False
    return True


def test_rename_probe_renames_nothing(tmp_path: Path) -> None:
    (tmp_path / "directory" / "within").mkdir(parents=True)
    before = sorted(os.walk(tmp_path))

    def probe() -> bool:
        forbid({"statx": errno.EPERM})
        with held(tmp_path / "directory") as fd:
            return passes(checks.require_no_mount_point, fd)

    assert run_in_child(probe)
    assert sorted(os.walk(tmp_path)) == before


def test_mount_point_that_nothing_can_tell_is_refused() -> None:
    def asked() -> None:
        forbid({"statx": errno.ENOSYS, "renameat": errno.EPERM, "renameat2": errno.EPERM})
        with held("/proc") as fd:
            checks.require_mount_root(fd, "/proc")

    with pytest.raises(UnverifiedProcError, match="cannot find out"):
        run_in_child(asked)


@pytest.mark.parametrize(
    ("kind", "mode", "fits"),
    [
        (checks.ROOT, 0o555, True),
        (checks.ROOT, 0o500, True),
        (checks.ROOT, 0o755, False),
        (checks.ROOT, 0o1555, False),
        (checks.PROCESS, 0o555, True),
        (checks.PROCESS, 0o777, False),
        (checks.FD, 0o500, True),
        (checks.FD, 0o555, False),
        (checks.FD, 0o700, False),
        (checks.FDINFO, 0o500, True),
        (checks.FDINFO, 0o555, True),
        (checks.FDINFO, 0o755, False),
        (checks.DIRECTORY, 0o755, True),
        (checks.FILE, 0o444, True),
        (checks.FILE, 0o666, True),
        (checks.FILE, 0o755, False),
        (checks.FILE, 0o4444, False),
        (checks.LINK, 0o777, True),
    ],
)
def test_mode_is_one_that_the_kernel_gives(kind: checks.Kind, mode: int, fits: bool) -> None:
    links = kind.least_links
    st = os.stat_result((kind.file_type | mode, 2, 21, links, 0, 0, 0, 0, 0, 0))
    assert passes(checks.require_usual, kind, st) is fits


@pytest.mark.parametrize(
    ("kind", "fitting", "unfitting"),
    [
        (checks.ROOT, [3, 80, 40_000], [0, 1, 2]),
        (checks.PROCESS, [3, 9], [0, 1, 2]),
        (checks.FD, [2], [1, 3]),
        (checks.FDINFO, [2], [1, 3]),
        (checks.DIRECTORY, [1, 2, 9], [0]),
        (checks.FILE, [1], [0, 2]),
        (checks.LINK, [1], [0, 2]),
    ],
)
def test_link_count_is_one_that_the_kernel_gives(
    kind: checks.Kind, fitting: list[int], unfitting: list[int]
) -> None:
    def fits(links: int) -> bool:
        st = os.stat_result((kind.file_type, 2, 21, links, 0, 0, 0, 0, 0, 0))
        return passes(checks.require_usual, kind, st)

    assert all(fits(links) for links in fitting)
    assert not any(fits(links) for links in unfitting)


def test_types_that_procfs_does_not_have_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/null")):
        assert not passes(checks.require_usual, checks.FILE, os.lstat(path))
    assert passes(checks.require_usual, checks.FILE, os.lstat("/proc/version"))
    assert not passes(checks.require_usual, checks.FILE, os.lstat("/proc/self"))
    assert not passes(checks.require_usual, checks.PROCESS, os.lstat("/proc/self"))


def test_mount_number_distinguishes_mounts() -> None:
    def numbers() -> tuple[int | None, int | None, int | None]:
        linux.mount(
            f"/proc/{os.getpid()}/environ".encode(),
            f"/proc/{os.getpid()}/status".encode(),
            None,
            uapi.MS_BIND,
        )
        with held("/proc") as root, held("/proc/self/maps") as maps:
            with held("/proc/self/status") as status:
                return checks.mount_id(root), checks.mount_id(maps), checks.mount_id(status)

    root, maps, status = private_mounts(numbers)
    assert root is not None
    assert maps is not None
    assert status is not None
    checks.require_mount(maps, root, "/proc/self/maps")
    with pytest.raises(UnverifiedProcError, match="mount is"):
        checks.require_mount(status, root, "/proc/self/status")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EACCES])
def test_mount_number_is_none_without_statx(number: int) -> None:
    def asked() -> int | None:
        forbid({"statx": number})
        with held("/proc") as root:
            return checks.mount_id(root)

    assert run_in_child(asked) is None


def test_listing_is_read_from_the_start_every_time() -> None:
    """rustix #994: the second scan of a held directory found nothing."""
    with held(f"/proc/{os.getpid()}", os.O_RDONLY | os.O_DIRECTORY) as directory:
        st = os.stat("status", dir_fd=directory)
        for _ in range(1000):
            checks.require_listed(directory, "status", st, "/proc/self/status")


def test_listing_that_differs_is_refused() -> None:
    with held(f"/proc/{os.getpid()}") as directory:
        status = os.stat("status", dir_fd=directory)
        with pytest.raises(UnverifiedProcError, match="listed as inode"):
            checks.require_listed(directory, "maps", status, "/proc/self/maps")
        values = list(status)
        values[0] = stat.S_IFLNK | 0o777
        with pytest.raises(UnverifiedProcError, match="listed as inode"):
            checks.require_listed(directory, "status", os.stat_result(values), "/proc/self/status")
        with pytest.raises(UnverifiedProcError, match="not listed"):
            checks.require_listed(directory, "status ", status, "/proc/self/status ")


def test_check_prints_as_a_line_for_people() -> None:
    check = checks.Check("/proc/self/fd", "usual mode", "passed", "dr-x------")
    assert str(check) == "/proc/self/fd: usual mode: passed (dr-x------)"
    assert hash(check) == hash(checks.Check("/proc/self/fd", "usual mode", "passed", "dr-x------"))
