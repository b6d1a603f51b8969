"""The walker: path_resolution(7) by hand, one component at a time, over held directories.

It is the reference: what it answers is what an in-root path means, and the other resolver has
to agree. The answer is that of a process chrooted into the root: same object or same
``errno``, whatever is renamed meanwhile. The kernel is given single names, and ``O_NOFOLLOW``:
never a ``/`` (Go's CVE-2026-39822: ``openat(fd, "link/", O_NOFOLLOW)`` follows the link).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from errno import EAGAIN, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, EXDEV
from types import TracebackType
from typing import Literal, NamedTuple, Self, TypeVar

from procpath.descriptors import closed_on_error
from procpath.errors import EscapeError, RootNote, UnverifiedProcError, os_error
from procpath.linux import Descriptor, dup, openat
from procpath.proc import VerifiedProc
from procpath.resolve.flags import are_valid, as_openat_reads
from procpath.resolve.identity import mount_id
from procpath.resolve.interface import Parent, Resolver, Rules, require_search
from procpath.resolve.links import read_followable, require_followable
from procpath.resolve.reopen import open_checked_first
from procpath.resolve.stack import DirectoryStack, MovedError
from procpath.uapi import FIND, FIND_DIRECTORY_NOFOLLOW, FIND_NOFOLLOW

_T = TypeVar("_T")

MAXSYMLINKS = 40
"""include/linux/namei.h; see also path_resolution(7)"""

MOST_HELD = 32
"""How many directories above the walk stay open, so that ``..`` can return to them."""

RESTARTS = 16
"""How often a walk starts again after a directory above it was moved."""

_NOT_A_DIRECTORY_OR_A_LINK = (ENOTDIR, ELOOP)

StepKind = Literal["start", "directory", "up", "clamp", "link", "end", "error"]


class Observation(NamedTuple):
    """What the walker saw at one step."""

    kind: StepKind
    directories: Sequence[bytes]
    """names from the root to where the step was taken; the walk's own, so only for the moment"""
    name: bytes
    """the component"""
    detail: bytes | OSError | None
    """the text of a link, or the error"""
    mount: int
    """ID of the mount on which the walk stands after the step; 0 after an error"""

    @property
    def location(self) -> bytes:
        """In-root path of the directory in which the step was taken."""
        return b"/" + b"/".join(self.directories)


Observer = Callable[[Observation], None]


class Walk:
    """One walk along one path: where it stands, and what is still to do."""

    def __init__(
        self,
        root: Descriptor,
        rules: Rules,
        path: bytes,
        observer: Observer | None = None,
        most_steps: int = -1,
    ) -> None:
        """``most_steps``: after so many components, ``ELOOP``; -1 for no such limit."""
        self._rules = rules
        self._observer = observer
        self._stack = DirectoryStack(root, FIND_DIRECTORY_NOFOLLOW, MOST_HELD)
        self._names: list[bytes] = []
        """of the directories from the root to where the walk stands"""
        self._mount = 0 if rules.cross_mounts else mount_id(root.value)
        self._rest = _components(path)[::-1]
        """components still to go, the next one last"""
        self._steps = most_steps
        self._component = b""
        """the component that the walk is at, for the observer"""
        self._links = 0
        """how many links were followed, all together (path_resolution(7))"""
        self._must_be_directory = path.endswith(b"/")
        """the path, or the link that stood at its end, ended in ``/``"""
        self._observe("start", b"/", None, root.value)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._observer and isinstance(error, OSError) and not isinstance(error, MovedError):
            self._observer(Observation("error", self._names, self._component, error, 0))
        self._stack.restart()

    def open(self, flags: int, mode: int) -> Descriptor:
        """Open what the path ends at, following the links that stand there.

        The last component goes to the kernel with the caller's own flags and ``O_NOFOLLOW``,
        so creating, truncating and every refusal are the kernel's own and happen at once.
        """
        while True:
            name = self._to_last()
            if name is None or name == b".":
                return self._open_here(name, flags, mode)
            once = flags | os.O_NOFOLLOW
            if self._must_be_directory:
                if flags & os.O_CREAT:
                    require_search(self._stack.dirfd)
                    raise os_error(EISDIR)
                once |= os.O_DIRECTORY
            elif flags & os.O_NOFOLLOW:
                return self._on_same_mount(openat(self._stack.dirfd, name, once, mode))
            found = self._open_unless_link(name, once, mode)
            if found is not None:
                return self._on_same_mount(found)

    def parent(self) -> Parent:
        """Return the directory that holds the last component."""
        return self._parent(self._to_last())

    def parent_of_target(self) -> Parent:
        """Return the directory that holds the last component, after following links there."""
        while True:
            name = self._to_last()
            if name is None or name == b"." or self._must_be_directory:
                return self._parent(name)
            if not self._follow_where_link(name):
                return self._parent(name)

    def locate(self) -> bytes:
        """Return the in-root path of what the path ends at, following the links there."""
        while True:
            name = self._to_last()
            if name is None or name == b".":
                if name:
                    require_search(self._stack.dirfd)
                self._observe("end", b".", None, self._stack.dirfd)
                return b"/" + b"/".join(self._names)
            directory = self._must_be_directory
            flags = FIND_DIRECTORY_NOFOLLOW if directory else FIND_NOFOLLOW
            found = self._open_unless_link(name, flags, 0)
            if found is None:
                continue
            with found as fd:
                self._require_same_mount(fd)
                self._observe("end", name, None, fd)
            return b"/" + b"/".join([*self._names, name])

    def _to_last(self) -> bytes | None:
        """Walk until one component is left, and return it; None if the path ends where the
        walk stands.
        """
        while self._rest:
            if self._leap():
                continue
            if not self._steps:
                raise os_error(ELOOP)
            self._steps -= 1
            self._component = name = self._rest.pop()
            if name == b"..":
                self._go_up()
            elif not self._rest:
                return name
            elif name == b".":
                require_search(self._stack.dirfd)
            else:
                self._enter(name)
        return None

    def _leap(self) -> bool:
        """Try to go through several components at once; False: take a single step."""
        return False

    def _enter(self, name: bytes) -> None:
        """Go through a component that is not the last: a directory, or a link to one."""
        try:
            directory = openat(self._stack.dirfd, name, FIND_DIRECTORY_NOFOLLOW)
        except OSError as error:
            if error.errno not in _NOT_A_DIRECTORY_OR_A_LINK:
                raise
            if not self._follow_or_look_again(name, ENOTDIR):
                raise os_error(ENOTDIR) from None
            return
        with closed_on_error(directory) as fd:
            self._require_same_mount(fd)
            self._observe("directory", name, None, fd)
            self._stack.enter(directory)
        self._names.append(name)

    def _go_up(self) -> None:
        require_search(self._stack.dirfd)
        if self._names:
            self._observe("up", b"..", None, self._stack.dirfd)
            self._stack.leave().close()
            self._names.pop()
            return
        if not self._rules.clamp:
            raise EscapeError
        self._observe("clamp", b"..", None, self._stack.dirfd)

    def _open_here(self, name: bytes | None, flags: int, mode: int) -> Descriptor:
        """Open the directory where the walk stands."""
        dirfd = self._stack.dirfd
        try:
            return openat(dirfd, b".", flags, mode)
        except PermissionError:
            # To arrive by "/" or ".." takes no right to search the directory that one arrives
            # at, but "." does; so open it without a name.
            if name == b".":
                raise
        if flags & os.O_PATH:
            return dup(dirfd)
        return VerifiedProc.default().self_fd().reopened(dirfd, flags)

    def _open_unless_link(self, name: bytes, flags: int, mode: int) -> Descriptor | None:
        """Open the last component; None where it is a link, which the walk then follows."""
        try:
            found = openat(self._stack.dirfd, name, flags, mode)
        except PermissionError:
            # With O_CREAT, somebody else's link in a sticky directory is EACCES before it is
            # ELOOP, whatever fs.protected_symlinks says (may_create_in_sticky(), fs/namei.c).
            if not flags & os.O_CREAT or not self._follow_where_link(name):
                raise
            return None
        except OSError as error:
            if error.errno not in _NOT_A_DIRECTORY_OR_A_LINK:
                raise
            if not self._follow_or_look_again(name, error.errno):
                raise
            return None
        if flags & os.O_PATH:
            with closed_on_error(found) as fd:
                is_link = self._follow_if_link(name, fd)
            if is_link:
                found.close()
                return None
        return found

    def _parent(self, name: bytes | None) -> Parent:
        if name == b".":
            require_search(self._stack.dirfd)
        return Parent(dup(self._stack.dirfd), name or b".", self._must_be_directory)

    def _follow_if_link(self, name: bytes, fd: int) -> bool:
        """Where ``fd``, the last component, is a link, put its text on what is to do."""
        if not stat.S_ISLNK(os.fstat(fd).st_mode):
            return False
        self._follow(name, fd)
        return True

    def _follow_where_link(self, name: bytes) -> bool:
        """:meth:`_follow_if_link` for a last component of which only the name is known."""
        try:
            found = openat(self._stack.dirfd, name, FIND_NOFOLLOW)
        except FileNotFoundError:
            return False
        with found as fd:
            return self._follow_if_link(name, fd)

    def _follow_or_look_again(self, name: bytes, refusal: int) -> bool:
        """Decide what to do where ``name`` did not open without following a link.

        False if it really is what ``refusal`` (``ENOTDIR`` or ``ELOOP``) says, and no link;
        otherwise it was swapped between two looks at it.
        """
        try:
            found = openat(self._stack.dirfd, name, FIND_NOFOLLOW)
        except FileNotFoundError:
            self._look_again(name)
            return True
        with found as fd:
            if self._follow_if_link(name, fd):
                return True
            if refusal == ENOTDIR and not stat.S_ISDIR(os.fstat(fd).st_mode):
                return False
            self._look_again(name)
            return True

    def _look_again(self, name: bytes) -> None:
        self._count_link()
        self._rest.append(name)

    def _count_link(self) -> None:
        """Count one more link on the way, or a concurrent change; both are bounded."""
        self._links += 1
        if self._links > MAXSYMLINKS:
            raise os_error(ELOOP)

    def _follow(self, name: bytes, link: int) -> None:
        """Put the text of ``link`` in front of what is still to do.

        The order of the refusals is that of pick_link() in fs/namei.c.
        """
        trailing = not self._rest
        self._require_same_mount(link)
        self._count_link()
        if trailing:
            require_followable(self._stack.dirfd, link)
        if not self._rules.symlinks:
            raise os_error(ELOOP)
        text = read_followable(link)
        self._observe("link", name, text, link)
        if text.startswith(b"/"):
            self._stack.restart()
            self._names.clear()
        if trailing and text.endswith(b"/"):
            self._must_be_directory = True
        self._rest += _components(text)[::-1]

    def _require_same_mount(self, fd: int) -> None:
        """With ``cross_mounts=False``, refuse what is on another mount than the root."""
        if self._mount and mount_id(fd) != self._mount:
            raise os_error(EXDEV)

    def _on_same_mount(self, found: Descriptor) -> Descriptor:
        with closed_on_error(found) as fd:
            self._require_same_mount(fd)
        return found

    def _observe(self, kind: StepKind, name: bytes, detail: bytes | None, fd: int) -> None:
        if self._observer:
            self._observer(Observation(kind, self._names, name, detail, mount_id(fd)))


class Walker(Resolver):
    """The resolver that needs nothing but openat(2)."""

    name = "walk"

    def __init__(
        self, root: Descriptor, rules: Rules, note: RootNote | None = None, most_steps: int = -1
    ) -> None:
        """``most_steps`` is that of :class:`Walk`."""
        super().__init__(root, rules, note)
        self._most_steps = most_steps

    def open(self, path: bytes, flags: int, mode: int = 0o777) -> Descriptor:
        flags, mode = as_openat_reads(flags, mode)
        if not are_valid(flags):
            raise self.about(os_error(EINVAL), path)
        if not flags & os.O_PATH and not (self.rules.cross_mounts and self._opens_at_once(flags)):
            return open_checked_first(self, path, flags, mode, self.require_openable)
        return self._walk(path, lambda walk: walk.open(flags, mode))

    def open_parent(self, path: bytes) -> Parent:
        return self._walk(path, lambda walk: self._changeable(walk.parent()))

    def open_parent_of_target(self, path: bytes) -> Parent:
        return self._walk(path, lambda walk: self._changeable(walk.parent_of_target()))

    def find(self, path: bytes) -> Descriptor:
        return self.open(path, FIND)

    def find_last(self, path: bytes) -> Descriptor:
        return self.open(path, FIND_NOFOLLOW)

    def try_find(self, path: bytes) -> Descriptor:
        try:
            return self.find(path)
        except UnverifiedProcError:
            raise
        except OSError as error:
            if not error.errno:
                raise
            return Descriptor(-error.errno)

    def locate(self, path: bytes) -> bytes:
        return self._walk(path, Walk.locate)

    def observe(self, path: bytes, observer: Observer) -> bytes:
        """:meth:`locate`, calling ``observer`` at every step."""
        return self._walk(path, Walk.locate, observer)

    def _begin(self, path: bytes, observer: Observer | None) -> Walk:
        return Walk(self.root, self.rules, path, observer, self._most_steps)

    def _walk(
        self, path: bytes, finish: Callable[[Walk], _T], observer: Observer | None = None
    ) -> _T:
        """Walk along ``path`` and ``finish`` at its end; again where a directory was moved."""
        try:
            if not path:
                raise os_error(ENOENT)
            for _ in range(RESTARTS):
                with self._begin(path, observer) as walk:
                    try:
                        return finish(walk)
                    except MovedError:
                        continue
            raise os_error(EAGAIN)
        except OSError as error:
            # The caller knows the path that it gave, not the component that failed.
            self.about(error, path)
            raise


def _components(path: bytes) -> list[bytes]:
    return [component for component in path.split(b"/") if component]
