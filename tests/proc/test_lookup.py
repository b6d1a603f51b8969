"""The layers of a lookup one by one: each still refuses when those before it are taken away.

A held descriptor whose number was given to something else makes the kernel's refusal to cross
mounts useless; an attacker who is faster than one check must meet the next.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proc.attacks import LIE, bind, fifo, lying_directory, lying_link, mount_over_link, own
from proc.processes import living
from proc.seccomp import NO_MOUNT_IDS, NO_OPENAT2, forbid
from procpath.errors import MagicLinkError, UnverifiedProcError
from procpath.proc import VerifiedProc, checks
from procpath.proc.lookup import DIRECTORY_FLAGS, LINK_FLAGS, Held, Lookup
from support import private_mounts, run_in_child

LOOKUPS = {"openat2": {}, "mount numbers": NO_OPENAT2, "listings": NO_MOUNT_IDS}


def lookup_in_proc() -> Lookup:
    root = Held(os.open("/proc", DIRECTORY_FLAGS), "the procfs /proc")
    return Lookup(root, "/proc", detached=False)


@pytest.mark.parametrize("way", LOOKUPS)
@pytest.mark.parametrize(
    ("name", "flags", "kind", "finding"),
    [
        (".", DIRECTORY_FLAGS, checks.DIRECTORY, "inode number is 1|a mount point"),
        ("self", LINK_FLAGS, checks.PROCESS, "type is"),
        ("{pid}/ns", DIRECTORY_FLAGS, checks.FD, "mode is"),
        ("{pid}/task", DIRECTORY_FLAGS, checks.FDINFO, "number of links is"),
        ("{pid}/fd", DIRECTORY_FLAGS, checks.PROCESS, "number of links is"),
    ],
)
def test_entry_of_another_kind_is_refused(
    name: str, flags: int, kind: checks.Kind, finding: str, way: str
) -> None:
    def inside() -> None:
        forbid(LOOKUPS[way])
        lookup = lookup_in_proc()
        lookup.open(
            lookup.root.fileno(), name.format(pid=os.getpid()), flags, kind, "/proc/somewhere"
        )

    with pytest.raises(UnverifiedProcError, match=finding) as raised:
        run_in_child(inside)
    assert raised.value.filename == "/proc/somewhere"


@pytest.mark.parametrize("way", LOOKUPS)
def test_descriptor_that_became_another_directory_is_not_believed(way: str) -> None:
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


def test_reopening_through_another_processes_directory_is_refused(tmp_path: Path) -> None:
    """Its links are as real as ours, and lead to other files: only the object itself tells."""
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


def test_reopening_touches_nothing_before_the_link_is_checked() -> None:
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
    real_open = os.open

    def late_open(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if path == name and not flags & os.O_PATH:
            act()
        return real_open(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", late_open)


@pytest.mark.parametrize("way", LOOKUPS)
def test_link_that_is_covered_between_check_and_open_is_refused(
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


@pytest.mark.parametrize("what", [fifo, lambda: "/dev/zero"], ids=["FIFO", "device"])
@pytest.mark.parametrize("way", ["mount numbers", "listings"])
def test_file_that_is_covered_between_two_looks_neither_hangs_nor_deceives(
    way: str, what: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def inside() -> None:
        forbid(LOOKUPS[way])
        process = VerifiedProc(source="mounted").process()
        covering = what()
        act_before_opening(monkeypatch, "status", lambda: bind(covering, own("status")))
        signal.alarm(10)
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
                lookup.open(lookup.root.fileno(), name, os.O_RDONLY, checks.FILE, "/proc/somewhere")

    run_in_child(inside)
