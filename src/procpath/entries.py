"""Operations on one name in a held directory, and on a held file.

An operation that changes a directory resolves the path up to its last component, holds that
directory, and hands the kernel its descriptor and the name, which is not followed. One that
changes a file resolves the whole path, holds the file, and names it by its magic link in a
verified ``/proc/self/fd``. So nothing that is renamed meanwhile turns an operation aside.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, ENOTEMPTY, EOPNOTSUPP

from procpath.errors import about, os_error
from procpath.linux import Descriptor, renameat2
from procpath.proc import VerifiedProc
from procpath.resolve.interface import Parent, require_search
from procpath.root import Root
from procpath.uapi import FIND_DIRECTORY
from procpath.xattrs import HeldAttributes


def mkdir(root: Root, path: bytes, mode: int) -> None:
    """mkdir(2)."""
    with _parent(root, path, nameless=EEXIST) as (dirfd, name):
        os.mkdir(name, mode, dir_fd=dirfd)


def make_parents(root: Root, path: bytes, mode: int) -> None:
    """Create the directories above ``path`` that are missing.

    Each is created in the one before, which is held: a path of thousands of names is resolved a
    dozen times and not once for each of them.
    """
    start = path[: len(path) - len(path.lstrip(b"/"))]
    names = path[len(start) :].split(b"/")[:-1]

    def above(count: int) -> bytes:
        return start + b"/".join(names[:count]) or b"."

    # The dot, or a link there would stand at the end of the path, where fs.protected_symlinks is
    # asked; in the path that was given, a name follows (proc_sys_fs(5)).
    def is_missing(count: int) -> bool:
        return root.try_find(above(count) + b"/.").value == -ENOENT

    made = bisect_left(range(1, len(names) + 1), True, key=is_missing)
    try:
        directory = root.find(above(made) + b"/.")
    except OSError as error:
        raise about(error, above(made)) from None
    for name in names[made:]:
        made += 1
        try:
            directory = _make_next(root, directory, name, above(made), mode)
        except OSError as error:
            # The traceback would keep it open.
            directory.close()
            raise about(error, above(made), root.note) from None


def _make_next(root: Root, above: Descriptor, name: bytes, path: bytes, mode: int) -> Descriptor:
    """Create the directory ``name`` in ``above`` and hold it; ``path`` is its in-root path."""
    if name == b"..":
        return root.find(path)
    root.resolver.require_changeable(above.value)
    try:
        os.mkdir(name, mode, dir_fd=above.value)
    except OSError as error:
        # It was made meanwhile, or is a link that leads nowhere.
        try:
            return root.find(path + b"/")
        except OSError:
            raise error from None
    return root.resolver_below(above.value).open(name, FIND_DIRECTORY)


def unlink(root: Root, path: bytes) -> None:
    """unlink(2)."""
    with _parent(root, path, nameless=EISDIR) as (dirfd, name):
        os.unlink(name, dir_fd=dirfd)


def rmdir(root: Root, path: bytes) -> None:
    """rmdir(2)."""
    last = path.rpartition(b"/")[2]
    if last in (b"", b".."):
        # A held parent and a name do not say that the path ended so.
        root.find(path).close()
        raise about(os_error(ENOTEMPTY if last else EBUSY), path, root.note)
    with _parent(root, path, nameless=EINVAL) as (dirfd, name):
        os.rmdir(name, dir_fd=dirfd)


def symlink(root: Root, text: str, path: bytes) -> None:
    """symlink(2)."""
    with _parent(root, path, nameless=EEXIST) as (dirfd, name):
        os.symlink(text, name, dir_fd=dirfd)


def link(root: Root, source: bytes, path: bytes) -> None:
    """linkat(2) with ``AT_SYMLINK_FOLLOW``."""
    with root.find(source) as fd:
        self_fd = VerifiedProc.default().self_fd()
        entry, magic = self_fd.entry(fd), self_fd.fileno()
        with _parent(root, path, nameless=EEXIST) as (dirfd, name):
            os.link(entry, name, src_dir_fd=magic, dst_dir_fd=dirfd, follow_symlinks=True)


def rename(root: Root, path: bytes, target: bytes, flags: int = 0) -> None:
    """renameat2(2)."""
    old = root.resolver.open_parent(path)
    with old.dirfd as old_dirfd:
        try:
            new = root.resolver.open_parent(target)
        except OSError:
            # The kernel asks for the right to search the one before it walks to the other.
            if old.name != b".":
                require_search(old_dirfd)
            raise
        with new.dirfd:
            _rename(old, new, flags)


def _rename(old: Parent, new: Parent, flags: int) -> None:
    try:
        renameat2(old.dirfd.value, _named(old), new.dirfd.value, _named(new), flags)
    except PermissionError:
        named = [parent for parent in (old, new) if parent.name != b"."]
        if len(named) == 2:
            raise
        # EBUSY of "/" and "..", and the right to search is asked for the directories of
        # names alone.
        for parent in named:
            require_search(parent.dirfd.value)
        raise os_error(EBUSY) from None


def _named(parent: Parent) -> bytes:
    """Return the name as it was written: a slash at its end asks for a directory.

    rename(2) does not follow a link there (filename_parentat() in fs/namei.c), unlike the
    system calls that open what a name leads to.
    """
    return parent.name + b"/" if parent.must_be_directory and parent.name != b"." else parent.name


def chmod(root: Root, path: bytes, mode: int, follow_symlinks: bool) -> None:
    """fchmodat(2). Linux keeps no mode for a link: ``EOPNOTSUPP``."""
    with _file(root, path, follow_symlinks) as (dirfd, name, is_magic):
        if not is_magic:
            raise os_error(EOPNOTSUPP)
        os.chmod(name, mode, dir_fd=dirfd)


def chown(root: Root, path: bytes, uid: int, gid: int, follow_symlinks: bool) -> None:
    """fchownat(2)."""
    with _file(root, path, follow_symlinks) as (dirfd, name, is_magic):
        os.chown(name, uid, gid, dir_fd=dirfd, follow_symlinks=is_magic)


def utime(
    root: Root,
    path: bytes,
    times: tuple[float, float] | None,
    ns: tuple[int, int] | None,
    follow_symlinks: bool,
) -> None:
    """utimensat(2)."""
    with _file(root, path, follow_symlinks) as (dirfd, name, is_magic):
        if ns is None:
            os.utime(name, times, dir_fd=dirfd, follow_symlinks=is_magic)
        else:
            os.utime(name, times, ns=ns, dir_fd=dirfd, follow_symlinks=is_magic)


@contextmanager
def attributes(root: Root, path: bytes, follow_symlinks: bool) -> Iterator[HeldAttributes]:
    """Hold the file, and give its extended attributes (xattr(7))."""
    # Of one resolver, since another thread may close the root meanwhile.
    resolver = root.resolver
    try:
        with resolver.find(path) if follow_symlinks else resolver.find_last(path) as fd:
            yield HeldAttributes(fd, resolver.require_openable)
    except OSError as error:
        raise about(error, path, root.note) from None


@contextmanager
def changeable_attributes(
    root: Root, path: bytes, follow_symlinks: bool
) -> Iterator[HeldAttributes]:
    """Do as :func:`attributes`, to change them."""
    resolver = root.resolver
    try:
        with resolver.find(path) if follow_symlinks else resolver.find_last(path) as fd:
            resolver.require_changeable(fd)
            yield HeldAttributes(fd, resolver.require_openable)
    except OSError as error:
        raise about(error, path, root.note) from None


@contextmanager
def _parent(root: Root, path: bytes, nameless: int) -> Iterator[tuple[int, bytes]]:
    """Hold the directory of the last component of ``path``, and give that component.

    ``nameless`` is the errno where the path ends in no name, as ``/`` and ``a/..`` do.
    """
    parent, name, _ = root.resolver.open_parent(path)
    try:
        with parent as dirfd:
            yield dirfd, name
    except OSError as error:
        if name == b"." and error.errno == EACCES:
            # It takes the right to search the directory, where "/" and ".." take none.
            raise about(os_error(nameless), path, root.note) from None
        raise about(error, path, root.note) from None


@contextmanager
def _file(
    root: Root, path: bytes, follow_symlinks: bool
) -> Iterator[tuple[int, str | bytes, bool]]:
    """Hold the file, and give a directory and a name that stand for it.

    The name is a magic link, to be followed, unless the file is a link itself.
    """
    # Of one resolver, since another thread may close the root meanwhile.
    resolver = root.resolver
    try:
        with resolver.find(path) if follow_symlinks else resolver.find_last(path) as fd:
            if follow_symlinks or not stat.S_ISLNK(os.fstat(fd).st_mode):
                resolver.require_changeable(fd)
                self_fd = VerifiedProc.default().self_fd()
                yield self_fd.fileno(), self_fd.entry(fd), True
            else:
                with _parent(root, path, nameless=EINVAL) as (dirfd, name):
                    yield dirfd, name, False
    except OSError as error:
        raise about(error, path, root.note) from None
