"""What a copy says of itself: how far it is, what it left out, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from errno import EDQUOT, EINVAL, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, EROFS
from typing import NoReturn

from procpath.errors import OnError, RootNote, UnverifiedProcError, note_once
from procpath.linux import openat
from procpath.tree.places import Blame
from procpath.uapi import AT_FDCWD, FIND

_ENDS_AT_ONCE = frozenset((ENOSPC, EDQUOT, EROFS, EIO, EMFILE, ENFILE, ENOMEM))
"""Errnos that every later entry would have too: of the file system, or of our own process."""


class IntoItselfError(OSError):
    """The copy came to its own target, and would never end (``EINVAL``)."""

    def __init__(self) -> None:
        super().__init__(EINVAL, "the target of the copy is in the copied tree")


class UnreadableError(OSError):
    """An error of one file of the source, with an errno that would end the copy if it was the
    target's. A file system in user space (FUSE) in a container answers with any.
    """


def of_source(error: OSError) -> OSError:
    """Return the error, or as an :class:`UnreadableError` if it says nothing of other entries."""
    number = error.errno
    if number not in _ENDS_AT_ONCE or isinstance(error, UnverifiedProcError):
        return error
    if number in (EMFILE, ENFILE) and _is_out_of_descriptors():
        return error
    return UnreadableError(number, error.strerror, error.filename)


def _is_out_of_descriptors() -> bool:
    try:
        openat(AT_FDCWD, "/", FIND).close()
    except OSError:
        return True
    return False


class SourceBlame(Blame):
    """Does as :class:`Blame` for errors of the source, by :func:`of_source`."""

    __slots__ = ()

    def name_in(self, error: OSError) -> None:
        super().name_in(error)
        if (told := of_source(error)) is not error:
            raise told from None


class CopyProgress:
    """How far a copy is."""

    __slots__ = ("_paths", "bytes", "entries", "left_out")

    def __init__(self) -> None:
        self.entries: int = 0
        """Files, directories and links copied so far."""
        self.bytes: int = 0
        """Bytes copied so far."""
        self.left_out: Counter[str] = Counter()
        """How many of each kind were left out on purpose, such as device nodes."""
        self._paths: Callable[[], tuple[str, str]] = lambda: ("", "")

    @property
    def source(self) -> str:
        """The path of the entry that is being copied, or was just copied."""
        return self._paths()[0]

    @property
    def target(self) -> str:
        """The path of its copy."""
        return self._paths()[1]


OnProgress = Callable[[CopyProgress], object]


class Errors:
    """The errors of single entries, which stop no other."""

    def __init__(self, on_error: OnError, *notes: RootNote) -> None:
        """``on_error`` gets each, with ``notes``. None: :meth:`raise_first` raises the first."""
        self._on_error = on_error
        self._notes = notes
        self._first: OSError | None = None
        self._more = 0

    def report(self, error: OSError) -> None:
        """Keep the error or hand it on. Raise it if no other entry could be copied either."""
        if isinstance(error, (UnverifiedProcError, IntoItselfError)):
            raise error
        if error.errno in _ENDS_AT_ONCE and not isinstance(error, UnreadableError):
            raise error
        self.report_loss(error)

    def report_loss(self, error: OSError) -> None:
        """Do as :meth:`report` for an attribute: no room for one says nothing of the others."""
        # Whoever keeps the error would keep our frames alive, and the roots with them.
        error = error.with_traceback(None)
        error.__context__ = None
        if self._on_error is not None:
            for note in self._notes:
                note_once(error, note)
            self._on_error(error)
        elif self._first is None:
            self._first = error
        else:
            self._more += 1

    def raise_first(self) -> None:
        """Raise the first error that was kept, with a note of how many more there are."""
        error, self._first = self._first, None
        if error is not None:
            if self._more:
                plural = "" if self._more == 1 else "s"
                error.add_note(f"{self._more} more error{plural}; everything else was copied")
            try:
                raise error
            finally:
                # A frame that keeps the error which passed it is a cycle; it keeps the root.
                del error


class FirstError(Errors):
    """Raises each error: the copy is whole, or it is not made."""

    def __init__(self) -> None:
        super().__init__(None)

    def report_loss(self, error: OSError) -> NoReturn:
        """Raise the error."""
        raise error
