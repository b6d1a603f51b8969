"""The errors that procpath raises itself.

Each one is an ``OSError`` (or, for a misuse that no system call has seen, a
``ValueError``) of the kind that code written for ``pathlib`` already catches, so a
program ported to :class:`procpath.RootedPath` needs no new ``except`` clause. Errors
of the operating system are passed on with the path that the caller gave, and a note of the
root.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, TypeAlias

if sys.version_info >= (3, 13):
    from pathlib import UnsupportedOperation
else:

    class UnsupportedOperation(NotImplementedError):
        """An operation that a path inside a root cannot have, such as ``as_uri()``.

        The counterpart of ``pathlib.UnsupportedOperation`` (Python 3.13).
        """


__all__ = [
    "ClosedRootError",
    "EscapeError",
    "MagicLinkError",
    "ProcessGoneError",
    "SpecialFileError",
    "UnsupportedOperation",
    "UnverifiedProcError",
]

NO_ANSWER = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE))
"""Errnos of a process out of descriptors or memory, or of a failing device."""

_Filename: TypeAlias = "str | bytes | None"


class UnverifiedProcError(OSError):
    """A procfs did not pass one of the checks of :class:`procpath.VerifiedProc` (``ENOTSUP``).

    Parameters: ``reason``, which check failed and what was found; ``filename``, the
    entry that was checked.
    """

    def __init__(self, reason: str, filename: _Filename = None) -> None:
        super().__init__(errno.ENOTSUP, reason, filename)

    def __reduce__(self) -> tuple[type[UnverifiedProcError], tuple[str | None, _Filename]]:
        return type(self), (self.strerror, self.filename)


class _FixedErrno(OSError):
    """An OSError whose errno goes with its class."""

    _errno: int
    _reason: str

    def __init__(self, filename: _Filename = None, reason: str | None = None) -> None:
        super().__init__(self._errno, reason or self._reason, filename)

    def __reduce__(self) -> tuple[type[_FixedErrno], tuple[_Filename, str | None]]:
        return type(self), (self.filename, self.strerror)


class EscapeError(_FixedErrno):
    """A ``..`` would have climbed above the root, and the root says ``on_escape="raise"``
    (``EXDEV``).
    """

    _errno = errno.EXDEV
    _reason = "a '..' climbs above the root"


class MagicLinkError(_FixedErrno):
    """A magic link of procfs stood on the way; those are never followed (``ELOOP``)."""

    _errno = errno.ELOOP
    _reason = "a magic link of procfs is never followed"


class SpecialFileError(_FixedErrno):
    """A FIFO, socket, device or file of a kernel file system, and the root has
    ``special_files="refuse"``, the default (``ENXIO``).

    ``ENXIO`` is what Linux itself answers to ``open()`` of a socket (open(2)).
    """

    _errno = errno.ENXIO
    _reason = 'a special file is opened only with special_files="allow"'


class ProcessGoneError(ProcessLookupError):
    """The process has ended, or never was (``ESRCH``)."""

    def __init__(self, pid: int | None, filename: _Filename = None) -> None:
        self.pid = pid
        who = "the process" if pid is None else f"process {pid}"
        super().__init__(errno.ESRCH, f"{who} does not exist (any more)", filename)

    def __reduce__(self) -> tuple[type[ProcessGoneError], tuple[int | None, _Filename]]:
        return type(self), (self.pid, self.filename)


class ClosedRootError(ValueError):
    """The root was closed; the counterpart of "I/O operation on closed file"."""


OnError: TypeAlias = "Callable[[OSError], object] | None"
"""What is called with the errors of a walk, scan or copy. None: they are raised."""


def tells_of_path(error: OSError) -> bool:
    """Return whether ``error`` is about the path that was looked up.

    Being out of descriptors, a failing device, or a procfs that failed a check is not, so
    ``exists()`` and its like must not take it for "no", as pathlib's do.
    """
    return error.errno not in NO_ANSWER and not isinstance(error, UnverifiedProcError)


def shown(name: str) -> str:
    """Return a name that others gave for a message: one that a terminal may obey is escaped."""
    return name if name.isprintable() else repr(name)


def os_error(number: int, path: str | bytes | None = None) -> OSError:
    """Return the ``OSError`` for ``number``, of the right subclass and about ``path``."""
    if path is None:
        return OSError(number, os.strerror(number))
    return OSError(number, os.strerror(number), os.fsdecode(path))


class RootNote(NamedTuple):
    """What a root adds to its errors as notes (PEP 678)."""

    root: str
    """names the root"""
    by_errno: dict[int, str]
    """names the option by which the root refuses"""


def about(error: OSError, path: str | bytes, note: RootNote | None = None) -> OSError:
    """Return ``error`` with ``path`` as its filename, the path that the caller knows.

    An error of a procfs check keeps the name of the entry that failed.
    """
    if not isinstance(error, UnverifiedProcError):
        error.filename = os.fsdecode(path)
    if note is not None:
        note_once(error, note)
    return error


def about_two(error: OSError, path: str, path2: str, note: RootNote) -> OSError:
    """Return ``error`` as :func:`about` does, with ``path2`` as its second filename."""
    if not isinstance(error, UnverifiedProcError):
        error.filename2 = path2
    return about(error, path, note)


def note_once(error: OSError, note: RootNote) -> None:
    """Add to the error which root it comes from and which option refused, unless it says so."""
    known = getattr(error, "__notes__", ())
    if note.root not in known:
        error.add_note(note.root)
    refusal = note.by_errno.get(error.errno or 0)
    if refusal is not None and refusal not in known and not isinstance(error, EscapeError):
        error.add_note(refusal)


class noted:
    """A context manager that adds the notes of roots to the ``OSError`` that its block raises."""

    __slots__ = ("_notes",)

    def __init__(self, *notes: RootNote) -> None:
        self._notes = notes

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            for note in self._notes:
                note_once(error, note)
