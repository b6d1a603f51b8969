"""A new file or tree, made under a temporary name and given its own when it is whole.

Promises that nothing half-made is ever seen under the final name, and that nothing is left
under the temporary one, ``.procpath-`` and 16 random digits in the same directory, but by
a process that is killed. Rests on rename(2) and renameat2(2).
"""

from __future__ import annotations

import os
import stat
from errno import EINVAL, ENOSYS
from types import TracebackType
from typing import Self

from procpath.linux import RENAME_NOREPLACE, renameat2
from procpath.tree.places import Blame
from procpath.tree.removing import remove_own

OURS_ALONE = 0o700
"""The mode for what gets its own at the end: until then nobody else reads it or makes anything in
it.
"""

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NewFile:
    """A regular file that is made, written to and closed in a ``with`` block.

    Closing can fail for what was written before (close(2)), so ``blame`` is for that too.
    """

    def __init__(self, dirfd: int, name: str, mode: int, blame: Blame) -> None:
        self._blame = blame
        with blame:
            self._fd = os.open(name, _NEW_FILE, mode & 0o666, dir_fd=dirfd)

    def __enter__(self) -> int:
        return self._fd

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._blame:
            os.close(self._fd)


def new_directory(dirfd: int, name: str, mode: int) -> int:
    """Make a directory, and return an ``O_PATH`` descriptor of it."""
    os.mkdir(name, mode, dir_fd=dirfd)
    return os.open(name, _NEW_DIRECTORY, dir_fd=dirfd)


class Staged:
    """Something that is being made in the directory ``dirfd``, as :attr:`name` for now."""

    def __init__(self, dirfd: int) -> None:
        self.name = f".procpath-{os.urandom(8).hex()}"
        self.dirfd = dirfd
        self.made: os.stat_result | None = None
        """of the directory that was made, to be told from one that was put in its place"""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            return
        try:
            remove_own(self.dirfd, self.name, self.made)
        except OSError as left_behind:
            error.add_note(f"what was made is still there: {left_behind}")

    def replace(self, final: bytes) -> None:
        """Give it the name ``final``; what has that name is replaced as by rename(2)."""
        os.rename(self.name, final, src_dir_fd=self.dirfd, dst_dir_fd=self.dirfd)

    def publish(self, final: bytes) -> None:
        """Give it the name ``final``. ``EEXIST`` if something has that name."""
        temporary = os.fsencode(self.name)
        try:
            renameat2(self.dirfd, temporary, self.dirfd, final, RENAME_NOREPLACE)
        except OSError as error:
            # Old kernels, and file systems such as NFS (rename(2)).
            if error.errno not in (ENOSYS, EINVAL):
                raise
            self._publish_by_link(final)

    def _publish_by_link(self, final: bytes) -> None:
        """As :meth:`publish`, without renameat2(2)."""
        status = os.stat(self.name, dir_fd=self.dirfd, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            # A directory has no other links; but rename(2) puts it over an empty one at most.
            self.replace(final)
            return
        os.link(
            self.name,
            final,
            src_dir_fd=self.dirfd,
            dst_dir_fd=self.dirfd,
            follow_symlinks=False,
        )
        os.unlink(self.name, dir_fd=self.dirfd)
