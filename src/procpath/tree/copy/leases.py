"""Opening files that other processes may hold leases on (``F_SETLEASE`` of fcntl(2))."""

from __future__ import annotations

import os
from errno import EAGAIN
from time import monotonic, sleep

from procpath.linux import Descriptor
from procpath.resolve.reopen import reopen

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
        while True:
            try:
                # O_NONBLOCK: while somebody holds a lease open() would wait for
                # /proc/sys/fs/lease-break-time, 45 seconds, for each file.
                return reopen(fd, flags | os.O_NONBLOCK, status=status)
            except BlockingIOError:
                if self._left <= 0:
                    reason = "another process holds a lease on it and does not give it up"
                    raise OSError(EAGAIN, reason) from None
            start = monotonic()
            sleep(0.01)
            self._left -= monotonic() - start
