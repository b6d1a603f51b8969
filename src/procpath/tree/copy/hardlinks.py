"""Files with several names: the first copy of one is linked to its later names."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import (
    EACCES,
    ELOOP,
    EMLINK,
    ENOENT,
    ENOSYS,
    ENOTDIR,
    EOPNOTSUPP,
    EPERM,
    ESTALE,
    EXDEV,
)

from procpath.descriptors import Closing
from procpath.linux import Descriptor
from procpath.proc import VerifiedProc
from procpath.resolve.identity import Birth, birth
from procpath.root import Root
from procpath.tree.copy.files import Original
from procpath.tree.copy.report import of_source

_GONE = frozenset((ENOENT, ENOTDIR, ELOOP, ESTALE))
_NO_LINK = frozenset((EACCES, EMLINK, ENOSYS, EOPNOTSUPP, EPERM, EXDEV))
"""link(2): the file system has no hard links (EPERM), or no more for this file. EACCES: without
root's rights, the first copy is in a directory that is finished and forbids the way down.
"""


class _First:
    """The first copy of a file with several names."""

    __slots__ = ("identity", "names_left", "path")

    def __init__(self, path: str, made: os.stat_result, names_left: int) -> None:
        self.path = path
        """below the top of the target"""
        self.identity = made.st_dev, made.st_ino
        self.names_left = names_left
        """how many more names of the file there can be in the tree"""


class HardLinks(Closing):
    """The first copies, by the birth of their originals: inode numbers are used again."""

    def __init__(self, top: Descriptor) -> None:
        self._top = top
        self._first: dict[Birth, _First] = {}
        self._root: Root | None = None

    def close(self) -> None:
        if self._root is not None:
            self._root.close()

    def remember(self, original: Original, path: str, made: os.stat_result) -> None:
        """``made`` is the status of the copy at ``path``."""
        names_left = original.status.st_nlink - 1
        self._first[_key(original)] = _First(path, made, names_left)

    def link(
        self,
        original: Original,
        dirfd: int,
        name: str,
        on_disk: Callable[[str], str],
        on_refusal: Callable[[], object],
    ) -> bool:
        """Give the first copy of a file one more name. False if it has to be copied again.

        That is where there is none yet, it has gone, or, after a call of ``on_refusal``, the file
        system makes no more links. ``on_disk`` gives the path that a copy has now, which may be a
        temporary one.
        """
        key = _key(original)
        first = self._first.get(key)
        if first is None:
            return False
        if self._root is None:
            self._root = Root.from_fd(self._top.value, symlinks=False)
        try:
            with self._root.find_last(os.fsencode(on_disk(first.path))) as fd:
                status = os.fstat(fd)
                if (status.st_dev, status.st_ino) != first.identity:
                    return False
                self_fd = VerifiedProc.default().self_fd()
                os.link(
                    self_fd.entry(fd),
                    name,
                    src_dir_fd=self_fd.fileno(),
                    dst_dir_fd=dirfd,
                    follow_symlinks=True,
                )
        except OSError as error:
            if error.errno not in _GONE | _NO_LINK:
                raise
            if error.errno in _NO_LINK:
                on_refusal()
            return False
        first.names_left -= 1
        if not first.names_left:
            del self._first[key]
        return True


def _key(original: Original) -> Birth:
    try:
        return birth(original.fd)
    except OSError as error:
        raise of_source(error) from None
