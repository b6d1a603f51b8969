"""The Hypothesis strategy for schedules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeGuard, TypeVar

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as _error:
    if _error.name != "hypothesis":
        raise
    raise ImportError("schedules() needs Hypothesis: pip install 'rootedpath[testing]'") from None

from procpath.testing.races.calls import Call
from procpath.testing.races.exploration import play
from procpath.testing.races.moves import Move, Replace, moves_of, require_moves
from procpath.testing.races.victim import Victim, require_support, require_victim
from procpath.testing.surroundings import HOST
from procpath.testing.tree import Symlink, Tree

T = TypeVar("T")


def schedules(
    tree: Tree,
    moves: Iterable[Move] | None = None,
    *,
    victim: Victim | None = None,
    calls: int = 20,
    most: int = 3,
) -> st.SearchStrategy[list[tuple[int, Move]]]:
    """Schedules of up to ``most`` moves before the first ``calls`` calls of a victim.

    ``moves`` are those that the attacker may make, all that ``tree`` offers if None. With a
    ``victim``, it is run once, and the moves are made before its own calls, most of them to what
    the call names. Without it, they are made to what the tree has, early calls more often: that
    finds races in a tree of a few entries, and seldom in a large one. A move behind the victim's
    last call does nothing. Shrinks to one move before the first call.

    Raises ValueError and RaceError as explore() does.

    Examples:
        >>> @given(tree=hostile_trees(max_size=3), data=st.data())
        ... @settings(max_examples=5, deadline=None)
        ... def test_scan_is_confined(tree, data):
        ...     assert_confined(scan, tree, data.draw(schedules(tree, victim=scan)))
        >>> def scan(directory):
        ...     return [entry.stat() for entry in RootedPath(directory).scan()]
        >>> test_scan_is_confined()
    """
    chosen = moves_of(tree) if moves is None else list(moves)
    require_moves(tree, chosen)
    if not chosen:
        return st.just([])
    if victim is None:
        # Most victims make few calls, and a move behind the last one is lost; those that resolve
        # the path first make a dozen.
        places = _one_of(range(1, 4), range(1, 4), range(1, 13), range(1, 13), range(1, calls + 1))
        leading = [move for move in chosen if _leads_out(move)]
        # What a victim comes to, unlike most links, at its own path.
        on_the_way = [move for move in leading if not isinstance(tree[move.path], Symlink)]
        placed = st.tuples(
            places.map(lambda place: min(place, calls)),
            _one_of(on_the_way, on_the_way, leading, chosen),
        )
        # One move finds most, and a second often takes away what the first was to lead to.
        lengths = _one_of([1], [1], range(1, most + 1))
        return lengths.flatmap(lambda length: st.lists(placed, min_size=length, max_size=length))
    require_victim(victim)
    require_support()
    made = play(victim, tree, ()).calls
    if not made:
        return st.just([])
    placed = st.tuples(st.integers(1, len(made)), st.sampled_from(chosen))
    aimed = [
        (number, move)
        for number, call in enumerate(made, 1)
        for move in chosen
        if _concerns(move, call)
    ]
    if aimed:
        placed = st.sampled_from(aimed) | placed
    if leading_here := [(number, move) for number, move in aimed if _leads_out(move)]:
        placed = st.sampled_from(leading_here) | placed
    return st.lists(placed, min_size=1, max_size=most)


def _one_of(*groups: Sequence[T]) -> st.SearchStrategy[T]:
    """Choose a group, then one of it: a group that is given twice is as likely as two."""
    return st.sampled_from([group for group in groups if group]).flatmap(st.sampled_from)


def _leads_out(move: Move) -> TypeGuard[Replace]:
    """Whether it puts a symlink to a canary somewhere: that finds most holes at once."""
    return (
        isinstance(move, Replace)
        and isinstance(move.node, Symlink)
        and (move.node.target + "/").startswith(HOST + "/")
    )


def _concerns(move: Move, call: Call) -> bool:
    """Whether the move is made to what the call names, or to a directory on the way there."""
    named = [path.replace(" : ", "/") for path in call.paths]
    return any(
        f"{path}/".startswith(f"{{root}}{value}/")
        for path in named
        for value in vars(move).values()
        if isinstance(value, str)
    )
