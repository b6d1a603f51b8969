"""Connecting to a UNIX socket that is held by descriptor.

connect(2) takes the socket's file by name only, and a path would be resolved anew. So the
name is one component, the descriptor's number, and the directory is ``/proc/self/fd`` of a
verified procfs, entered by a thread of its own whose working directory is nobody
else's (unshare(2), ``CLONE_FS``). Promises that the socket connected to is the one held.
"""

from __future__ import annotations

import os
import socket
import threading

from procpath.linux import CLONE_FS, Descriptor, unshare
from procpath.proc import VerifiedProc


class _Connecting(threading.Thread):
    """Connects one socket. Whoever is last to need it, the thread or its caller, closes it."""

    def __init__(self, connection: socket.socket, target: Descriptor) -> None:
        super().__init__(name="procpath-connect", daemon=True)
        self._connection = connection
        self._target = target
        self._lock = threading.Lock()
        self._ended = False
        self._abandoned = False
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self_fd = VerifiedProc.default().self_fd()
            unshare(CLONE_FS)
            os.fchdir(self_fd.fileno())
            self._connection.connect(self_fd.entry(self._target.value))
        except BaseException as error:
            self.error = error
        finally:
            with self._lock:
                self._ended = True
                if self._abandoned:
                    self._connection.close()

    def abandon(self) -> None:
        """Leave it to itself: an interrupted caller must not close what connect() still uses."""
        with self._lock:
            self._abandoned = True
            if self._ended:
                self._connection.close()


def connect(target: Descriptor, kind: int) -> socket.socket:
    """A socket of ``kind`` (``SOCK_*``) connected to the file that ``target`` holds.

    ``ConnectionRefusedError`` where nobody listens, or it is no socket.
    """
    connection = socket.socket(socket.AF_UNIX, kind)
    connecting = _Connecting(connection, target)
    try:
        connecting.start()
    except BaseException:
        connection.close()
        raise
    try:
        connecting.join()
    except BaseException:
        connecting.abandon()
        raise
    if connecting.error is not None:
        connection.close()
        raise connecting.error
    return connection
