"""PinnedPath: one file of a root, held open, with a name that other programs can use.

The name is ``/proc/self/fd/N`` of a descriptor that the object owns
(``/proc/thread-self/fd/N`` outside of the main thread), in a mounted procfs that was checked.
"""

from __future__ import annotations

import os
import stat
from threading import get_native_id
from typing import Self

from procpath.descriptors import Closing, closed_on_error
from procpath.errors import ClosedRootError
from procpath.linux import Descriptor
from procpath.proc import VerifiedProc


class PinnedPath(Closing, os.PathLike[str]):
    """A file held by descriptor, as an ``os.PathLike`` for other programs and libraries.

    Made by :meth:`procpath.RootedPath.pin`. Closes with the ``with`` block, by :meth:`close` or
    with its last user. ``str()`` is ``os.fspath()``: a name of the file in ``/proc/self/fd``,
    with ``/`` at the end for a directory. It stays that of this very file, whatever happens to
    the path. A child process needs the descriptor too:
    ``subprocess.run(["cat", pinned], pass_fds=[pinned.fileno()])``.

    Good for what opens the name as it is given: ``open()``, ``cat``, ``tar -f``. Wrong for what
    resolves or looks at the name first, because it is a symbolic link whose text is the in-root
    path: SQLite, ``os.path.realpath()``, node and Python given a script then open the *host's*
    file of that path, and ``lstat()`` (file, libmagic, ``shutil.rmtree()``) finds a link. So does
    every path below a pinned directory, which the host's rules resolve. For those use
    :meth:`procpath.RootedPath.as_file`.
    """

    def __init__(self, fd: Descriptor, path: str) -> None:
        """Take over ``fd``; ``path`` says in messages what it was found at, and in which root."""
        # The name is only as good as the procfs that other programs see now: a thread may have gone
        # to another mount namespace (setns(2)), and /proc may have been mounted over.
        try:
            with closed_on_error(fd) as number, VerifiedProc(source="mounted") as proc:
                proc.self_fd().readlink(number)
                self._slash = "/" if stat.S_ISDIR(os.fstat(number).st_mode) else ""
        except OSError as error:
            # The tracebacks would keep the procfs open, for as long as somebody keeps the error.
            error.__context__ = None
            raise error.with_traceback(None) from None
        self._fd: Descriptor | None = fd
        self._path = path

    def __fspath__(self) -> str:
        # A thread may have descriptors of its own (unshare(2), CLONE_FILES): "self" has those of
        # the main thread. A child process finds itself by either name.
        own = "self" if get_native_id() == os.getpid() else "thread-self"
        return f"/proc/{own}/fd/{self.fileno()}{self._slash}"

    def fileno(self) -> int:
        """Return the held ``O_PATH`` descriptor. It stays this object's: do not close it.

        Raises :class:`ClosedRootError` once it is closed, as ``os.fspath()`` does.
        """
        return self._descriptor().value

    def stat(self) -> os.stat_result:
        """Return the file's status."""
        fd = self._descriptor()
        return os.fstat(fd.value)

    def _descriptor(self) -> Descriptor:
        fd = self._fd
        if fd is None:
            raise ClosedRootError(f"the pinned {self._path} is closed")
        return fd

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._fd is None

    def close(self) -> None:
        """Let the file go; do nothing if that was done before."""
        # Only the reference goes: another thread may be acting on the descriptor.
        self._fd = None

    def __enter__(self) -> Self:
        self.fileno()
        return self

    def __str__(self) -> str:
        return os.fspath(self)

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"at {os.fspath(self)}"
        return f"<{type(self).__name__} of {self._path} {state}>"
