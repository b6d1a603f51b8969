"""Extracting a tar stream, which may be hostile, into a directory of a root.

A member is reached from the held target by single names that are not followed. A link on the way
that was there before is followed by the root's rules, and only where it leads to a directory below
the target; one with the member's own name is not. The archive's links are made last, when nothing
is written through them any more, and its directories get their modes and times after that. Each
file appears when it is complete.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import (
    EBUSY,
    EFBIG,
    EINVAL,
    EISDIR,
    EMLINK,
    ENAMETOOLONG,
    ENOENT,
    ENOTDIR,
    ENOTEMPTY,
    ENOTSUP,
    EOPNOTSUPP,
    EPERM,
    EXDEV,
)
from functools import partial
from typing import Literal, NamedTuple

from procpath.descriptors import Closing, closed_on_error
from procpath.errors import OnError, SpecialFileError, about, os_error
from procpath.linux import Descriptor, openat
from procpath.proc import VerifiedProc
from procpath.resolve.identity import mount_id
from procpath.resolve.reopen import reopen
from procpath.tree.copy.archive.attributes import write_attributes
from procpath.tree.copy.archive.compression import Readable
from procpath.tree.copy.archive.members import Archive, Member
from procpath.tree.copy.archive.way import Way
from procpath.tree.copy.data import copy_data
from procpath.tree.copy.files import replaced_meanwhile
from procpath.tree.copy.metadata import preserve
from procpath.tree.copy.owners import Owners, owners_into
from procpath.tree.copy.report import Errors
from procpath.tree.copy.staging import FILE_OURS_ALONE, OURS_ALONE, NewFile, Staged, new_directory
from procpath.tree.places import Blame, RootedPlace
from procpath.tree.removing import mount_of_entry
from procpath.uapi import FIND_NOFOLLOW, LISTING

_LONGEST_NAME = 1 << 14
_MOST_COMPONENTS = 1000
"""of a name: each takes several system calls, in an archive that compresses to almost nothing"""
_LONGEST_LINK = 4095
"""what symlink(2) takes"""
_MOST_KEPT = 1 << 29
"""bytes of paths, and of links and directories, that are kept to the end"""
_OVERHEAD, _OVERHEAD_OF_MEMBER, _OVERHEAD_OF_ATTRIBUTE = 200, 400, 200
"""bytes that each takes besides its text (tracemalloc)"""
_NEEDS_MKNOD = "creating a device needs CAP_MKNOD"

_TYPES = {
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}
_VOLUME_LABEL, _GNU_DIRECTORY = b"V", b"D"
"""Types of GNU tar alone; the data of the second is a list of names."""

_NO_LINK = frozenset((EMLINK, EOPNOTSUPP, EPERM, EXDEV))
"""link(2): the file system has no hard links (EPERM), or no more for this file."""


class _Node(NamedTuple):
    """Which file was made, so that another in its place is not mistaken for it."""

    dev: int
    ino: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Node:
        return cls(status.st_dev, status.st_ino)


@dataclass(frozen=True)
class Extraction:
    """What the caller of :func:`extract` can choose."""

    limit: int | None = None
    """the most bytes of the uncompressed archive"""
    special: Literal["skip", "keep"] = "skip"
    """leave out devices, FIFOs and attributes that mean something to the host"""
    owners: Literal["mapped", "host"] = "mapped"
    """whose numbers the archive has: those of the root's process, or the host's"""

    def __post_init__(self) -> None:
        if self.special not in ("skip", "keep"):
            raise ValueError(f"special must be 'skip' or 'keep', not {self.special!r}")
        if self.owners not in ("mapped", "host"):
            raise ValueError(f"owners must be 'mapped' or 'host', not {self.owners!r}")
        if self.limit is not None and self.limit < 0:
            raise ValueError(f"limit must not be negative: {self.limit}")


def extract(source: Readable, place: RootedPlace, choices: Extraction, on_error: OnError) -> int:
    """Extract the archive ``source`` into the directory at ``place``, which must exist.

    Returns how many special files were left out.
    """
    reports = Errors(on_error, place.root.note)
    with place.find() as fd:
        with place.blame:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                raise os_error(ENOTDIR)
            place.require_changeable(fd)
        with _Extracting(place, fd, choices, reports) as extracting:
            extracting.run(Archive(source, choices.limit))
    reports.raise_first()
    return extracting.left_out


class _Extracting(Closing):
    """One run. What is made late is kept by name: links, and what directories are to get."""

    def __init__(self, place: RootedPlace, top: int, choices: Extraction, reports: Errors) -> None:
        self._place = place
        self._special: Literal["skip", "keep"] = choices.special
        self._owners = owners_into(place.root, choices.owners)
        self._owner_of_ours = _owner_of_ours(self._owners)
        self._reports = reports
        self._path = b""
        """of the member that is being extracted, below the target"""
        self._top = _Node.of(os.fstat(top))
        self._way = Way(place, top, partial(_make_parent, self._owner_of_ours))
        self._made: dict[bytes, _Node] = {}
        """the files of this archive: what a hard link may lead to"""
        self._links: dict[bytes, Member] = {}
        self._directories: dict[bytes, tuple[_Node, Member]] = {}
        self._kept = 0
        self.left_out = 0

    def close(self) -> None:
        """Close the directories that are held."""
        self._way.close()

    def run(self, archive: Archive) -> None:
        """Extract everything."""
        members = iter(archive)
        while True:
            with self._place.blame:
                member = next(members, None)
                if self._kept > _MOST_KEPT:
                    raise OSError(EFBIG, "the archive has too many links and directories")
            if member is None:
                break
            try:
                # What the error names if it is not a path below the target.
                self._path = member.name[:_LONGEST_LINK]
                with self._blame:
                    # What the archive calls it may be longer, and is not needed again.
                    self._path = member.name = _normal(member.name)
                    self._extract(archive, member)
            except OSError as error:
                if archive.failed:
                    raise
                self._reports.report(error)
        for path, member in self._links.items():
            self._path = path
            with self._reporting(), self._blame:
                if member.kind == tarfile.LNKTYPE:
                    self._make_hard_link(member)
                else:
                    self._make_unopened(member)
        # First what is in a directory: its mode may forbid us the way down.
        for path in sorted(self._directories, reverse=True):
            self._path = path
            with self._reporting(), self._blame:
                self._finish_directory(*self._directories[path])

    @property
    def _blame(self) -> Blame:
        # Kept, it would be a cycle, which keeps the root.
        return Blame(self._text)

    def _text(self) -> str:
        return self._place.below([os.fsdecode(self._path)] if self._path else [])

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Report an ``OSError`` of the block, and go on after it."""
        try:
            yield
        except OSError as error:
            self._reports.report(error)

    @contextmanager
    def _losing(self, attribute: str) -> Iterator[None]:
        """Do as :meth:`_reporting` for an attribute. That there is no room for it ends nothing."""
        try:
            yield
        except OSError as error:
            lost = OSError(error.errno, f"{attribute} cannot be kept: {error.strerror}")
            self._reports.report_loss(about(lost, self._text()))

    def _extract(self, archive: Archive, member: Member) -> None:
        """Extract a member, or keep it until everything else is there."""
        path, kind = self._path, member.kind
        if kind == _VOLUME_LABEL:
            return
        if self._links and any(path[: s.start()] in self._links for s in re.finditer(b"/", path)):
            raise OSError(ENOTDIR, "below a link of this archive")
        is_directory = kind in (tarfile.DIRTYPE, _GNU_DIRECTORY)
        if not path and not is_directory:
            raise os_error(EISDIR)
        if kind in _TYPES and self._special == "skip":
            self.left_out += 1
            return
        self._links.pop(path, None)
        if is_directory:
            self._make_directory(member)
        elif kind == tarfile.REGTYPE:
            self._make_file(archive, member)
        elif kind in _TYPES:
            self._make_unopened(member)
        elif kind == tarfile.LNKTYPE and _normal(member.link) in self._made:
            # At once: the name may be another file's later, as in an archive that was added to.
            self._make_hard_link(member)
        elif kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            if len(member.link) > _LONGEST_LINK:
                raise os_error(ENAMETOOLONG)
            if b"\0" in member.link:
                raise OSError(EINVAL, "a link with a NUL in it")
            member.xattrs.clear()
            self._keep(_OVERHEAD_OF_MEMBER + len(member.link))
            self._links[path] = member
        else:
            raise OSError(ENOTSUP, f"a member of the unknown type {kind!r}")

    def _keep(self, size: int = 0) -> None:
        """Count what is kept to the end for the member, ``size`` bytes besides its path."""
        self._kept += _OVERHEAD + len(self._path) + size

    def _make_directory(self, member: Member) -> None:
        """Make a directory, or take the one that is there. The target itself stays as it is."""
        if not self._path:
            return
        parent, _, name = self._path.rpartition(b"/")
        dirfd = self._way.enter(parent)
        try:
            made = new_directory(dirfd, name, OURS_ALONE)
        except FileExistsError:
            # Not through a link: its owner would choose which directory gets mode and owner.
            made = self._way.require_directory(openat(dirfd, name, FIND_NOFOLLOW))
        else:
            with closed_on_error(made) as fd:
                _require_empty(fd)
        self._way.enter_made(name, made)
        node = _Node.of(os.fstat(made.value))
        if node != self._top:
            attributes = member.xattrs.items()
            sizes = (_OVERHEAD_OF_ATTRIBUTE + len(key) + len(value) for key, value in attributes)
            self._keep(_OVERHEAD_OF_MEMBER + sum(sizes))
            self._directories[self._path] = node, member

    def _finish_directory(self, node: _Node, member: Member) -> None:
        parent, _, name = self._path.rpartition(b"/")
        dirfd = self._way.enter(parent, create=False)
        with openat(dirfd, name, FIND_NOFOLLOW) as fd:
            if _Node.of(os.fstat(fd)) != node:
                raise replaced_meanwhile()
            with reopen(fd, LISTING) as listing:
                self._give(listing, member)

    def _make_file(self, archive: Archive, member: Member) -> None:
        with self._staged() as staged:
            with NewFile(staged.dirfd, staged.name, FILE_OURS_ALONE, self._blame) as fd:
                archive.write_data(member, fd)
                self._give(fd, member)
                node = _Node.of(os.fstat(fd))
            staged.replace()
        self._keep()
        self._made[self._path] = node

    def _make_unopened(self, member: Member) -> None:
        """Make a link or special file."""
        with self._staged() as staged:
            if member.kind == tarfile.SYMTYPE:
                kind, device = stat.S_IFLNK, 0
                os.symlink(member.link, os.fsencode(staged.name), dir_fd=staged.dirfd)
            else:
                kind, device = _TYPES[member.kind], _device(member)
                try:
                    os.mknod(staged.name, kind | FILE_OURS_ALONE, device, dir_fd=staged.dirfd)
                except PermissionError as error:
                    if error.errno == EPERM and kind != stat.S_IFIFO:
                        raise SpecialFileError(reason=_NEEDS_MKNOD) from error
                    raise
            with openat(staged.dirfd, staged.name, FIND_NOFOLLOW) as fd:
                status = os.fstat(fd)
                # Else it was swapped for a file that is not to get this owner.
                if (stat.S_IFMT(status.st_mode), status.st_rdev) != (kind, device):
                    raise replaced_meanwhile()
                self._give_unopened(fd, member)
            staged.replace()
        self._made[self._path] = _Node.of(status)

    def _make_hard_link(self, member: Member) -> None:
        path, source = self._path, _normal(member.link)
        node = self._made.get(source)
        if node is None:
            raise OSError(ENOENT, "a hard link to what is not a file of this archive")
        if source == path:
            return
        parent, _, name = source.rpartition(b"/")
        dirfd = self._way.enter(parent, create=False)
        with openat(dirfd, name, FIND_NOFOLLOW) as fd:
            if _Node.of(os.fstat(fd)) != node:
                raise replaced_meanwhile()
            with self._staged() as staged:
                if not _link(fd, staged):
                    node = self._copy_file(fd, staged)
                staged.replace()
                # Nothing is renamed where both are names of one file (rename(2)).
                with suppress(FileNotFoundError):
                    os.unlink(staged.name, dir_fd=staged.dirfd)
        self._keep()
        self._made[path] = node

    def _copy_file(self, found: int, staged: Staged) -> _Node:
        """Copy a file that cannot have one more name."""
        status = os.fstat(found)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(EOPNOTSUPP, "the file system has no hard links to it")
        with (
            reopen(found, os.O_RDONLY) as source,
            NewFile(staged.dirfd, staged.name, FILE_OURS_ALONE, self._blame) as target,
        ):
            copy_data(source, target, lambda copied: None)
            preserve(source, status, target)
            return _Node.of(os.fstat(target))

    @contextmanager
    def _staged(self) -> Iterator[Staged]:
        """Stage what is going to have the member's name, in its directory."""
        parent, _, name = self._path.rpartition(b"/")
        dirfd = self._way.enter(parent)
        try:
            mount = mount_of_entry(dirfd, name)
        except FileNotFoundError:
            pass
        else:
            if mount != mount_id(dirfd):
                # In another mount namespace Linux would detach the mount (rename(2)).
                raise OSError(EBUSY, "a mount point, which cannot be replaced")
        with Staged(dirfd, name) as staged:
            yield staged

    def _give(self, fd: int, member: Member) -> None:
        """Give an open file or directory what the archive says of it.

        The order matters: chown(2) clears set-ID bits and capabilities, a mode without write
        permission forbids ``user.*`` attributes, and everything changes the times.
        """
        uid, gid, mode = self._owner_and_mode(member)
        _change_owner(uid, gid, partial(os.fchown, fd))
        lost = write_attributes(fd, member.xattrs, self._owners, self._special, self._losing)
        if lost is not None:
            # With an ACL these bits are its mask: the group itself may have fewer rights (acl(5)).
            mode &= ~0o070 | lost << 3
        os.fchmod(fd, _allowed_mode(mode, uid, gid, fd))
        os.utime(fd, ns=(member.mtime_ns, member.mtime_ns))

    def _give_unopened(self, fd: int, member: Member) -> None:
        """Do as :meth:`_give` for a link or special file (``O_PATH``)."""
        self_fd = VerifiedProc.default().self_fd()
        name, magic = self_fd.entry(fd), self_fd.fileno()
        uid, gid, mode = self._owner_and_mode(member)
        _change_owner(uid, gid, partial(os.chown, name, dir_fd=magic))
        if member.kind != tarfile.SYMTYPE:
            os.chmod(name, _allowed_mode(mode, uid, gid, fd), dir_fd=magic)
        os.utime(name, ns=(member.mtime_ns, member.mtime_ns), dir_fd=magic)

    def _owner_and_mode(self, member: Member) -> tuple[int, int, int]:
        """Return UID and GID on the host, and the mode.

        An owner without a number there is reported. The file is then that of user 0 inside, and
        without set-ID bits, which were to be another's.
        """
        try:
            with self._blame:
                return *self._owners.of(member.uid, member.gid), member.mode
        except OSError as error:
            self._reports.report(error)
            return *self._owner_of_ours, member.mode & ~(stat.S_ISUID | stat.S_ISGID)


def _make_parent(owner: tuple[int, int], dirfd: int, name: bytes) -> Descriptor:
    """Make a directory of which the archive has said nothing yet."""
    made = new_directory(dirfd, name, 0o777)
    if owner != (0, 0):
        with closed_on_error(made) as fd:
            _require_empty(fd)
            self_fd = VerifiedProc.default().self_fd()
            entry, magic = self_fd.entry(fd), self_fd.fileno()
            _change_owner(*owner, partial(os.chown, entry, dir_fd=magic))
    return made


def _normal(name: bytes) -> bytes:
    """Return a member's name, which counts from the target, without what leads nowhere."""
    names = [each for each in name.split(b"/") if each not in (b"", b".")]
    if len(name) > _LONGEST_NAME or len(names) > _MOST_COMPONENTS:
        raise os_error(ENAMETOOLONG)
    if b"\0" in name:
        raise OSError(EINVAL, "a name with a NUL in it")
    if b".." in names:
        raise OSError(EXDEV, "a name with '..' in it could lead out of the target")
    return b"/".join(names)


def _owner_of_ours(owners: Owners) -> tuple[int, int]:
    """Return the owner of what root made, or nobody's number, which chown(2) ignores."""
    try:
        return owners.of(0, 0)
    except OSError:
        return -1, -1


def _link(found: int, staged: Staged) -> bool:
    """Give a file one more name. False if the file system cannot."""
    self_fd = VerifiedProc.default().self_fd()
    try:
        os.link(
            self_fd.entry(found),
            staged.name,
            src_dir_fd=self_fd.fileno(),
            dst_dir_fd=staged.dirfd,
            follow_symlinks=True,
        )
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True


def _require_empty(dirfd: int) -> None:
    """Raise ``ENOTEMPTY`` if the new directory is another one in its place.

    What it is going to get, such as an owner, must not go to a directory with files in it.
    """
    with openat(dirfd, ".", LISTING) as listing:
        if os.listdir(listing):
            raise os_error(ENOTEMPTY)


def _device(member: Member) -> int:
    if member.kind == tarfile.FIFOTYPE:
        return 0
    major, minor = member.device
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise OSError(EINVAL, f"a device with the invalid number {major}, {minor}")
    return os.makedev(major, minor)


def _change_owner(uid: int, gid: int, chown: Callable[[int, int], object]) -> None:
    """Change owner and group, or only the group, as far as that is permitted."""
    for owner in (uid, -1):
        try:
            chown(owner, gid)
        except OSError as error:
            # EINVAL: the ID has no mapping in our user namespace, or in the file system's.
            if error.errno not in (EPERM, EINVAL):
                raise
        else:
            return


def _allowed_mode(mode: int, uid: int, gid: int, fd: int) -> int:
    """Return the mode, without the set-ID bits of an owner that the file does not have."""
    now = os.fstat(fd)
    if now.st_uid != uid:
        mode &= ~stat.S_ISUID
    if now.st_gid != gid:
        mode &= ~stat.S_ISGID
    return mode
