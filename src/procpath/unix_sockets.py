"""Connecting to a UNIX socket that is held by descriptor.

connect(2) takes the socket's file by name only, and a path would be resolved again. So the
name is one component, the descriptor's number, and the directory is ``/proc/self/fd`` of a
verified procfs, entered by a thread of its own whose working directory nobody shares
(unshare(2), ``CLONE_FS``).
"""

from __future__ import annotations

import os
import socket
import struct
from _thread import allocate_lock, start_new_thread

from procpath.descriptors import closed_on_error
from procpath.linux import Descriptor, dup, unshare
from procpath.proc import VerifiedProc
from procpath.uapi import CLONE_FS

_A_MOMENT = struct.pack("@ll", 0, 50_000)
_NO_LIMIT = struct.pack("@ll", 0, 0)
"""struct timeval, seconds and microseconds, for SO_SNDTIMEO (socket(7))"""


class _Attempt:
    """One attempt to connect. It owns what its thread uses, whatever interrupts the caller."""

    def __init__(
        self, connection: Descriptor, directory: Descriptor, target: Descriptor, name: str
    ) -> None:
        """``name`` is that of ``target`` in ``directory``."""
        self._connection = connection
        self._directory = directory
        self._target = target
        self._name = name
        self.error: BaseException | None = None
        self.is_given_up = False
        self.ended = allocate_lock()
        self.ended.acquire()

    def run(self) -> None:
        try:
            unshare(CLONE_FS)
            os.fchdir(self._directory.value)
            # Signal handlers run in the main thread, so detach() loses nothing here.
            with socket.socket(fileno=self._connection.detach()) as connection:
                self._connect(connection)
        except BaseException as error:
            self.error = error.with_traceback(None)
        finally:
            self._connection.close()
            self._directory.close()
            self._target.close()
            self.ended.release()

    def _connect(self, connection: socket.socket) -> None:
        """connect(2), which waits for room in the backlog until the caller gives up."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _A_MOMENT)
        while True:
            try:
                connection.connect(self._name)
            except BlockingIOError:
                if self.is_given_up or connection.gettimeout() is not None:
                    raise
            else:
                break
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _NO_LIMIT)


def connect(target: int, kind: int) -> socket.socket:
    """Return a socket of ``kind`` (``SOCK_*``) connected to the file that ``target`` holds.

    Raises ``ConnectionRefusedError`` where nobody listens, or it is not a socket.
    """
    connection = socket.socket(socket.AF_UNIX, kind)
    try:
        attempt = _attempt(connection, target)
        try:
            # Not a threading.Thread: interrupted, its start() may raise RuntimeError instead.
            start_new_thread(attempt.run, ())
            attempt.ended.acquire()
        finally:
            attempt.is_given_up = True
        error, attempt.error = attempt.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # A frame that keeps the error which passed it is a cycle.
    except BaseException:
        connection.close()
        raise
    return connection


def _attempt(connection: socket.socket, target: int) -> _Attempt:
    held = dup(target)
    with closed_on_error(held) as number:
        self_fd = VerifiedProc.default().self_fd()
        directory = self_fd.fileno()
        # A duplicate is connected with it: both are one open file description (dup(2)).
        duplicate = connection.fileno()
        return _Attempt(dup(duplicate), dup(directory), held, self_fd.entry(number))
