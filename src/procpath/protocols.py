"""Makes RootedPath known to the abstract paths of ``pathlib.types`` and ``pathlib_abc``.

Promises that ``isinstance(path, pathlib_abc.ReadablePath)`` and its like are true where these
exist. They are abstract classes, which know only what is registered with them; what they
ask for is in :mod:`procpath.path`.
"""

from __future__ import annotations

import importlib

from procpath.path import RootedPath

_ABSTRACT_PATHS = {
    "pathlib_abc": ("JoinablePath", "ReadablePath", "WritablePath"),
    "pathlib.types": ("_JoinablePath", "_ReadablePath", "_WritablePath"),
}


def register() -> None:
    """Register RootedPath with every abstract path class that is installed."""
    for module_name, names in _ABSTRACT_PATHS.items():
        try:
            module = importlib.import_module(module_name)
        except ImportError:
            continue
        for name in names:
            abstract = getattr(module, name, None)
            if abstract is not None:
                abstract.register(RootedPath)
