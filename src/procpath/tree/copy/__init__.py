"""Copying files and trees: between roots, and between a root and the host."""

from procpath.tree.copy.files import OnProgress, Tally
from procpath.tree.copy.readable import copy_readable
from procpath.tree.copy.tree import Choices, copy

__all__ = ["Choices", "OnProgress", "Tally", "copy", "copy_readable"]
