"""End to end, on real containers: every answer is what a process inside would get.

The container is asked by running busybox in it; procpath reaches in from outside, by the
container's PID. Both kinds of container, with and without a user namespace, and both resolvers
must agree with the inside. The command line is run as its users run it.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from helpers.containers import HOST_SECRET, OS_RELEASE, RuncContainer
from procpath import ProcessGoneError, Root, RootedPath

# Files of the container by names that lead through its links.
FILES = [
    "/etc/os-release",
    "/etc/passwd",
    "/var/run/x",
    "/var/run/app/app.pid",
    "/srv/stock",
    "/srv/current",
    "/srv/climb",
    "/srv/app.d/10-first.conf",
    "/srv/app.d/99-linked.conf",
    "/data/shelf",
    "/data/out",
    "/etc/resolv.conf",
    "/../../etc/hostname",
    "/var/run/../etc/hostname",
    "/srv/app.d/../hostname",
]

# Names that a host path of the same spelling would take outside.
OUTSIDE = ["/evil", "/srv/evil-absolute", "/srv/evil-directory/canary"]

DIRECTORIES = ["/", "/etc", "/srv", "/srv/app.d", "/var/run", "/var/run/app", "/data", "/var/lock"]


@pytest.fixture(params=["container", "mapped_container"])
def here(request: pytest.FixtureRequest) -> RuncContainer:
    found: RuncContainer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["openat2", "walk"])
def resolver(request: pytest.FixtureRequest) -> Literal["openat2", "walk"]:
    chosen: Literal["openat2", "walk"] = request.param
    return chosen


@pytest.fixture
def root(here: RuncContainer, resolver: Literal["openat2", "walk"]) -> Iterator[RootedPath]:
    with Root.of_process(here.pid, resolver=resolver) as held:
        yield RootedPath(held)


def ask_each(container: RuncContainer, command: str, paths: list[str]) -> list[str]:
    """What ``command`` prints inside for each path, given to it as ``$p``; one line each."""
    script = f"for p; do {command} || exit 1; done"
    return container.exec(["sh", "-c", script, "sh", *paths]).splitlines()


def test_reading_gives_what_is_read_inside(here: RuncContainer, root: RootedPath) -> None:
    for path in FILES:
        assert (root / path).read_text() == here.exec(["cat", path]), path


def test_a_name_that_is_not_utf8_is_read(here: RuncContainer, root: RootedPath) -> None:
    name = os.fsdecode(b"caf\xe9")
    assert name in {entry.name for entry in (root / "srv").iterdir()}
    assert (root / "srv" / name).read_text() == here.exec(["sh", "-c", "cat /srv/caf*"])


def test_resolving_gives_what_readlink_gives_inside(here: RuncContainer, root: RootedPath) -> None:
    paths = FILES + DIRECTORIES
    expected = ask_each(here, 'readlink -f "$p"', paths)
    assert [str((root / path).resolve(strict=True)) for path in paths] == expected


def test_resolving_a_dangling_link_stays_inside(root: RootedPath) -> None:
    assert str((root / "srv/dangling").resolve()) == "/nowhere/at/all"
    with pytest.raises(FileNotFoundError):
        (root / "srv/dangling").resolve(strict=True)


def test_a_loop_of_links_is_eloop(root: RootedPath) -> None:
    with pytest.raises(OSError, match="symbolic links") as caught:
        (root / "srv/loop").read_text()
    assert caught.value.errno == errno.ELOOP


def test_the_hosts_files_are_out_of_reach(here: RuncContainer, root: RootedPath) -> None:
    # Plainly joined, an absolute link of the container leads out: the trap is really set.
    joined = Path(f"/proc/{here.pid}/root/srv/evil-absolute")
    assert joined.read_text() == HOST_SECRET
    for path in OUTSIDE:
        assert not (root / path).exists()
        with pytest.raises(FileNotFoundError):
            (root / path).read_text()
        with pytest.raises(subprocess.CalledProcessError):
            here.exec(["cat", path])


def test_root_by_its_host_path_confines_too(
    here: RuncContainer, resolver: Literal["openat2", "walk"]
) -> None:
    assert (here.rootfs / "evil").read_text() == HOST_SECRET
    with Root.at(here.rootfs, resolver=resolver) as held:
        unpacked = RootedPath(held)
        assert (unpacked / "etc/os-release").read_text() == OS_RELEASE
        assert (unpacked / "srv/climb").read_text() == here.exec(["cat", "/etc/passwd"])
        for path in OUTSIDE:
            assert not (unpacked / path).exists()


def test_listing_gives_the_names_that_are_inside(here: RuncContainer, root: RootedPath) -> None:
    for path in DIRECTORIES:
        # With the slash, find starts in the directory and not at the link.
        find = ["find", f"{path}/", "-mindepth", "1", "-maxdepth", "1", "-print0"]
        inside = {os.path.basename(found) for found in here.exec(find).split("\0") if found}
        assert {entry.name for entry in (root / path).iterdir()} == inside, path


def test_walking_gives_every_name_that_is_inside(here: RuncContainer, root: RootedPath) -> None:
    inside = set(here.exec(["find", "/etc", "-mindepth", "1", "-print0"]).split("\0")) - {""}
    walked = {
        str(top / name)
        for top, directories, files in (root / "etc").walk()
        for name in directories + files
    }
    assert walked == inside


@pytest.mark.parametrize("pattern", ["etc/app.d/*.conf", "srv/app.d/*", "var/run/*", "s?v/[ce]*"])
def test_globbing_gives_what_the_shell_gives_inside(
    here: RuncContainer, root: RootedPath, pattern: str
) -> None:
    inside = here.exec(["sh", "-c", f"printf '%s\\n' /{pattern}"]).splitlines()
    assert len(inside) > 1
    assert sorted(map(str, root.glob(pattern))) == sorted(inside)


def test_rglob_gives_what_find_gives_inside(here: RuncContainer, root: RootedPath) -> None:
    inside = here.exec(["find", "/etc", "/srv", "-name", "*.conf"]).splitlines()
    found = [*(root / "etc").rglob("*.conf"), *(root / "srv").glob("**/*.conf")]
    assert sorted(map(str, found)) == sorted(inside)


def test_owners_have_the_names_that_they_have_inside(here: RuncContainer, root: RootedPath) -> None:
    paths = ["/etc/passwd", "/home/alice/diary", "/srv/current", "/var/run/app/app.pid", "/run"]
    inside = ask_each(here, 'stat -L -c "%U %G" "$p"', paths)
    assert [f"{(root / path).owner()} {(root / path).group()}" for path in paths] == inside
    assert inside[1] == "alice-within alices"
    assert inside[2] == inside[3] == "cellarer cellar"


def test_an_owner_without_a_name_is_a_key_error(root: RootedPath) -> None:
    with pytest.raises(KeyError, match="54321"):
        (root / "srv/fifo").owner()


def test_home_is_that_of_the_containers_user(here: RuncContainer, root: RootedPath) -> None:
    assert str(root.with_segments("~alice-within", "diary").expanduser()) == "/home/alice/diary"
    assert str(root.home()) == here.exec(["sh", "-c", "echo ~root"]).strip()


def test_mount_points_are_those_of_the_container(here: RuncContainer, root: RootedPath) -> None:
    mounted = {line.split()[1] for line in here.exec(["cat", "/proc/mounts"]).splitlines()}
    # /data and /etc/resolv.conf are on the device of what is around them.
    yes = ["/", "/proc", "/dev", "/run", "/tmp", "/data", "/etc/resolv.conf"]
    no = ["/etc", "/srv", "/run/app", "/usr/lib", "/data/shelf", "/etc/hostname", "/nowhere"]
    assert mounted.issuperset(yes)
    assert mounted.isdisjoint(no)
    assert [path for path in yes + no if (root / path).is_mount()] == yes


def test_a_socket_inside_is_connected_to(here: RuncContainer, root: RootedPath) -> None:
    name = f"{type(root.root_handle.resolver).__name__}.sock"
    with here.listen(f"/run/{name}") as listener:
        path = root / "var/run" / name
        assert path.is_socket()
        with path.connect() as ours:
            theirs, _ = listener.accept()
            with theirs:
                ours.sendall(b"who is there")
                assert theirs.recv(64) == b"who is there"
                theirs.sendall(b"the container")
                assert ours.recv(64) == b"the container"


@pytest.mark.usefixtures("no_leak")
def test_no_descriptor_is_left(here: RuncContainer, resolver: Literal["openat2", "walk"]) -> None:
    with Root.of_process(here.pid, resolver=resolver) as held:
        root = RootedPath(held)
        list(root.glob("*/*.conf"))
        for path in FILES + OUTSIDE:
            (root / path).exists()
            (root / path).resolve()


def procpath(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "procpath", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )


def printed(*arguments: str) -> str:
    done = procpath(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_cat_prints_what_cat_prints_inside(here: RuncContainer) -> None:
    assert printed("cat", f"{here.pid}:/var/run/x") == here.exec(["cat", "/var/run/x"])


def test_ls_prints_the_names_that_are_inside(here: RuncContainer) -> None:
    inside = here.exec(["ls", "/var/run/"]).split()
    assert printed("ls", f"{here.pid}:/var/run").split() == inside


def test_resolve_prints_what_readlink_prints_inside(here: RuncContainer) -> None:
    for path in ["/var/run/x", "/srv/current", "/srv/climb"]:
        assert printed("resolve", f"{here.pid}:{path}") == here.exec(["readlink", "-f", path])


def test_resolve_trace_shows_each_link_and_the_end(here: RuncContainer) -> None:
    trace = printed("resolve", "--trace", f"{here.pid}:/srv/current")
    for link in ["/srv/stock", "/etc/alternatives/stock", "/var/lib/cellar/stock"]:
        assert link in trace
    assert trace.splitlines()[-1].split()[-1] == "/var/lib/cellar/stock"


def roots(*arguments: str) -> str:
    """What it prints; it may say on stderr which of the machine's processes it left out."""
    done = procpath("roots", *arguments)
    assert done.returncode == 0
    return done.stdout


def test_roots_shows_each_container_once(
    container: RuncContainer, mapped_container: RuncContainer
) -> None:
    second = container.spawn(["sleep", "600"])
    try:
        table = roots().splitlines()
        listed = json.loads(roots("--json"))
    finally:
        container.end(second)
    for one in (container, mapped_container):
        [line] = [line for line in table if str(one.pid) in line.split()]
        assert "sleep" in line
        assert "Cellar Linux 7" in line
    assert not any(str(second) in line.split() for line in table)
    assert {container.pid, mapped_container.pid} <= {entry["pid"] for entry in listed}


def test_held_root_outlives_a_killed_container(
    start_container: Callable[[], RuncContainer], resolver: Literal["openat2", "walk"]
) -> None:
    container = start_container()
    with Root.of_process(container.pid, resolver=resolver) as held:
        root = RootedPath(held)
        assert (root / "etc/os-release").read_text() == OS_RELEASE
        container.kill()
        # A zombie has its /proc/PID still; reaped, it is nobody.
        _assert_held_and_gone(root, container.pid)
        container.reap()
        _assert_held_and_gone(root, container.pid)
        # The mounts would come apart with their namespace, were it not held too.
        assert (root / "run/x").read_text() == "inside the tmpfs\n"


def _assert_held_and_gone(root: RootedPath, pid: int) -> None:
    assert (root / "etc/os-release").read_text() == OS_RELEASE
    assert str((root / "srv/current").resolve()) == "/var/lib/cellar/stock"
    assert (root / "home/alice/diary").owner() == "alice-within"
    with pytest.raises(ProcessGoneError, match=str(pid)):
        RootedPath(pid)
    refused = procpath("cat", f"{pid}:/etc/os-release")
    assert (refused.returncode, refused.stdout) == (1, "")
    [line] = refused.stderr.splitlines()
    assert str(pid) in line
