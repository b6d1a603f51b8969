"""The Hypothesis strategy for schedules."""

from __future__ import annotations

from collections.abc import Iterable

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as _error:
    if _error.name != "hypothesis":
        raise
    raise ImportError("schedules() needs Hypothesis: pip install 'rootedpath[testing]'") from None

from procpath.testing.races.moves import Move, moves_of, require_moves
from procpath.testing.tree import Tree


def schedules(
    tree: Tree, moves: Iterable[Move] | None = None, *, calls: int = 20, most: int = 3
) -> st.SearchStrategy[list[tuple[int, Move]]]:
    """Schedules of up to ``most`` moves before the first ``calls`` calls of a victim.

    ``moves`` are those that the attacker may make, all that ``tree`` offers if None. A move
    behind the victim's last call does nothing. Shrinks to one move before the first call. ::

        @given(tree=hostile_trees(), data=st.data())
        def test_the_scanner_is_confined(tree, data):
            assert_confined(scan, tree, data.draw(schedules(tree)))
    """
    chosen = moves_of(tree) if moves is None else list(moves)
    require_moves(tree, chosen)
    if not chosen:
        return st.just([])
    # Most victims make few calls, and a move behind the last one is lost.
    places = st.integers(1, min(3, calls)) | st.integers(1, calls)
    return st.lists(st.tuples(places, st.sampled_from(chosen)), max_size=most)
