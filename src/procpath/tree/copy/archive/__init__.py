"""Trees as tar streams: out of a root, and into one.

:mod:`tarfile` parses and writes single headers here. Its ``extractall()`` and extraction filters
are not used: they check host paths, and act on them afterwards.
"""

from procpath.tree.copy.archive.extracting import Extraction, extract
from procpath.tree.copy.archive.packing import pack

__all__ = ["Extraction", "extract", "pack"]
