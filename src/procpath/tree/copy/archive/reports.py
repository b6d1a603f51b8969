"""Errors of single members, as the caller gets them."""

from __future__ import annotations

from procpath.errors import RootNote, note_once
from procpath.tree.copy.report import Errors, OnError


class Reports(Errors):
    """Errors that name the root."""

    def __init__(self, on_error: OnError | None, note: RootNote) -> None:
        super().__init__(on_error)
        self._note = note

    def report_loss(self, error: OSError) -> None:
        """Do as :meth:`Errors.report_loss`."""
        note_once(error, self._note)
        # Whoever keeps the error would keep our frames alive, and the root with them.
        super().report_loss(error.with_traceback(None))
