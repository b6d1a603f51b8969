"""Every placement of an attacker's moves between the system calls of a victim."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import TypeAlias

from procpath.testing.races.calls import Call
from procpath.testing.races.moves import (
    Attacker,
    Fail,
    Mount,
    Move,
    moves_of,
    require_moves,
    undoes,
)
from procpath.testing.races.stage import Stage
from procpath.testing.races.victim import (
    Run,
    Victim,
    VictimHungError,
    require_support,
    require_victim,
    run_victim,
)
from procpath.testing.surroundings import CANARY, CANARY_NAME
from procpath.testing.tree import Tree

Schedule: TypeAlias = Sequence[tuple[int, Move]]
"""Moves, each with the number of the call before which it is made, from 1 on."""

MOST_PLACEMENTS = 20_000
"""of several moves; beyond that, so many are chosen"""


@dataclass(frozen=True)
class Outcome:
    """What came out of one schedule."""

    tree: Tree
    schedule: tuple[tuple[int, Move], ...]
    calls: tuple[Call, ...]
    """the calls of the victim that named something in the tree or around it"""
    result: object
    """what the victim returned or raised; of a program, a CompletedProcess"""
    escaped: tuple[str, ...]
    """in which ways the victim got out; empty if it did not"""
    missed: tuple[Move, ...] = ()
    """moves that could not be made when it was their turn"""
    notes: tuple[str, ...] = ()

    @property
    def hung(self) -> bool:
        """Whether the victim waited for something that did not come.

        Examples:
            >>> moves = [Replace("/conf", Fifo())]
            >>> exploration = explore(["cat", "{root}/conf"], Tree({"/conf": File()}), moves)
            >>> next(exploration.failures).hung
            True
        """
        return isinstance(self.result, VictimHungError)

    def __str__(self) -> str:
        head = "escaped" if self.escaped else "hung" if self.hung else "confined"
        lines = [f"{head}: {reason}" for reason in self.escaped] or [head]
        if _is_failure(self) and not self.schedule:
            lines.insert(0, "without any move: this is not a race")
        lines.append(repr(self.tree))
        for number, call in enumerate(self.calls, 1):
            lines += [self._arrow(move) for before, move in self.schedule if before == number]
            lines.append(f"{number:5}  {call}")
        behind = [move for before, move in self.schedule if before > len(self.calls)]
        lines += [f"       {move!r} comes behind the last call" for move in behind]
        lines += [f"       {note}" for note in self.notes]
        lines.append(f"result: {self.result!r}")
        return "\n".join(lines)

    def _arrow(self, move: Move) -> str:
        return f"  -->  {move!r}" + (" (could not be made)" if move in self.missed else "")


def _is_failure(outcome: Outcome) -> bool:
    return outcome.escaped != () or outcome.hung


def play(victim: Victim, tree: Tree, schedule: Schedule) -> Outcome:
    """Run the victim on a fresh copy of the tree, and make the moves of the schedule."""
    with Stage(tree) as stage:
        return play_on(stage, victim, schedule)


def play_on(stage: Stage, victim: Victim, schedule: Schedule) -> Outcome:
    """Run the victim on a fresh copy of the tree of a stage, which serves many runs."""
    ways: list[str] = []
    missed: list[Move] = []
    place = stage.set()
    attacker = Attacker(place)

    def stopped(number: int, pid: int) -> int | None:
        failing = None
        for before, move in schedule:
            if before != number:
                continue
            if isinstance(move, Fail):
                failing = move.number
                continue
            ways.extend(stage.seen())
            try:
                attacker.make(move, pid)
            except OSError:
                missed.append(move)
            stage.seen()
        return failing

    own_mounts = any(isinstance(move, Mount) for _, move in schedule)
    run = run_victim(victim, place.directory, place.base, stopped, own_mounts=own_mounts)
    ways += stage.seen()
    if any(call.name in ("link", "linkat") for call in run.calls):
        ways += stage.linked()
        stage.seen()  # that it was looked for
    if ways:
        stage.discard()
    attacker.tidy()
    ways += _came_out(run, stage.identities)
    return Outcome(
        stage.tree,
        tuple(schedule),
        tuple(run.calls),
        run.result,
        tuple(dict.fromkeys(ways)),
        tuple(missed),
        tuple(run.notes),
    )


def _came_out(run: Run, canaries: set[tuple[int, int]]) -> list[str]:
    ways = []
    if CANARY.strip() in run.output:
        ways.append("the content of a canary came out")
    if CANARY_NAME.encode() in run.output:
        ways.append("the name of a canary came out")
    if any((status.st_dev, status.st_ino) in canaries for status in _statuses(run.result)):
        ways.append("the status of something outside came out")
    return ways


def _statuses(result: object) -> Iterator[os.stat_result]:
    if isinstance(result, os.stat_result):
        yield result
    elif isinstance(result, Mapping):
        yield from _statuses([*result.keys(), *result.values()])
    elif isinstance(result, (list, tuple, set, frozenset)):
        for one in result:
            yield from _statuses(one)


class Exploration:
    """The outcomes of all placements of moves, made while it is iterated, and kept.

    ``len()`` and ``repr()`` say how many there are before they are run; the first has no move.
    ``calls`` are the victim's when it is left alone, ``sampled`` says whether placements of
    several moves were so many that some were chosen. ``str()`` runs what has not run yet: one
    line if the victim was confined everywhere, else the first outcome where it was not.
    """

    def __init__(self, victim: Victim, tree: Tree, moves: Sequence[Move], most: int) -> None:
        begun = time.monotonic()
        self._victim = victim
        self._tree = tree
        self._outcomes = [play(victim, tree, ())]
        self.calls: tuple[Call, ...] = self._outcomes[0].calls
        self._first = [move for move in moves if undoes(move) is None]
        self._longer: list[Schedule] = []
        """of several moves"""
        self.sampled: bool = False
        for count in range(2, most + 1):
            if _most_placements(len(moves), len(self.calls), count) <= MOST_PLACEMENTS:
                self._longer += _placements(moves, len(self.calls), count)
            else:
                self.sampled = True
                self._longer += _sampled(moves, len(self.calls), count)
        self.seconds: float = time.monotonic() - begun
        """how long the runs took so far"""

    def __len__(self) -> int:
        return 1 + len(self.calls) * len(self._first) + len(self._longer)

    def _schedules(self) -> Iterator[Schedule]:
        yield ()
        for before in range(1, len(self.calls) + 1):
            for move in self._first:
                yield ((before, move),)
        yield from self._longer

    def __iter__(self) -> Iterator[Outcome]:
        with Stage(self._tree) as stage:
            for number, schedule in enumerate(self._schedules()):
                if number == len(self._outcomes):
                    begun = time.monotonic()
                    self._outcomes.append(play_on(stage, self._victim, schedule))
                    self.seconds += time.monotonic() - begun
                yield self._outcomes[number]

    @property
    def failures(self) -> Iterator[Outcome]:
        """The outcomes where the victim escaped or hung, as they are found.

        Examples:
            >>> exploration = explore(["cat", "{root}/conf"], Tree({"/conf": File()}))
            >>> next(exploration.failures).escaped[0]
            'opened {outside}/host/conf'
        """
        return (outcome for outcome in self if _is_failure(outcome))

    def __repr__(self) -> str:
        return f"<Exploration: {self._size()}, {len(self._outcomes):,} run>"

    def __str__(self) -> str:
        failing = next(self.failures, None)
        return str(failing) if failing else f"confined: {self._size()}, {self.seconds:.2f} s"

    def _size(self) -> str:
        chosen = ", chosen among more" if self.sampled else ""
        return f"{len(self.calls):,} calls, {len(self):,} placements{chosen}"


def _placements(moves: Sequence[Move], calls: int, count: int) -> list[Schedule]:
    """Return every placement of ``count`` moves, those with fewer moves before one call first."""
    if count == 0:
        return [()]
    longer: list[Schedule] = []
    for schedule in _placements(moves, calls, count - 1):
        first = schedule[-1][0] if schedule else 1
        made = [move for _, move in schedule]
        for before in range(first, calls + 1):
            longer += [
                (*schedule, (before, move))
                for move in moves
                if undoes(move) is None or undoes(move) in made
            ]
    return longer


def _most_placements(moves: int, calls: int, count: int) -> int:
    """Return an upper bound: the places are chosen with repetition, and in order."""
    return comb(calls + count - 1, count) * int(moves**count)


def _sampled(moves: Sequence[Move], calls: int, count: int) -> list[Schedule]:
    """Return placements chosen at random, but the same every time."""
    chance = random.Random(0)
    chosen: dict[Schedule, None] = {}
    for _ in range(MOST_PLACEMENTS):
        places = sorted(chance.randint(1, calls) for _ in range(count))
        schedule: list[tuple[int, Move]] = []
        for place in places:
            made = [move for _, move in schedule]
            offered = [m for m in moves if undoes(m) is None or undoes(m) in made]
            schedule += [(place, chance.choice(offered))] if offered else []
        chosen[tuple(schedule)] = None
    return list(chosen)


def explore(
    victim: Victim, tree: Tree, moves: Iterable[Move] | None = None, *, most: int = 1
) -> Exploration:
    """Make moves before each of the victim's system calls, in every place there is.

    ``victim`` is called with the directory that holds ``tree``, in a child process; or it is
    the argv of a program, with ``{root}`` for the directory. ``moves`` are those that the
    attacker may make, all that the tree offers if None; up to ``most`` of them are made in
    one run. Only calls that name something in the tree or around it count.

    Raises ValueError for a move that the tree does not offer, and RaceError if races cannot be
    explored here, or not with this victim.

    Examples:
        >>> from procpath.testing import File, Symlink, Tree
        >>> from procpath.testing.races import HOST, Exchange, explore
        >>> def read(directory):
        ...     return (directory / "app/conf").read_bytes()
        >>> tree = Tree({"/app/conf": File(), "/out": Symlink(HOST + "/app")})
        >>> exploration = explore(read, tree, [Exchange("/app", "/out")])
        >>> next(exploration.failures).schedule
        ((1, Exchange('/app', '/out')),)
    """
    chosen = moves_of(tree) if moves is None else list(moves)
    require_moves(tree, chosen)
    if most < 1:
        raise ValueError(f"most={most}: at least one move is made")
    require_victim(victim)
    require_support()
    return Exploration(victim, tree, chosen, most)


def assert_confined(victim: Victim, tree: Tree, schedule: Schedule) -> None:
    """Raise AssertionError if the victim escapes or hangs under ``schedule`` in ``tree``.

    The error shows the calls, and where the attack struck. Moves behind the last call do
    nothing.

    Examples:
        >>> tree = Tree({"/app/conf": File(), "/out": Symlink(HOST + "/app")})
        >>> def read(directory):
        ...     return RootedPath(directory, "app/conf").read_bytes()
        >>> assert_confined(read, tree, [(1, Exchange("/app", "/out"))])
    """
    require_moves(tree, [move for _, move in schedule])
    require_victim(victim)
    require_support()
    outcome = play(victim, tree, schedule)
    if _is_failure(outcome) and schedule:
        alone = play(victim, tree, ())
        if alone.escaped or (alone.hung and outcome.hung):
            outcome = alone
    if _is_failure(outcome):
        raise AssertionError(str(outcome))
