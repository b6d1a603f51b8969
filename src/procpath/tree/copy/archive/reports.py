"""What becomes of errors while the rest is copied."""

from __future__ import annotations

from collections.abc import Callable
from errno import EDQUOT, EIO, ENOSPC, EROFS
from typing import TypeAlias

from procpath.errors import RootNote, UnverifiedProcError, note_once

OnError: TypeAlias = Callable[[OSError], object]

_ENDS_ALL = frozenset((EDQUOT, EIO, ENOSPC, EROFS))


class Reports:
    """Errors of single entries, which do not end the rest."""

    def __init__(self, on_error: OnError | None, note: RootNote) -> None:
        """``on_error`` gets each; None: :meth:`close` raises the first. ``note`` names the root."""
        self._on_error = on_error
        self._note = note
        self._first: OSError | None = None
        self._more = 0

    def add(self, error: OSError) -> None:
        """Report an error. Raises it at once if the rest would only fail too."""
        if error.errno in _ENDS_ALL or isinstance(error, UnverifiedProcError):
            raise error
        note_once(error, self._note)
        # Whoever keeps the error would keep our frames alive, and the root with them.
        error.with_traceback(None)
        if self._on_error is not None:
            self._on_error(error)
        elif self._first is None:
            self._first = error
        else:
            self._more += 1

    def close(self) -> None:
        """Raise the first error, with a note that says how many there were besides."""
        if self._first is not None:
            if self._more:
                self._first.add_note(f"and {self._more} more errors; everything else was copied")
            raise self._first
