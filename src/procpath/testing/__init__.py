"""What it takes to test that a tool stays inside its root.

:class:`Tree` and its nodes describe the contents of a root. :mod:`procpath.testing.model` is a
model of Linux path resolution in such a tree. :mod:`procpath.testing.races` tries every
interleaving of an attacker with a victim. The Hypothesis strategies make trees that try to
lead a reader out, and paths into them. The pytest fixture ``rooted_tree`` creates the trees on
disk. Only the strategies need Hypothesis, which the extra ``testing`` installs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from procpath.testing import model, races
    from procpath.testing.pytest_plugin import MakeRootedTree, RootedTree
    from procpath.testing.strategies import (
        hostile_trees,
        in_root_paths,
        names,
        targets,
        trees,
    )
    from procpath.testing.surroundings import CANARY, HOST
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
    "CANARY",
    "HOST",
    "Directory",
    "Fifo",
    "File",
    "MagicLink",
    "MakeRootedTree",
    "Node",
    "RootedTree",
    "Socket",
    "Symlink",
    "Tree",
    "hostile_trees",
    "in_root_paths",
    "model",
    "names",
    "races",
    "targets",
    "trees",
]

_MODULES = {
    **dict.fromkeys(("hostile_trees", "in_root_paths", "names", "targets", "trees"), "strategies"),
    **dict.fromkeys(("CANARY", "HOST"), "surroundings"),
    **dict.fromkeys(("MakeRootedTree", "RootedTree"), "pytest_plugin"),
}


def _import_name(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object
    if name in ("model", "races"):
        value = import_module(f"procpath.testing.{name}")
    else:
        module = _MODULES.get(name, "tree")
        value = getattr(import_module(f"procpath.testing.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:
    # Hidden from type checkers, which would take any name for a member.
    __getattr__ = _import_name
