"""Opening files that other processes may hold leases on (``F_SETLEASE`` of fcntl(2))."""

from __future__ import annotations

import os
from errno import EAGAIN
from time import monotonic, sleep

from procpath.linux import Descriptor, untrack
from procpath.proc.handle import reopen_by_default

LEASE_PATIENCE = 5.0
"""Seconds that all files of a copy together wait for leases of others to be given up."""


class LeasePatience:
    """The time that one copy has left to wait for leases."""

    def __init__(self) -> None:
        self._left = LEASE_PATIENCE

    def open(self, fd: int, status: os.stat_result, flags: int = os.O_RDONLY) -> Descriptor:
        """Open what the ``O_PATH`` descriptor ``fd``, of this ``status``, holds.

        Raises ``EAGAIN`` where the lease is still held when the patience is at its end.
        """
        opened = Descriptor(self.open_number(fd, status, flags)[0])
        untrack(opened)
        return opened

    def open_number(
        self, fd: int, status: os.stat_result, flags: int = os.O_RDONLY
    ) -> tuple[int, os.stat_result]:
        """Do as :meth:`open`; the number is the caller's to close, as ``linux.bare_openat`` says.

        Returns the status that the file has when it is open, too.
        """
        while True:
            try:
                # O_NONBLOCK: while somebody holds a lease open() would wait for
                # /proc/sys/fs/lease-break-time, 45 seconds, for each file.
                return reopen_by_default(fd, flags | os.O_NONBLOCK, status)
            except BlockingIOError:
                if self._left <= 0:
                    reason = "another process holds a lease on it and does not give it up"
                    raise OSError(EAGAIN, reason) from None
            start = monotonic()
            sleep(0.01)
            self._left -= monotonic() - start
