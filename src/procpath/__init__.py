"""Paths inside another process's root, used like ``pathlib.Path``, that cannot lead out of it.

:class:`RootedPath` is the path, :class:`Root` the held directory that stands for ``/``, and
:class:`VerifiedProc` a procfs handle whose answers have been checked::

    from procpath import RootedPath

    for path in (RootedPath(1) / "etc").glob("*.conf"):
        print(path, len(path.read_bytes()))
"""

from __future__ import annotations

from procpath.errors import (
    ClosedRootError,
    EscapeError,
    MagicLinkError,
    ProcessGoneError,
    SpecialFileError,
    UnsupportedOperation,
    UnverifiedProcError,
)
from procpath.path import RootedPath
from procpath.pin import PinnedPath
from procpath.proc import ProcessDir, VerifiedProc
from procpath.protocols import register
from procpath.resolve.trace import Step, Trace
from procpath.root import Root

__all__ = [
    "ClosedRootError",
    "EscapeError",
    "MagicLinkError",
    "PinnedPath",
    "ProcessDir",
    "ProcessGoneError",
    "Root",
    "RootedPath",
    "SpecialFileError",
    "Step",
    "Trace",
    "UnsupportedOperation",
    "UnverifiedProcError",
    "VerifiedProc",
]

register()
del register
