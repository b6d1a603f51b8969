"""What the resolvers do beyond a plain tree: long paths, mounts, procfs, special files, rights."""

from __future__ import annotations

import os
import pathlib
import resource
import stat
from collections.abc import Callable
from errno import EACCES, ELOOP, ENOTDIR, ENXIO, EXDEV
from typing import Literal

import pytest

from helpers.support import fs_sysctls, open_descriptors, private_mounts, run_in_child
from procpath import (
    EscapeError,
    MagicLinkError,
    Root,
    RootedPath,
    SpecialFileError,
    VerifiedProc,
    linux,
    uapi,
)
from procpath.resolve.walk import Observation

Resolver = Literal["walk", "openat2"]
RESOLVERS: tuple[Resolver, ...] = ("walk", "openat2")

resolvers = pytest.mark.parametrize("resolver", RESOLVERS)


@resolvers
def test_2000_components_need_64_descriptors_at_most(
    tmp_path: pathlib.Path, resolver: Resolver
) -> None:
    make_deep(tmp_path, 2000)

    def inside() -> tuple[bytes, bytes]:
        with Root.at(tmp_path, resolver=resolver) as root:
            RootedPath(root, "d").resolve()
            limit = max(open_descriptors()) + 1
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit + 64, limit + 64))
            down = RootedPath(root, "d/" * 2000, "f").read_bytes()
            back = RootedPath(root, "d/" * 2000, "../" * 1990, "d/" * 1990, "f").read_bytes()
            return down, back

    assert run_in_child(inside) == (b"bottom", b"bottom")


def make_deep(top: pathlib.Path, depth: int) -> None:
    """``d/d/…/f``, made downwards, because the path is too long for the kernel."""
    dirfd = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=dirfd)
        below = os.open("d", os.O_RDONLY, dir_fd=dirfd)
        os.close(dirfd)
        dirfd = below
    fd = os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=dirfd)
    os.write(fd, b"bottom")
    os.close(fd)
    os.close(dirfd)


def test_a_directory_that_is_moved_out_meanwhile_leads_nowhere(tmp_path: pathlib.Path) -> None:
    """The walk is below it, has let go of it, and comes back by `..`."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    (outside / "d").mkdir(parents=True)
    root.mkdir()
    make_deep(root, 60)
    (outside / "d/secret").write_text("outside")
    (root / "secret").write_text("inside")
    with Root.at(root, resolver="walk") as held:
        moved = []

        def move_out(step: Observation) -> None:
            if step.location.count(b"/") == 50 and not moved:
                moved.append(step)
                # What was /d/d is now outside/d/d: up from it are outside/d and its secret.
                (root / "d/d").rename(outside / "d/d")

        path = b"d/" * 55 + b"../" * 54 + b"secret"
        with pytest.raises(FileNotFoundError):
            held.walker.observe(path, move_out)
        assert moved
        with pytest.raises(FileNotFoundError):
            held.walker.observe(b"d/" * 55 + b"../" * 55 + b"secret", lambda step: None)
        assert held.walker.observe(b"d/../secret", lambda step: None) == b"/secret"


@resolvers
def test_a_mount_is_crossed_unless_the_root_says_not(
    tmp_path: pathlib.Path, resolver: Resolver
) -> None:
    def inside() -> list[object]:
        for name in ("a/mounted", "b"):
            (tmp_path / name).mkdir(parents=True)
        (tmp_path / "to-mounted").symlink_to("/a/mounted")
        mounted = os.fsencode(tmp_path / "a/mounted")
        linux.mount(b"none", mounted, b"tmpfs")
        (tmp_path / "a/mounted/f").write_text("on the tmpfs")
        (tmp_path / "file").write_text("below")
        (tmp_path / "over").write_text("over")
        linux.mount(
            os.fsencode(tmp_path / "over"), os.fsencode(tmp_path / "file"), None, uapi.MS_BIND
        )
        result: list[object] = []
        with Root.at(tmp_path, resolver=resolver) as root:
            result += [read(root, "a/mounted/f"), read(root, "to-mounted/f"), read(root, "file")]
        with Root.at(tmp_path, resolver=resolver, cross_mounts=False) as root:
            for path in ("a/mounted/f", "to-mounted/f", "file", "a/mounted", "a/mounted/.."):
                result.append(refusal(lambda path=path: os.close(root.open(path, os.O_RDONLY))))
            write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            result.append(refusal(lambda: os.close(root.open("file", write))))
            result.append(refusal(lambda: os.close(root.open("a/mounted/new", write))))
            result.append(read(root, "over"))
            os.close(root.open("b/new", write))
        with Root.at(tmp_path / "a/mounted", resolver=resolver, cross_mounts=False) as root:
            result.append(read(root, "f"))
        return result

    texts = ["on the tmpfs", "on the tmpfs", "over"]
    assert private_mounts(inside) == [*texts, *[EXDEV] * 7, "over", "on the tmpfs"]


@resolvers
def test_plain_links_of_procfs_alone_are_followed(resolver: Resolver) -> None:
    pid = os.getpid()
    with Root.at("/", resolver=resolver, special_files="allow") as root:
        for path in (
            *("/proc/self/exe", "/proc/self/root", "/proc/self/cwd", "/proc/self/root/etc/passwd"),
            *("/proc/self/cwd/..", "/proc/self/fd/0", "/proc/self/ns/mnt", "/proc/thread-self/exe"),
            *(f"/proc/{pid}/exe", f"/proc/{pid}/task/{pid}/root", f"/proc/{pid}/fd/0"),
        ):
            with pytest.raises(MagicLinkError) as caught:
                os.close(root.open(path, os.O_PATH))
            assert (caught.value.errno, caught.value.filename) == (ELOOP, path)
            assert refusal(lambda path=path: os.close(root.open(path + "/", os.O_PATH))) == ELOOP
        for path in (
            "/proc/mounts",
            "/proc/net/dev",
            "/proc/self/status",
            "/proc/thread-self/stat",
        ):
            assert read(root, path)
        link = root.open("/proc/self/exe", os.O_PATH | os.O_NOFOLLOW)
        assert stat.S_ISLNK(os.fstat(link).st_mode)
        os.close(link)
        assert str(RootedPath(root, "proc/self").resolve(strict=True)) == f"/proc/{pid}"


@resolvers
def test_special_files_are_refused_unopened(tmp_path: pathlib.Path, resolver: Resolver) -> None:
    os.mkfifo(tmp_path / "fifo")
    os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "new-link").symlink_to("new")
    with Root.at(tmp_path, resolver=resolver, special_files="refuse") as root:
        # Held from its first use on.
        VerifiedProc.default().self_fd().fileno()
        before = open_descriptors()
        for path in ("fifo", "null", "link"):
            for flags in (
                os.O_RDONLY,
                os.O_WRONLY,
                os.O_RDWR | os.O_CREAT,
                os.O_WRONLY | os.O_TRUNC,
            ):
                with pytest.raises(SpecialFileError) as caught:
                    root.open(path, flags)
                assert (caught.value.errno, caught.value.filename) == (ENXIO, path)
            assert stat.S_ISREG(os.stat(tmp_path / path).st_mode) is False
        # Looking does not open it.
        assert RootedPath(root, "fifo").is_fifo()
        assert read(root, "file") == "text"
        os.close(root.open("new-link", os.O_WRONLY | os.O_CREAT, 0o640))
        assert (tmp_path / "new").is_file()
        for path, flags in {
            "file": os.O_CREAT | os.O_EXCL,
            "new-link": os.O_CREAT | os.O_EXCL,
        }.items():
            with pytest.raises(FileExistsError):
                root.open(path, flags)
        with pytest.raises(IsADirectoryError):
            root.open(".", os.O_WRONLY)
        fd = root.open("/", os.O_TMPFILE | os.O_RDWR, 0o600)
        assert os.fstat(fd).st_nlink == 0
        os.close(fd)
        assert open_descriptors() == before


@resolvers
def test_nosymfollow_mounts_are_obeyed(tmp_path: pathlib.Path, resolver: Resolver) -> None:
    def inside() -> list[object]:
        linux.mount(b"none", os.fsencode(tmp_path), b"tmpfs")
        (tmp_path / "d").mkdir()
        (tmp_path / "d/f").write_text("text")
        (tmp_path / "to-d").symlink_to("d")
        with Root.at(tmp_path, resolver=resolver) as root:
            result: list[object] = [read(root, "to-d/f")]
            flags = uapi.MS_REMOUNT | uapi.MS_BIND | uapi.MS_NOSYMFOLLOW
            linux.mount(None, os.fsencode(tmp_path), None, flags)
            result += [refusal(lambda: read(root, "to-d/f")), refusal(lambda: read(root, "to-d"))]
            return [*result, read(root, "d/f")]

    assert private_mounts(inside) == ["text", ELOOP, ELOOP, "text"]


@pytest.mark.parametrize("special_files", ["refuse", "allow"])
@pytest.mark.parametrize("setting", [0, 1])
@resolvers
def test_protected_symlinks_are_obeyed(
    tmp_path: pathlib.Path,
    resolver: Resolver,
    setting: int,
    special_files: Literal["refuse", "allow"],
) -> None:
    """Also by root, whom no capability exempts (proc_sys_fs(5)); in the middle of a path never."""
    sticky = tmp_path / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("text")
    for name, owner in {"by-root": 0, "by-1000": 1000}.items():
        (sticky / name).symlink_to("/d/f")
        os.lchown(sticky / name, owner, owner)
        (sticky / f"{name}-d").symlink_to("/d")
        os.lchown(sticky / f"{name}-d", owner, owner)
    (sticky / "nowhere").symlink_to("missing/missing")
    os.lchown(sticky / "nowhere", 1000, 1000)
    with fs_sysctls(protected_symlinks=setting):
        with Root.at(tmp_path, resolver=resolver, special_files=special_files) as root:
            expected: object = EACCES if setting else "text"
            assert read(root, "sticky/by-root") == "text"
            assert answer(lambda: read(root, "sticky/by-1000")) == expected
            assert read(root, "sticky/by-1000-d/f") == "text"
            # O_CREAT makes the kernel refuse such a link before it is known to be one.
            assert answer(lambda: append(root, "sticky/by-1000")) == (EACCES if setting else None)
            # Nor is it the end of a path whose last name is not followed.
            RootedPath(root, "sticky/by-1000-d/new").symlink_to("f")
            RootedPath(root, "sticky/by-1000-d/new").unlink()
            RootedPath(root, "sticky/by-1000-d/above/new").mkdir(parents=True)
            RootedPath(root, "d/above").rmtree()
            nowhere = RootedPath(root, "sticky/nowhere/new")
            with pytest.raises(FileExistsError) as caught:
                nowhere.mkdir(parents=True)
            assert caught.value.filename == "/sticky/nowhere"
            os.chown(sticky, 1000, 1000)
            assert read(root, "sticky/by-1000") == "text"


@resolvers
def test_a_protected_link_after_20_others(tmp_path: pathlib.Path, resolver: Resolver) -> None:
    """The kernel looks twice at such a link, and counts all links twice: ELOOP after 20."""
    above = "/file"
    for number in range(25):
        (tmp_path / f"to-{number}").symlink_to(above)
        above = f"/to-{number}"
    sticky = tmp_path / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    (tmp_path / "file").symlink_to("/sticky/by-1000")
    (sticky / "by-1000").symlink_to("/nowhere")
    os.lchown(sticky / "by-1000", 1000, 1000)
    with fs_sysctls(protected_symlinks=1), Root.at(tmp_path, resolver=resolver) as root:
        assert refusal(lambda: read(root, above)) == EACCES
        assert refusal(lambda: root.find(os.fsencode(above))) == EACCES
        assert root.try_find(os.fsencode(above)).value == -EACCES


@resolvers
def test_rights_are_those_of_a_chrooted_process(tmp_path: pathlib.Path, resolver: Resolver) -> None:
    """Search rights are asked for `.` and `..` as well, but not for the root that `/` names."""
    for name, mode in {"closed": 0o600, "open": 0o755, "open/below": 0o755}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    (tmp_path / "open/f").write_text("text")
    paths = ["closed", "closed/.", "closed/..", "closed/x", "closed/../open/f", "open/..", "open/f"]

    def as_user(root: Root) -> list[object]:
        return [
            answer(lambda p=path: os.close(root.open(p, os.O_PATH))) for path in (*paths, "/", ".")
        ]

    def inside() -> list[object]:
        for above in (tmp_path, *tmp_path.parents):
            os.chmod(above, os.stat(above).st_mode | 0o055) if str(above).startswith(
                "/tmp/"
            ) else None
        with Root.at(tmp_path, resolver=resolver) as root:
            os.setgroups([])
            os.setresgid(1000, 1000, 1000)
            os.setresuid(1000, 1000, 1000)
            return as_user(root)

    assert run_in_child(inside) == [None, *[EACCES] * 4, None, None, None, None]
    tmp_path.chmod(0o700)

    def in_a_closed_root() -> list[object]:
        with Root.at(tmp_path, resolver=resolver) as root:
            os.setresuid(1000, 1000, 1000)
            return [
                answer(lambda p=p: os.close(root.open(p, os.O_PATH))) for p in ("/", ".", "open")
            ]

    assert run_in_child(in_a_closed_root) == [None, EACCES, EACCES]


def test_a_climb_is_an_escape_error_and_names_the_path(tmp_path: pathlib.Path) -> None:
    for resolver in RESOLVERS:
        with Root.at(tmp_path, resolver=resolver, on_escape="raise") as root:
            with pytest.raises(EscapeError) as caught:
                root.open("/../etc", os.O_PATH)
            assert (caught.value.errno, caught.value.filename) == (EXDEV, "/../etc")
            with pytest.raises(EscapeError):
                RootedPath(root, "../x").resolve()
            with pytest.raises(EscapeError):
                RootedPath(root, "none/../../x").resolve()


def test_a_root_that_cannot_be_searched_through_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(NotADirectoryError):
        Root.at(tmp_path / "f")
    for resolver in RESOLVERS:
        with Root.at(tmp_path, resolver=resolver) as root:
            assert refusal(lambda: read(root, "f/x")) == ENOTDIR


def read(root: Root, path: str) -> str:
    """What the file says."""
    with open(path, opener=root.opener) as file:
        return file.read()


def append(root: Root, path: str) -> None:
    """Open as for appending, and write nothing."""
    os.close(root.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT))


def refusal(act: Callable[[], object]) -> int:
    """The errno that ``act`` ends in."""
    with pytest.raises(OSError) as caught:
        act()
    return caught.value.errno or 0


def answer(act: Callable[[], object]) -> object:
    """What ``act`` returns, or the errno that it ends in."""
    try:
        return act()
    except OSError as error:
        return error.errno


@resolvers
def test_by_name_links_are_followed_past_forty(tmp_path: pathlib.Path, resolver: Resolver) -> None:
    """What resolve() names without opening it, it names as os.path.realpath() does."""
    links = {
        # Two to the sixth times through the last one.
        **{f"x{n}": f"x{n + 1}/x{n + 1}" for n in range(6)},
        **{f"k{n}": f"k{n + 1}" for n in range(60)},
        "x6": ".",
        "k60": "d/f",
        "l": "m/..",
        "m": "l/",
        "n": "m/d",
    }
    (tmp_path / "d").mkdir()
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    paths = [*links, "x0/k0", "k0/f"]
    with Root.at(tmp_path, resolver=resolver) as root:
        for path in paths:
            expected = os.path.realpath(tmp_path / path).removeprefix(str(tmp_path)) or "/"
            assert str(RootedPath(root, path).resolve()) == expected, path


@resolvers
def test_by_name_links_are_not_followed_for_ever(
    tmp_path: pathlib.Path, resolver: Resolver
) -> None:
    for number in range(1001):
        (tmp_path / f"k{number}").symlink_to(f"k{number + 1}")
    with Root.at(tmp_path, resolver=resolver) as root:
        assert str(RootedPath(root, "k1").resolve()) == "/k1001"
        with pytest.raises(OSError, match=r"k0") as caught:
            RootedPath(root, "k0").resolve()
        assert (caught.value.errno, caught.value.filename) == (ELOOP, "/k0")
