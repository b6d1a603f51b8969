"""For the users of procpath: what one needs to prove that a tool stays inside its root.

:class:`Tree` and its nodes write down what a root holds; :mod:`procpath.testing.model` says
what Linux makes of a path in it; the Hypothesis strategies make trees that try to lead a
reader out, and paths into them; the pytest fixture ``rooted_tree`` builds them for real. The
strategies need the extra ``testing``; the rest needs nothing. Rests on the rooms above it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procpath.testing import model
from procpath.testing.tree import (
    Directory,
    Fifo,
    File,
    MagicLink,
    Node,
    Socket,
    Symlink,
    Tree,
)

if TYPE_CHECKING:
    from procpath.testing.strategies import (
        hostile_trees,
        in_root_paths,
        names,
        targets,
        trees,
    )

__all__ = [
    "Directory",
    "Fifo",
    "File",
    "MagicLink",
    "Node",
    "Socket",
    "Symlink",
    "Tree",
    "hostile_trees",
    "in_root_paths",
    "model",
    "names",
    "targets",
    "trees",
]

_STRATEGIES = frozenset({"hostile_trees", "in_root_paths", "names", "targets", "trees"})


def __getattr__(name: str) -> Any:
    # Late, so that the model can be used where Hypothesis is not installed.
    if name in _STRATEGIES:
        from procpath.testing import strategies

        return getattr(strategies, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
