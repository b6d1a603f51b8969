"""Stand-ins for ``os``, ``open`` and ``glob``, for modules that have no paths but texts.

A module that is written with ``os.path`` is ported by the globals that it looks up::

    module.os, module.open, module.glob, module.Path = facade(P)

What asks no file system stays as it is; what is not here is an AttributeError, not the host's.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from procpath import BoundPath


def facade(P: type[BoundPath]) -> tuple[Any, Callable[..., Any], Any, type[Any]]:
    """Return ``os``, ``open``, ``glob`` and ``Path`` that mean files of the root."""
    path = SimpleNamespace(
        **{
            name: getattr(posixpath, name)
            for name in ("join", "dirname", "basename", "normpath", "split", "splitext", "isabs")
        },
        sep="/",
        abspath=lambda name: str(P("/", name)),
        exists=lambda name: P(name).exists(),
        isdir=lambda name: P(name).is_dir(),
        isfile=lambda name: P(name).is_file(),
        islink=lambda name: P(name).is_symlink(),
        realpath=lambda name: str(P(name).resolve()),
    )
    files = SimpleNamespace(
        path=path,
        environ={},
        getcwd=lambda: "/",
        readlink=lambda name: str(P(name).readlink()),
        listdir=lambda name: [each.name for each in P(name).iterdir()],
        walk=lambda top: ((str(P(top)), *below) for top, *below in P(top).walk()),
        fspath=str,
        sep=os.sep,
    )

    def open_inside(name: Any, *arguments: Any, **options: Any) -> Any:
        return P(name).open(*arguments, **options)

    def glob(pattern: str) -> list[str]:
        return sorted(map(str, P("/").glob(pattern.lstrip("/"))))

    return files, open_inside, SimpleNamespace(glob=glob), P
