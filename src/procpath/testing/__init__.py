"""What it takes to test that a tool stays inside its root.

:class:`Tree` and its nodes describe the contents of a root. :mod:`procpath.testing.model` is a
model of Linux path resolution in such a tree. The Hypothesis strategies make trees that try to
lead a reader out, and paths into them. The pytest fixture ``rooted_tree`` creates the trees on
disk. Only the strategies need Hypothesis, which the extra ``testing`` installs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from procpath.testing import model
    from procpath.testing.strategies import (
        hostile_trees,
        in_root_paths,
        names,
        targets,
        trees,
    )
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


def _import_name(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object
    if name == "model":
        value = import_module("procpath.testing.model")
    else:
        module = "strategies" if name in _STRATEGIES else "tree"
        value = getattr(import_module(f"procpath.testing.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:
    # Hidden from type checkers, which would take any name for a member.
    __getattr__ = _import_name
