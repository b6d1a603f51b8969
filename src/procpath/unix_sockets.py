"""Connecting to a UNIX socket that is held by descriptor.

connect(2) takes the socket's file by name only, and a path would be resolved again. So the
name is one component, the descriptor's number, and the directory is ``/proc/self/fd`` of a
verified procfs, entered by a thread of its own whose working directory nobody shares
(unshare(2), ``CLONE_FS``).
"""

from __future__ import annotations

import os
import socket
import threading

from procpath.linux import CLONE_FS, Descriptor, dup, unshare
from procpath.proc import VerifiedProc


class _Connecting(threading.Thread):
    """Connects one socket. It owns what it uses: an interrupted caller closes its own alone."""

    def __init__(self, connection: Descriptor, target: Descriptor, kind: int) -> None:
        super().__init__(name="procpath-connect", daemon=True)
        self._connection = connection
        self._target = target
        self._kind = kind
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self_fd = VerifiedProc.default().self_fd()
            unshare(CLONE_FS)
            os.fchdir(self_fd.fileno())
            # Signal handlers run in the main thread, so detach() loses nothing here.
            fd = self._connection.detach()
            with socket.socket(socket.AF_UNIX, self._kind, fileno=fd) as connection:
                connection.connect(self_fd.entry(self._target.value))
        except BaseException as error:
            # A traceback would keep open what this function holds.
            self.error = error.with_traceback(None)
        finally:
            self._target.close()
            self._connection.close()


def connect(target: int, kind: int) -> socket.socket:
    """Return a socket of ``kind`` (``SOCK_*``) connected to the file that ``target`` holds.

    Raises ``ConnectionRefusedError`` where nobody listens, or it is not a socket.
    """
    connection = socket.socket(socket.AF_UNIX, kind)
    try:
        # A duplicate is connected with it: both are one open file description (dup(2)).
        connecting = _Connecting(dup(connection.fileno()), dup(target), kind)
        connecting.start()
        connecting.join()
        if connecting.error is not None:
            raise connecting.error
    except BaseException:
        connection.close()
        raise
    return connection
