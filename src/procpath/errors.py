"""Every error that procpath raises of its own accord.

Each one is an ``OSError`` (or, for a misuse that no system call has seen, a
``ValueError``) of the kind that code written for ``pathlib`` already catches, so a
program ported to :class:`procpath.RootedPath` needs no new ``except`` clause. Errors
of the operating system are passed on as they are. Rests on nothing.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TypeAlias

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
"""Out of descriptors or memory, or a failing device: says nothing of what is at a path."""

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
    """A FIFO, socket or device, and the root says ``special_files="refuse"`` (``ENXIO``).

    ``ENXIO`` is what Linux itself says to ``open()`` of a socket (open(2)).
    """

    _errno = errno.ENXIO
    _reason = "neither a regular file nor a directory, and this root refuses special files"


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


def tells_of_path(error: OSError) -> bool:
    """Whether ``error`` says something of the path that was looked up.

    Being out of descriptors, a failing device, or a procfs that failed a check says nothing
    of it, so ``exists()`` and its like must not take it for "no", as pathlib's do.
    """
    return error.errno not in NO_ANSWER and not isinstance(error, UnverifiedProcError)


def os_error(number: int, path: str | bytes | None = None) -> OSError:
    """The ``OSError`` (of the right subclass) for ``number``, with ``path`` as its filename."""
    if path is None:
        return OSError(number, os.strerror(number))
    return OSError(number, os.strerror(number), os.fsdecode(path))


def about(error: OSError, path: str | bytes) -> OSError:
    """Return ``error`` with ``path`` as its filename, the path that the caller knows.

    An error of a procfs check keeps the name of the entry that failed.
    """
    if not isinstance(error, UnverifiedProcError):
        error.filename = os.fsdecode(path)
    return error
