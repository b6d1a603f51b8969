"""Paths inside another process's root, used like ``pathlib.Path``, that cannot lead out of it.

:class:`RootedPath` is the path, :class:`Root` the held directory that stands for ``/``, and
:class:`VerifiedProc` a procfs handle whose answers have been checked::

    from procpath import RootedPath

    for path in (RootedPath(1) / "etc").glob("*.conf"):
        print(path, len(path.read_bytes()))

Names are imported when they are first used. On a system that procpath does not support, the
first use raises ImportError; importing the package does not.
"""

from __future__ import annotations

from importlib import import_module

# As typing's, which takes longer to import than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from procpath.errors import (
        ClosedRootError,
        EscapeError,
        MagicLinkError,
        ProcessGoneError,
        SpecialFileError,
        UnsupportedOperation,
        UnverifiedProcError,
    )
    from procpath.inventory import Container, containers
    from procpath.path import RootedPath
    from procpath.pin import PinnedPath
    from procpath.proc import ProcessDir, VerifiedProc
    from procpath.resolve.trace import Step, Trace
    from procpath.root import Root
    from procpath.tree.copy.report import CopyProgress
    from procpath.tree.scanning import Entry

__all__ = [
    "ClosedRootError",
    "Container",
    "CopyProgress",
    "Entry",
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
    "containers",
]

_MODULES = {
    "procpath.errors": (
        "ClosedRootError",
        "EscapeError",
        "MagicLinkError",
        "ProcessGoneError",
        "SpecialFileError",
        "UnsupportedOperation",
        "UnverifiedProcError",
    ),
    "procpath.inventory": ("Container", "containers"),
    "procpath.path": ("RootedPath",),
    "procpath.pin": ("PinnedPath",),
    "procpath.proc": ("ProcessDir", "VerifiedProc"),
    "procpath.resolve.trace": ("Step", "Trace"),
    "procpath.root": ("Root",),
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


if not TYPE_CHECKING:
    # Hidden from type checkers, which would take any name for a member.
    __getattr__ = _import_name
