"""What Hypothesis calls at the end of its import, so that ``st.from_type(Tree)`` makes trees.

It may run in the middle of the import of :mod:`procpath.testing.strategies`, which imports
Hypothesis, and on systems that procpath does not support; so it needs neither.
"""

from __future__ import annotations

from hypothesis import strategies as st

from procpath.testing.tree import Tree


def register() -> None:
    """Tell Hypothesis how to make a :class:`~procpath.testing.Tree`."""
    st.register_type_strategy(Tree, _trees)


def _trees(_: type[Tree]) -> st.SearchStrategy[Tree]:
    from procpath.testing.strategies import trees

    return trees()
