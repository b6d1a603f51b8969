"""Names of owners, and homes, are those that a process inside would get.

That is by the ``passwd`` and ``group`` in the root, and by the numbers of the process's user
namespace. What glibc makes of the same files in a chroot is the oracle. A hostile file may give
wrong names for its own root; it gives no file of the host, no hang, and no crash.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.containers import RuncContainer
from helpers.processes import process_in
from helpers.support import chrooted, run_in_child
from procpath import Root, RootedPath, accounts, linux, uapi
from procpath.resolve.reopen import reopen

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
keeper:x:101:201:keeper:/var/keeper:/bin/false
second:x:101:202:the same number:/second:/bin/false
keeper:x:103:203:the same name:/other:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
"""

GROUP = """\
root:x:0:
keepers:x:201:keeper,second
again:x:201:
nogroup:x:65534:
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return tmp_path


@pytest.fixture
def owned(tree: Path) -> Callable[[int, int], RootedPath]:
    """Makes a file that the host's ``uid`` and ``gid`` own."""

    def make(uid: int, gid: int) -> RootedPath:
        (tree / "file").touch()
        os.chown(tree / "file", uid, gid)
        return RootedPath(tree, "file")

    return make


# By the root's own files


def test_names_are_those_of_the_root_and_not_of_the_host(
    owned: Callable[[int, int], RootedPath],
) -> None:
    path = owned(101, 201)
    assert (path.owner(), path.group()) == ("keeper", "keepers")
    path = owned(0, 0)
    assert (path.owner(), path.group()) == ("root", "root")


def test_an_owner_without_a_name_is_a_key_error(
    owned: Callable[[int, int], RootedPath], tree: Path
) -> None:
    # The host has a daemon.
    assert pwd.getpwuid(1).pw_name
    path = owned(1, 2)
    with pytest.raises(KeyError, match=f"uid not found in {tree}: 1"):
        path.owner()
    with pytest.raises(KeyError, match=f"gid not found in {tree}: 2"):
        path.group()


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_without_the_file_there_are_no_names(
    name: str, owned: Callable[[int, int], RootedPath], tree: Path
) -> None:
    path = owned(0, 0)
    (tree / "etc" / name).unlink()
    with pytest.raises(KeyError):
        path.owner() if name == "passwd" else path.group()
    if name == "passwd":
        for unknown in (path.home, path.with_segments("~").expanduser):
            with pytest.raises(RuntimeError, match="home directory"):
                unknown()


def test_a_link_has_an_owner_of_its_own(tree: Path) -> None:
    (tree / "file").touch()
    (tree / "link").symlink_to("file")
    os.chown(tree / "link", 101, 201, follow_symlinks=False)
    link = RootedPath(tree, "link")
    assert (link.owner(), link.group()) == ("root", "root")
    assert link.owner(follow_symlinks=False) == "keeper"
    assert link.group(follow_symlinks=False) == "keepers"
    (tree / "dangling").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        RootedPath(tree, "dangling").owner()
    assert RootedPath(tree, "dangling").owner(follow_symlinks=False) == "root"


def test_accounts_are_read_anew_each_time(owned: Callable[[int, int], RootedPath]) -> None:
    path = owned(101, 201)
    assert path.owner() == "keeper"
    (path / "/etc/passwd").write_text("renamed:x:101:201::/:\n")
    assert path.owner() == "renamed"


@pytest.mark.root
def test_account_files_may_be_behind_links_that_stay_inside(tree: Path) -> None:
    (tree / "usr").mkdir()
    (tree / "etc").rename(tree / "usr/etc")
    (tree / "etc").symlink_to("/usr/etc")
    (tree / "usr/etc/passwd").rename(tree / "accounts")
    (tree / "usr/etc/passwd").symlink_to("../../../../accounts")
    assert RootedPath(tree, "accounts").owner() == "root"


@pytest.mark.root
def test_a_home_is_that_of_the_root_and_not_of_the_environment(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "etc/passwd").write_text("root:x:0:0::/inside:/bin/sh\nuser:x:7:7::/u:/bin/sh\n")
    monkeypatch.setenv("HOME", "/outside")
    bound = RootedPath.bind(tree)
    assert bound.home() == bound("/inside")
    assert bound("~").expanduser() == bound("/inside")
    assert bound("~/x/../~").expanduser() == bound("/inside/x/../~")
    assert bound("~user/x").expanduser() == bound("/u/x")
    for same in ("x/~", "/~", "../~", "", "x~"):
        assert bound(same).expanduser() == bound(same)
    for unknown in ("~nobody-here", "~daemon/x", "~0", "~ root"):
        with pytest.raises(RuntimeError, match="home directory"):
            bound(unknown).expanduser()


# As glibc reads them


def _told_by_glibc() -> list[object]:
    answers: list[object] = []
    for uid in (0, 1, 7, 10, 101, 4294967294):
        try:
            found = pwd.getpwuid(uid)
            answers.append((found.pw_name, found.pw_dir))
        except KeyError:
            answers.append(None)
    for gid in (0, 1, 7, 10, 201):
        try:
            answers.append(grp.getgrgid(gid).gr_name)
        except KeyError:
            answers.append(None)
    return answers


def _told_by_accounts(tree: Path) -> list[object]:
    root = RootedPath(tree)
    answers: list[object] = []
    for uid in (0, 1, 7, 10, 101, 4294967294):
        os.chown(tree / "file", uid, -1)
        try:
            name = (root / "file").owner()
            home = root.with_segments(f"~{name}").expanduser() if name else None
            answers.append((name, str(home)))
        except KeyError:
            answers.append(None)
    for gid in (0, 1, 7, 10, 201):
        os.chown(tree / "file", -1, gid)
        try:
            answers.append((root / "file").group())
        except KeyError:
            answers.append(None)
    return answers


WELL_FORMED = {
    "usual": PASSWD,
    "no newline at the end": "root:x:0:0::/root:/bin/sh",
    "comments and empty lines": "\n# root:x:0:0::/a:\n\nroot:x:0:0::/b:/bin/sh\n\n",
    "the first of a number": "one:x:7:7::/one:\ntwo:x:7:7::/two:\n",
    "colons in the shell": "one:x:7:7::/one:/bin/sh -c a:b\n",
    "carriage returns": "one:x:7:7::/one:/bin/sh\r\nten:x:10:7::/ten:\r\n",
    "separators of Unicode are none of lines": "a\x0cb:x:7:7::/a\x85b:\nten:x:10:7:\u2028:/t:\n",
    "form feed in a comment": "x:x:7:7:\x0croot:/x:/bin/sh\x0croot:x:0:0::/evil:/bin/sh\n",
    "letters in a number": "one:x:7a:7::/one:\nten:x:0x0a:7::/ten:\n",
    "signs in a number": "big:x:-2:7::/big:\n",
    "an empty number": "none:x::7::/none:\n",
    "digits of other scripts": "seven:x:\u0667:7::/seven:\n",
    "too large a number": "huge:x:18446744073709551617:7::/huge:\nroot:x:0:0::/:\n",
    "a name that is not ASCII": "zoë:x:7:7::/home/zoë:\n",
}


@pytest.mark.parametrize("text", WELL_FORMED.values(), ids=list(WELL_FORMED))
def test_names_and_homes_are_those_of_glibc(text: str, tree: Path) -> None:
    (tree / "file").touch()
    (tree / "etc/passwd").write_text(text)
    told = chrooted(tree, _told_by_glibc)
    assert _told_by_accounts(tree) == told


# Hostile files


@contextmanager
def _limited() -> Iterator[None]:
    """No more than 5 seconds."""

    def fail(*_: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(5)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _fifo(place: Path) -> None:
    os.mkfifo(place)


def _socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(place))


def _directory(place: Path) -> None:
    place.mkdir()


def _endless_device(place: Path) -> None:
    os.mknod(place, 0o020666, os.makedev(1, 5))


def _missing_device(place: Path) -> None:
    os.mknod(place, 0o020666, os.makedev(240, 77))


def _loop(place: Path) -> None:
    place.symlink_to(place.name)


def _huge(place: Path) -> None:
    place.touch()
    os.truncate(place, 1 << 40)


def _behind_a_file(place: Path) -> None:
    place.symlink_to("group/passwd")


KINDS = {
    _fifo: errno.EINVAL,
    _socket: errno.EINVAL,
    _directory: errno.EINVAL,
    _endless_device: errno.EINVAL,
    _missing_device: errno.EINVAL,
    _loop: errno.ELOOP,
    _huge: errno.EFBIG,
    _behind_a_file: errno.ENOTDIR,
}


@pytest.mark.root
@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("resolver", ["openat2", "walk"])
def test_what_is_no_account_file_is_an_error_at_once(
    make: Callable[[Path], None], resolver: Any, tree: Path, no_leak: None
) -> None:
    (tree / "etc/passwd").unlink()
    make(tree / "etc/passwd")
    with Root.at(tree, resolver=resolver) as root:
        path = RootedPath(root)
        for ask in (path.owner, path.home, path.with_segments("~keeper").expanduser):
            with _limited(), pytest.raises(OSError) as caught:
                ask()
            assert caught.value.errno == KINDS[make]
            assert os.fsdecode(caught.value.filename) == "/etc/passwd"
        assert path.group() == "root"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../etc/passwd"])
def test_a_link_to_the_hosts_accounts_leads_to_the_roots_own(target: str, tree: Path) -> None:
    (tree / "etc").rename(tree / "other")
    (tree / "etc").mkdir()
    (tree / "etc/passwd").symlink_to(target)
    os.chown(tree / "other", 1, 1)
    # By the host's accounts 1 has a name; here the link leads back to itself.
    with pytest.raises(OSError, match="Too many levels"):
        RootedPath(tree, "other").owner()


def test_a_link_to_a_file_that_only_the_host_has_leads_nowhere(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("host") / "passwd"
    secret.write_text("stolen:x:0:0::/stolen:\n")
    (tree / "etc/passwd").unlink()
    (tree / "etc/passwd").symlink_to(secret)
    with pytest.raises(KeyError):
        RootedPath(tree).owner()


def test_a_magic_link_in_place_of_the_accounts_is_not_followed(tree: Path) -> None:
    """A container may mount a procfs anywhere, and link to a descriptor of whoever reads."""
    (tree / "etc/passwd").unlink()
    (tree / "etc/passwd").symlink_to("/proc/self/fd/0")
    (tree / "proc").mkdir()
    assert run_in_child(_owner_with_procfs, tree) == errno.ELOOP


def _owner_with_procfs(tree: Path) -> int:
    linux.unshare(uapi.CLONE_NEWNS)
    linux.mount(None, b"/", None, uapi.MS_REC | uapi.MS_PRIVATE)
    linux.mount(b"proc", bytes(tree / "proc"), b"proc")
    try:
        RootedPath(tree).owner()
    except OSError as error:
        return error.errno or 0
    return 0


@pytest.mark.machine_root
def test_an_account_file_of_the_kernel_is_refused(tree: Path) -> None:
    (tree / "etc/passwd").unlink()
    (tree / "etc/passwd").symlink_to("/proc/kmsg")
    (tree / "proc").mkdir()
    begin = time.monotonic()
    assert run_in_child(_name_with_procfs, tree) == errno.EINVAL
    assert time.monotonic() - begin < 5


def _name_with_procfs(tree: Path) -> object:
    linux.unshare(uapi.CLONE_NEWNS)
    linux.mount(None, b"/", None, uapi.MS_REC | uapi.MS_PRIVATE)
    linux.mount(b"proc", bytes(tree / "proc"), b"proc")
    signal.alarm(5)
    try:
        return RootedPath(tree).owner()
    except OSError as error:
        return error.errno


def test_an_account_file_has_four_mebibytes_at_most(tree: Path) -> None:
    """Thousands of users fit; what does not fit is not taken for the whole."""
    line = "last:x:4242:0::/last:/bin/sh\n"
    (tree / "file").touch()
    os.chown(tree / "file", 4242, 0)
    (tree / "etc/passwd").write_text(line.rjust(4 << 20, "\n"))
    assert RootedPath(tree, "file").owner() == "last"
    (tree / "etc/passwd").write_text(line.rjust((4 << 20) + 1, "\n"))
    with pytest.raises(OSError) as caught:
        RootedPath(tree, "file").owner()
    assert caught.value.errno == errno.EFBIG


WORDS = [b"root", b":", b":x:", b"0", b"0:0", b"\n", b"#", b"\0", b"\xff", b"\r", b"/", b"-1", b" "]


@given(data=st.binary(max_size=200) | st.lists(st.sampled_from(WORDS), max_size=30).map(b"".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_account_file_gives_a_name_or_key_error(data: bytes, tree: Path) -> None:
    (tree / "etc/passwd").write_bytes(data)
    (tree / "etc/group").write_bytes(data)
    path = RootedPath(tree)
    for ask in (path.owner, path.group):
        with suppress(KeyError):
            assert ask().encode("utf-8", "surrogateescape") in data
    for ask_home in (path.home, path.with_segments("~root/x").expanduser):
        with suppress(RuntimeError):
            assert ask_home().root_handle is path.root_handle


@pytest.mark.root
def test_names_that_are_not_utf_8_come_back_as_they_are(tree: Path) -> None:
    (tree / "etc/passwd").write_bytes(b"caf\xe9:x:0:0::/home/caf\xe9:/bin/sh\n")
    path = RootedPath(tree)
    assert os.fsencode(path.owner()) == b"caf\xe9"
    assert bytes(path.home()) == b"/home/caf\xe9"
    assert bytes(path.with_segments(os.fsdecode(b"~caf\xe9/x")).expanduser()) == b"/home/caf\xe9/x"


@pytest.mark.root
def test_a_home_that_is_hostile_leads_nowhere_else(tree: Path) -> None:
    (tree / "etc/passwd").write_text("root:x:0:0::../../../../tmp:/bin/sh\n")
    path = RootedPath(tree)
    assert str(path.home()) == "../../../../tmp"
    assert path.home().resolve() == path / "tmp"


def test_accounts_that_may_not_be_read_are_a_permission_error(tree: Path) -> None:
    (tree / "etc/passwd").chmod(0)
    for above in (tree, *tree.parents):
        if above.owner() == "root" and above != Path("/"):
            above.chmod(0o755)
    assert run_in_child(_errno_as_user, tree) == errno.EACCES


def _errno_as_user(tree: Path) -> int:
    with Root.at(tree) as root:
        os.setgroups([])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        try:
            RootedPath(root).owner()
        except OSError as error:
            return error.errno or 0
    return 0


LONG = "n" * 255


@pytest.mark.parametrize("name", [LONG, LONG + "n", "A" * (4 << 20)])
def test_a_name_longer_than_linux_allows_is_none(name: str, tree: Path) -> None:
    """It would be printed with each file of its owner."""
    for file, number in (("passwd", os.getuid()), ("group", os.getgid())):
        (tree / "etc" / file).write_text(f"{name}:x:{number}\n"[-(4 << 20) :])
    path = RootedPath(tree)
    for ask in (path.owner, path.group):
        if name == LONG:
            assert ask() == name
        else:
            with pytest.raises(KeyError):
                ask()


@pytest.mark.parametrize(("length", "has_home"), [(4095, True), (4096, False)])
def test_a_home_longer_than_linux_allows_is_none(length: int, has_home: bool, tree: Path) -> None:
    home = "/" + "h" * (length - 1)
    (tree / "etc/passwd").write_text(f"root:x:{os.getuid()}:0::{home}:/bin/sh\n")
    path = RootedPath(tree)
    if has_home:
        assert str(path.home()) == str(path.with_segments("~root").expanduser()) == home
    else:
        with pytest.raises(RuntimeError, match="home directory"):
            path.home()


# Read once, and never out of date


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is read of account files, counted; they need not have been at rest for long."""
    found: list[int] = []

    def counted(fd: int, flags: int) -> linux.Descriptor:
        found.append(fd)
        return reopen(fd, flags)

    monkeypatch.setattr(accounts, "reopen", counted)
    return found


def test_an_account_file_at_rest_is_read_once(
    owned: Callable[[int, int], RootedPath], readings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "_SETTLED_NS", -(10**12))
    path = owned(101, 201)
    for _ in range(5):
        assert (path.owner(), path.group()) == ("keeper", "keepers")
    assert len(readings) == 2


def test_an_account_file_that_was_just_changed_is_read_again(
    owned: Callable[[int, int], RootedPath], readings: list[int]
) -> None:
    path = owned(101, 201)
    for _ in range(3):
        assert path.owner() == "keeper"
    assert len(readings) == 3


def test_a_file_touched_again_and_again_is_parsed_once(tree: Path) -> None:
    passwd = tree / "etc/passwd"
    root = Root.at(tree)
    parsed = accounts._account_file(root, b"/etc/passwd")
    for _ in range(3):
        os.utime(passwd)
        assert accounts._account_file(root, b"/etc/passwd") is parsed
    passwd.write_text(PASSWD.replace("keeper", "leaper"))
    assert accounts._account_file(root, b"/etc/passwd") is not parsed


def test_a_file_that_changes_all_the_time_makes_no_table(
    owned: Callable[[int, int], RootedPath], tree: Path
) -> None:
    path = owned(101, 201)
    for number in range(20):
        (tree / "etc/passwd").write_text(f"{PASSWD}#{number}\n")
        assert path.owner() == "keeper"
        (kept,) = [kept for _, kept in accounts._kept[path.root_handle].values()]
        assert "_names" not in vars(kept)


ODD_LINES = [b"#c:x:7", b"a:x:07", b"b:x:7:", b":x:8", b"z:x:0000000000", b"c:x:8x", b"d:y:z:8"]
ODD_LINES += [b"n" * 255 + b":x:9", b"n" * 256 + b":x:10", b"e::00000000011", b"f:x:4294967295:1"]


@pytest.mark.parametrize("number", [0, 7, 8, 9, 10, 11, 70, 4294967295])
@pytest.mark.parametrize("lines", [ODD_LINES, ODD_LINES[::-1]], ids=["as they are", "turned"])
def test_a_search_and_the_table_say_the_same(lines: list[bytes], number: int) -> None:
    file = accounts._AccountFile(b"\n".join(lines))
    answers = []
    for _ in range(accounts._SEARCHES + 1):
        try:
            answers.append(file.name(number))
        except KeyError:
            answers.append("")
    assert "_names" in vars(file)
    assert len(set(answers)) == 1


def test_an_account_file_is_read_again_after_any_change(
    owned: Callable[[int, int], RootedPath], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "_SETTLED_NS", -(10**12))
    path = owned(101, 201)
    passwd = tree / "etc/passwd"
    assert path.owner() == "keeper"
    before = passwd.stat()
    time.sleep(0.02)
    passwd.write_text(PASSWD.replace("keeper", "leaper"))
    os.utime(passwd, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert passwd.stat().st_size == before.st_size
    assert path.owner() == "leaper"
    (tree / "etc/new").write_text(PASSWD.replace("keeper", "reaper"))
    (tree / "etc/new").rename(passwd)
    assert path.owner() == "reaper"
    passwd.unlink()
    with pytest.raises(KeyError):
        path.owner()
    passwd.write_text(PASSWD)
    assert path.owner() == "keeper"


def test_accounts_are_kept_for_their_root_alone(
    tree: Path, readings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device number is used again: what one root's file said is nothing to another."""
    monkeypatch.setattr(accounts, "_SETTLED_NS", -(10**12))
    (tree / "etc/etc").symlink_to("/")
    before = len(accounts._kept)
    (tree / "etc/passwd").write_text(f"one:x:{os.getuid()}:0::/:\n")
    roots = [Root.at(tree), Root.at(tree / "etc")]
    assert [RootedPath(root).owner() for root in roots] == ["one", "one"]
    assert len(readings) == 2
    assert len(accounts._kept) == before + 2
    roots.clear()
    assert len(accounts._kept) == before


def test_a_large_account_file_costs_little_again(tree: Path) -> None:
    (tree / "etc/passwd").write_text("ab\n" * ((4 << 20) // 3))
    path = RootedPath(tree)
    time.sleep(2.1)
    begin = time.process_time()
    for _ in range(100):
        with pytest.raises(KeyError):
            path.owner()
    assert time.process_time() - begin < 5


# By the numbers of a user namespace


@pytest.fixture
def reachable(tree: Path) -> Path:
    """``tree``, so that somebody who is not a user of ours gets there too."""
    for above in (tree, *tree.parents):
        if above.stat().st_mode & 0o755 != 0o755:
            above.chmod(above.stat().st_mode | 0o755)
    return tree


def test_owners_are_numbered_as_the_namespace_numbers_them(reachable: Path) -> None:
    (reachable / "file").touch()
    with process_in(reachable) as pid:
        path = RootedPath(pid, "file")
        for uid, name in ((100_000, "root"), (100_101, "keeper"), (100_999, None), (0, "nobody")):
            os.chown(reachable / "file", uid, 0)
            if name:
                assert path.owner() == name
            else:
                with pytest.raises(KeyError, match=f"uid not found in /proc/{pid}/root: 999"):
                    path.owner()
        for gid, group in ((200_000, "root"), (200_201, "keepers"), (100_201, "nogroup")):
            os.chown(reachable / "file", 0, gid)
            assert path.group() == group
        # What stat() says is in our own numbers.
        assert path.stat().st_gid == 100_201


def _enter_user_namespace() -> None:
    """A child that stays outside maps the IDs, as newuidmap(1) does."""
    reader, writer = os.pipe()
    mapper = os.fork()
    if mapper == 0:
        try:
            os.read(reader, 1)
            for file in ("uid_map", "gid_map"):
                Path(f"/proc/{os.getppid()}/{file}").write_text("0 100000 65535\n")
        finally:
            os._exit(0)
    linux.unshare(uapi.CLONE_NEWUSER)
    os.write(writer, b"x")
    os.waitpid(mapper, 0)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _seen_from_within(tree: Path) -> tuple[dict[str, tuple[int, str, str]], str]:
    _enter_user_namespace()
    # A program that was started in the namespace: of its maker it could not be looked at.
    with subprocess.Popen(["sleep", "60"], user=101) as process:
        try:
            path = RootedPath(RootedPath(process.pid, str(tree)).as_root())
            files = [path / "roots", path / "keepers", path / "nobodys"]
            owners = {file.name: (file.stat().st_uid, file.owner(), file.group()) for file in files}
            return owners, str(path.home())
        finally:
            process.kill()


def test_a_reader_in_the_same_user_namespace(reachable: Path) -> None:
    """There ``uid_map`` counts in the parent namespace (user_namespaces(7)): rootless podman,
    bwrap, ``unshare -Ur``.
    """
    for name, number in {"roots": 100_000, "keepers": 100_101, "nobodys": 7}.items():
        (reachable / name).touch()
        os.chown(reachable / name, number, number + 100 * (name == "keepers"))
    owners, home = run_in_child(_seen_from_within, reachable)
    assert owners == {
        "roots": (0, "root", "root"),
        "keepers": (101, "keeper", "keepers"),
        "nobodys": (65534, "nobody", "nogroup"),
    }
    assert home == "/var/keeper"


def test_every_range_of_the_map_counts_to_its_end(reachable: Path) -> None:
    inside = {
        99_999: 65534, 100_000: 0, 100_999: 999, 101_000: 65534,
        299_999: 65534, 300_000: 5000, 300_009: 5009, 300_010: 65534,
    }  # fmt: skip
    numbers = {*inside.values()}
    accounts = "".join(f"u{number}:x:{number}:0::/:\n" for number in numbers)
    (reachable / "etc/passwd").write_text(accounts)
    (reachable / "file").touch()
    with process_in(reachable) as pid:
        path = RootedPath(pid, "file")
        for outside, number in inside.items():
            os.chown(reachable / "file", outside, -1)
            assert path.owner() == f"u{number}"


def test_an_unmapped_owner_is_the_overflow_user(
    mapped_container: RuncContainer,
) -> None:
    path = RootedPath(mapped_container.pid, "etc/resolv.conf")
    assert path.stat().st_uid == 0
    assert mapped_container.exec(["stat", "-c", "%u %g", "/etc/resolv.conf"]) == "65534 65534\n"
    for ask in (path.owner, path.group):
        with pytest.raises(KeyError, match=": 65534"):
            ask()


@pytest.mark.parametrize(("uid", "home"), [(0, "/root"), (101, "/var/keeper"), (65534, None)])
def test_home_is_that_of_the_user_that_the_process_is(
    uid: int, home: str | None, reachable: Path
) -> None:
    with process_in(reachable, uid, uid_map="0 100000 65536\n") as pid:
        path = RootedPath(pid)
        assert str(path.home()) == (home or "/nonexistent")
        assert str(path.with_segments("~").expanduser()) == str(path.home())
        assert str(path.with_segments("~root").expanduser()) == "/root"


def test_home_without_a_process_is_of_our_own_user(reachable: Path) -> None:
    assert run_in_child(_homes_of_keeper, reachable) == ["/var/keeper", "/root"]


def _homes_of_keeper(tree: Path) -> list[str]:
    with Root.at(tree) as root:
        os.setresuid(101, 101, 101)
        path = RootedPath(root)
        return [str(path.home()), str(path.with_segments("~root").expanduser())]


def test_a_process_without_an_account_has_no_home(reachable: Path) -> None:
    with process_in(reachable, uid=77) as pid:
        path = RootedPath(pid)
        with pytest.raises(RuntimeError, match="home directory"):
            path.home()
        assert str(path.with_segments("~keeper").expanduser()) == "/var/keeper"


def test_names_and_home_outlive_the_process(reachable: Path) -> None:
    (reachable / "file").touch()
    os.chown(reachable / "file", 100_101, 200_201)
    with process_in(reachable, uid=101) as pid:
        path = RootedPath(pid, "file")
    assert (path.owner(), path.group(), str(path.home())) == ("keeper", "keepers", "/var/keeper")


def test_a_directory_has_accounts_of_its_own(
    reachable: Path,
) -> None:
    (reachable / "inner/etc").mkdir(parents=True)
    (reachable / "inner/etc/passwd").write_text("inner:x:101:0::/i:\n")
    os.chown(reachable / "inner/etc", 100_101, 0)
    with process_in(reachable, uid=101) as pid:
        outer = RootedPath(pid)
        inner = RootedPath((outer / "inner").as_root())
        assert (outer / "inner/etc").owner() == "keeper"
        assert (inner / "etc").owner() == "inner"
        assert str(inner.home()) == "/i"


def test_a_signal_handler_may_ask_for_an_owner_meanwhile(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "etc/passwd").write_text(f"me:x:{os.getuid()}:0::/:\n")
    path = RootedPath(tree) / "etc/passwd"
    answers: list[str] = []

    class Interrupted(WeakKeyDictionary[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            monkeypatch.undo()
            answers.append(path.owner())
            return super().get(key, default)

    monkeypatch.setattr(accounts, "_kept", Interrupted())
    asking = threading.Thread(target=lambda: answers.append(path.owner()), daemon=True)
    asking.start()
    asking.join(10)
    assert answers == ["me", "me"]
