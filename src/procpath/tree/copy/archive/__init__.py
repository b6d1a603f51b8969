"""Trees as tar streams: out of a root, and into one.

:mod:`tarfile` parses and writes single headers here. Its ``extractall()`` and the filters of
that act on host paths, which are what this package is there to avoid.
"""

from procpath.tree.copy.archive.extracting import Extraction, extract
from procpath.tree.copy.archive.packing import pack

__all__ = ["Extraction", "extract", "pack"]
