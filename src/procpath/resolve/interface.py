"""What a resolver is: the interface that the walker and openat2 share."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import NamedTuple

from procpath.descriptors import closed_on_error
from procpath.errors import RootNote, about, tells_of_path
from procpath.linux import Descriptor, openat
from procpath.resolve.flags import opens_directory_only
from procpath.resolve.special import refuse_kernel_file, refuse_special
from procpath.uapi import FIND_DIRECTORY


class Rules(NamedTuple):
    """How a root resolves paths; the options of :class:`procpath.Root` of the same names."""

    clamp: bool = True
    """``..`` at the root stays there; otherwise it raises ``EscapeError``"""
    symlinks: bool = True
    """symbolic links are followed; otherwise one on the way is ``ELOOP``"""
    cross_mounts: bool = True
    """mount points are entered; otherwise one on the way is ``EXDEV``"""
    special_files: bool = True
    """special files are opened, and files of the kernel changed; otherwise ``SpecialFileError``"""


class Parent(NamedTuple):
    """A held directory and one name in it: what operations that change a directory act on."""

    dirfd: Descriptor
    name: bytes
    """one component; ``b"."`` where the path ends at the directory itself (``/``, ``.``, ``..``)"""
    must_be_directory: bool
    """the path ended in ``/``"""


def require_search(dirfd: int) -> None:
    """Raise ``EACCES`` where the caller may not search the directory.

    The kernel asks for that right at ``.`` and ``..`` too (path_resolution(7), step 2), before
    it looks a name up.
    """
    openat(dirfd, b".", FIND_DIRECTORY).close()


class Resolver(ABC):
    """Turns in-root paths into descriptors, beneath one root and by one set of rules.

    It owns the root's descriptor, which stays open until the last operation that uses the
    resolver has ended, whoever closes the root meanwhile. It keeps no other between two calls.

    Paths are bytes without NUL. Errors have the path as it was given in ``filename``, and a
    note with the root.
    """

    name: str

    mount_namespace: Descriptor | None = None
    """held so that what is mounted below the root stays (mount_namespaces(7))"""

    def __init__(self, root: Descriptor, rules: Rules, note: RootNote | None = None) -> None:
        """``note`` is added to errors."""
        self.root = root
        self.rootfd: int = root.value
        self.rules = rules
        self.note = note

    @abstractmethod
    def open(self, path: bytes, flags: int, mode: int = 0o777) -> Descriptor:
        """open(2) inside the root; always close-on-exec and ``O_NOCTTY``."""

    @abstractmethod
    def open_parent(self, path: bytes) -> Parent:
        """Open the directory that holds the last component of ``path``, which is not followed.

        It is for changes: raises what :meth:`require_changeable` raises.
        """

    @abstractmethod
    def open_parent_of_target(self, path: bytes) -> Parent:
        """As :meth:`open_parent`, after following the links at the end of ``path``.

        The name is where ``O_CREAT`` would create; it need not exist. Where the path, or a
        link at its end, ends in ``/``, it goes no further: ``O_CREAT`` makes no directory.
        """

    @abstractmethod
    def locate(self, path: bytes) -> bytes:
        """Return the in-root path of what ``path`` leads to, without links, ``.`` and ``..``."""

    @abstractmethod
    def find(self, path: bytes) -> Descriptor:
        """Return an ``O_PATH`` descriptor of what ``path`` leads to."""

    @abstractmethod
    def find_last(self, path: bytes) -> Descriptor:
        """Return an ``O_PATH`` descriptor of what ``path`` names: of a link, the link itself."""

    @abstractmethod
    def try_find(self, path: bytes) -> Descriptor:
        """:meth:`find`, but failed, ``value`` is the negated ``errno``."""

    def stat(self, path: bytes, follow_symlinks: bool) -> os.stat_result:
        """Return the status of what ``path`` leads to; not following, of what it names."""
        return self._status(self.find(path) if follow_symlinks else self.find_last(path), path)

    def mode(self, path: bytes, follow_symlinks: bool) -> int:
        """Return ``st_mode`` as :meth:`stat` does, or 0 if ``path`` leads nowhere."""
        try:
            found = self.find(path) if follow_symlinks else self.find_last(path)
        except OSError as error:
            if tells_of_path(error):
                return 0
            raise
        return self._status(found, path).st_mode

    def _status(self, found: Descriptor, path: bytes) -> os.stat_result:
        with found as fd:
            try:
                return os.fstat(fd)
            except OSError as error:
                raise self.about(error, path) from None

    def open_number(self, path: bytes, flags: int, mode: int = 0o777) -> int:
        """:meth:`open`, for a caller who keeps the number as those of ``linux.bare_openat2``."""
        return self.open(path, flags, mode).detach()

    def open_to_read(self, path: bytes) -> tuple[int, os.stat_result]:
        """:meth:`open_number` with ``O_RDONLY``, and the status."""
        opened = self.open(path, os.O_RDONLY)
        try:
            status = os.fstat(opened.value)
        except OSError as error:
            opened.close()
            raise self.about(error, path) from None
        return opened.detach(), status

    def _opens_at_once(self, flags: int) -> bool:
        """Whether ``flags`` can do no harm before it is known what there is to open."""
        return self.rules.special_files or bool(flags & os.O_PATH) or opens_directory_only(flags)

    def _changeable(self, parent: Parent) -> Parent:
        with closed_on_error(parent.dirfd) as dirfd:
            self.require_changeable(dirfd)
        return parent

    def require_openable(self, fd: int, status: os.stat_result) -> None:
        """Raise ``SpecialFileError`` if ``fd``, of this ``status``, is not to be opened."""
        if not self.rules.special_files:
            refuse_special(fd, status)

    def require_changeable(self, fd: int) -> None:
        """Raise ``SpecialFileError`` if what ``fd`` holds is not to be changed.

        Of a directory: if nothing is to be created, renamed or removed in it.
        """
        if not self.rules.special_files:
            refuse_kernel_file(fd)

    def about(self, error: OSError, path: bytes) -> OSError:
        """Return ``error`` with ``path`` as its filename, and notes of the root and its options."""
        return about(error, path, self.note)
