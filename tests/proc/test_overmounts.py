"""The real attacks on a procfs, in mount namespaces of their own: each is found, by each way of
looking a name up, and none of them reaches a procfs that we have for ourselves.
"""

from __future__ import annotations

import errno
import os
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from helpers.attacks import (
    ATTACKS,
    WHOLE_PROC,
    ask_fd,
    ask_fdinfo,
    ask_maps,
    ask_number,
    ask_status,
    bind,
    lying_file,
    mount_over_link,
    mount_tmpfs,
)
from helpers.forms import by_form
from helpers.processes import living
from helpers.seccomp import NO_MOUNT_IDS, NO_OPENAT2, forbid
from helpers.support import private_mounts
from procpath import linux, uapi
from procpath.errors import UnverifiedProcError
from procpath.proc import VerifiedProc

pytestmark = pytest.mark.root

LOOKUPS = {"openat2": {}, "mount numbers": NO_OPENAT2, "listings": NO_MOUNT_IDS}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("lookup", LOOKUPS)
def test_overmount_is_refused_on_the_mounted_procfs(attack: str, lookup: str) -> None:
    def victim() -> None:
        ATTACKS[attack].mount()
        forbid(LOOKUPS[lookup])
        with VerifiedProc(source="mounted") as proc:
            ATTACKS[attack].ask(proc)

    with pytest.raises(UnverifiedProcError) as raised:
        private_mounts(victim)
    assert raised.value.errno == errno.ENOTSUP
    assert raised.value.strerror
    assert str(raised.value.filename).startswith("/proc/")


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("source", ["auto", "open_tree"])
def test_overmount_does_not_reach_a_procfs_of_our_own(attack: str, source: Any) -> None:
    def victim() -> tuple[object, object, str]:
        question = ATTACKS[attack]
        with VerifiedProc(source=source) as untouched:
            truth = question.ask(untouched)
        question.mount()
        with VerifiedProc(source=source) as proc:
            return truth, question.ask(proc), proc.source

    truth, answer, used = private_mounts(victim)
    assert answer == truth
    assert used == ("fsopen" if source == "auto" else source)


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_attack_really_mounts_something_in_proc(
    attack: str,
) -> None:
    """A check on the attacks themselves: each really mounts something in ``/proc``."""

    def victim() -> tuple[list[str], list[str]]:
        before = mounts_in_proc()
        ATTACKS[attack].mount()
        return before, mounts_in_proc()

    before, after = private_mounts(victim)
    assert len(after) == len(before) + 1


def mounts_in_proc() -> list[str]:
    # The private instance, for the attack may be on this very file.
    with VerifiedProc(source="fsopen") as proc, proc.open("self/mountinfo") as mountinfo:
        points = [line.split()[4] for line in mountinfo]
    return [point for point in points if point.startswith("/proc/")]


@pytest.mark.machine_root
@pytest.mark.parametrize("attack", WHOLE_PROC)
@pytest.mark.parametrize("source", ["mounted", "open_tree"])
@pytest.mark.parametrize("statx", ["statx", "no statx"])
def test_something_else_in_place_of_proc_is_refused(attack: str, source: Any, statx: str) -> None:
    def victim() -> None:
        WHOLE_PROC[attack]()
        forbid({} if statx == "statx" else NO_MOUNT_IDS)
        VerifiedProc(source=source)

    with pytest.raises(UnverifiedProcError) as raised:
        private_mounts(victim)
    assert raised.value.filename == "/proc"


@pytest.mark.machine_root
@pytest.mark.parametrize("attack", WHOLE_PROC)
def test_new_instance_where_proc_is_something_else(attack: str) -> None:
    def victim() -> bool:
        WHOLE_PROC[attack]()
        with VerifiedProc() as proc:
            return ask_status(proc) == ask_number(proc) == os.getpid() and ask_maps(proc)

    assert private_mounts(victim)


def test_failing_check_is_not_fallen_back_from() -> None:
    """A clone of what is not procfs fails its check, and ``auto`` says so at once."""

    def victim() -> None:
        mount_tmpfs("/proc")
        forbid({"fsopen": errno.ENOSYS})
        VerifiedProc()

    with pytest.raises(UnverifiedProcError, match="superblock magic"):
        private_mounts(victim)


def without_proc() -> None:
    linux.umount2(b"/proc", uapi.MNT_DETACH)


def test_no_proc_at_all_is_no_matter_to_a_new_instance() -> None:
    def victim() -> tuple[bool, str]:
        without_proc()
        with VerifiedProc() as proc:
            return ask_status(proc) == os.getpid(), ask_fd(proc)

    assert private_mounts(victim) == (True, str(ask_fd.__globals__["__file__"]))


@pytest.mark.machine_root
@pytest.mark.parametrize("source", ["mounted", "open_tree"])
def test_no_proc_at_all_is_refused(source: Any) -> None:
    def victim() -> None:
        without_proc()
        VerifiedProc(source=source)

    with pytest.raises(UnverifiedProcError, match="superblock magic"):
        private_mounts(victim)


def test_missing_directory_is_file_not_found(tmp_path: Any) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        VerifiedProc(tmp_path / "none")
    assert raised.value.filename == str(tmp_path / "none")


def test_link_to_a_procfs_is_refused(tmp_path: Any) -> None:
    (tmp_path / "proc").symlink_to("/proc")
    with pytest.raises(NotADirectoryError):
        VerifiedProc(tmp_path / "proc")


@pytest.mark.parametrize("entry", ["fd", "fdinfo"])
@pytest.mark.parametrize("lookup", LOOKUPS)
def test_mount_over_one_descriptors_entry_is_refused(entry: str, lookup: str) -> None:
    """By us or by the kernel, which lets nothing be mounted there since Linux 6.12."""

    def victim() -> str:
        keep = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            mount_over_link(lying_file(), f"/proc/{os.getpid()}/{entry}/{keep}")
        except FileNotFoundError:
            return "refused by the kernel"
        forbid(LOOKUPS[lookup])
        proc = VerifiedProc(source="mounted")
        with pytest.raises(UnverifiedProcError):
            proc.self_fd().readlink(keep) if entry == "fd" else proc.self_fdinfo(keep)
        if entry == "fd":
            with pytest.raises(UnverifiedProcError):
                proc.self_fd().reopen(keep, os.O_RDONLY)
        return "refused by us"

    release = tuple(map(int, os.uname().release.split(".")[:2]))
    expected = "refused by the kernel" if release >= (6, 12) else "refused by us"
    assert private_mounts(victim) == expected


def test_held_directory_is_not_covered_later() -> None:
    """What is held is the directory that was verified, whatever is mounted over it later."""

    def victim() -> tuple[object, ...]:
        proc = VerifiedProc(source="mounted")
        before = ask_fd(proc), ask_fdinfo(proc)
        mount_tmpfs(f"/proc/{os.getpid()}/fd")
        mount_tmpfs(f"/proc/{os.getpid()}/fdinfo")
        mount_tmpfs(f"/proc/{os.getpid()}")
        mount_tmpfs("/proc")
        return before, (ask_fd(proc), ask_fdinfo(proc))

    before, after = private_mounts(victim)
    assert after == before


def test_overmounted_directory_on_the_way_is_named() -> None:
    def victim() -> None:
        bind("/proc/sys", "/proc/sys")
        VerifiedProc(source="mounted").open("sys/fs/protected_symlinks")

    with pytest.raises(UnverifiedProcError, match="mounted over 'sys'") as raised:
        private_mounts(victim)
    assert raised.value.filename == "/proc/sys/fs/protected_symlinks"


def test_overmount_leaves_other_entries_readable() -> None:
    """Masked and read-only entries are what every container has: only they are refused."""

    def victim() -> tuple[str, bool]:
        bind("/proc/sys", "/proc/sys")
        bind("/dev/null", "/proc/cmdline")
        bind(lying_file(), "/proc/uptime")
        proc = VerifiedProc(source="mounted")
        with proc.open("version") as version:
            return version.read(5), ask_status(proc) == os.getpid()

    assert private_mounts(victim) == ("Linux", True)


def test_procfs_in_another_place_is_used_where_it_is() -> None:
    def victim() -> list[tuple[str, bool]]:
        place = tempfile.mkdtemp()
        bind("/proc", place)
        mount_tmpfs("/proc")
        found = []
        for source in ("auto", "open_tree", "mounted"):
            with VerifiedProc(place, source=source) as proc:
                found.append((proc.source, ask_status(proc) == os.getpid()))
        return found

    assert private_mounts(victim) == [("open_tree", True), ("open_tree", True), ("mounted", True)]


@pytest.mark.parametrize("calls", LOOKUPS.values(), ids=LOOKUPS)
def test_every_question_is_answered_without_mounts(calls: Mapping[str, int]) -> None:
    """No check refuses what is real, on any of the ways down."""

    def reader() -> tuple[list[object], list[object]]:
        with VerifiedProc(source="fsopen") as own:
            truth = [attack.ask(own) for attack in ATTACKS.values()]
        forbid(calls)
        with VerifiedProc(source="mounted") as proc:
            return truth, [attack.ask(proc) for attack in ATTACKS.values()]

    truth, answers = private_mounts(reader)
    assert answers == truth


@pytest.mark.parametrize("pids", ["own PIDs", "our PIDs"])
@pytest.mark.parametrize("lookup", LOOKUPS)
def test_procfs_of_a_container_is_refused(lookup: str, pids: str) -> None:
    """Whoever owns the container mounts over its entries without our noticing."""

    def container() -> None:
        linux.unshare(uapi.CLONE_NEWNS)
        linux.mount(None, b"/", None, uapi.MS_REC | uapi.MS_PRIVATE)
        linux.mount(b"tmpfs", b"/mnt", b"tmpfs")
        os.mkdir("/mnt/proc")
        if pids == "own PIDs":
            linux.mount(b"proc", b"/mnt/proc", b"proc")
        else:
            linux.mount(b"/proc", b"/mnt/proc", None, uapi.MS_BIND)
        os.chroot("/mnt")

    def inside() -> None:
        if pids == "own PIDs":
            linux.unshare(uapi.CLONE_NEWPID)
        with living(container) as pid:
            forbid(LOOKUPS[lookup])
            VerifiedProc(f"/proc/{pid}/root/proc")

    with pytest.raises(UnverifiedProcError, match=r"(mount|PID) namespace") as raised:
        private_mounts(inside)
    assert str(raised.value.filename).endswith("/root/proc")


def test_no_link_from_another_mount_namespace() -> None:
    """A thread can have one of its own, and watches the mounts of that."""

    def inside() -> tuple[list[BaseException], bool]:
        failures: list[BaseException] = []
        proc = VerifiedProc(source="mounted")
        process = proc.process()

        def apart() -> None:
            linux.unshare(uapi.CLONE_NEWNS)
            try:
                process.open_link("root", os.O_PATH)
            except UnverifiedProcError as error:
                failures.append(error)

        thread = threading.Thread(target=apart)
        thread.start()
        thread.join()
        os.close(process.open_link("root", os.O_PATH))
        return failures, process.is_alive()

    failures, alive = private_mounts(inside)
    assert alive
    (failure,) = failures
    assert "not mounted in the mount namespace of this thread" in str(failure)


REFUSALS = by_form(30, 500, 500)


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_process_bound_over_another_and_detached(lookup: str) -> None:
    """A mount that was detached while it was looked at is a mount point no more."""

    def inside(ours: int, theirs: int) -> tuple[set[int], int]:
        place, source = f"/proc/{ours}".encode(), f"/proc/{theirs}".encode()
        attacker = os.fork()
        if attacker == 0:
            try:
                while True:
                    linux.mount(source, place, None, uapi.MS_BIND)
                    linux.umount2(place, uapi.MNT_DETACH)
            finally:
                os._exit(1)
        try:
            forbid(LOOKUPS[lookup])
            proc = VerifiedProc(source="mounted")
            found: set[int] = set()
            refused = 0
            start = time.monotonic()
            # On a busy machine the attacker may hardly run.
            while refused < REFUSALS and time.monotonic() < start + 30:
                try:
                    with proc.process(ours) as process:
                        found.add(int(process.read_bytes("stat").split()[0]))
                except UnverifiedProcError:
                    refused += 1
            return found, refused
        finally:
            os.kill(attacker, signal.SIGKILL)
            os.waitpid(attacker, 0)

    with living() as ours, living() as theirs:
        found, refused = private_mounts(inside, ours, theirs)
    assert found <= {ours}
    assert refused


def test_process_directory_that_is_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither openat2 nor statx is to be had, by the first field of its stat."""

    def inside(ours: int, theirs: int) -> None:
        forbid(NO_MOUNT_IDS)
        proc = VerifiedProc(source="mounted")
        openat = linux.openat

        def attacked(dirfd: int, path: Any, flags: int, *args: Any) -> linux.Descriptor:
            if path != str(ours):
                return openat(dirfd, path, flags, *args)
            place = f"/proc/{ours}".encode()
            linux.mount(f"/proc/{theirs}".encode(), place, None, uapi.MS_BIND)
            found = openat(dirfd, path, flags, *args)
            linux.umount2(place, uapi.MNT_DETACH)
            return found

        monkeypatch.setattr(linux, "openat", attacked)
        proc.process(ours)

    with living() as ours, living() as theirs:
        with pytest.raises(UnverifiedProcError, match="another process's directory"):
            private_mounts(inside, ours, theirs)
