"""What a copy keeps, creates and refuses, and that it appears only when whole."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.portrait import holes, portrait
from helpers.scenery import (
    CAP_NET_RAW,
    NOBODY,
    acl,
    as_nobody,
    depth,
    dig,
    interrupted,
    mount_tmpfs,
    nothing_temporary,
    on_tmpfs,
    place,
    populate,
    reachable,
    write,
)
from helpers.seccomp import forbid
from helpers.support import no_free_number_below, private_mounts
from procpath import EscapeError, Root, RootedPath, SpecialFileError, linux, uapi
from procpath.tree import copy as copying
from procpath.tree.copy.tree import Choices
from procpath.tree.places import HostPlace, RootedPlace

pytestmark = pytest.mark.usefixtures("no_leak")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[RootedPath]:
    with Root.at(tmp_path) as held:
        yield RootedPath(held)


# What is kept


def test_a_tree_comes_out_and_in_again_unchanged(tmp_path: Path, root: RootedPath) -> None:
    populate(tmp_path / "tree")
    wanted = portrait(tmp_path / "tree")
    outside = tmp_path / "outside"
    copied = (root / "tree").copy(
        outside, follow_symlinks=False, preserve_metadata=True, special="keep"
    )
    assert copied == outside
    assert portrait(outside) == wanted
    back = (root / "back").copy_from(outside, follow_symlinks=False, preserve_metadata=True)
    assert back == root / "back"
    assert portrait(tmp_path / "back") == wanted


def test_access_times_are_those_before_the_copy(tmp_path: Path, root: RootedPath) -> None:
    write(tmp_path / "tree/file")
    os.utime(tmp_path / "tree/file", ns=(5, 10**18))
    os.utime(tmp_path / "tree", ns=(6, 10**18))
    (root / "tree").copy(root / "new", preserve_metadata=True)
    assert (tmp_path / "new").stat().st_atime_ns == 6
    assert (tmp_path / "new/file").stat().st_atime_ns == 5


def test_between_file_systems_everything_is_kept_too(tmp_path: Path) -> None:
    populate(tmp_path / "tree")
    wanted = portrait(tmp_path / "tree")
    (tmp_path / "memory").mkdir()

    def inside(memory: Path) -> None:
        RootedPath(tmp_path / "tree").copy(
            memory / "copy", follow_symlinks=False, preserve_metadata=True, special="keep"
        )
        assert portrait(memory / "copy") == wanted

    on_tmpfs(tmp_path / "memory", inside)


def test_without_metadata_no_mode_is_wider_than_before(tmp_path: Path, root: RootedPath) -> None:
    populate(tmp_path / "tree")
    for device in ("null", "disk"):
        (tmp_path / "tree" / device).unlink()
    write(tmp_path / "tree/program", mode=0o755)
    write(tmp_path / "tree/open", mode=0o666)
    write(tmp_path / "tree/secrets/key", mode=0o600)
    (tmp_path / "tree/secrets").chmod(0o700)
    (root / "tree").copy(root / "new", follow_symlinks=False)
    new = tmp_path / "new"
    modes = {path.name: stat.filemode(path.lstat().st_mode) for path in new.rglob("*")}
    assert modes["file"] == "-rw-r-----"
    assert modes["program"] == "-rw-r--r--"
    assert modes["open"] == "-rw-r--r--"
    assert (modes["secrets"], modes["key"]) == ("drwx------", "-rw-------")
    assert (modes["sub"], modes["deeper"], modes["empty"]) == (
        "drwxr-x---",
        "dr-x------",
        "-r--------",
    )
    assert modes["fifo"] == "prw-------"
    assert not os.listxattr(new / "file")
    assert (new / "file").stat().st_uid == os.geteuid()


def test_an_inherited_acl_grants_nothing_more(tmp_path: Path, root: RootedPath) -> None:
    write(tmp_path / "secrets/secret", mode=0o600)
    (tmp_path / "open").mkdir()
    os.setxattr(tmp_path / "open", "system.posix_acl_default", acl(0o777, user=1000))
    (root / "secrets").copy_into(root / "open", preserve_metadata=True)
    for copied in (tmp_path / "open/secrets", tmp_path / "open/secrets/secret"):
        assert not os.listxattr(copied)
    assert stat.S_IMODE((tmp_path / "open/secrets/secret").stat().st_mode) == 0o600


def test_hard_links_from_outside_are_not_copied(tmp_path: Path, root: RootedPath) -> None:
    write(tmp_path / "tree/one")
    os.link(tmp_path / "tree/one", tmp_path / "elsewhere")
    (root / "tree").copy(root / "new")
    assert (tmp_path / "new/one").stat().st_nlink == 1


@pytest.mark.machine_root
def test_who_may_not_change_owners_copies_the_rest(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    write(top / "program", mode=0o6755)
    write(top / "readable", mode=0o444)
    os.setxattr(top / "readable", "user.note", b"kept")
    (top / "sub").mkdir(mode=0o755)
    (top / "link").symlink_to("readable")
    os.utime(top / "readable", ns=(1, 2))
    (top / "sub").chmod(0o555)
    target = tmp_path / "target"
    target.mkdir()
    target.chmod(0o777)
    reachable(tmp_path)

    def inside() -> None:
        RootedPath(top).copy(target / "new", follow_symlinks=False, preserve_metadata=True)

    as_nobody(inside)
    copied = (target / "new/readable").stat()
    assert (copied.st_uid, copied.st_mode, copied.st_mtime_ns) == (NOBODY, 0o100444, 2)
    assert os.getxattr(target / "new/readable", "user.note") == b"kept"
    assert stat.S_IMODE((target / "new/sub").stat().st_mode) == 0o555
    # Set-ID bits would be those of somebody else.
    assert stat.S_IMODE((target / "new/program").stat().st_mode) == 0o755


# Content


@pytest.mark.parametrize("where", ["the same file system", "another file system"])
def test_holes_stay_holes(where: str, tmp_path: Path) -> None:
    size = 1 << 33
    with open(tmp_path / "sparse", "wb") as file:
        file.seek(1 << 20)
        file.write(b"island")
        file.seek(1 << 32)
        file.write(b"another")
        file.truncate(size)

    def inside(memory: Path) -> None:
        target = tmp_path if where == "the same file system" else memory
        RootedPath(tmp_path).joinpath("sparse").copy(target / "copy")
        copied = target / "copy"
        assert copied.stat().st_size == size
        assert copied.stat().st_blocks < 1 << 10
        with open(copied, "rb") as file:
            for position, content in ((1 << 20, b"island"), (1 << 32, b"another")):
                file.seek(position)
                assert file.read(len(content)) == content

    (tmp_path / "memory").mkdir()
    on_tmpfs(tmp_path / "memory", inside)


def test_a_file_that_is_one_hole_is_copied_as_one(tmp_path: Path, root: RootedPath) -> None:
    with open(tmp_path / "hole", "wb") as file:
        file.truncate(10**9)
    (root / "hole").copy(root / "copy")
    assert holes(tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_size == 10**9


@pytest.mark.parametrize("path", ["version", "self/status", "cpuinfo", "sys/kernel/ostype"])
def test_files_without_a_size_are_copied_to_their_end(path: str, tmp_path: Path) -> None:
    with Root.at("/proc", special_files="allow") as root:
        RootedPath(root, path).copy(tmp_path / "copy")
    start = Path("/proc", path).read_bytes()[:10]
    assert start
    assert (tmp_path / "copy").read_bytes().startswith(start)


def test_files_shorter_than_their_size_are_copied(tmp_path: Path) -> None:
    with Root.at("/sys", special_files="allow") as root:
        path = RootedPath(root, "kernel/mm/transparent_hugepage/enabled")
        path.copy(tmp_path / "copy")
    wanted = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_bytes()
    assert (tmp_path / "copy").read_bytes() == wanted


def test_memory_is_bounded(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        write(tmp_path / "big", "x" * (64 << 20))
        os.sync()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        RootedPath(tmp_path).joinpath("big").copy(memory / "copy")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10

    (tmp_path / "memory").mkdir()
    on_tmpfs(tmp_path / "memory", inside)


# Links


@pytest.fixture
def container(tmp_path: Path) -> Iterator[RootedPath]:
    """A root whose tree "app" has links inside it, out of it, and out of the root if followed by
    the host's rules.
    """
    top = tmp_path / "container"
    write(top / "etc/hostname", "of the container")
    write(top / "app/conf/real", "real")
    write(top / "app/conf/sub/deep", "deep")
    links = {
        "app/near": "conf/real",
        "app/directory": "conf/sub",
        "app/absolute": "/app/conf/real",
        "app/there and back": "../etc/../app/conf/real",
        "app/conf/up": "../conf/real",
        "app/outside": "/etc/hostname",
        "app/outside directory": "../etc",
        "app/escape": "../../../../../../etc/hostname",
        "app/dangling outside": "/nothing",
        "app/loop": "loop",
        "app/deeper than anything": "/etc/hostname/x",
    }
    for link, text in links.items():
        (top / link).symlink_to(text)
    with Root.at(top) as held:
        yield RootedPath(held)


OUTSIDE = {
    "outside": "/etc/hostname",
    "outside directory": "../etc",
    "escape": "../../../../../../etc/hostname",
    "dangling outside": "/nothing",
    "loop": "loop",
    "deeper than anything": "/etc/hostname/x",
}


@pytest.mark.parametrize("resolver", ["openat2", "walk"])
def test_out_of_a_root_links_out_of_the_tree_stay(
    resolver: str, tmp_path: Path, container: RootedPath
) -> None:
    root = container.as_root(resolver=resolver)
    with root:
        (RootedPath(root) / "app").copy(tmp_path / "out")
    for link, text in OUTSIDE.items():
        assert os.readlink(tmp_path / "out" / link) == text
    for followed in ("near", "absolute", "there and back", "conf/up"):
        assert not (tmp_path / "out" / followed).is_symlink()
        assert (tmp_path / "out" / followed).read_text() == "real"
    assert (tmp_path / "out/directory/deep").read_text() == "deep"


def test_between_roots_links_out_of_the_tree_stay(tmp_path: Path, container: RootedPath) -> None:
    (tmp_path / "other").mkdir()
    (container / "app").copy(RootedPath(tmp_path / "other") / "app")
    for link, text in OUTSIDE.items():
        assert os.readlink(tmp_path / "other/app" / link) == text


def test_links_out_of_the_tree_are_followed_when_asked(
    tmp_path: Path, container: RootedPath
) -> None:
    for link in ("dangling outside", "loop", "deeper than anything"):
        (tmp_path / "container/app" / link).unlink()
    (container / "app").copy(tmp_path / "out", follow_outside=True)
    assert (tmp_path / "out/outside").read_text() == "of the container"
    assert (tmp_path / "out/escape").read_text() == "of the container"
    assert (tmp_path / "out/outside directory/hostname").read_text() == "of the container"
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


def test_within_a_root_all_links_are_followed(tmp_path: Path, container: RootedPath) -> None:
    for link in ("dangling outside", "loop", "deeper than anything"):
        (tmp_path / "container/app" / link).unlink()
    (container / "app").copy(container / "copy")
    assert (tmp_path / "container/copy/outside").read_text() == "of the container"
    assert not any(path.is_symlink() for path in (tmp_path / "container/copy").rglob("*"))


def test_a_link_that_is_named_is_followed_in_the_root(
    tmp_path: Path, container: RootedPath
) -> None:
    (container / "app/escape").copy(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "of the container"
    (container / "app/outside directory").copy(tmp_path / "etc")
    assert (tmp_path / "etc/hostname").read_text() == "of the container"


def test_a_dangling_link_in_the_tree_is_an_error(tmp_path: Path, container: RootedPath) -> None:
    (tmp_path / "container/app/conf/missing").symlink_to("nothing")
    with pytest.raises(FileNotFoundError) as caught:
        (container / "app").copy(tmp_path / "out")
    assert caught.value.filename == "/app/conf/missing"
    assert (tmp_path / "out").exists()


def test_a_forbidden_climb_above_the_root_stays_a_link(
    tmp_path: Path, container: RootedPath
) -> None:
    with container.as_root(on_escape="raise") as root:
        (RootedPath(root) / "app").copy(tmp_path / "out")
        assert (tmp_path / "out/escape").is_symlink()
        (tmp_path / "container/app/loop").unlink()
        with pytest.raises(EscapeError):
            (RootedPath(root) / "app/escape").copy(tmp_path / "file")


@pytest.mark.parametrize(
    "links",
    [
        {"tree/a/loop": "."},
        {"tree/a/loop": ".."},
        {"tree/a/loop": "/tree"},
        {"tree/a/to b": "../b", "tree/b/to a": "../a"},
    ],
)
def test_links_in_a_circle_end_at_once(
    links: dict[str, str], tmp_path: Path, root: RootedPath
) -> None:
    write(tmp_path / "tree/a/file")
    write(tmp_path / "tree/b/file")
    for link, text in links.items():
        (tmp_path / link).symlink_to(text)
    steps: list[int] = []
    with pytest.raises(OSError) as caught:
        copying.copy(
            place(root / "tree"),
            place(root / "new"),
            copying.Choices(),
            lambda tally: steps.append(tally.entries),
        )
    assert caught.value.errno == errno.ELOOP
    assert len(steps) < 20
    assert (tmp_path / "new/a/file").exists()


def test_a_link_to_a_parent_of_the_target_is_refused(tmp_path: Path, root: RootedPath) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/above").symlink_to("/")
    with pytest.raises(OSError) as caught:
        (root / "tree").copy(root / "new")
    # Whichever entry of "/" comes first: the copy, or the tree itself.
    assert caught.value.errno in (errno.EINVAL, errno.ELOOP)
    assert os.listdir(tmp_path) == ["tree"]


@pytest.mark.parametrize("from_host", [False, True])
def test_a_chain_of_links_ends_where_the_kernel_ends(
    from_host: bool, tmp_path: Path, root: RootedPath
) -> None:
    # A tree that is finite, but with one link below the other.
    for number in range(45):
        (tmp_path / f"d{number}").mkdir()
        (tmp_path / f"d{number}/next").symlink_to(f"../d{number + 1}")
    (tmp_path / "d45").mkdir()
    source = tmp_path if from_host else root
    assert (tmp_path / "d5" / "/".join(["next"] * 40)).is_dir()
    with pytest.raises(OSError) as caught:
        (root / "new").copy_from(source / "d4")
    assert caught.value.errno == errno.ELOOP
    assert caught.value.filename == str(source / "d4" / "/".join(["next"] * 41))
    (root / "whole").copy_from(source / "d5")
    assert (tmp_path / "whole" / "/".join(["next"] * 40)).is_dir()


# Special files


def test_a_fifo_is_created_and_never_opened(tmp_path: Path, root: RootedPath) -> None:
    os.mkfifo(tmp_path / "fifo")
    (root / "fifo").copy(root / "copy")
    assert (tmp_path / "copy").is_fifo()
    (tmp_path / "link").symlink_to("fifo")
    (root / "link").copy(root / "another")
    assert (tmp_path / "another").is_fifo()


@pytest.mark.parametrize("name", ["null", "disk"])
def test_a_device_is_made_only_with_its_metadata(
    name: str, tmp_path: Path, root: RootedPath
) -> None:
    populate(tmp_path / "tree")
    with pytest.raises(SpecialFileError) as caught:
        (root / "tree" / name).copy(root / "copy")
    assert caught.value.filename == f"/tree/{name}"
    (root / "tree" / name).copy(root / "copy", preserve_metadata=True)
    assert (tmp_path / "copy").stat().st_rdev == (tmp_path / "tree" / name).stat().st_rdev


def test_a_device_needs_cap_mknod_and_says_so(tmp_path: Path) -> None:
    write(tmp_path / "open/file")
    (tmp_path / "open").chmod(0o777)

    def inside() -> None:
        with pytest.raises(SpecialFileError, match="CAP_MKNOD") as caught:
            RootedPath("/dev").joinpath("null").copy(
                tmp_path / "open/null", preserve_metadata=True, special="keep"
            )
        assert caught.value.filename == str(tmp_path / "open/null")

    reachable(tmp_path)
    as_nobody(inside)
    assert os.listdir(tmp_path / "open") == ["file"]


@pytest.mark.parametrize("kind", ["fifo", "device", "socket"])
def test_a_special_file_is_not_written_to_or_replaced(
    kind: str, tmp_path: Path, root: RootedPath
) -> None:
    write(tmp_path / "file")
    target = tmp_path / "special"
    if kind == "fifo":
        os.mkfifo(target)
    elif kind == "device":
        os.mknod(target, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(target))
    before = target.lstat()
    for path in (root / "special", target):
        with pytest.raises(SpecialFileError) as caught:
            (root / "file").copy(path)
        assert caught.value.filename == str(path)
    assert target.lstat() == before


def test_a_file_that_turns_into_a_fifo_is_not_opened(tmp_path: Path, root: RootedPath) -> None:
    """By the time it is read the name belongs to a FIFO; the file that was found is copied."""
    write(tmp_path / "tree/file", "content")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.mkfifo(tmp_path / "fifo")
            os.rename(tmp_path / "fifo", tmp_path / "tree/file")
            write(tmp_path / "new", "content")
            os.rename(tmp_path / "new", tmp_path / "tree/file")

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for number in range(300):
            (root / "tree").copy(root / f"copy{number}")
    finally:
        stop.set()
        swapping.join()
    for number in range(300):
        copied = tmp_path / f"copy{number}/file"
        assert copied.is_fifo() or copied.read_text() == "content"


# Replacing


def test_a_replaced_file_keeps_its_metadata(tmp_path: Path, root: RootedPath) -> None:
    write(tmp_path / "new", "new", 0o644)
    old = write(tmp_path / "old", "old", 0o4754)
    os.setxattr(old, "user.note", b"kept")
    os.setxattr(old, "security.capability", CAP_NET_RAW)
    os.chown(old, 1000, 1001)
    old.chmod(0o4754)
    os.setxattr(old, "security.capability", CAP_NET_RAW)
    (root / "new").copy(root / "old")
    status = old.stat()
    assert old.read_text() == "new"
    # As when it is written to: a file loses its capabilities, and root keeps the set-ID bits.
    assert (status.st_mode, status.st_uid, status.st_gid) == (0o104754, 1000, 1001)
    assert os.listxattr(old) == ["user.note"]


def test_open_files_and_links_keep_the_old_content(tmp_path: Path, root: RootedPath) -> None:
    write(tmp_path / "new", "new")
    write(tmp_path / "old", "old")
    os.link(tmp_path / "old", tmp_path / "linked")
    with open(tmp_path / "old") as opened:
        (root / "new").copy(root / "old")
        assert opened.read() == "old"
    assert (tmp_path / "linked").read_text() == "old"


def test_what_cannot_be_written_to_is_not_replaced(tmp_path: Path) -> None:
    write(tmp_path / "open/source")
    write(tmp_path / "open/target", mode=0o444)
    (tmp_path / "open").chmod(0o777)
    reachable(tmp_path)

    def inside() -> None:
        root = RootedPath(tmp_path / "open")
        with pytest.raises(PermissionError) as caught:
            (root / "source").copy(root / "target")
        assert caught.value.filename == "/target"

    as_nobody(inside)


def test_a_running_program_is_not_replaced(tmp_path: Path, root: RootedPath) -> None:
    write(tmp_path / "file")
    shutil.copy(shutil.which("sleep") or "/bin/sleep", tmp_path / "program")
    running = subprocess.Popen([tmp_path / "program", "60"])
    try:
        with pytest.raises(OSError) as caught:
            (root / "file").copy(root / "program")
    finally:
        running.kill()
        running.wait()
    assert caught.value.errno == errno.ETXTBSY
    assert caught.value.filename == "/program"


@pytest.mark.usefixtures("protected")
def test_a_file_of_others_in_a_sticky_directory_stays(tmp_path: Path, root: RootedPath) -> None:
    """fs.protected_regular: root would hand its data to whoever made the file."""
    write(tmp_path / "secret")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    planted = write(tmp_path / "tmp/planted", "planted", 0o666)
    os.chown(planted, 1000, 1000)
    with pytest.raises(PermissionError) as caught:
        (root / "secret").copy(root / "tmp/planted")
    assert caught.value.filename == "/tmp/planted"
    assert planted.read_text() == "planted"


@pytest.mark.usefixtures("protected")
def test_a_link_in_a_sticky_directory_is_not_followed(tmp_path: Path, root: RootedPath) -> None:
    """fs.protected_symlinks, on the host as inside."""
    write(tmp_path / "secret")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    (tmp_path / "tmp/planted").symlink_to("../victim")
    os.chown(tmp_path / "tmp/planted", 1000, 1000, follow_symlinks=False)
    for target in (root / "tmp/planted", tmp_path / "tmp/planted"):
        with pytest.raises(PermissionError) as caught:
            (root / "secret").copy(target)
        assert caught.value.filename == str(target)
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("namespace", ["our own", "another"])
def test_a_mount_point_is_not_replaced(namespace: str, tmp_path: Path) -> None:
    for name in ("source", "mounted", "root/target"):
        write(tmp_path / name, name)

    def inside() -> int:
        linux.mount(
            os.fsencode(tmp_path / "mounted"),
            os.fsencode(tmp_path / "root/target"),
            None,
            uapi.MS_BIND,
        )
        root = RootedPath(tmp_path / "root")
        if namespace == "another":
            # What is held stays in the first one, as a container's root is in its own.
            first = os.open("/proc/self/ns/mnt", os.O_RDONLY)
            linux.unshare(uapi.CLONE_NEWNS)
            linux.umount2(os.fsencode(tmp_path / "root/target"))
            assert os.path.exists(f"/proc/self/fd/{first}")
        with pytest.raises(OSError) as caught:
            (root / "target").copy_from(tmp_path / "source")
        assert caught.value.filename == "/target"
        assert (root / "target").read_text() == "mounted"
        return caught.value.errno or 0

    assert private_mounts(inside) == errno.EBUSY


# Being whole


@pytest.mark.parametrize("existing", [False, True])
def test_an_interrupted_copy_leaves_the_old_file(existing: bool, tmp_path: Path) -> None:
    def inside(memory: Path) -> int:
        write(memory / "source", "x" * (40 << 20))
        root = RootedPath(memory)
        if existing:
            write(memory / "target", "as before")
        before = portrait(memory) | {"": None}
        for number in range(100):
            try:
                copying.copy(
                    place(root / "source"),
                    place(root / "target"),
                    copying.Choices(),
                    interrupted(number),
                )
            except KeyboardInterrupt:
                assert portrait(memory) | {"": None} == before
            else:
                assert (memory / "target").read_bytes() == (memory / "source").read_bytes()
                return number
        raise AssertionError("it never came to its end")

    assert on_tmpfs(tmp_path, inside) >= 3


def test_a_tree_interrupted_at_any_step_leaves_nothing(tmp_path: Path) -> None:
    populate(tmp_path / "tree")

    def inside(memory: Path) -> int:
        for number in range(1000):
            try:
                copying.copy(
                    place(RootedPath(tmp_path / "tree")),
                    place(memory / "target"),
                    copying.Choices(follow_symlinks=False, preserve_metadata=True),
                    interrupted(number),
                )
            except KeyboardInterrupt:
                assert os.listdir(memory) == []
            else:
                return number
        raise AssertionError("it never came to its end")

    (tmp_path / "memory").mkdir()
    assert on_tmpfs(tmp_path / "memory", inside) > 20


def test_the_final_name_appears_with_the_whole_copy(tmp_path: Path, root: RootedPath) -> None:
    for number in range(50):
        write(tmp_path / f"tree/{number}/file")
    seen: list[bool] = []
    copying.copy(
        place(root / "tree"),
        place(root / "target"),
        copying.Choices(),
        lambda tally: seen.append((tmp_path / "target").exists()),
    )
    assert len(seen) > 100
    assert not any(seen)


@pytest.mark.parametrize("what", ["file", "tree"])
@pytest.mark.parametrize("replacing", [False, True])
def test_a_secret_is_nobody_elses_while_it_is_copied(
    what: str, replacing: bool, tmp_path: Path, root: RootedPath
) -> None:
    write(tmp_path / "tree/secret", "secret", 0o600)
    if replacing:
        write(tmp_path / "new", "old", 0o600)
    source = root / ("tree/secret" if what == "file" else "tree")
    target = root / ("new" if what == "file" else "new tree")
    modes: list[int] = []

    def look(_: copying.CopyProgress) -> None:
        modes.extend(path.stat().st_mode & 0o077 for path in tmp_path.glob(".procpath-*"))

    choices = copying.Choices(preserve_metadata=not (what == "file" and replacing))
    copying.copy(place(source), place(target), choices, look)
    assert modes
    assert not modes[0]


@pytest.mark.parametrize("what", ["file", "tree"])
def test_a_full_disk_leaves_nothing_names_the_target(what: str, tmp_path: Path) -> None:
    write(tmp_path / "tree/small", "x" * 1000)
    write(tmp_path / "tree/sub/big", "x" * (4 << 20))

    def inside(memory: Path) -> None:
        source = RootedPath(tmp_path) / ("tree/sub/big" if what == "file" else "tree")
        target = RootedPath(memory) / "target"
        with pytest.raises(OSError) as caught:
            source.copy(target)
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.filename == ("/target" if what == "file" else "/target/sub/big")
        assert os.listdir(memory) == []

    (tmp_path / "memory").mkdir()
    on_tmpfs(tmp_path / "memory", inside, "size=2m")


def test_a_disk_without_room_for_names_leaves_nothing(tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path / f"tree/{number}/file")

    def inside(memory: Path) -> None:
        with pytest.raises(OSError) as caught:
            RootedPath(tmp_path / "tree").copy(memory / "target")
        assert caught.value.errno == errno.ENOSPC
        assert str(caught.value.filename).startswith(f"{memory}/target/")
        assert os.listdir(memory) == []

    (tmp_path / "memory").mkdir()
    on_tmpfs(tmp_path / "memory", inside, "nr_inodes=20")


def test_a_failed_replacement_leaves_the_old_file(tmp_path: Path) -> None:
    write(tmp_path / "big", "x" * (4 << 20))

    def inside(memory: Path) -> None:
        write(memory / "target", "as before")
        with pytest.raises(OSError) as caught:
            RootedPath(tmp_path).joinpath("big").copy(memory / "target")
        assert caught.value.errno == errno.ENOSPC
        assert (memory / "target").read_text() == "as before"
        assert os.listdir(memory) == ["target"]

    (tmp_path / "memory").mkdir()
    on_tmpfs(tmp_path / "memory", inside, "size=2m")


@pytest.mark.parametrize("statx", [True, False])
def test_out_of_descriptors_nothing_is_left(statx: bool, tmp_path: Path) -> None:
    """With any number of free ones: from some number on there are enough."""
    populate(tmp_path / "tree")

    def inside(memory: Path) -> list[int | None]:
        if not statx:
            forbid({"statx": errno.EPERM})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        source, target = RootedPath(tmp_path) / "tree", RootedPath(memory) / "target"
        ends: list[int | None] = []
        with no_free_number_below() as used:
            for free in range(2, 40):
                resource.setrlimit(resource.RLIMIT_NOFILE, (used + free, hard))
                try:
                    source.copy(target, follow_symlinks=False, preserve_metadata=True)
                except OSError as error:
                    ends.append(error.errno)
                else:
                    ends.append(None)
                    target.rmtree()
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
                assert os.listdir(memory) == []
        return ends

    (tmp_path / "memory").mkdir()
    ends = on_tmpfs(tmp_path / "memory", inside)
    enough = ends.index(None)
    assert set(ends[:enough]) == {errno.EMFILE}
    assert set(ends[enough:]) == {None}


def test_links_into_unsearchable_directories_stay(tmp_path: Path) -> None:
    write(tmp_path / "root/private/secret")
    (tmp_path / "root/tree").mkdir()
    (tmp_path / "root/tree/link").symlink_to("/private/secret")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "root/private").chmod(0o700)
    reachable(tmp_path)
    as_nobody(lambda: RootedPath(tmp_path / "root").joinpath("tree").copy(tmp_path / "open/out"))
    assert os.readlink(tmp_path / "open/out/link") == "/private/secret"


@pytest.mark.parametrize("source", ["file", "tree", "link", "fifo"])
def test_a_read_only_error_names_the_target(source: str, tmp_path: Path) -> None:
    write(tmp_path / "file")
    write(tmp_path / "tree/file")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "memory").mkdir()

    def inside(memory: Path) -> None:
        write(memory / "there")
        linux.mount(None, os.fsencode(memory), None, uapi.MS_REMOUNT | uapi.MS_RDONLY)
        for name in ("target", "there") if source == "file" else ("target",):
            with pytest.raises(OSError) as caught:
                (RootedPath(memory) / name).copy_from(tmp_path / source, follow_symlinks=False)
            assert caught.value.errno == errno.EROFS
            assert caught.value.filename == f"/{name}"

    on_tmpfs(tmp_path / "memory", inside)


def test_a_tree_that_grows_by_its_own_copy_is_refused(tmp_path: Path) -> None:
    """Through a bind mount the target lies in the source though no ``..`` leads from one to the
    other.
    """
    write(tmp_path / "tree/inner/file")
    (tmp_path / "mounted").mkdir()

    def inside() -> None:
        linux.mount(
            os.fsencode(tmp_path / "tree/inner"),
            os.fsencode(tmp_path / "mounted"),
            None,
            uapi.MS_BIND,
        )
        root = RootedPath(tmp_path)
        with pytest.raises(OSError) as caught:
            (root / "tree").copy(root / "mounted/new")
        assert caught.value.errno == errno.EINVAL

    private_mounts(inside)
    assert [path.name for path in (tmp_path / "tree").rglob("*")] == ["inner", "file"]


def test_a_copy_into_itself_by_other_names_is_refused(tmp_path: Path, root: RootedPath) -> None:
    write(tmp_path / "tree/sub/file")
    (tmp_path / "alias").symlink_to("tree/sub")
    for target in (root / "alias/new", tmp_path / "tree/new", tmp_path / "alias/new"):
        with pytest.raises(OSError) as caught:
            (root / "tree").copy(target)
        assert caught.value.errno == errno.EINVAL
        assert (caught.value.filename, caught.value.filename2) == ("/tree", str(target))
    with pytest.raises(OSError) as caught:
        (root / "new").copy_from(tmp_path)
    assert caught.value.errno == errno.EINVAL


# Swapped while it runs


@pytest.mark.parametrize("follow_symlinks", [True, False])
def test_a_directory_swapped_for_a_link_is_no_way_out(
    follow_symlinks: bool, tmp_path: Path
) -> None:
    """The shape of CVE-2018-15664: seen as a directory, a link by the time it is entered."""
    write(tmp_path / "outside/secret", "secret")
    top = tmp_path / "root"
    for number in range(5):
        write(top / f"tree/{number}/file", "inside")
    swapped: list[str] = []

    def swap(_: copying.CopyProgress) -> None:
        if not swapped:
            swapped.extend(os.listdir(top / "tree"))
            for name in swapped:
                os.rename(top / "tree" / name, top / f"moved{name}")
                (top / "tree" / name).symlink_to("../../outside")

    root = RootedPath(top)
    choices = copying.Choices(follow_symlinks=follow_symlinks)
    copying.copy(place(root / "tree"), place(tmp_path / "out"), choices, swap)
    assert swapped
    assert not list((tmp_path / "out").rglob("secret"))
    assert any(path.is_symlink() for path in (tmp_path / "out").iterdir())


def test_a_target_swapped_for_a_link_is_no_way_out(tmp_path: Path) -> None:
    """The shape of CVE-2026-42306: the copy goes on in the directory that it has made."""
    (tmp_path / "outside").mkdir()
    for number in range(5):
        write(tmp_path / f"tree/{number}/file", "data")
    top = tmp_path / "root"
    top.mkdir()

    def swap(_: copying.CopyProgress) -> None:
        for staged in top.glob(".procpath-*"):
            for made in staged.iterdir():
                if made.is_dir() and not made.is_symlink():
                    os.rename(made, top / f"taken-{made.name}")
                    made.symlink_to(tmp_path / "outside")

    root = RootedPath(top)
    copying.copy(place(tmp_path / "tree"), place(root / "copy"), copying.Choices(), swap)
    assert os.listdir(tmp_path / "outside") == []


def test_a_directory_swapped_for_the_staged_one_stays(
    tmp_path: Path,
) -> None:
    write(tmp_path / "tree/file")
    top = tmp_path / "root"
    write(top / "victim/precious")

    def swap(_: copying.CopyProgress) -> None:
        (staged,) = top.glob(".procpath-*")
        os.rename(staged, top / "taken")
        os.rename(top / "victim", staged)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        copying.copy(
            place(tmp_path / "tree"),
            place(RootedPath(top) / "copy"),
            copying.Choices(),
            swap,
        )
    assert "could not be removed" in caught.value.__notes__[0]
    assert [path.name for path in top.rglob("precious")] == ["precious"]


def test_a_directory_swapped_in_keeps_its_owner(
    tmp_path: Path, root: RootedPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be given away with all that is in it."""
    write(tmp_path / "victim/secret")
    write(tmp_path / "tree/file")
    os.chown(tmp_path / "tree", 1000, 1000)
    mkdir = os.mkdir

    def mkdir_and_swap(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        mkdir(path, mode, dir_fd=dir_fd)
        os.rename(tmp_path / "victim", path, dst_dir_fd=dir_fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "mkdir", mkdir_and_swap)
        with pytest.raises(OSError) as caught:
            (root / "tree").copy(root / "new", preserve_metadata=True)
    assert caught.value.errno == errno.ENOTEMPTY
    (victim,) = tmp_path.glob(".procpath-*")
    assert os.listdir(victim) == ["secret"]
    assert victim.stat().st_uid == 0


# Big trees


DEEP = 10_000


@pytest.mark.slow
def test_ten_thousand_levels_take_forty_descriptors(tmp_path: Path) -> None:
    def inside(memory: Path) -> int:
        (memory / "deep").mkdir()
        dig(memory / "deep", DEEP)
        with no_free_number_below() as used:
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, used + 40))
            root = RootedPath(memory)
            started = time.monotonic()
            (root / "deep").copy(root / "copy", preserve_metadata=True)
            assert time.monotonic() - started < 60
            return depth(memory / "copy")

    assert on_tmpfs(tmp_path, inside) == DEEP


def test_an_interrupted_deep_copy_is_cleaned_up(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        (memory / "deep").mkdir()
        dig(memory / "deep", 2000)
        root = RootedPath(memory)
        with pytest.raises(KeyboardInterrupt):
            copying.copy(
                place(root / "deep"), place(root / "copy"), copying.Choices(), interrupted(1900)
            )
        assert os.listdir(memory) == ["deep"]

    on_tmpfs(tmp_path, inside)


def test_hard_links_far_apart_in_a_deep_tree_are_found(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        (memory / "deep").mkdir()
        dig(memory / "deep", 3000)
        fd = os.open(memory / "deep", os.O_RDONLY)
        for level in range(3000):
            if level % 300 == 0:
                os.link(memory / "deep/file", f"same{level}", dst_dir_fd=fd)
            below = os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = below
        os.close(fd)
        (RootedPath(memory) / "deep").copy(memory / "copy")
        assert (memory / "copy/file").stat().st_nlink == 11

    on_tmpfs(tmp_path, inside)


def make_system(top: Path, files: int) -> None:
    """Something like an unpacked distribution: a few thousand files of many kinds."""
    populate(top)
    kinds = ["bin", "lib", "share/doc", "share/locale/de", "etc/alternatives"]
    for number in range(files):
        kind = kinds[number % len(kinds)]
        path = write(
            top / f"usr/{kind}/package{number % 97}/file{number}",
            "x" * (number * 37 % 9000),
            0o755 if kind == "bin" else 0o644,
        )
        if number % 7 == 0:
            path.with_suffix(".link").symlink_to(f"/usr/{kind}/package1/file1")
        if number % 31 == 0:
            os.link(path, path.with_suffix(".same"))
        os.utime(path, ns=(10**18 + number, 10**18 + number))


def test_a_whole_system_comes_in_out_and_is_removed(tmp_path: Path) -> None:
    def inside(memory: Path) -> None:
        make_system(memory / "system", 3000)
        wanted = portrait(memory / "system")
        assert len(wanted) > 3500
        (memory / "container").mkdir()
        container = RootedPath(memory / "container")
        choices = {"follow_symlinks": False, "preserve_metadata": True}
        (container / "root").copy_from(memory / "system", **choices)
        assert portrait(memory / "container/root") == wanted
        (container / "root").copy(memory / "out", special="keep", **choices)
        assert portrait(memory / "out") == wanted
        (container / "root").rmtree()
        assert os.listdir(memory / "container") == []
        assert nothing_temporary(memory)

    on_tmpfs(tmp_path, inside)


def test_holes_that_never_end_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    os.truncate(tmp_path / "file", 1 << 20)
    asked: list[int] = []

    def lseek(fd: int, position: int, how: int) -> int:
        asked.append(position)
        assert len(asked) < 100
        return position

    monkeypatch.setattr(os, "lseek", lseek)
    with pytest.raises(OSError) as caught:
        (RootedPath(tmp_path) / "file").copy(tmp_path / "copy")
    assert caught.value.errno == errno.EIO
    assert os.listdir(tmp_path) == ["file"]


# Mounts


def test_a_root_that_crosses_no_mounts_copies_none(tmp_path: Path) -> None:
    write(tmp_path / "tree/file")
    (tmp_path / "tree/mounted").mkdir()

    def inside() -> None:
        mount_tmpfs(tmp_path / "tree/mounted")
        write(tmp_path / "tree/mounted/file")
        with Root.at(tmp_path, cross_mounts=False) as root:
            with pytest.raises(OSError) as caught:
                RootedPath(root).joinpath("tree").copy(tmp_path / "out")
            assert caught.value.errno == errno.EXDEV
            assert caught.value.filename == "/tree/mounted"
            (tmp_path / "links").mkdir()
            (tmp_path / "links/to mount").symlink_to("/tree/mounted/file")
            RootedPath(root).joinpath("links").copy(tmp_path / "links out")
            assert (tmp_path / "links out/to mount").is_symlink()
        assert os.listdir(tmp_path / "out") == ["file"]
        RootedPath(tmp_path).joinpath("tree").copy(tmp_path / "whole")
        assert (tmp_path / "whole/mounted/file").exists()

    private_mounts(inside)


def test_a_root_that_crosses_no_mounts_merges_none(tmp_path: Path) -> None:
    for directory in ("root/tree/mount", "root/tree/plain", "target/mount"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "root/tree/plain/file").touch()
    errors: list[OSError] = []

    def inside() -> list[tuple[int | None, str]]:
        mount = tmp_path / "root/tree/mount"
        linux.mount(b"tmpfs", os.fsencode(mount), b"tmpfs")
        (mount / "file").touch()
        with Root.at(tmp_path / "root", cross_mounts=False) as root:
            source = RootedPlace(root, "/tree", b"/tree")
            target = HostPlace(str(tmp_path / "target"))
            choices = Choices(dirs_exist_ok=True)
            copying.copy(source, target, choices, on_error=errors.append)
        return [(error.errno, error.filename) for error in errors]

    assert private_mounts(inside) == [(errno.EXDEV, "/tree/mount")]
    assert (tmp_path / "target/plain/file").exists()
    assert not (tmp_path / "target/mount/file").exists()


def test_out_of_an_overlay(tmp_path: Path) -> None:
    """What containers' root file systems are mounted as."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    populate(tmp_path / "lower/tree")
    write(tmp_path / "upper/tree/file", "changed")

    def inside() -> None:
        options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
        linux.mount(b"overlay", os.fsencode(tmp_path / "merged"), b"overlay", 0, options.encode())
        root = RootedPath(tmp_path / "merged")
        choices = {"follow_symlinks": False, "preserve_metadata": True}
        (root / "tree").copy(tmp_path / "out", special="keep", **choices)
        assert (tmp_path / "out/file").read_text() == "changed"
        assert portrait(tmp_path / "out") == portrait(tmp_path / "merged/tree")
        (root / "again").copy_from(tmp_path / "out", **choices)
        assert portrait(tmp_path / "merged/again") == portrait(tmp_path / "out")

    private_mounts(inside)


# Errors


def test_errors_name_the_path_that_they_are_about(tmp_path: Path, root: RootedPath) -> None:
    write(tmp_path / "file")
    with pytest.raises(FileNotFoundError) as caught:
        (root / "missing").copy(tmp_path / "out")
    assert caught.value.filename == "/missing"
    with pytest.raises(FileNotFoundError) as caught:
        (root / "file").copy(tmp_path / "missing/out")
    assert caught.value.filename == str(tmp_path / "missing/out")
    with pytest.raises(FileNotFoundError) as caught:
        (root / "out").copy_from(tmp_path / "missing")
    assert caught.value.filename == str(tmp_path / "missing")


def test_an_unreadable_file_is_an_error_after_the_rest(tmp_path: Path) -> None:
    write(tmp_path / "tree/a/readable")
    write(tmp_path / "tree/a/unreadable", mode=0)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    reachable(tmp_path)

    def inside() -> None:
        with pytest.raises(PermissionError) as caught:
            RootedPath(tmp_path / "tree").copy(tmp_path / "open/copy", preserve_metadata=True)
        assert caught.value.filename == "/a/unreadable"
        assert os.listdir(tmp_path / "open/copy/a") == ["readable"]

    as_nobody(inside)


def test_words_with_a_nul_are_refused(tmp_path: Path, root: RootedPath) -> None:
    write(tmp_path / "file")
    for source, target in (("fi\0le", "out"), ("file", "o\0ut")):
        with pytest.raises(ValueError):
            (root / source).copy(root / target)
    with pytest.raises(ValueError):
        (root / "file").copy(tmp_path / "o\0ut")
    assert os.listdir(tmp_path) == ["file"]


def test_a_thousand_failures_leave_no_descriptor(tmp_path: Path, root: RootedPath) -> None:
    write(tmp_path / "tree/sub/file")
    (tmp_path / "tree/sub/dangling").symlink_to("nothing")
    for _ in range(300):
        for source, target in (
            ("tree", "new"),
            ("tree", "tree/sub/new"),
            ("missing", "new"),
            ("tree/sub/file", "tree"),
        ):
            with pytest.raises(OSError):
                (root / source).copy(root / target)


def test_a_path_without_a_name_cannot_be_copied_into(root: RootedPath) -> None:
    with pytest.raises(ValueError):
        root.copy_into(root / "directory")
