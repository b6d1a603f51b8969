"""A procfs over whose entries something is mounted, and gone again, while they are read.

The answer is the right one or a refusal, however the lookup finds mounts: by openat2, by mount
numbers, or by listings. Meanwhile plain code believes the liar.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from errno import EBADF, ENOENT
from typing import NamedTuple

import pytest

from attackers.engine import LIMIT, SECONDS
from attackers.races import Round, attacking
from helpers import attacks, seccomp
from helpers.support import open_descriptors, private_mounts
from procpath import UnverifiedProcError, VerifiedProc, linux, uapi

_UMOUNT_NOFOLLOW = 8  # include/linux/fs.h

LOOKUPS = {
    "openat2": {},
    "mount numbers": seccomp.NO_OPENAT2,
    "listings": seccomp.NO_MOUNT_IDS,
}


@dataclass(frozen=True)
class Lie:
    """Something to mount over an entry of this process's directory."""

    entry: str
    source: Callable[[], str]
    ask: attacks.Ask
    plain: Callable[[], object]
    """what plain code has for the same question"""
    over_link: bool = False


def _first_line(entry: str) -> Callable[[], object]:
    def read() -> object:
        with open(attacks.own(entry), "rb") as file:
            return file.readline()

    return read


def _ask_comm(proc: VerifiedProc) -> object:
    with proc.process(os.getpid()) as process:
        return process.read_text("comm")


LIES = {
    "file over status": Lie(
        "status", attacks.lying_file, attacks.ask_status, _first_line("status")
    ),
    "sibling over comm": Lie("comm", lambda: attacks.own("limits"), _ask_comm, _first_line("comm")),
    "another's over status": Lie(
        "status",
        lambda: f"/proc/{os.getppid()}/status",
        attacks.ask_status,
        lambda: [line for line in open(attacks.own("status")) if line.startswith("Pid:")],
    ),
    "directory over fd": Lie(
        "fd",
        attacks.lying_directory,
        attacks.ask_fd,
        lambda: os.path.islink(attacks.own("fd") + "/1"),
    ),
    "another's fdinfo": Lie(
        "fdinfo",
        lambda: f"/proc/{os.getppid()}/fdinfo",
        attacks.ask_fdinfo,
        lambda: os.stat(attacks.own("fdinfo")).st_ino,
    ),
    "link over exe": Lie(
        "exe",
        attacks.lying_link,
        attacks.ask_exe,
        lambda: os.readlink(attacks.own("exe")),
        over_link=True,
    ),
    "directory over all": Lie(
        "", attacks.lying_directory, attacks.ask_status, _first_line("status")
    ),
}


class Outcome(NamedTuple):
    rounds: int
    right: int
    refused: int
    wrong: list[str]
    fooled: int
    """how often plain code was"""
    left_open: dict[int, str]


def _mounting(lie: Lie) -> Round:
    source, target = lie.source(), attacks.own(lie.entry)
    mount = attacks.mount_over_link if lie.over_link else attacks.bind

    def attack() -> None:
        mount(source, target)
        time.sleep(0.0002)
        linux.umount2(os.fsencode(target), uapi.MNT_DETACH | _UMOUNT_NOFOLLOW)

    return attack


def _read_under_attack(lie: Lie, lookup: str) -> Outcome:
    attack = _mounting(lie)
    truth = None
    with VerifiedProc(source="mounted") as proc:
        truth, plain_truth = lie.ask(proc), lie.plain()
    right = refused = fooled = 0
    wrong: list[str] = []
    descriptors = open_descriptors()
    with attacking(attack) as attacker:
        seccomp.forbid(LOOKUPS[lookup])
        begin = time.monotonic()
        while True:
            try:
                # A new one each time: what it has found once it holds, out of reach.
                with VerifiedProc(source="mounted") as proc:
                    answer = lie.ask(proc)
                    right += answer == truth
                    if answer != truth:
                        wrong.append(repr(answer))
            except UnverifiedProcError:
                refused += 1
            except OSError as error:
                # While it is being mounted over, the kernel finds the entry gone for a moment;
                # one of fd and fdinfo that is gone is a bad descriptor.
                if error.errno not in (EBADF, ENOENT):
                    raise
            fooled += lie.plain() != plain_truth
            seconds = time.monotonic() - begin
            if seconds > (3 * SECONDS if right and refused and fooled else LIMIT):
                break
        rounds = attacker.rounds
    left = {fd: what for fd, what in open_descriptors().items() if fd not in descriptors}
    return Outcome(rounds, right, refused, wrong, fooled, left)


@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("lie", LIES)
def test_an_overmount_is_never_believed(lie: str, lookup: str) -> None:
    outcome = private_mounts(_read_under_attack, LIES[lie], lookup)
    assert outcome.wrong == []
    assert outcome.left_open == {}
    assert outcome.right, outcome
    assert outcome.refused, outcome
    assert outcome.fooled, outcome
