"""Copying the plain files of a directory, in a single loop.

Most of a tree are small regular files. For each of them a function, an object or a ``with`` block
costs about as much as a system call, so this is one function: it makes the calls that
:mod:`procpath.tree.copy.directories` and :mod:`procpath.tree.copy.files` make, in their order, and
leaves to them what is not plain, and what fails before anything is created.
"""

from __future__ import annotations

import fcntl
import os
import stat

from procpath import linux
from procpath.proc import VerifiedProc
from procpath.proc.own import this_process
from procpath.reading import write_whole
from procpath.resolve.identity import mount_id
from procpath.tree.copy import metadata
from procpath.tree.copy.data import SMALL
from procpath.tree.copy.files import FileCopier
from procpath.tree.copy.staging import FILE_OURS_ALONE, temporary_names
from procpath.tree.removing import ITSELF
from procpath.uapi import CREATE_NEW, EITHER_MNT_ID, FIND_NOFOLLOW, STATX_BASIC_STATS

_S_IFMT = 0o170000
_FIND = (FIND_NOFOLLOW | linux.OF_OUR_OWN,)
_ASKED = STATX_BASIC_STATS | EITHER_MNT_ID
_READING = os.O_RDONLY | os.O_NONBLOCK  # It may be leased (LeasePatience).
_CREATE = (CREATE_NEW | linux.OF_OUR_OWN,)


def copy_plain(
    files: FileCopier,
    out_of: int,
    into: int,
    todo: list[str],
    device: int,
    mount: int | None,
    merged: int | None,
) -> None:
    """Copy the files at the end of ``todo``, up to one that is not plain.

    Plain is a small regular file with one name and no holes on ``device``, and on ``mount`` if
    that is not None. ``out_of`` and ``into`` are the two directories. ``merged`` is None if
    ``into`` is new and ours alone; otherwise it is its mount, and a file is plain that replaces a
    regular file there. Raises the error of a file that was begun, which is not in ``todo`` any
    more.
    """
    if device not in files.uncloned:
        # It may take a clone (FICLONE).
        return
    try:
        self_fd, this = VerifiedProc.default().self_fd(), this_process()
        not_ours = os.fstat(into).st_uid != os.geteuid()
    except OSError:
        return
    names, rules, keeping, new_owner = files.names, files.rules, files.keeping, files.new_owner
    preserve, new_mode = rules.preserve_metadata, rules.new_mode & 0o777
    depth = len(names)
    given = None
    """the owner and group of what is created here, where it inherits no ACL"""
    temporary = temporary_names()
    while todo:
        begun = None
        """the name of what was created"""
        try:
            # Numbers without an owner, by the rule of linux.bare_openat.
            path = os.fsencode(todo[-1])
            (found,) = map(linux.bare_openat, (out_of,), (path,), _FIND)
            if found < 0:
                return
            try:
                status = os.fstat(found)
                file_mode = status.st_mode
                if (
                    file_mode & _S_IFMT != stat.S_IFREG
                    or status.st_nlink != 1
                    or status.st_dev != device
                    or (mount is not None and mount_id(found) != mount)
                ):
                    return
                new = path
                if not_ours:
                    # Its owner may let each file inherit something else. In the place of a new
                    # directory, an attacker can put one of his own.
                    given = None
                if merged is not None:
                    # rename(2) replaces what has the name then, however it was looked at.
                    there, inode, *number, its_mount = linux.brief_statx(into, path, ITSELF, _ASKED)
                    if (
                        there & _S_IFMT != stat.S_IFREG
                        or its_mount != merged
                        or (inode == status.st_ino and os.makedev(*number) == device)
                        # What would refuse to be written to is not replaced either, as what is
                        # being executed (ETXTBSY).
                        or there & 0o111
                        or not os.access(
                            path, os.W_OK, dir_fd=into, effective_ids=True, follow_symlinks=False
                        )
                    ):
                        return
                    new = next(temporary)
                source, opened = self_fd.reopen_number(found, _READING, status, this)
                try:
                    size = opened.st_size
                    if size > SMALL or opened.st_blocks * 512 < size:
                        return
                    # One byte more shows whether it has grown.
                    data = os.read(source, size + 1)
                    grown = len(data) > size
                    if grown:
                        data = data[:size]
                    if len(data) < size or (grown and not size):
                        return
                    mode = FILE_OURS_ALONE if preserve else file_mode & new_mode
                    (target,) = map(linux.bare_openat, (into,), (new,), _CREATE, (mode,))
                    if target < 0:
                        return
                    try:
                        begun = new
                        names.append(todo.pop())
                        if merged is not None and files.locks:
                            # So that it is not taken for a leftover (remove_leftovers).
                            fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        if new_owner is not None and not preserve:
                            os.fchown(target, *new_owner)
                        write_whole(target, data)
                        files.count(size)
                        if grown:
                            files.note_growth()
                        if preserve:
                            if given is None:
                                given = metadata.given_to(target)
                            done = False
                            if given == (status.st_uid, status.st_gid) and keeping.owners is None:
                                done = metadata.preserve_plain(source, status, target)
                            if not done:
                                metadata.preserve(source, status, target, keeping)
                        if rules.durable:
                            os.fsync(target)
                    finally:
                        os.close(target)
                finally:
                    os.close(source)
            finally:
                os.close(found)
            if merged is not None:
                os.rename(new, path, src_dir_fd=into, dst_dir_fd=into)
        except BaseException as error:
            if begun is not None:
                files.discard(error, into, begun)
            if not isinstance(error, OSError):
                raise
            if begun is None and error.errno:
                # It is met again where there is more to find out. What a handler of signals
                # raises, such as a TimeoutError, is not.
                return
            try:
                files.blame_target.name_in(error)
                raise
            finally:
                del names[depth:]
        try:
            files.finish(status)
        finally:
            del names[depth:]
