"""Copying files and trees: between roots, and between a root and the host."""

from procpath.tree.copy.readable import copy_readable
from procpath.tree.copy.report import CopyProgress, OnProgress
from procpath.tree.copy.tree import Choices, CopyOptions, copy

__all__ = [
    "Choices",
    "CopyOptions",
    "CopyProgress",
    "OnProgress",
    "copy",
    "copy_readable",
]
