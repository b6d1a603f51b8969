"""The ends of a copy, a move or a removal: paths inside a root, or paths on the host.

An end is resolved once, by the rules of its root or by the host's, to a descriptor or to a
held directory and one name in it. Everything after that acts on those.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable
from errno import EACCES, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV
from types import TracebackType

from procpath.errors import SpecialFileError, about, os_error
from procpath.linux import Descriptor, dup, openat
from procpath.resolve.identity import Identity, identity, mount_id
from procpath.resolve.interface import Parent
from procpath.resolve.links import read_followable, require_followable
from procpath.resolve.special import kernel_file_system
from procpath.resolve.walk import MAXSYMLINKS
from procpath.root import Root
from procpath.tree.walking import below
from procpath.uapi import AT_FDCWD, FIND, FIND_DIRECTORY, FIND_DIRECTORY_NOFOLLOW, FIND_NOFOLLOW

LEADS_NOWHERE = frozenset((EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV))
"""Errnos meaning that a path leads to nothing that its user could reach. EXDEV: above the
root, or to a mount that must not be entered.
"""

_MOST_VERDICTS = 1024


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
        if isinstance(error, OSError):
            self.name_in(error)

    def name_in(self, error: OSError) -> None:
        """Put the path into an error, or raise another one with it."""
        if error.filename2 is not None and error.errno:
            # The names that os.rename() and its like were called with, in held directories.
            raise os_error(error.errno, self._path()) from error
        about(error, self._path())


class Place(ABC):
    """A path and the rules that resolve it. Errors have :attr:`text` as their filename."""

    root: Root | None = None
    """None: the host"""

    def __init__(self, text: str) -> None:
        self.text = text
        self.blame: Blame = Blame(lambda: text)

    def below(self, names: list[str]) -> str:
        """Return the path of the file that ``names`` lead to from here, for errors."""
        return below(self.text, "/".join(names)) if names else self.text

    @abstractmethod
    def entry(self, name: str) -> Place:
        """Return the place of a name in the directory that is here."""

    @abstractmethod
    def find(self) -> Descriptor:
        """Hold what the path leads to (``O_PATH``)."""

    @abstractmethod
    def find_last(self) -> Descriptor:
        """Hold what the path names, which may be a link (``O_PATH``)."""

    @abstractmethod
    def open_parent(self) -> Parent:
        """Hold the directory of the last component, which is not followed."""

    @abstractmethod
    def open_parent_of_target(self) -> Parent:
        """Do as :meth:`open_parent`, after following the links at the end of the path."""

    @abstractmethod
    def follow(self, dirfd: int, names: list[str]) -> Descriptor:
        """Hold what the link at ``names`` below this path leads to (``O_PATH``).

        ``dirfd`` is the directory that holds the link.
        """

    @abstractmethod
    def follow_within(self, dirfd: int, names: list[str], top: os.stat_result) -> Descriptor | None:
        """Do as :meth:`follow`; None if the link leads out of the tree ``top``, or nowhere."""

    @abstractmethod
    def require_enterable(self, fd: int) -> None:
        """Raise ``EXDEV`` for a file on a mount that must not be entered."""

    @abstractmethod
    def require_copyable(self, fd: int, status: os.stat_result) -> None:
        """Raise ``SpecialFileError`` for a file of a kernel file system, unless allowed."""

    @abstractmethod
    def require_changeable(self, fd: int) -> None:
        """Raise ``SpecialFileError`` for a directory of a kernel file system, unless allowed."""


class RootedPlace(Place):
    """An in-root path."""

    def __init__(self, root: Root, text: str, raw: bytes) -> None:
        """``raw`` is the path for system calls, ``text`` the one for errors."""
        super().__init__(text)
        # Nobody sets the root of a place, so it may be narrower here.
        self.root: Root = root  # pyright: ignore[reportIncompatibleVariableOverride]
        self.raw = raw
        self._is_within: dict[Identity, bool] = {}
        """verdicts of :func:`lies_within`, which takes as long as the tree is deep"""

    def entry(self, name: str) -> RootedPlace:
        return RootedPlace(self.root, self.below([name]), self._raw_below([name]))

    def find(self) -> Descriptor:
        with self.blame:
            return self.root.find(self.raw)

    def find_last(self) -> Descriptor:
        with self.blame:
            return self.root.find_last(self.raw)

    def open_parent(self) -> Parent:
        with self.blame:
            return self.root.resolver.open_parent(self.raw)

    def open_parent_of_target(self) -> Parent:
        with self.blame:
            return self.root.resolver.open_parent_of_target(self.raw)

    def follow(self, dirfd: int, names: list[str]) -> Descriptor:
        below = self._find_below(dirfd, names)
        if below is not None:
            return below
        # From the root: openat2 takes the directory that it starts at for the root.
        return self.root.find(self._raw_below(names))

    def follow_within(self, dirfd: int, names: list[str], top: os.stat_result) -> Descriptor | None:
        below = self._find_below(dirfd, names)
        if below is not None:
            return below
        try:
            parent = self.root.resolver.open_parent_of_target(self._raw_below(names))
        except SpecialFileError:
            # It leads to a kernel file system, of which nothing is copied.
            return None
        except OSError as error:
            if error.errno in LEADS_NOWHERE:
                return None
            raise
        with parent.dirfd as target:
            return _find_within(parent, top, self._lies_within(target, top))

    def _find_below(self, dirfd: int, names: list[str]) -> Descriptor | None:
        if not self.root.options.symlinks:
            return None
        return _find_below(dirfd, os.fsencode(names[-1]))

    def _lies_within(self, dirfd: int, top: os.stat_result) -> bool:
        here = identity(dirfd)
        verdict = self._is_within.get(here)
        if verdict is None:
            if len(self._is_within) >= _MOST_VERDICTS:
                self._is_within.clear()
            verdict = self._is_within[here] = lies_within(dirfd, top)
        return verdict

    def require_enterable(self, fd: int) -> None:
        if not self.root.options.cross_mounts and mount_id(fd) != self.root.identity.mnt_id:
            raise os_error(EXDEV)

    def require_copyable(self, fd: int, status: os.stat_result) -> None:
        if self.root.options.special_files == "allow":
            return
        file_system = kernel_file_system(fd, status)
        if file_system is not None:
            reason = f'a file of {file_system} is copied only with special_files="allow"'
            raise SpecialFileError(reason=reason)

    def require_changeable(self, fd: int) -> None:
        self.root.resolver.require_changeable(fd)

    def _raw_below(self, names: list[str]) -> bytes:
        return os.path.join(self.raw, os.fsencode("/".join(names)))


class HostPlace(Place):
    """A path by the rules of our own process."""

    def entry(self, name: str) -> HostPlace:
        return HostPlace(self.below([name]))

    def find(self) -> Descriptor:
        return openat(AT_FDCWD, self.text, FIND)

    def find_last(self) -> Descriptor:
        return openat(AT_FDCWD, self.text, FIND_NOFOLLOW)

    def open_parent(self) -> Parent:
        with self.blame:
            return _host_parent(self.text, AT_FDCWD)

    def open_parent_of_target(self) -> Parent:
        parent = self.open_parent()
        with self.blame:
            for _ in range(MAXSYMLINKS):
                with parent.dirfd as dirfd:
                    text = _text_of_link(dirfd, parent.name)
                    if text is None:
                        return parent._replace(dirfd=dup(dirfd))
                    parent = _host_parent(text, dirfd)
            parent.dirfd.close()
            raise os_error(ELOOP)

    def follow(self, dirfd: int, names: list[str]) -> Descriptor:
        return openat(dirfd, names[-1], FIND)

    def follow_within(self, dirfd: int, names: list[str], top: os.stat_result) -> Descriptor | None:
        # Links that leave the tree are only held back on the way out of a root.
        return self.follow(dirfd, names)

    def require_enterable(self, fd: int) -> None:
        return

    def require_copyable(self, fd: int, status: os.stat_result) -> None:
        # Whoever names a file of the host means that file.
        return

    def require_changeable(self, fd: int) -> None:
        return


def both(reason: str, source: Place, target: Place) -> OSError:
    """Return the EINVAL for an invalid source and target, worded as pathlib words it."""
    return OSError(EINVAL, reason, source.text, None, target.text)


def lies_within(dirfd: int, top: os.stat_result) -> bool:
    """Return whether the directory ``dirfd`` is ``top`` or below it, going up by ``..``."""
    directory = dup(dirfd)
    try:
        here = identity(directory.value)
        while (here.dev, here.ino) != (top.st_dev, top.st_ino):
            directory = openat(directory.value, "..", FIND_DIRECTORY_NOFOLLOW)
            before, here = here, identity(directory.value)
            if here == before:
                return False
        return True
    finally:
        directory.close()


def _host_parent(path: str, start: int) -> Parent:
    """Hold the host's directory of the last component of ``path``, which counts from ``start``."""
    stripped = path.rstrip("/")
    directory, name = os.path.split(stripped or path)
    if name in ("", ".", ".."):
        return Parent(openat(start, path, FIND_DIRECTORY), b".", True)
    dirfd = openat(start, directory or ".", FIND_DIRECTORY)
    return Parent(dirfd, os.fsencode(name), len(stripped) < len(path))


def _text_of_link(dirfd: int, name: bytes, mount: int | None = None) -> str | None:
    """Return the text of a link; None for anything else, or if it is not on ``mount``.

    Raises if it must not be followed.
    """
    try:
        found = openat(dirfd, name, FIND_NOFOLLOW)
    except FileNotFoundError:
        return None
    with found as fd:
        if not stat.S_ISLNK(os.fstat(fd).st_mode):
            return None
        if mount is not None and mount_id(fd) != mount:
            return None
        require_followable(dirfd, fd)
        return os.fsdecode(read_followable(fd))


def _find_below(dirfd: int, name: bytes) -> Descriptor | None:
    """Hold what the link ``name`` leads to, if that is below its directory and no other link.

    Most links do, as those of shared libraries: it saves the way from the root, however deep.
    None if it leads anywhere else, or cannot be known from here. The limit of 40 links is that of
    the way from here.
    """
    try:
        mount = mount_id(dirfd)
        text = _text_of_link(dirfd, name, mount)
        if text is None or text.startswith("/") or text.endswith("/"):
            return None
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if not parts or ".." in parts or text.endswith("/."):
            return None
        found = dup(dirfd)
        for part in parts:
            # What a link is, or a file on the way, is none of a directory's entries (ENOTDIR).
            found = openat(found.value, part, FIND_NOFOLLOW)
            if mount_id(found.value) != mount or stat.S_ISLNK(os.fstat(found.value).st_mode):
                return None
    except OSError:
        # The resolver finds out, or raises what it is.
        return None
    return found


def _find_within(parent: Parent, top: os.stat_result, within: bool) -> Descriptor | None:
    """Hold what ``parent`` names; None if that is not in the tree ``top``.

    ``within`` is whether the directory is.
    """
    flags = FIND_DIRECTORY_NOFOLLOW if parent.must_be_directory else FIND_NOFOLLOW
    try:
        fd = openat(parent.dirfd.value, parent.name, flags)
    except OSError:
        # A link to a name outside is kept as it is, whether something has that name or not.
        if within:
            raise
        return None
    return fd if within or os.path.samestat(os.fstat(fd.value), top) else None
