"""``procpath cp``: what it keeps, leaves out, says, and leaves behind."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from helpers.commandline import here
from helpers.containers import RuncContainer
from helpers.scenery import CAP_NET_RAW, as_nobody, reachable, write
from helpers.support import wait_until
from procpath.tree.copy.staging import PREFIX

QUIET = (0, b"", "")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "rootfs").mkdir()
    return tmp_path / "rootfs"


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that local paths count from."""
    (tmp_path / "local").mkdir()
    monkeypatch.chdir(tmp_path / "local")
    return tmp_path / "local"


def modes(top: Path) -> dict[str, str]:
    return {
        str(path.relative_to(top)): f"{stat.S_IMODE(path.stat().st_mode):o}"
        for path in sorted(top.rglob("*"))
    }


def test_new_files_have_the_modes_of_their_sources(root: Path, local: Path) -> None:
    write(root / "keys/id", mode=0o600)
    write(root / "keys/tool", mode=0o777)
    (root / "keys").chmod(0o700)
    before = os.umask(0o022)
    assert here("cp", "-r", f"{root}:/keys", ".") == QUIET
    assert here("cp", f"{root}:/keys/id", "id") == QUIET
    os.umask(before)
    assert modes(local) == {"id": "600", "keys": "700", "keys/id": "600", "keys/tool": "755"}


def test_exit_status_is_1_where_something_failed(root: Path, local: Path) -> None:
    for name in ("a", "b", "d/c"):
        write(root / "tree" / name)
    (root / "tree/b").chmod(0)
    local.chmod(0o777)
    reachable(local)

    def inside() -> None:
        ran = here("cp", "-r", f"{root}:/tree", ".")
        assert ran == (1, b"", f"procpath: {root}:/tree/b: Permission denied\n")
        assert sorted(os.listdir(local / "tree")) == ["a", "d"]

    as_nobody(inside)


@pytest.mark.machine_root
def test_what_has_power_is_left_out_and_told(root: Path, local: Path) -> None:
    write(root / "loot/sh", mode=0o4755)
    for name in ("disk", "disk2"):
        os.mknod(root / "loot" / name, stat.S_IFBLK | 0o666, os.makedev(7, 0))
    said = "procpath: left out 2 device nodes, 1 set-ID bits; --special keeps them\n"
    assert here("cp", "-a", f"{root}:/loot", ".") == (0, b"", said)
    assert modes(local) == {"loot": "755", "loot/sh": "755"}
    said = "procpath: left out 2 device nodes; --special keeps them\n"
    assert here("cp", "-r", f"{root}:/loot", "plain") == (0, b"", said)
    assert here("cp", "-a", "--special", f"{root}:/loot", "kept") == QUIET
    assert modes(local / "kept")["sh"] == "4755"
    assert (local / "kept/disk").is_block_device()


def test_running_container_is_copied_whole(
    start_container: Callable[[], RuncContainer], local: Path
) -> None:
    container = start_container()
    for options in ([], ["-x"]):
        target = local / f"rootfs{len(options)}"
        ran = here("cp", "-a", *options, f"{container.pid}:/", str(target))
        assert (ran.status, ran.out) == (0, b""), ran.err
        assert (target / "etc/os-release").exists()
        assert os.listdir(target / "proc") == []
        assert os.listdir(target / "sys") == []
        assert "mount points" in ran.err
        assert not list(target.rglob(f"{PREFIX}*"))
        # A file of another file system is mounted there.
        assert ((target / "etc/resolv.conf").read_bytes() == b"") == bool(options)


LIVING = """
i=0
while :; do
    i=$((i + 1))
    echo "line $i" >> /var/log/app.log
    : > /var/tmp/$i && ln /var/tmp/$i /var/tmp/$i.link && mkdir -p /var/tmp/d$i/e
    rm -r /var/tmp/d$i /var/tmp/$i /var/tmp/$i.link
    if [ $((i % 20)) = 0 ]; then
        mv /var/log/app.log /var/log/app.log.1 && gzip -f /var/log/app.log.1
        rm -rf /usr/lib/package && cp -a /etc /usr/lib/package
    fi
done
"""
"""What goes on in a container: a log that is rotated, temporary files, packages."""


@pytest.mark.slow
def test_busy_container_is_copied_whole(
    start_container: Callable[[], RuncContainer], local: Path
) -> None:
    container = start_container()
    container.exec(["mkdir", "-p", "/var/log", "/var/tmp", "/usr/lib"])
    busy = container.spawn(["sh", "-c", LIVING])
    lasting = [
        path.relative_to(container.rootfs)
        for top in ("bin", "etc", "srv")
        for path in (container.rootfs / top).rglob("*")
        if path.is_file() and not path.is_symlink() and path.name != "resolv.conf"
    ]
    assert len(lasting) > 5
    for number in range(3):
        target = local / str(number)
        ran = here("cp", "-a", f"{container.pid}:/", str(target))
        assert ran.status == 0, ran.err
        for path in lasting:
            assert (target / path).read_bytes() == (container.rootfs / path).read_bytes(), path
        assert not list(target.rglob(f"{PREFIX}*"))
    container.end(busy)


@pytest.fixture
def mapped() -> Iterator[Callable[[int], RuncContainer]]:
    """Starts containers whose root is a user of that number here."""
    with ExitStack() as stack:

        def start(host_id_of_root: int) -> RuncContainer:
            started = RuncContainer(host_id_of_root=host_id_of_root)
            stack.callback(started.close)
            return started

        yield start


def test_owners_are_the_same_users_inside(
    container: RuncContainer, mapped: Callable[[int], RuncContainer], local: Path
) -> None:
    one, other = mapped(100_000), mapped(300_000)
    write(local / "conf/app.ini", mode=0o600)
    os.chown(local / "conf/app.ini", 101, 201)
    write(local / "conf/unmapped")
    os.chown(local / "conf/unmapped", 70_000, 0)
    write(local / "plain")

    def owners(of: RuncContainer, path: str) -> str:
        return of.exec(["stat", "-c", "%u:%g", path]).strip()

    assert here("cp", "plain", f"{one.pid}:/srv/plain") == QUIET
    assert owners(one, "/srv/plain") == "0:0"
    ran = here("cp", "-a", "conf", f"{one.pid}:/srv/conf")
    reason = "user 70000 is not mapped in the target's user namespace"
    assert ran == (1, b"", f"procpath: {one.pid}:/srv/conf/unmapped: {reason}\n")
    assert owners(one, "/srv/conf") == "0:0"
    assert owners(one, "/srv/conf/app.ini") == "101:201"
    assert here("cp", "-a", f"{one.pid}:/srv/conf/app.ini", f"{other.pid}:/srv/app.ini") == QUIET
    assert owners(other, "/srv/app.ini") == "101:201"
    assert here("cp", "-a", "--numeric", "conf/app.ini", f"{one.pid}:/srv/numeric") == QUIET
    assert owners(one, "/srv/numeric") == "65534:65534"
    assert here("cp", "-a", f"{one.pid}:/srv/conf/app.ini", "back.ini") == QUIET
    assert (local / "back.ini").stat().st_uid == 100_101


def test_capabilities_are_those_of_the_root_inside(
    mapped: Callable[[int], RuncContainer], local: Path
) -> None:
    """capabilities(7): in another user namespace than that of its root the attribute is nothing."""
    one, other = mapped(100_000), mapped(300_000)
    write(local / "ping", mode=0o755)
    os.setxattr(local / "ping", "security.capability", CAP_NET_RAW)
    assert here("cp", "-a", "ping", f"{one.pid}:/srv/ping") == QUIET
    assert here("cp", "-a", f"{one.pid}:/srv/ping", f"{other.pid}:/srv/ping") == QUIET
    for container, root_inside in ((one, 100_000), (other, 300_000)):
        kept = os.getxattr(container.rootfs / "srv/ping", "security.capability")
        assert (kept[3], int.from_bytes(kept[20:24], "little")) == (3, root_inside)
        assert kept[4:20] == CAP_NET_RAW[4:20]


def test_existing_files_can_be_left_alone(root: Path, local: Path) -> None:
    write(root / "tree/old", "new")
    write(root / "tree/new", "new")
    write(local / "tree/old", "old")
    assert here("cp", "-rn", f"{root}:/tree", ".") == QUIET
    assert (local / "tree/old").read_text() == "old"
    assert (local / "tree/new").read_text() == "new"
    assert here("cp", "-n", f"{root}:/tree/old", "tree/old") == QUIET
    assert (local / "tree/old").read_text() == "old"


def test_copies_are_printed_when_asked(root: Path, local: Path) -> None:
    write(root / "tree/d/file")
    ran = here("cp", "-rv", f"{root}:/tree", ".")
    assert (ran.status, ran.err) == (0, "")
    assert ran.lines == [
        f"{root}:/tree/d/file -> tree/d/file",
        f"{root}:/tree/d -> tree/d",
        f"{root}:/tree -> tree",
    ]


def test_contents_keep_hard_links(root: Path, local: Path) -> None:
    write(root / "repo/bin/tool")
    for name in ("tool1", "lib/tool2"):
        (root / "repo" / name).parent.mkdir(exist_ok=True)
        os.link(root / "repo/bin/tool", root / "repo" / name)
    for _ in range(2):
        assert here("cp", "-a", f"{root}:/repo/.", ".") == QUIET
        assert {p.stat().st_nlink for p in local.rglob("tool*")} == {3}


# What a signal leaves


def running(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "procpath", "cp", *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def stopped(root: Path, local: Path) -> Iterator[subprocess.Popen[str]]:
    """A copy in the middle of its tree: it waits for a lease."""
    for number in range(50):
        write(root / f"tree/a{number}")
    held = write(root / "tree/b")
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    fd = os.open(held, os.O_RDWR)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    process = running("-r", f"{root}:/tree", ".")
    wait_until(lambda: any(local.glob(f"{PREFIX}*/a9")))
    yield process
    process.kill()
    process.communicate()
    os.close(fd)
    signal.signal(signal.SIGIO, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_leaves_nothing(
    number: signal.Signals, stopped: subprocess.Popen[str], local: Path
) -> None:
    stopped.send_signal(number)
    # A second one does not stop the cleaning up.
    stopped.send_signal(signal.SIGINT)
    _, err = stopped.communicate(timeout=30)
    # If both arrive at once, Python looks at the lower number first. Once all is cleaned up and the
    # interpreter ends, the second one has its default action.
    assert stopped.returncode in (128 + number, 128 + signal.SIGINT, -signal.SIGINT)
    assert err == ""
    assert os.listdir(local) == []


def test_next_copy_clears_what_a_killed_one_left(
    stopped: subprocess.Popen[str], root: Path, local: Path
) -> None:
    [left] = os.listdir(local)
    assert left.startswith(PREFIX)
    # Not while it is being made, nor what is another's, or has another name.
    assert here("cp", f"{root}:/tree/a1", "one") == QUIET
    assert (local / left).exists()
    stopped.kill()
    stopped.wait()
    others = [f"{PREFIX}0123456789abcdeX", f"x{left}"]
    for name in others:
        write(local / name)
    said = f"procpath: {left}: removed, which a copy that was killed had left\n"
    ran = here("cp", f"{root}:/tree/a1", ".")
    assert ran == (0, b"", said)
    assert sorted(os.listdir(local)) == sorted([*others, "a1", "one"])
