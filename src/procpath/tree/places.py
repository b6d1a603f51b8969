"""The ends of a copy, move or removal: paths inside a root, or on the host.

Promises that an end is resolved once, by the rules of its root or by the host's, to a
descriptor or to a held directory and one name in it; what follows acts on those. Rests on
the resolvers of :class:`procpath.Root`.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable
from errno import EACCES, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV
from types import TracebackType

from procpath.errors import UnverifiedProcError, os_error
from procpath.linux import AT_FDCWD, FIND, FIND_DIRECTORY, FIND_NOFOLLOW, Descriptor, openat
from procpath.resolve.identity import mount_id
from procpath.resolve.interface import Parent
from procpath.resolve.links import read_followable, require_followable
from procpath.resolve.walk import MAXSYMLINKS
from procpath.root import Root
from procpath.tree.held import Closing, lies_within
from procpath.tree.walking import below

LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags to get hold of whatever has a name, a link for itself, without any effect on it."""

_CANNOT_BE_FOLLOWED = frozenset((EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV))


class Place(ABC):
    """A path and the rules that it is resolved by. Errors have paths of its kind as filename."""

    def __init__(self, text: str) -> None:
        self.text = text

    def below(self, names: list[str]) -> str:
        """The path of what lies below this one by ``names``."""
        return below(self.text, "/".join(names)) if names else self.text

    @abstractmethod
    def find(self) -> Descriptor:
        """An ``O_PATH`` descriptor of what the path leads to."""

    @abstractmethod
    def find_last(self) -> Descriptor:
        """An ``O_PATH`` descriptor of what the path names: the link itself where it is one."""

    @abstractmethod
    def open_parent(self) -> Parent:
        """The directory that holds the last component, and that component, not followed."""

    @abstractmethod
    def open_parent_of_target(self) -> Parent:
        """As :meth:`open_parent`, after following the links at the end of the path."""

    @abstractmethod
    def follow(self, dirfd: int, names: list[str]) -> int:
        """An ``O_PATH`` descriptor of what the link below this path by ``names`` leads to.

        ``dirfd`` is the directory that holds the link.
        """

    @abstractmethod
    def follow_within(self, dirfd: int, names: list[str], top: os.stat_result) -> int | None:
        """As :meth:`follow`; None where the link leads out of the tree ``top``, or nowhere."""

    @abstractmethod
    def require_enterable(self, fd: int) -> None:
        """``EXDEV`` for what lies on a mount that is not to be crossed into."""


class RootedPlace(Place):
    """An in-root path."""

    def __init__(self, root: Root, text: str, raw: bytes) -> None:
        """``raw`` is ``text`` as system calls take it."""
        super().__init__(text)
        self.root = root
        self._raw = raw

    def find(self) -> Descriptor:
        return self.root.find(self._raw)

    def find_last(self) -> Descriptor:
        return self.root.find_last(self._raw)

    def open_parent(self) -> Parent:
        return self.root.resolver.open_parent(self._raw)

    def open_parent_of_target(self) -> Parent:
        return self.root.resolver.open_parent_of_target(self._raw)

    def follow(self, dirfd: int, names: list[str]) -> int:
        # From the root: openat2 takes the directory that it starts at for the root.
        return self.root.find(os.fsencode(self.below(names))).detach()

    def follow_within(self, dirfd: int, names: list[str], top: os.stat_result) -> int | None:
        try:
            parent = self.root.resolver.open_parent_of_target(os.fsencode(self.below(names)))
        except OSError as error:
            if error.errno in _CANNOT_BE_FOLLOWED:
                return None
            raise
        with parent.dirfd:
            return _find_within(parent, top)

    def require_enterable(self, fd: int) -> None:
        if not self.root.options.cross_mounts and mount_id(fd) != self.root.identity.mnt_id:
            raise os_error(EXDEV)


class HostPlace(Place):
    """A path by our own process's rules."""

    def find(self) -> Descriptor:
        return openat(AT_FDCWD, self.text, FIND)

    def find_last(self) -> Descriptor:
        return openat(AT_FDCWD, self.text, FIND_NOFOLLOW)

    def open_parent(self) -> Parent:
        return _host_parent(self.text, AT_FDCWD)

    def open_parent_of_target(self) -> Parent:
        parent = self.open_parent()
        for _ in range(MAXSYMLINKS):
            text = _text_of_link(parent)
            if text is None:
                return parent
            parent = _host_parent(text, parent.dirfd.value)
        raise os_error(ELOOP, self.text)

    def follow(self, dirfd: int, names: list[str]) -> int:
        return os.open(names[-1], FIND, dir_fd=dirfd)

    def follow_within(self, dirfd: int, names: list[str], top: os.stat_result) -> int | None:
        # What leaves the tree is only held back on the way out of a root.
        return self.follow(dirfd, names)

    def require_enterable(self, fd: int) -> None:
        return


class Blame:
    """Puts the path that the user knows into the errors of a ``with`` block."""

    __slots__ = ("_path",)

    def __init__(self, path: Callable[[], str]) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError) and not isinstance(error, UnverifiedProcError):
            if error.filename2 is not None and error.errno:
                raise os_error(error.errno, self._path()) from error
            error.filename = self._path()


def both(reason: str, source: Place, target: Place) -> OSError:
    """The ``EINVAL`` for two ends that do not go together, worded as pathlib words it."""
    return OSError(EINVAL, reason, source.text, None, target.text)


def _host_parent(path: str, start: int) -> Parent:
    """The host's directory that holds the last component of ``path``, from ``start`` on."""
    stripped = path.rstrip("/")
    directory, name = os.path.split(stripped or path)
    if name in ("", ".", ".."):
        return Parent(openat(start, path, FIND_DIRECTORY), b".", True)
    dirfd = openat(start, directory or ".", FIND_DIRECTORY)
    return Parent(dirfd, os.fsencode(name), len(stripped) < len(path))


def _text_of_link(parent: Parent) -> str | None:
    """The text of the link that ``parent`` names, if it is one that may be followed."""
    try:
        fd = os.open(parent.name, LOOK, dir_fd=parent.dirfd.value)
    except FileNotFoundError:
        return None
    with Closing(fd):
        if not stat.S_ISLNK(os.fstat(fd).st_mode):
            return None
        require_followable(parent.dirfd.value, fd)
        return os.fsdecode(read_followable(fd))


def _find_within(parent: Parent, top: os.stat_result) -> int | None:
    """What ``parent`` names, if that lies in the tree ``top``."""
    within = lies_within(parent.dirfd.value, top)
    flags = LOOK | os.O_DIRECTORY if parent.must_be_directory else LOOK
    try:
        fd = os.open(parent.name, flags, dir_fd=parent.dirfd.value)
    except OSError:
        if within:
            raise
        return None
    if within or os.path.samestat(os.fstat(fd), top):
        return fd
    os.close(fd)
    return None
