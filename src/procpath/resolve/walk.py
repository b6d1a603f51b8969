"""The walker: path_resolution(7) by hand, one component at a time, over held directories.

It is the reference: what it says an in-root path means is what the path means, and
the other resolver has to agree. It promises the answer that a process chrooted into
the root would get (same object or same ``errno``), never leaves the root whatever is
renamed meanwhile, follows at most 40 links, and holds at most a few dozen descriptors
however long the path is. It rests on openat(2) of single names with ``O_NOFOLLOW``: the
kernel never sees a ``/`` or a link to follow (Go's CVE-2026-39822: ``openat(fd, "link/",
O_NOFOLLOW)`` follows the link).
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Sequence
from errno import EAGAIN, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, EXDEV
from types import TracebackType
from typing import Literal, NamedTuple, Self, TypeVar

from procpath.errors import EscapeError, UnverifiedProcError, os_error
from procpath.linux import (
    FIND,
    FIND_DIRECTORY_NOFOLLOW,
    FIND_NOFOLLOW,
    Descriptor,
    dup,
    openat,
)
from procpath.proc import VerifiedProc
from procpath.resolve.identity import Birth, birth, mount_id
from procpath.resolve.interface import (
    Parent,
    Resolver,
    Rules,
    are_valid,
    as_openat_reads,
    require_search,
)
from procpath.resolve.links import read_followable, require_followable
from procpath.resolve.reopen import open_checked_first

_T = TypeVar("_T")

MAXSYMLINKS = 40
"""include/linux/namei.h; see also path_resolution(7)"""

_HELD_DIRECTORIES = 32
"""How many directories above the walk stay open, so that ``..`` can return to them."""

RESTARTS = 16
"""How often a walk that was overtaken by a rename starts again before it gives up."""

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


class Overtaken(Exception):
    """A directory above the walk was moved, so ``..`` no longer leads back: walk again."""


class DirectoryStack:
    """The directories from the root down to where the walk stands.

    The deepest ones are held open. Of those above only the birth is kept: coming
    back to one of them goes by ``..``, and has to arrive where the walk came through.
    """

    def __init__(self, rootfd: int) -> None:
        self._rootfd = rootfd
        self._held: deque[Descriptor] = deque()
        self._released: list[Birth] = []
        self.names: list[bytes] = []

    @property
    def dirfd(self) -> int:
        return self._held[-1].value if self._held else self._rootfd

    def enter(self, name: bytes, dirfd: Descriptor) -> None:
        """Go down into ``dirfd``, which now belongs to the stack."""
        self._held.append(dirfd)
        self.names.append(name)
        if len(self._held) > _HELD_DIRECTORIES:
            self._released.append(birth(self._held[0].value))
            self._held.popleft().close()

    def leave(self) -> None:
        """Go up to the directory that the walk came through."""
        if len(self._held) == 1 and self._released:
            self._held.appendleft(self._reopen_released())
        self._held.pop().close()
        self.names.pop()

    def _reopen_released(self) -> Descriptor:
        above = openat(self._held[0].value, b"..", FIND_DIRECTORY_NOFOLLOW)
        if birth(above.value) != self._released[-1]:
            raise Overtaken
        self._released.pop()
        return above

    def restart(self) -> None:
        """Go to the root."""
        while self._held:
            self._held.pop().close()
        self._released.clear()
        self.names.clear()


class Walk:
    """One walk along one path: where it stands, and what is still to do."""

    def __init__(
        self, rootfd: int, rules: Rules, path: bytes, observer: Observer | None = None
    ) -> None:
        self._rules = rules
        self._observer = observer
        self._stack = DirectoryStack(rootfd)
        self._mount = 0 if rules.cross_mounts else mount_id(rootfd)
        self._todo = _components(path)[::-1]
        """components still to go, the next one last"""
        self._component = b""
        """the component that the walk is at, for the observer"""
        self._links = 0
        """how many links were followed, all together (path_resolution(7))"""
        self.must_be_directory = path.endswith(b"/")
        """the path, or the link that stood at its end, ended in ``/``"""
        self._observe("start", b"/", None, rootfd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.restart()

    @property
    def dirfd(self) -> int:
        """The directory where the walk stands."""
        return self._stack.dirfd

    @property
    def location(self) -> bytes:
        """Its in-root path."""
        return b"/" + b"/".join(self._stack.names)

    def to_last(self) -> bytes | None:
        """Walk until one component is left, and return it; None if the path ends where the
        walk stands.
        """
        while self._todo:
            self._component = name = self._todo.pop()
            if name == b"..":
                self._go_up()
            elif not self._todo:
                return name
            elif name == b".":
                self.require_search()
            else:
                self._enter(name)
        return None

    def follow_if_link(self, name: bytes, fd: int) -> bool:
        """Where ``fd``, the last component, is a link, put its text on what is to do."""
        if not stat.S_ISLNK(os.fstat(fd).st_mode):
            return False
        self._follow(name, fd)
        return True

    def follow_where_link(self, name: bytes) -> bool:
        """:meth:`follow_if_link` for a last component of which only the name is known."""
        try:
            found = openat(self.dirfd, name, FIND_NOFOLLOW)
        except FileNotFoundError:
            return False
        with found as fd:
            return self.follow_if_link(name, fd)

    def follow_or_look_again(self, name: bytes, refusal: int) -> bool:
        """What to do where ``name`` did not open without following a link.

        False if it really is what ``refusal`` (``ENOTDIR`` or ``ELOOP``) says, and no link;
        otherwise it was swapped between two looks at it.
        """
        try:
            found = openat(self.dirfd, name, FIND_NOFOLLOW)
        except FileNotFoundError:
            self._look_again(name)
            return True
        with found as fd:
            if self.follow_if_link(name, fd):
                return True
            if refusal == ENOTDIR and not stat.S_ISDIR(os.fstat(fd).st_mode):
                return False
            self._look_again(name)
            return True

    def require_same_mount(self, fd: int) -> None:
        """With ``cross_mounts=False``, refuse what lies on another mount than the root."""
        if self._mount and mount_id(fd) != self._mount:
            raise os_error(EXDEV)

    def ended(self, name: bytes, fd: int) -> None:
        """Tell the observer that the path led to ``fd``."""
        self._observe("end", name, None, fd)

    def failed(self, error: OSError) -> None:
        """Tell the observer that the walk ended in ``error``."""
        if self._observer:
            self._observer(Observation("error", self._stack.names, self._component, error, 0))

    def _enter(self, name: bytes) -> None:
        """Go through a component that is not the last: a directory, or a link to one."""
        try:
            fd = openat(self.dirfd, name, FIND_DIRECTORY_NOFOLLOW)
        except OSError as error:
            if error.errno not in _NOT_A_DIRECTORY_OR_A_LINK:
                raise
            if not self.follow_or_look_again(name, ENOTDIR):
                raise os_error(ENOTDIR) from None
            return
        self.require_same_mount(fd.value)
        self._observe("directory", name, None, fd.value)
        self._stack.enter(name, fd)

    def _go_up(self) -> None:
        self.require_search()
        if self._stack.names:
            self._observe("up", b"..", None, self.dirfd)
            self._stack.leave()
            return
        if not self._rules.clamp:
            raise EscapeError
        self._observe("clamp", b"..", None, self.dirfd)

    def _look_again(self, name: bytes) -> None:
        self._count_link()
        self._todo.append(name)

    def _count_link(self) -> None:
        """Count one more link on the way, or a change under the walk's feet; both are bounded."""
        self._links += 1
        if self._links > MAXSYMLINKS:
            raise os_error(ELOOP)

    def require_search(self) -> None:
        """Refuse where the caller may not search the directory where the walk stands."""
        require_search(self.dirfd)

    def _follow(self, name: bytes, link: int) -> None:
        """Put the text of ``link`` in front of what is still to do.

        The order of the refusals is that of pick_link() in fs/namei.c.
        """
        trailing = not self._todo
        self.require_same_mount(link)
        self._count_link()
        if trailing:
            require_followable(self.dirfd, link)
        if not self._rules.symlinks:
            raise os_error(ELOOP)
        text = read_followable(link)
        self._observe("link", name, text, link)
        if text.startswith(b"/"):
            self._stack.restart()
        if trailing and text.endswith(b"/"):
            self.must_be_directory = True
        self._todo += _components(text)[::-1]

    def _observe(self, kind: StepKind, name: bytes, detail: bytes | None, fd: int) -> None:
        if self._observer:
            self._observer(Observation(kind, self._stack.names, name, detail, mount_id(fd)))


class Walker(Resolver):
    """The resolver that needs nothing but openat(2)."""

    name = "walk"

    def open(self, path: bytes, flags: int, mode: int = 0o777) -> Descriptor:
        flags, mode = as_openat_reads(flags, mode)
        if not are_valid(flags):
            raise os_error(EINVAL, path)
        if not self.rules.cross_mounts and not flags & os.O_PATH:
            return open_checked_first(self, path, flags, mode)
        return self._walk(path, lambda walk: _open_end(walk, flags, mode))

    def open_parent(self, path: bytes) -> Parent:
        return self._walk(path, lambda walk: _parent(walk, walk.to_last()))

    def open_parent_of_target(self, path: bytes) -> Parent:
        return self._walk(path, _parent_of_target)

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
        return self._walk(path, _locate)

    def observe(self, path: bytes, observer: Observer) -> bytes:
        """:meth:`locate`, telling ``observer`` of every step."""
        return self._walk(path, _locate, observer)

    def _walk(
        self, path: bytes, finish: Callable[[Walk], _T], observer: Observer | None = None
    ) -> _T:
        """Walk along ``path`` and ``finish`` at its end; again when a rename overtook the walk."""
        try:
            if not path:
                raise os_error(ENOENT)
            for _ in range(RESTARTS):
                with Walk(self.rootfd, self.rules, path, observer) as walk:
                    try:
                        return finish(walk)
                    except Overtaken:
                        continue
                    except OSError as error:
                        walk.failed(error)
                        raise
            raise os_error(EAGAIN)
        except UnverifiedProcError:
            raise
        except OSError as error:
            # The caller knows the path that it gave, not the component that failed.
            error.filename = os.fsdecode(path)
            raise


def _components(path: bytes) -> list[bytes]:
    return [component for component in path.split(b"/") if component]


def _open_end(walk: Walk, flags: int, mode: int) -> Descriptor:
    """Open what the path ends at, following the links that stand there.

    The last component goes to the kernel with the caller's own flags and ``O_NOFOLLOW``,
    so creating, truncating and every refusal are the kernel's own and happen at once.
    """
    creates = flags & os.O_CREAT
    while True:
        name = walk.to_last()
        if name is None or name == b".":
            return _open_here(walk, name, flags, mode)
        if walk.must_be_directory and creates:
            walk.require_search()
            raise os_error(EISDIR)
        once = flags | os.O_NOFOLLOW
        if walk.must_be_directory:
            once |= os.O_DIRECTORY
        elif flags & os.O_NOFOLLOW:
            return _require_same_mount(walk, openat(walk.dirfd, name, once, mode))
        fd = _open_unless_link(walk, name, once, mode)
        if fd is not None:
            return _require_same_mount(walk, fd)


def _open_here(walk: Walk, name: bytes | None, flags: int, mode: int) -> Descriptor:
    """Open the directory where the walk stands."""
    try:
        return openat(walk.dirfd, b".", flags, mode)
    except PermissionError:
        # To arrive by "/" or ".." takes no right to search the directory that one arrives
        # at, but "." does; so open it without a name.
        if name == b".":
            raise
    if flags & os.O_PATH:
        return dup(walk.dirfd)
    return VerifiedProc.default().self_fd().reopened(walk.dirfd, flags)


def _open_unless_link(walk: Walk, name: bytes, flags: int, mode: int) -> Descriptor | None:
    """Open the last component; None where it is a link, which the walk then follows."""
    try:
        fd = openat(walk.dirfd, name, flags, mode)
    except PermissionError:
        # With O_CREAT, somebody else's link in a sticky directory is EACCES before it is
        # ELOOP, whatever fs.protected_symlinks says (may_create_in_sticky() in fs/namei.c).
        if not flags & os.O_CREAT or not walk.follow_where_link(name):
            raise
        return None
    except OSError as error:
        if error.errno not in _NOT_A_DIRECTORY_OR_A_LINK:
            raise
        if not walk.follow_or_look_again(name, error.errno):
            raise
        return None
    if flags & os.O_PATH and walk.follow_if_link(name, fd.value):
        fd.close()
        return None
    return fd


def _require_same_mount(walk: Walk, fd: Descriptor) -> Descriptor:
    walk.require_same_mount(fd.value)
    return fd


def _parent(walk: Walk, name: bytes | None) -> Parent:
    if name == b".":
        walk.require_search()
    return Parent(dup(walk.dirfd), name or b".", walk.must_be_directory)


def _parent_of_target(walk: Walk) -> Parent:
    while True:
        name = walk.to_last()
        if name is None or name == b"." or walk.must_be_directory:
            return _parent(walk, name)
        if not walk.follow_where_link(name):
            return _parent(walk, name)


def _locate(walk: Walk) -> bytes:
    while True:
        name = walk.to_last()
        if name is None or name == b".":
            if name:
                walk.require_search()
            walk.ended(b".", walk.dirfd)
            return walk.location
        flags = FIND_DIRECTORY_NOFOLLOW if walk.must_be_directory else FIND_NOFOLLOW
        found = _open_unless_link(walk, name, flags, 0)
        if found is None:
            continue
        with found as fd:
            walk.require_same_mount(fd)
            walk.ended(name, fd)
        return os.path.join(walk.location, name)
