"""What Hypothesis calls when it is imported: ``st.from_type(Tree)`` gives trees.

Hypothesis finds it by the entry point ``hypothesis`` of this distribution. Rests on
:mod:`procpath.testing.strategies`.
"""

from __future__ import annotations

from hypothesis import strategies as st

from procpath.testing.strategies import trees
from procpath.testing.tree import Tree


def register() -> None:
    """Teach Hypothesis the type :class:`~procpath.testing.Tree`."""
    st.register_type_strategy(Tree, trees())
