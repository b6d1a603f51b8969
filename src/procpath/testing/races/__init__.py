"""Races that replay: an attacker's moves at every place between a victim's system calls.

A victim is a function or any program. It runs in a child process that stops before each system
call that names a file (seccomp_unotify(2), Linux 5.5; no privilege is needed). There an attacker
inside the root makes a move, and the call goes on. No timing is involved: a schedule says which
move is made before which call, and gives the same outcome every time.

Around the tree lie canaries. A victim that opens, reads, changes or removes one has escaped.

The victim gets no_new_privs, so programs do not become set-user-ID in it, and io_uring fails
with ENOSYS. Threads and child processes of the victim run as they like; the outcome notes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procpath.testing.races.calls import Call
from procpath.testing.races.exploration import (
    Exploration,
    Outcome,
    Schedule,
    assert_confined,
    explore,
)
from procpath.testing.races.moves import (
    Exchange,
    Fail,
    Mount,
    Move,
    MoveBack,
    MoveOut,
    Remove,
    Replace,
    Signal,
    Unmount,
    moves_of,
)
from procpath.testing.races.victim import RaceError, Victim, VictimDiedError, VictimHungError
from procpath.testing.surroundings import CANARY, HOST

if TYPE_CHECKING:
    from procpath.testing.races.strategy import schedules

__all__ = [
    "CANARY",
    "HOST",
    "Call",
    "Exchange",
    "Exploration",
    "Fail",
    "Mount",
    "Move",
    "MoveBack",
    "MoveOut",
    "Outcome",
    "RaceError",
    "Remove",
    "Replace",
    "Schedule",
    "Signal",
    "Unmount",
    "Victim",
    "VictimDiedError",
    "VictimHungError",
    "assert_confined",
    "explore",
    "moves_of",
    "schedules",
]


def _import_name(name: str) -> object:
    if name != "schedules":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from procpath.testing.races.strategy import schedules

    globals()[name] = schedules
    return schedules


if not TYPE_CHECKING:
    # schedules() needs Hypothesis, the rest does not.
    __getattr__ = _import_name
