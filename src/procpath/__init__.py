"""Paths inside another process's root, used like ``pathlib.Path``, that cannot lead out of it.

:class:`RootedPath` is the path, :class:`Root` the held directory that stands for ``/``, and
:class:`VerifiedProc` a procfs handle whose answers have been checked::

    from procpath import RootedPath

    for path in (RootedPath(1) / "etc").glob("*.conf"):
        print(path, len(path.read_bytes()))

Names are imported when they are first used. On a system that procpath does not support, the
first use raises ImportError; importing the package does not.

What does not say when it was added was added in version 0.1.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

# As typing's, which takes longer to import than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from procpath.errors import (
        ClosedRootError,
        EscapeError,
        MagicLinkError,
        OnError,
        ProcessGoneError,
        SpecialFileError,
        UnsupportedOperation,
        UnverifiedProcError,
    )
    from procpath.info import EntryInfo, PathInfo
    from procpath.inventory import Container, containers
    from procpath.lexical import Segment
    from procpath.options import OptionArguments, Options
    from procpath.path import BoundPath, RootedPath
    from procpath.pin import PinnedPath
    from procpath.proc import ProcessDir, VerifiedProc
    from procpath.proc.checks import Check
    from procpath.proc.own import SelfFd
    from procpath.proc.process import IdMapping
    from procpath.resolve.identity import Identity
    from procpath.resolve.trace import Step, Trace
    from procpath.root import Root, StrOrBytesPath, UserNamespace
    from procpath.tree.copy.report import CopyProgress
    from procpath.tree.scanning import Entry

__all__ = [
    "BoundPath",
    "Check",
    "ClosedRootError",
    "Container",
    "CopyProgress",
    "Entry",
    "EntryInfo",
    "EscapeError",
    "IdMapping",
    "Identity",
    "MagicLinkError",
    "OnError",
    "OptionArguments",
    "Options",
    "PathInfo",
    "PinnedPath",
    "ProcessDir",
    "ProcessGoneError",
    "Root",
    "RootedPath",
    "Segment",
    "SelfFd",
    "SpecialFileError",
    "Step",
    "StrOrBytesPath",
    "Trace",
    "UnsupportedOperation",
    "UnverifiedProcError",
    "UserNamespace",
    "VerifiedProc",
    "containers",
]

_MODULES = {
    "procpath.errors": (
        "ClosedRootError",
        "EscapeError",
        "MagicLinkError",
        "OnError",
        "ProcessGoneError",
        "SpecialFileError",
        "UnsupportedOperation",
        "UnverifiedProcError",
    ),
    "procpath.info": (
        "EntryInfo",
        "PathInfo",
    ),
    "procpath.inventory": (
        "Container",
        "containers",
    ),
    "procpath.lexical": ("Segment",),
    "procpath.options": (
        "OptionArguments",
        "Options",
    ),
    "procpath.path": (
        "BoundPath",
        "RootedPath",
    ),
    "procpath.pin": ("PinnedPath",),
    "procpath.proc": (
        "ProcessDir",
        "VerifiedProc",
    ),
    "procpath.proc.checks": ("Check",),
    "procpath.proc.own": ("SelfFd",),
    "procpath.proc.process": ("IdMapping",),
    "procpath.resolve.identity": ("Identity",),
    "procpath.resolve.trace": (
        "Step",
        "Trace",
    ),
    "procpath.root": (
        "Root",
        "StrOrBytesPath",
        "UserNamespace",
    ),
    "procpath.tree.copy.report": ("CopyProgress",),
    "procpath.tree.scanning": ("Entry",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def _import_name(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Raises the ImportError of an unsupported system, which not every module would.
    import_module("procpath.linux")
    value: object = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _SameFiles:
    """A finder that finds nothing, and lets modules of this package come from no other files.

    Modules are loaded when they are used, which may be after os.chroot() or setns(2): the same
    path is then a file of the container's, whose code would run with our rights
    (CVE-2019-14271).
    """

    def __init__(self) -> None:
        self._identity = self._identify()

    @staticmethod
    def _identify() -> tuple[int, int] | None:
        try:
            status = os.stat(__path__[0])
        except OSError:
            # In a zip file, say.
            return None
        return status.st_dev, status.st_ino

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name.startswith("procpath.") and self._identify() != self._identity:
            raise ImportError(
                f"{name} is not loaded from {__path__[0]}: this process has changed its root or "
                f"its mounts since it imported procpath; import {name} before that",
                name=name,
            )


sys.meta_path.insert(0, _SameFiles())


if not TYPE_CHECKING:
    # Hidden from type checkers, which would take any name for a member.
    __getattr__ = _import_name
