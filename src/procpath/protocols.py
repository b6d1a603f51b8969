"""Registration with the abstract path classes of ``pathlib.types`` and ``pathlib_abc``.

``isinstance(path, pathlib_abc.ReadablePath)`` is true only of classes that are registered. What
the abstract classes require is in :mod:`procpath.path`.
"""

from __future__ import annotations

import importlib

_ABSTRACT_PATHS = {
    "pathlib_abc": ("JoinablePath", "ReadablePath", "WritablePath"),
    "pathlib.types": ("_JoinablePath", "_ReadablePath", "_WritablePath"),
}


def register(path_class: type) -> None:
    """Register ``path_class`` with every abstract path class that is installed."""
    for module_name, names in _ABSTRACT_PATHS.items():
        try:
            module = importlib.import_module(module_name)
        except ImportError:
            continue
        for name in names:
            abstract = getattr(module, name, None)
            if abstract is not None:
                abstract.register(path_class)
