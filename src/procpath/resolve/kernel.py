"""The kernel's resolver: openat2(2) with ``RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS``.

It gives the walker's answers in one system call, on Linux 5.6 and later where no seccomp
filter forbids it (:func:`openat2_refusal`). The walker answers where openat2 does not: paths
over ``PATH_MAX``, a rename that races with ``..``, a ``..`` above a root that does not clamp.
"""

from __future__ import annotations

import os
from errno import EACCES, EAGAIN, ELOOP, ENAMETOOLONG, ENOENT, ENOSYS, ENOTDIR, EPERM, EXDEV
from functools import lru_cache
from itertools import starmap

from procpath import linux
from procpath.errors import MagicLinkError, RootNote, UnverifiedProcError, os_error
from procpath.linux import (
    OPEN_HOW_SIZE,
    Descriptor,
    OpenHow,
    get_errno,
    open_how,
    taken_errno,
    try_openat2,
)
from procpath.proc import VerifiedProc
from procpath.resolve.flags import as_openat_reads
from procpath.resolve.interface import Parent, Resolver, Rules
from procpath.resolve.leap import LeapingWalker
from procpath.resolve.reopen import open_checked_first, reopen_number
from procpath.resolve.special import refuse_special
from procpath.resolve.walk import Walker
from procpath.uapi import (
    AT_FDCWD,
    FIND,
    FIND_DIRECTORY,
    FIND_NOFOLLOW,
    PATH_MAX,
    RESOLVE_BENEATH,
    RESOLVE_CACHED,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    SYS_openat2,
)

_ATTEMPTS = 3
"""how often a lookup that raced with a rename is tried again before the walker does it"""

_MOST_STEPS = 2000
"""How many components the walker goes through where openat2 has said ``ELOOP``.

Links of long texts make it 80,000, which takes the walker 50 times as long as the kernel.
Where it is more than this, the kernel is believed.
"""

_ASK_THE_WALKER = frozenset((-EAGAIN, -ENOSYS, -EPERM))
_LEADS_NOWHERE = frozenset((ENOENT, ENOTDIR, EACCES))
"""What openat2 says in the walker's stead, so that nobody else has to be asked."""

_OPEN_ONLY = os.O_ACCMODE | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_APPEND
"""Flags of opening a file that exists, whatever it is."""


class _Availability:
    """Whether openat2 works in this process, found out at most once each way."""

    def __init__(self) -> None:
        self.refusal = 0
        """the ``errno`` of a missing (``ENOSYS``) or forbidden (``EPERM``) openat2"""

    def probe(self) -> int:
        """Ask the kernel for something that cannot be refused for any other reason."""
        fd = try_openat2(AT_FDCWD, b"/", open_how(FIND_DIRECTORY, 0, RESOLVE_IN_ROOT))
        if fd.value in (-ENOSYS, -EPERM):
            self.refusal = -fd.value
        fd.close()
        return self.refusal


_availability = _Availability()


def openat2_refusal() -> int:
    """0, or why openat2 cannot be used here: ``ENOSYS`` (old kernel) or ``EPERM`` (seccomp)."""
    return _availability.refusal or _availability.probe()


@lru_cache(maxsize=256)
def _how(flags: int, mode: int, resolve: int) -> OpenHow:
    return open_how(*as_openat_reads(flags, mode), resolve)


class KernelResolver(Resolver):
    """The resolver that asks the kernel, and the walker only where it must."""

    name = "openat2"

    def __init__(self, root: Descriptor, rules: Rules, note: RootNote | None = None) -> None:
        super().__init__(root, rules, note)
        self.walker: Walker = Walker(root, rules, note)
        self._leaping_walker = LeapingWalker(root, rules, note)
        self._brief_walker = Walker(root, rules, note, _MOST_STEPS)
        resolve = RESOLVE_NO_MAGICLINKS
        # Beneath, an absolute link and a ".." above the root are both EXDEV, and the walker
        # distinguishes them.
        resolve |= RESOLVE_IN_ROOT if rules.clamp else RESOLVE_BENEATH
        if not rules.symlinks:
            resolve |= RESOLVE_NO_SYMLINKS
        if not rules.cross_mounts:
            resolve |= RESOLVE_NO_XDEV
        self._resolve = resolve
        self._looks_first = not rules.special_files
        self._root_name: str | None = None
        """the root's own host path, as it last was"""
        self._real_how = open_how(FIND, 0, resolve | RESOLVE_NO_SYMLINKS)
        self._find_how = open_how(FIND, 0, resolve)
        self._find_last_how = open_how(FIND_NOFOLLOW, 0, resolve)

    def open(self, path: bytes, flags: int, mode: int = 0o777) -> Descriptor:
        if not self._opens_at_once(flags):
            return open_checked_first(self, path, flags, mode, self.require_openable)
        fd = try_openat2(self.rootfd, path, _how(flags, mode, self._resolve))
        if fd.value >= 0:
            return fd
        return self._open_otherwise(path, *as_openat_reads(flags, mode), fd.value)

    def find(self, path: bytes) -> Descriptor:
        fd = try_openat2(self.rootfd, path, self._find_how)
        return fd if fd.value >= 0 else self._open_otherwise(path, FIND, 0, fd.value)

    def find_last(self, path: bytes) -> Descriptor:
        fd = try_openat2(self.rootfd, path, self._find_last_how)
        return fd if fd.value >= 0 else self._open_otherwise(path, FIND_NOFOLLOW, 0, fd.value)

    def stat(self, path: bytes, follow_symlinks: bool) -> os.stat_result:
        how = self._find_how if follow_symlinks else self._find_last_how
        (fd,) = starmap(linux.bare_openat2, ((SYS_openat2, self.rootfd, path, how, OPEN_HOW_SIZE),))
        if fd < 0:
            return super().stat(path, follow_symlinks)
        try:
            return os.fstat(fd)
        except OSError as error:
            raise self.about(error, path) from None
        finally:
            os.close(fd)

    def mode(self, path: bytes, follow_symlinks: bool) -> int:
        how = self._find_how if follow_symlinks else self._find_last_how
        before = get_errno()
        (fd,) = starmap(
            linux.bare_openat2_with_errno,
            ((SYS_openat2, self.rootfd, path, how, OPEN_HOW_SIZE),),
        )
        if fd < 0:
            if taken_errno(before) in _LEADS_NOWHERE:
                return 0
            return super().mode(path, follow_symlinks)
        try:
            return os.fstat(fd).st_mode
        except OSError as error:
            raise self.about(error, path) from None
        finally:
            os.close(fd)

    def open_number(self, path: bytes, flags: int, mode: int = 0o777) -> int:
        if self._looks_first:
            if not flags & ~_OPEN_ONLY:
                return self._open_looked_at(path, flags)[0]
            if not self._opens_at_once(flags):
                return super().open_number(path, flags, mode)
        how = _how(flags, mode, self._resolve)
        fd: int
        (fd,) = starmap(linux.bare_openat2, ((SYS_openat2, self.rootfd, path, how, OPEN_HOW_SIZE),))
        return fd if fd >= 0 else super().open_number(path, flags, mode)

    def open_to_read(self, path: bytes) -> tuple[int, os.stat_result]:
        if self._looks_first:
            return self._open_looked_at(path, os.O_RDONLY)
        fd = self.open_number(path, os.O_RDONLY)
        try:
            return fd, os.fstat(fd)
        except BaseException as error:
            os.close(fd)
            if isinstance(error, OSError):
                self.about(error, path)
            raise

    def _open_looked_at(self, path: bytes, flags: int) -> tuple[int, os.stat_result]:
        """As :func:`open_checked_first`, where ``flags`` are of ``_OPEN_ONLY``."""
        (fd,) = starmap(
            linux.bare_openat2, ((SYS_openat2, self.rootfd, path, self._find_how, OPEN_HOW_SIZE),)
        )
        if fd < 0:
            fd = self.find(path).detach()
        try:
            status = os.fstat(fd)
            refuse_special(fd, status)
            number, status = reopen_number(self, fd, flags, status)
        except BaseException as error:
            os.close(fd)
            if isinstance(error, OSError):
                self.about(error, path)
            raise
        try:
            os.close(fd)
        except BaseException:
            # An interrupt, after the closing.
            os.close(number)
            raise
        return number, status

    def try_find(self, path: bytes) -> Descriptor:
        fd = try_openat2(self.rootfd, path, self._find_how)
        if fd.value == -EAGAIN:
            fd = self._ask_again(path, self._find_how)
        if fd.value == -ELOOP and self.rules.symlinks and not self._is_loop(path, FIND):
            return self._brief_walker.try_find(path)
        return self._leaping_walker.try_find(path) if self._must_walk(path, fd.value) else fd

    def _must_walk(self, path: bytes, refusal: int) -> bool:
        """Whether a refusal of openat2 is not the answer to ``path``."""
        if refusal == -ENAMETOOLONG:
            return len(path) >= PATH_MAX
        if refusal == -EXDEV:
            # A directory that was moved out of the root meanwhile is EXDEV too (complete_walk(),
            # fs/namei.c). It looks like a mount that is not to be crossed.
            return self.rules.cross_mounts or not self.rules.clamp
        return refusal in _ASK_THE_WALKER

    def locate(self, path: bytes) -> bytes:
        # Beneath, openat2 takes no absolute path.
        asked = path if self.rules.clamp else path.lstrip(b"/") or path
        (fd,) = starmap(
            linux.bare_openat2, ((SYS_openat2, self.rootfd, asked, self._real_how, OPEN_HOW_SIZE),)
        )
        if fd >= 0:
            os.close(fd)
            if b".." not in path:
                return b"/" + b"/".join(
                    part for part in path.split(b"/") if part not in (b"", b".")
                )
        found = try_openat2(self.rootfd, asked, self._find_how)
        if -found.value in _LEADS_NOWHERE:
            raise self.about(os_error(-found.value), path)
        if found.value < 0:
            return self._leaping_walker.locate(path)
        with found as number:
            return self._locate_by_name(number) or self._leaping_walker.locate(path)

    def _locate_by_name(self, fd: int) -> bytes | None:
        """Where procfs says that the object of ``fd`` lies, if it can be found there.

        The name is the kernel's (d_path() in fs/d_path.c); it may be out of date, or end in
        " (deleted)". It counts if it leads to the same object through no link.
        """
        name = self._name_below_root(fd)
        if name is None:
            return None
        (again,) = starmap(
            linux.bare_openat2,
            ((SYS_openat2, self.rootfd, name[1:] or b".", self._real_how, OPEN_HOW_SIZE),),
        )
        if again < 0:
            return None
        try:
            return name if os.path.samestat(os.fstat(fd), os.fstat(again)) else None
        finally:
            os.close(again)

    def _name_below_root(self, fd: int) -> bytes | None:
        # Another thread may set self._root_name meanwhile.
        root_name = self._root_name
        try:
            self_fd = VerifiedProc.default().self_fd()
            if root_name is None:
                root_name = self._root_name = self_fd.readlink_of_held(self.rootfd)
            name = self_fd.readlink_of_held(fd)
        except UnverifiedProcError:
            raise
        except OSError:
            return None
        if name == root_name:
            return b"/"
        prefix = root_name.rstrip("/") + "/"
        if name.startswith(prefix):
            return b"/" + os.fsencode(name[len(prefix) :])
        self._root_name = None
        return None

    def open_parent(self, path: bytes) -> Parent:
        stripped = path.rstrip(b"/")
        directory, slash, name = stripped.rpartition(b"/")
        if name in (b"", b".", b".."):
            return self._leaping_walker.open_parent(path)
        # The dot, or a link there would stand at the end of the path, where
        # fs.protected_symlinks is asked; here a name follows (proc_sys_fs(5)).
        way = directory + slash + b"."
        dirfd = try_openat2(self.rootfd, way, _how(FIND_DIRECTORY, 0, self._resolve))
        if dirfd.value < 0:
            try:
                dirfd = self._open_otherwise(way, FIND_DIRECTORY, 0, dirfd.value)
            except OSError as error:
                self.about(error, path)
                raise
        parent = Parent(dirfd, name, len(stripped) < len(path))
        if self.rules.special_files:
            return parent
        try:
            return self._changeable(parent)
        except OSError as error:
            self.about(error, path)
            raise

    def open_parent_of_target(self, path: bytes) -> Parent:
        return self._leaping_walker.open_parent_of_target(path)

    def _open_otherwise(self, path: bytes, flags: int, mode: int, refusal: int) -> Descriptor:
        """Answer where openat2 has said ``refusal``, a negated ``errno``."""
        how = open_how(flags, mode, self._resolve)
        asked = path
        if refusal == -EXDEV and not self.rules.clamp and path.startswith(b"/"):
            # RESOLVE_BENEATH takes no absolute path. Of "/" itself there is no relative one
            # that takes no right to search it.
            asked = path.lstrip(b"/") or path
            fd = try_openat2(self.rootfd, asked, how)
        else:
            fd = Descriptor(refusal)
        if fd.value == -EAGAIN:
            fd = self._ask_again(asked, how)
        if fd.value >= 0:
            return fd
        if self._must_walk(path, fd.value):
            return self._leaping_walker.open(path, flags, mode)
        if fd.value == -ELOOP and self.rules.symlinks:
            if self._meets_magic(asked, flags):
                raise self.about(MagicLinkError(), path)
            if not self._is_loop(asked, flags):
                return self._brief_walker.open(path, flags, mode)
        raise self.about(os_error(-fd.value), path)

    def _ask_again(self, path: bytes, how: OpenHow) -> Descriptor:
        """Ask openat2 again, which said ``EAGAIN``: a rename raced with a ``..``."""
        fd = try_openat2(self.rootfd, path, how)
        for _ in range(_ATTEMPTS):
            if fd.value != -EAGAIN:
                break
            fd = try_openat2(self.rootfd, path, how)
        return fd

    def _is_loop(self, path: bytes, flags: int) -> bool:
        """Whether the ``ELOOP`` of ``path`` comes from one lookup alone.

        When the kernel's lockless lookup fails, because of a rename elsewhere or to look at a
        link in a sticky directory (may_follow_link()), it starts again and does not set its
        count of links back: more than 20 can then be too many (path_openat() in fs/namei.c).
        With ``RESOLVE_CACHED`` (Linux 5.12) it does not start again.
        """
        flags = FIND | flags & (os.O_DIRECTORY | os.O_NOFOLLOW)
        fd = try_openat2(self.rootfd, path, open_how(flags, 0, self._resolve | RESOLVE_CACHED))
        fd.close()
        return fd.value == -ELOOP

    def _meets_magic(self, path: bytes, flags: int) -> bool:
        """Whether the ``ELOOP`` of ``path`` is that of a magic link.

        Beneath a root openat2 follows no magic link either way, but without
        ``RESOLVE_NO_MAGICLINKS`` it says ``EXDEV`` (nd_jump_link() in fs/namei.c).
        """
        flags = FIND | flags & (os.O_DIRECTORY | os.O_NOFOLLOW)
        how = open_how(flags, 0, self._resolve & ~RESOLVE_NO_MAGICLINKS)
        fd = try_openat2(self.rootfd, path, how)
        fd.close()
        return fd.value == -EXDEV
