"""Help for porting a program to paths in a root.

The ``str()`` of such a path is an in-root path: given to a function of the host, it names another
file, or none. ``open(str(path))`` opens the host's. :func:`text_leaks` finds the places where a
program makes texts of paths.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from types import FrameType
from typing import Any, NamedTuple

from procpath.lexical import LexicalPath
from procpath.path import RootedPath

_OURS = os.path.join(os.path.dirname(__file__), "")
_STANDARD_LIBRARY = tuple(
    {os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib")}
)
_SITES = ("site-packages", "dist-packages")
_METHODS = ("__str__", "__bytes__", "as_posix")


class TextLeakWarning(UserWarning):
    """A path in a root became text outside of procpath; see :func:`text_leaks`."""


class Leak(NamedTuple):
    """A place where a path in a root became text."""

    file: str
    line: int
    path: RootedPath

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.path!r} became text"


_lock = Lock()
_collecting: list[list[Leak]] = []
"""the lists of all active blocks"""


@contextmanager
def text_leaks() -> Iterator[list[Leak]]:
    """Collect the places where paths in a root become text outside of procpath.

    Gives a list to which a :class:`Leak` is added for each ``str()``, format, ``bytes()`` and
    ``as_posix()``, in any thread, until the ``with`` block ends. Each is a
    :class:`TextLeakWarning` too, so that ``-W error::procpath.porting.TextLeakWarning`` raises
    there. The place is in the nearest caller outside of procpath and the standard library:
    ``print(path)`` and ``logging`` count. ``repr()`` does not: it names the root.
    """
    leaks: list[Leak] = []
    with _lock:
        if not _collecting:
            for name in _METHODS:
                setattr(LexicalPath, name, _watched(getattr(LexicalPath, name)))
        _collecting.append(leaks)
    try:
        yield leaks
    finally:
        with _lock:
            # By identity: lists that are equal are one to list.remove().
            _collecting[:] = [each for each in _collecting if each is not leaks]
            if not _collecting:
                for name in _METHODS:
                    setattr(LexicalPath, name, getattr(LexicalPath, name).__wrapped__)


def _watched(method: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def watch(path: Any) -> Any:
        caller = sys._getframe(1)
        if not caller.f_code.co_filename.startswith(_OURS):
            _report(path, caller)
        return method(path)

    watch.__wrapped__ = method  # type: ignore[attr-defined]
    watch.__doc__ = method.__doc__
    return watch


def _report(path: RootedPath, caller: FrameType) -> None:
    frame = caller
    # A thread pool calls str() itself: then its own frame is the nearest.
    while _is_library(frame.f_code.co_filename) and frame.f_back is not None:
        frame = frame.f_back
    if _is_library(frame.f_code.co_filename):
        frame = caller
    leak = Leak(frame.f_code.co_filename, frame.f_lineno, path)
    for leaks in list(_collecting):
        leaks.append(leak)
    warnings.warn_explicit(
        f"{path!r} becomes text, which names another file on the host",
        TextLeakWarning,
        leak.file,
        leak.line,
        frame.f_globals.get("__name__"),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _is_library(file: str) -> bool:
    """Return whether a source file is of procpath or the standard library."""
    if file.startswith((_OURS, "<frozen ")):
        return True
    return file.startswith(_STANDARD_LIBRARY) and not any(site in file for site in _SITES)
