"""The layers of a lookup one by one: each still refuses when those before it are taken away.

A held descriptor whose number was given to something else makes the kernel's refusal to cross
mounts useless; an attacker who is faster than one check must meet the next.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.attacks import LIE, bind, fifo, lying_directory, lying_link, mount_over_link, own
from helpers.processes import end_after, first_of_a_pid_namespace, living
from helpers.seccomp import NO_MOUNT_IDS, NO_OPENAT2, forbid
from helpers.support import private_mounts, run_in_child
from procpath import linux, uapi
from procpath.errors import MagicLinkError, UnverifiedProcError
from procpath.proc import VerifiedProc, checks
from procpath.proc.lookup import Lookup
from procpath.uapi import FIND_DIRECTORY_NOFOLLOW, FIND_NOFOLLOW

LOOK = os.O_PATH | os.O_NOFOLLOW
UMOUNT_NOFOLLOW = 8  # umount2(2)
LOOKUPS = {"openat2": {}, "mount numbers": NO_OPENAT2, "listings": NO_MOUNT_IDS}


def lookup_in_proc() -> Lookup:
    root = linux.openat(uapi.AT_FDCWD, "/proc", FIND_DIRECTORY_NOFOLLOW)
    return Lookup(root, "/proc", detached=False)


@pytest.mark.parametrize("way", LOOKUPS)
@pytest.mark.parametrize(
    ("name", "flags", "kind", "finding"),
    [
        (".", FIND_DIRECTORY_NOFOLLOW, checks.DIRECTORY, "inode number is 1|a mount point"),
        ("self", FIND_NOFOLLOW, checks.PROCESS, "type is"),
        ("{pid}/ns", FIND_DIRECTORY_NOFOLLOW, checks.FD, "mode is"),
        ("{pid}/task", FIND_DIRECTORY_NOFOLLOW, checks.FDINFO, "number of links is"),
        ("{pid}/fd", FIND_DIRECTORY_NOFOLLOW, checks.PROCESS, "number of links is"),
    ],
)
def test_entry_of_another_kind_is_refused(
    name: str, flags: int, kind: checks.Kind, finding: str, way: str
) -> None:
    def inside() -> None:
        forbid(LOOKUPS[way])
        lookup = lookup_in_proc()
        lookup.open(lookup.root.value, name.format(pid=os.getpid()), flags, kind, "/proc/somewhere")

    with pytest.raises(UnverifiedProcError, match=finding) as raised:
        run_in_child(inside)
    assert raised.value.filename == "/proc/somewhere"


@pytest.mark.parametrize("way", LOOKUPS)
def test_descriptor_of_another_directory_is_refused(way: str) -> None:
    """Daemons close every descriptor; what then gets the number is not procfs's directory."""

    def inside() -> None:
        forbid(LOOKUPS[way])
        proc = VerifiedProc(source="mounted")
        process = proc.process()
        replace(process.fileno(), lying_directory())
        with pytest.raises(UnverifiedProcError, match="device is"):
            process.read_text("status")
        replace(proc.fileno(), "/proc/self/task")
        with pytest.raises((UnverifiedProcError, FileNotFoundError)):
            proc.open("version")

    run_in_child(inside)


def replace(fd: int, path: str) -> None:
    other = os.open(path, os.O_PATH | os.O_DIRECTORY)
    os.dup2(other, fd, inheritable=False)
    os.close(other)


def test_reopening_through_another_process_is_refused(tmp_path: Path) -> None:
    """Its links are as real as ours, and lead to other files: only the object itself shows it."""
    (tmp_path / "ours").write_text("ours")
    (tmp_path / "theirs").write_text("theirs")

    def open_theirs() -> None:
        os.dup2(os.open(tmp_path / "theirs", os.O_RDONLY), 700)

    def inside(pid: int) -> None:
        os.dup2(os.open(tmp_path / "ours", os.O_RDONLY), 700)
        own_fd = VerifiedProc(source="mounted").self_fd()
        os.close(own_fd.reopen(700, os.O_RDONLY))
        replace(own_fd.fileno(), f"/proc/{pid}/fd")
        own_fd.reopen(700, os.O_RDONLY)

    with living(open_theirs) as pid:
        with pytest.raises(UnverifiedProcError, match="another object"):
            run_in_child(inside, pid)


def test_reopening_checks_the_link_first() -> None:
    def inside() -> str:
        directory = lying_directory() + "/fd"
        own_fd = VerifiedProc(source="mounted").self_fd()
        replace(own_fd.fileno(), directory)
        with pytest.raises(UnverifiedProcError):
            own_fd.reopen(0, os.O_WRONLY | os.O_TRUNC)
        return Path(directory, "0").read_text()

    assert run_in_child(inside) == LIE


def act_before_opening(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], None]) -> None:
    """A race that the attacker wins every time: ``act`` comes right before ``name`` is opened
    for more than to be looked at.
    """
    real_openat = linux.openat

    def late_openat(dirfd: int, path: Any, flags: int, *args: Any) -> linux.Descriptor:
        if path == name and flags & LOOK != LOOK:
            act()
        return real_openat(dirfd, path, flags, *args)

    monkeypatch.setattr(linux, "openat", late_openat)


@pytest.mark.parametrize("way", LOOKUPS)
def test_link_covered_before_it_is_opened_is_refused(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def inside() -> int:
        forbid(LOOKUPS[way])
        process = VerifiedProc(source="mounted").process()
        os.close(process.open_link("exe", os.O_RDONLY))
        link = lying_link()
        act_before_opening(monkeypatch, "exe", lambda: mount_over_link(link, own("exe")))
        first = os.dup(0)
        os.close(first)
        with pytest.raises(UnverifiedProcError):
            process.open_link("exe", os.O_RDONLY)
        last = os.dup(0)
        return last - first

    assert private_mounts(inside) == 0


@pytest.mark.parametrize("way", LOOKUPS)
def test_link_covered_while_followed_is_followed_again(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attacker is gone before anybody can look: only the count of changes shows it."""

    def inside() -> tuple[bool, int]:
        forbid(LOOKUPS[way])
        process = VerifiedProc(source="mounted").process()
        truth = os.stat("/proc/self/exe")
        link, followed = lying_link(), 0
        real_openat = linux.openat

        def attacked_openat(dirfd: int, path: Any, flags: int, *args: Any) -> linux.Descriptor:
            nonlocal followed
            if path != "exe" or flags & LOOK == LOOK:
                return real_openat(dirfd, path, flags, *args)
            followed += 1
            if followed > 3:
                return real_openat(dirfd, path, flags, *args)
            mount_over_link(link, own("exe"))
            try:
                return real_openat(dirfd, path, flags, *args)
            finally:
                linux.umount2(own("exe").encode(), uapi.MNT_DETACH | UMOUNT_NOFOLLOW)

        monkeypatch.setattr(linux, "openat", attacked_openat)
        fd = process.open_link("exe", os.O_PATH)
        return os.path.samestat(os.fstat(fd), truth), followed

    assert private_mounts(inside) == (True, 4)


def test_covered_link_is_not_opened() -> None:
    """Opening a FIFO waits for ever, and a device may do something."""

    def inside() -> None:
        mount_over_link(fifo(), own("exe"))
        end_after(10)
        VerifiedProc(source="mounted").process().open_link("exe", os.O_RDONLY)

    with pytest.raises(UnverifiedProcError):
        private_mounts(inside)


def test_procfs_that_lacks_us_is_not_used_mounted() -> None:
    """Whether its links are covered meanwhile, only a mountinfo of ours shows it."""

    def inside() -> bool:
        place = tempfile.mkdtemp()
        with first_of_a_pid_namespace(place):
            with pytest.raises(UnverifiedProcError, match="cannot be watched"):
                VerifiedProc(place, source="mounted")
            with VerifiedProc(place) as proc, proc.process(1) as process:
                os.close(process.open_link("exe", os.O_PATH))
                return proc.source == "open_tree"

    assert private_mounts(inside)


def test_link_covered_each_time_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def inside() -> None:
        process = VerifiedProc(source="mounted").process()
        place = tempfile.mkdtemp()

        def disturb() -> None:
            linux.mount(b"tmpfs", place.encode(), b"tmpfs")
            linux.umount2(place.encode(), uapi.MNT_DETACH)

        act_before_opening(monkeypatch, "exe", disturb)
        process.open_link("exe", os.O_RDONLY)

    with pytest.raises(UnverifiedProcError, match="mounts kept changing"):
        private_mounts(inside)


def test_covering_and_uncovering_a_link_gets_nothing() -> None:
    def victim() -> Counter[str]:
        link, place = lying_link(), own("exe")
        truth = os.stat("/proc/self/exe")
        attacker = os.fork()
        if attacker == 0:
            try:
                while True:
                    mount_over_link(link, place)
                    linux.umount2(place.encode(), uapi.MNT_DETACH | UMOUNT_NOFOLLOW)
            finally:
                os._exit(1)
        try:
            process = VerifiedProc(source="mounted").process()
            counts: Counter[str] = Counter()
            end = time.monotonic() + 20
            while min(counts["truth"], counts["refusal"]) < 30 and time.monotonic() < end:
                try:
                    fd = process.open_link("exe", os.O_PATH)
                except UnverifiedProcError:
                    counts["refusal"] += 1
                else:
                    counts["truth" if os.path.samestat(os.fstat(fd), truth) else "lie"] += 1
                    os.close(fd)
            return counts
        finally:
            os.kill(attacker, signal.SIGKILL)
            os.waitpid(attacker, 0)

    counts = private_mounts(victim)
    assert counts["lie"] == 0
    # It was a race: both happened.
    assert counts["truth"] >= 1
    assert counts["refusal"] >= 1


@pytest.mark.parametrize("what", [fifo, lambda: "/dev/zero"], ids=["FIFO", "device"])
@pytest.mark.parametrize("way", ["mount numbers", "listings"])
def test_file_covered_between_two_looks_is_refused(
    way: str, what: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def inside() -> None:
        forbid(LOOKUPS[way])
        process = VerifiedProc(source="mounted").process()
        covering = what()
        act_before_opening(monkeypatch, "status", lambda: bind(covering, own("status")))
        end_after(10)
        process.read_text("status")

    with pytest.raises(UnverifiedProcError):
        private_mounts(inside)


@pytest.mark.parametrize("way", LOOKUPS)
def test_files_are_handed_out_blocking(way: str) -> None:
    def inside() -> bool:
        forbid(LOOKUPS[way])
        with VerifiedProc(source="mounted") as proc, proc.open("version") as version:
            return os.get_blocking(version.fileno())

    assert run_in_child(inside)


@pytest.mark.parametrize("way", LOOKUPS)
def test_link_in_the_middle_is_never_followed(way: str) -> None:
    def inside() -> None:
        forbid(LOOKUPS[way])
        lookup = lookup_in_proc()
        for name in ("self/status", f"{os.getpid()}/root/etc/passwd", f"{os.getpid()}/cwd/x"):
            with pytest.raises(MagicLinkError):
                lookup.open(lookup.root.value, name, os.O_RDONLY, checks.FILE, "/proc/somewhere")

    run_in_child(inside)
