"""Every public operation, on both resolvers, with every move at every place between its calls.

The long form has every placement of one move; the short one has every operation and place, and
each move with some of the operations. Pairs of moves are chosen at random.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from errno import (
    EACCES,
    EAGAIN,
    EBUSY,
    ECONNREFUSED,
    EEXIST,
    EINTR,
    EINVAL,
    EIO,
    ELOOP,
    EMFILE,
    ENOENT,
    ENOMEM,
    ENOSYS,
    ENOTDIR,
    ENOTEMPTY,
    EOPNOTSUPP,
    EPERM,
    ESTALE,
    EXDEV,
)
from pathlib import Path
from typing import TypeVar

import pytest

from attackers.scene import CANARY as CANARY_NAME
from attackers.writings import WRITINGS, Writing
from helpers import figures
from helpers.forms import by_form, one_in
from procpath import ClosedRootError
from procpath.errors import SpecialFileError
from procpath.testing.races import Fail, MoveBack, MoveOut, Outcome, Signal, explore
from procpath.testing.races.exploration import play_on
from procpath.testing.races.stage import Stage
from races.proof.stage import (
    OPERATIONS,
    RETURN_NUMBERS,
    Interrupted,
    Operation,
    Resolver,
    closing,
    interrupting,
    moves_against,
    tree_for,
    victim,
    watched_closes,
)

T = TypeVar("T")

pytestmark = pytest.mark.slow

RESOLVERS: tuple[Resolver, ...] = ("walk", "openat2")
CASES = [(name, resolver) for name in OPERATIONS for resolver in RESOLVERS]

# Not ENOENT: the C library takes it for the end of a directory, and Remove() has it elsewhere.
ERRNOS = [EACCES, EIO, EINTR, ESTALE, EMFILE, ENOMEM, EPERM, ENOSYS, EAGAIN, ENOTDIR, ELOOP]

POSSIBLE = {ENOENT, ENOTDIR, ELOOP, EAGAIN, EEXIST, ENOTEMPTY, ESTALE, EBUSY, EXDEV}
"""errnos of any operation whose path is moved, linked or mounted on"""

POSSIBLE_OF = {
    "connect": {ECONNREFUSED},  # nobody listens
    "readlink": {EINVAL},
    "lchmod": {EOPNOTSUPP},  # of a link, until Linux 6.6
}

ANSWERS_LESS = {"trace", "try_find", "walk", "glob", "rglob", "resolve", "iterdir"}
"""members that pass over what they cannot read, or whose answer says that they could not"""


def rotated(cases: Sequence[T], number: int, step: int) -> Sequence[T]:
    """Return one in ``step`` of the cases, others for the next ``number``."""
    return cases[number % step :: step]


def is_answer_under_attack(error: object, operation: Operation) -> bool:
    """Whether it is an answer, or an error with which the operation may fail under attack."""
    if not isinstance(error, BaseException):
        return True
    if operation.entry == "etc" and isinstance(error, (KeyError, RuntimeError)):
        return True  # no such account, where there is no /etc/passwd
    if operation.entry == "etc" and isinstance(error, OSError) and error.errno == EINVAL:
        return True  # the file of the accounts is a FIFO
    return isinstance(error, SpecialFileError) or (
        isinstance(error, OSError)
        and error.errno in POSSIBLE | POSSIBLE_OF.get(operation.member, set())
    )


def without_inodes(answer: object) -> object:
    """Return the answer of another run, in which files have other numbers."""
    if isinstance(answer, BaseException):
        return repr(answer)
    if isinstance(answer, os.stat_result):
        return answer.st_mode, answer.st_size
    return [without_inodes(one) for one in answer] if isinstance(answer, list) else answer


def require_right(
    outcomes: Iterable[Outcome], is_right: Callable[[object], bool], *, leaks: bool = False
) -> None:
    """Fail if a victim got out, hung, left a descriptor open, or its answer or error is wrong."""
    for outcome in outcomes:
        shown = str(outcome)
        assert not outcome.escaped, shown
        assert isinstance(outcome.result, tuple), shown
        answer, left_open = outcome.result
        assert leaks or left_open == [], shown
        # An error has the path that was asked.
        assert isinstance(answer, BaseException) or CANARY_NAME not in str(answer), shown
        assert is_right(answer), shown


def give(request: pytest.FixtureRequest, row: str, amount: int, seconds: float) -> None:
    amounts = {"placements": amount, "seconds": seconds}
    figures.give(request.node, "races that replay", row, amounts)


@pytest.mark.parametrize(("name", "resolver"), CASES)
def test_no_move_leads_an_operation_out(
    request: pytest.FixtureRequest, host: Path, name: str, resolver: Resolver
) -> None:
    operation = OPERATIONS[name]
    moves = moves_against(operation)
    some = rotated(moves, CASES.index((name, resolver)), 7)
    explored = explore(
        victim(name, resolver, host), tree_for(operation), by_form(some, moves, moves)
    )
    alone = next(iter(explored)).result
    assert name == "connect" or not isinstance(alone[0], BaseException), alone
    require_right(explored, lambda answer: is_answer_under_attack(answer, operation))
    give(request, "one move", len(explored), explored.seconds)


@pytest.mark.parametrize(("name", "resolver"), by_form(CASES[::14], CASES[::5], CASES))
def test_no_two_moves_lead_an_operation_out(
    request: pytest.FixtureRequest, host: Path, name: str, resolver: Resolver
) -> None:
    operation = OPERATIONS[name]
    tree, moves = tree_for(operation), moves_against(operation)
    moves += [MoveBack(move.path) for move in moves if isinstance(move, MoveOut)]
    attacked = victim(name, resolver, host)
    calls = len(explore(attacked, tree, []).calls)
    chance = random.Random(name)
    schedules = [
        sorted(
            [(chance.randint(1, calls), chance.choice(moves)) for _ in range(2)],
            key=lambda placed: placed[0],
        )
        for _ in range(by_form(20, 20, 200))
    ]
    begun = time.monotonic()
    with Stage(tree) as stage:
        require_right(
            (play_on(stage, attacked, schedule) for schedule in schedules),
            lambda answer: is_answer_under_attack(answer, operation),
        )
    give(request, "two moves", len(schedules), time.monotonic() - begun)


@pytest.mark.parametrize(("name", "resolver"), one_in(4, CASES))
def test_a_call_that_fails_is_an_error_or_the_right_answer(
    request: pytest.FixtureRequest, host: Path, name: str, resolver: Resolver
) -> None:
    operation = OPERATIONS[name]
    errnos = rotated(ERRNOS, CASES.index((name, resolver)), by_form(len(ERRNOS), 6, 1))
    tree, asked = tree_for(operation), victim(name, resolver, host)
    begun = time.monotonic()
    with Stage(tree) as stage:
        alone = play_on(stage, asked, ())
        right, made = without_inodes(alone.result[0]), stage.captured()
        schedules = [
            [(before, Fail(number))]
            for before in range(1, len(alone.calls) + 1)
            for number in errnos
        ]
        for schedule in schedules:
            outcome = play_on(stage, asked, schedule)
            require_right(
                [outcome],
                lambda answer: (
                    isinstance(answer, BaseException)
                    or without_inodes(answer) == right
                    or operation.member in ANSWERS_LESS
                ),
            )
            error = outcome.result[0]
            if isinstance(error, BaseException):
                allowed = isinstance(error, OSError) or is_answer_under_attack(error, operation)
                assert allowed, str(outcome)
            else:
                assert stage.captured() == made, str(outcome)
    give(request, "failing calls", len(schedules), time.monotonic() - begun)


@pytest.mark.parametrize(("name", "resolver"), one_in(4, CASES))
def test_a_root_closed_between_two_calls_never_answers_from_outside(
    request: pytest.FixtureRequest, host: Path, name: str, resolver: Resolver
) -> None:
    operation = OPERATIONS[name]
    with watched_closes() as wrong:
        explored = explore(
            victim(name, resolver, host, closing), tree_for(operation), [Signal(signal.SIGUSR1)]
        )
        right = without_inodes(next(iter(explored)).result[0])
        require_right(
            explored,
            lambda answer: isinstance(answer, ClosedRootError) or without_inodes(answer) == right,
        )
    assert wrong == []
    give(request, "closing", len(explored), explored.seconds)


@pytest.mark.parametrize(("name", "resolver"), one_in(4, CASES))
def test_an_interrupt_between_two_calls_leaves_nothing_open(
    request: pytest.FixtureRequest, host: Path, name: str, resolver: Resolver
) -> None:
    tree, asked = tree_for(OPERATIONS[name]), victim(name, resolver, host, interrupting)
    outcomes = []
    begun = time.monotonic()
    # Between calls on descriptors and before each close too: so many that CI has some.
    with Stage(tree) as stage, watched_closes(all_count=True) as wrong:
        alone = play_on(stage, asked, ())
        # The first are of the child itself, before the victim ignores signals.
        first = next(n for n, call in enumerate(alone.calls, 1) if call.name != "close")
        places = range(first, len(alone.calls) + 1)
        for before in rotated(places, CASES.index((name, resolver)), by_form(6, 4, 1)):
            outcomes.append(play_on(stage, asked, [(before, Signal(signal.SIGALRM))]))
    right = without_inodes(alone.result[0])
    require_right(
        outcomes,
        lambda answer: isinstance(answer, Interrupted) or without_inodes(answer) == right,
        leaks=name in RETURN_NUMBERS,
    )
    assert wrong == []
    # After its only call an operation may be over before the handler runs.
    assert len(outcomes) <= 6 or any(isinstance(one.result[0], Interrupted) for one in outcomes)
    give(request, "interrupts", len(outcomes), time.monotonic() - begun)


# A directory outside has a canary in it, so that rmdir() has no success there.
PLAIN = [writing for writing in WRITINGS.values() if writing.member != "rmdir"]


@pytest.mark.parametrize("writing", PLAIN, ids=lambda writing: writing.name)
def test_the_same_by_host_paths_is_led_out(writing: Writing) -> None:
    """That the moves are worth something: pathlib and shutil fall for them."""

    def plain(directory: Path) -> None:
        with suppress(OSError, shutil.Error):
            writing.plain(directory / "work/dir")

    explored = explore(plain, tree_for(writing), moves_against(writing))
    assert next(explored.failures, None) is not None, str(explored)
