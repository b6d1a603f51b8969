"""RootedPath: the pathlib face of a root.

Each method resolves its path to a descriptor and acts on that, or on the held parent and one
name. A path holds no descriptor of its own: only its Root does.
"""

from __future__ import annotations

import io
import os
import pathlib
import posixpath
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from errno import EINVAL, EISDIR, ESTALE
from functools import partial
from typing import (
    IO,
    TYPE_CHECKING,
    Any,
    BinaryIO,
    ClassVar,
    Literal,
    Never,
    Self,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from procpath import entries, uapi
from procpath.binding import Anchored, bound_class, find_bound_class
from procpath.descriptors import closed_on_error
from procpath.errors import (
    EscapeError,
    OnError,
    UnsupportedOperation,
    UnverifiedProcError,
    about,
    about_two,
    note_once,
    noted,
    os_error,
    tells_of_path,
)
from procpath.info import EntryInfo, PathInfo, is_mount
from procpath.lexical import LexicalPath, Segment
from procpath.opening import OpenablePath
from procpath.options import OptionArguments
from procpath.pin import PinnedPath
from procpath.proc import VerifiedProc
from procpath.protocols import register
from procpath.reading import codec, is_coded_at_once, read_whole, require_limit, write_whole
from procpath.root import Root
from procpath.tree.descent import scan
from procpath.tree.matching import glob, parse_pattern
from procpath.tree.walking import below, walk_following, walk_real

if TYPE_CHECKING:
    import socket

    from typing_extensions import Buffer

    from procpath.accounts import Accounts
    from procpath.resolve.trace import Trace
    from procpath.tree import copy as copying
    from procpath.tree import removing, scanning
    from procpath.tree.places import Place, RootedPlace

P = TypeVar("P", bound="RootedPath")
H = TypeVar("H", "RootedPath", pathlib.Path)

_new = object.__new__
_DirEntry = os.DirEntry
_WRITE_WHOLE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class RootedPath(OpenablePath, from_segments=True):
    """A path inside a root, used like ``pathlib.Path``, that cannot lead out of it.

    ``root`` is a PID, a host directory (``str`` or ``os.PathLike``) or a :class:`Root`; a root
    made here from a PID or directory closes with the last path that lives in it. The path
    starts at ``/``, and ``segments`` are joined to it. Every symbolic link, ``..`` and absolute
    link is resolved as for a process chrooted into the root. ``options`` are those of
    :class:`Root`, which must not be given for a Root, that has its own.

    It is not an ``os.PathLike``, so functions of the host refuse it. :meth:`bind` makes a class
    whose constructor takes segments only, for code written for ``pathlib``.

    Errors are the operating system's, with the in-root path as ``filename``; besides,
    :class:`ClosedRootError`, :class:`MagicLinkError`, :class:`EscapeError` and
    :class:`SpecialFileError`.

    Examples:
        >>> root = RootedPath(23309)
        >>> (root / "etc/hostname").read_text()
        'cellar\\n'
        >>> sorted(root.glob("etc/app/*.conf"))
        [RootedPath('/etc/app/app.conf', root='/proc/23309/root')]
    """

    __slots__ = ("_info_",)

    _info_: PathInfo | EntryInfo | os.DirEntry[str]

    def __init__(
        self,
        root: int | str | os.PathLike[str] | Root,
        /,
        *segments: Segment,
        **options: Unpack[OptionArguments],
    ) -> None:
        super().__init__(_as_root(root, options), "/", *segments)

    @classmethod
    def bind(
        cls, root: int | str | os.PathLike[str] | Root, /, **options: Unpack[OptionArguments]
    ) -> type[BoundPath]:
        """Return a class of paths in ``root`` whose constructor takes segments only, as in pathlib.

        Its relative paths stay relative, and count from ``/``. It can be subclassed. ``root`` and
        ``options`` are those of :class:`RootedPath`.

        Examples:
            >>> Path = RootedPath.bind(23309)
            >>> Path("/etc/hostname").read_text()
            'cellar\\n'
        """
        return bound_class(BoundPath, cls, _as_root(root, options))

    @classmethod
    def of_container(
        cls,
        id_prefix: str,
        /,
        *segments: Segment,
        proc: VerifiedProc | None = None,
        **options: Unpack[OptionArguments],
    ) -> Self:
        """Return a path in the root of the running container whose ID begins with ``id_prefix``.

        The path starts at ``/``, and ``segments`` are joined to it.

        The ID is one that :func:`procpath.containers` shows, and as much a claim as there; a name
        (lxc, systemd-nspawn) counts only as a whole. ``proc`` is the procfs to look in, ``options``
        are those of :class:`Root`. A container of several mount namespaces is that of its oldest
        process; our own ``/`` is never meant.

        Raises ``ProcessLookupError`` if there is no such container, and ``ValueError`` if there are
        several, or two cgroups claim the same ID.

        Examples:
            >>> RootedPath.of_container("c0ffee123456", "etc/hostname").read_text()
            'cellar\\n'
        """
        # Needed nowhere else here, and not in most programs.
        from procpath.inventory import container_by_id

        return cls(container_by_id(id_prefix, proc).root(**options), *segments)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the root, as Root does, and the text."""
        return _unpickled, (type(self), self._root, str(self))

    # Asking

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return the file's status, like ``os.stat()``. Owner and group IDs are the host's.

        With ``follow_symlinks=False`` a link at the end is not followed.

        Examples:
            >>> RootedPath(23309, "etc/hostname").stat().st_size
            7
        """
        try:
            raw = self._raw_
        except AttributeError:
            raw = self._raw
        return self._root.resolver.stat(raw, follow_symlinks)

    def lstat(self) -> os.stat_result:
        """Return the status of the path itself, even if it is a link.

        Examples:
            >>> stat.S_ISLNK(RootedPath(23309, "var/run").lstat().st_mode)
            True
        """
        return self.stat(follow_symlinks=False)

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Return whether the path exists. False if it cannot be reached.

        A link that leads nowhere exists only with ``follow_symlinks=False``. Raises ``OSError`` if
        the answer cannot be had: too many open files, a failing disk.

        Examples:
            >>> RootedPath(23309, "etc/hostname").exists(), RootedPath(23309, "nowhere").exists()
            (True, False)
        """
        return self._mode(follow_symlinks) != 0

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Return whether the path is a regular file, or a link to one.

        A link is not followed with ``follow_symlinks=False``. False if the path cannot be reached;
        raises as :meth:`exists`.

        Examples:
            >>> RootedPath(23309, "etc/hostname").is_file()
            True
        """
        return stat.S_ISREG(self._mode(follow_symlinks))

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Return whether the path is a directory, or a link to one.

        A link is not followed with ``follow_symlinks=False``. False if the path cannot be reached;
        raises as :meth:`exists`.

        Examples:
            >>> link = RootedPath(23309, "var/run")
            >>> link.is_dir(), link.is_dir(follow_symlinks=False)
            (True, False)
        """
        return stat.S_ISDIR(self._mode(follow_symlinks))

    def is_symlink(self) -> bool:
        """Return whether the path is a symbolic link.

        Examples:
            >>> RootedPath(23309, "var/run").is_symlink()
            True
        """
        return stat.S_ISLNK(self._mode(False))

    def is_junction(self) -> bool:
        """Return False: Linux has no junctions.

        Examples:
            >>> RootedPath(23309, "var/run").is_junction()
            False
        """
        return False

    def is_socket(self) -> bool:
        """Return whether the path is a UNIX socket, or a link to one.

        Examples:
            >>> RootedPath(23309, "run/app/app.sock").is_socket()
            True
        """
        return stat.S_ISSOCK(self._mode(True))

    def is_fifo(self) -> bool:
        """Return whether the path is a FIFO, or a link to one.

        Examples:
            >>> RootedPath(23309, "srv/fifo").is_fifo()
            True
        """
        return stat.S_ISFIFO(self._mode(True))

    def is_block_device(self) -> bool:
        """Return whether the path is a block device, or a link to one.

        Examples:
            >>> RootedPath(23309, "dev/null").is_block_device()
            False
        """
        return stat.S_ISBLK(self._mode(True))

    def is_char_device(self) -> bool:
        """Return whether the path is a character device, or a link to one.

        Examples:
            >>> RootedPath(23309, "dev/null").is_char_device()
            True
        """
        return stat.S_ISCHR(self._mode(True))

    def is_mount(self) -> bool:
        """Return whether something is mounted here, as a bind mount too.

        The root is always a mount. Asks statx(2) for ``STATX_ATTR_MOUNT_ROOT``; before Linux 5.8
        as ``os.path.ismount()`` does, which does not see bind mounts.

        Examples:
            >>> RootedPath(23309, "etc/resolv.conf").is_mount()
            True
        """
        try:
            raw = self._raw
        except ValueError:
            self._root.fileno()
            return False
        return is_mount(self._root, raw)

    def samefile(self, other_path: Segment | pathlib.Path) -> bool:
        """Return whether both paths lead to the same file.

        ``other_path`` may also be a host path of pathlib.

        Examples:
            >>> RootedPath(23309, "var/run/app").samefile("/run/app")
            True
        """
        status = self.stat()
        if isinstance(other_path, (RootedPath, pathlib.Path)):
            other = other_path.stat()
        else:
            other = self.with_segments(other_path).stat()
        return os.path.samestat(status, other)

    @property
    def info(self) -> PathInfo | EntryInfo:
        """The kind of file, looked up once. Paths from :meth:`iterdir` have it already.

        Examples:
            >>> [path.name for path in RootedPath(23309, "etc/app").iterdir() if path.info.is_dir()]
            ['conf.d']
        """
        try:
            info = self._info_
        except AttributeError:
            info = self._info_ = self._new_info()
            return info
        if isinstance(info, _DirEntry):
            info = self._info_ = EntryInfo(self._root, str(self), info)
        return info

    def _new_info(self) -> PathInfo:
        try:
            return PathInfo(self._root, self._raw)
        except ValueError:
            return PathInfo(self._root, None)

    def owner(self, *, follow_symlinks: bool = True) -> str:
        """Return the owner's name in the container's own accounts.

        With ``follow_symlinks=False``, that of a link itself. Raises ``KeyError`` if it has no
        name there.

        Examples:
            >>> RootedPath(23309, "home/alice").owner()
            'alice-within'
        """
        uid = self.stat(follow_symlinks=follow_symlinks).st_uid
        return _accounts(self).user_name(uid)

    def group(self, *, follow_symlinks: bool = True) -> str:
        """Return the group's name in the container's own accounts.

        With ``follow_symlinks=False``, that of a link itself. Raises ``KeyError`` if it has no
        name there.

        Examples:
            >>> RootedPath(23309, "var/lib/cellar/stock").group()
            'cellar'
        """
        gid = self.stat(follow_symlinks=follow_symlinks).st_gid
        return _accounts(self).group_name(gid)

    def _mode(self, follow_symlinks: bool) -> int:
        """Return ``st_mode``, or 0 if the path does not exist."""
        try:
            raw = self._raw_
        except AttributeError:
            try:
                raw = self._raw
            except ValueError:
                return 0
        return self._root.resolver.mode(raw, follow_symlinks)

    # Places

    @Anchored
    def cwd(self) -> Self:
        """Return ``/``, which relative paths count from. Can be called on a bound class.

        Examples:
            >>> RootedPath.bind(23309).cwd()
            RootedPath('/', root='/proc/23309/root')
        """
        return self.with_segments("/")

    @Anchored
    def home(self) -> Self:
        """Return the home of the root's process by the container's own accounts.

        Can be called on a bound class. Raises ``RuntimeError`` if the accounts have none.

        Examples:
            >>> RootedPath.bind(23309).home()
            RootedPath('/root', root='/proc/23309/root')
        """
        return self.with_segments(_known_home(_accounts(self).own_home()))

    def expanduser(self) -> Self:
        """Expand ``~`` or ``~user`` at the start, by the container's own accounts.

        Raises ``RuntimeError`` if the accounts have no such home.

        Examples:
            >>> RootedPath.bind(23309)("~alice-within/diary").expanduser()
            RootedPath('/home/alice/diary', root='/proc/23309/root')
        """
        first = self.parts[0] if self.parts else ""
        if not first.startswith("~"):
            return self
        if "\0" in first:
            raise ValueError("embedded null byte")
        accounts = _accounts(self)
        home = accounts.home_of_user(first[1:]) if first[1:] else accounts.own_home()
        return self.with_segments(_known_home(home), *self.parts[1:])

    def absolute(self) -> Self:
        """Return the path with ``/`` before it. Links and ``..`` stay.

        Examples:
            >>> RootedPath.bind(23309)("etc/passwd").absolute()
            RootedPath('/etc/passwd', root='/proc/23309/root')
        """
        return self if self.is_absolute() else self.with_segments("/", self)

    def resolve(self, strict: bool = False, *, follow_last: bool = True) -> Self:
        """Return the path without links and ``..``, inside the root.

        With ``strict``, raise if it does not exist; otherwise what is missing, or a loop, stays
        as it is written. With ``follow_last=False`` the last name is neither followed nor
        looked up, and ``strict`` asks only that its directory exists.

        Examples:
            >>> RootedPath(23309, "var/run/app/app.pid").resolve()
            RootedPath('/run/app/app.pid', root='/proc/23309/root')
        """
        name = self.name
        if follow_last or not name or name == "..":
            return self._resolved(self._raw, strict)
        # The slash asks for a directory.
        return self._resolved(self.parent._raw + (b"/" if strict else b""), strict) / name

    def _resolved(self, raw: bytes, strict: bool) -> Self:
        resolver = self._root.resolver
        try:
            location = resolver.locate(raw)
        except OSError as error:
            if strict or isinstance(error, EscapeError) or not tells_of_path(error):
                raise about(error, raw, self._root.note) from None
            from procpath.resolve.lenient import locate_leniently

            location = locate_leniently(resolver, raw)
        return self._normalized(os.fsdecode(location))

    def readlink(self) -> Self:
        """Return the link's text as a path. ``EINVAL`` if the path is not a link.

        Examples:
            >>> RootedPath(23309, "var/run").readlink()
            RootedPath('/run', root='/proc/23309/root')
        """
        try:
            with self._root.find_last(self._raw) as fd:
                if not stat.S_ISLNK(os.fstat(fd).st_mode):
                    raise os_error(EINVAL)
                text = os.readlink("", dir_fd=fd)
        except OSError as error:
            raise about(error, self._raw, self._root.note) from None
        return self.with_segments(text)

    def trace(self) -> Trace:
        """Return every step of the path's resolution, to be printed.

        A path that leads nowhere has a trace too: its last step is the error.

        Examples:
            >>> print(RootedPath(23309, "var/run/x").trace())
            /     start at the root
            /     enter var
            /var  follow run -> /run
            /     enter run  (another mount)
            /run  found x
        """
        from procpath.resolve.trace import trace

        return trace(self._root.walker, self._raw)

    def as_root(self, **options: Unpack[OptionArguments]) -> Root:
        """Return this directory as a :class:`Root`, with the same options except those given.

        Examples:
            >>> with RootedPath(23309, "etc/app").as_root(cross_mounts=False) as app:
            ...     RootedPath(app, "app.conf").read_text()
            'port = 8080\\n'
        """
        with noted(self._root.note):
            return self._root.beneath(self._raw, **options)

    def as_uri(self) -> Never:
        """Raise ``UnsupportedOperation``: a ``file:`` URI would name a file of the host.

        Examples:
            >>> RootedPath(23309, "etc/passwd").as_uri()
            Traceback (most recent call last):
            pathlib.UnsupportedOperation: RootedPath.as_uri(): a URI cannot tell the root
        """
        raise UnsupportedOperation(f"{type(self).__name__}.as_uri(): a URI cannot tell the root")

    @classmethod
    def from_uri(cls, uri: str) -> Never:
        """Raise ``UnsupportedOperation``: ``uri``, a ``file:`` URI, names a file of the host.

        Examples:
            >>> RootedPath.from_uri("file:///etc/passwd")
            Traceback (most recent call last):
            pathlib.UnsupportedOperation: RootedPath.from_uri(): a URI cannot tell the root
        """
        raise UnsupportedOperation(f"{cls.__name__}.from_uri(): a URI cannot tell the root")

    def is_reserved(self) -> bool:
        """Return False. Deprecated, and removed from pathlib in Python 3.15."""
        warnings.warn(
            f"{type(self).__name__}.is_reserved() is deprecated: no name is reserved on Linux",
            DeprecationWarning,
            stacklevel=2,
        )
        return False

    # Reading and listing

    def read_bytes(self, *, limit: int | None = None) -> bytes:
        """Return the whole file. ``EFBIG`` if it has more than ``limit`` bytes.

        Examples:
            >>> RootedPath(23309, "etc/hostname").read_bytes(limit=1024)
            b'cellar\\n'
        """
        require_limit(limit)
        fd, status = self._root.resolver.open_to_read(self._raw)
        try:
            if stat.S_ISDIR(status.st_mode):
                raise os_error(EISDIR)
            return read_whole(fd, status.st_size, limit)
        except OSError as error:
            raise about(error, self._raw, self._root.note) from None
        finally:
            os.close(fd)

    def read_text(
        self,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        limit: int | None = None,
    ) -> str:
        """Return the whole file as text.

        ``encoding``, ``errors`` and ``newline`` are those of the built-in ``open()``.

        Raises ``EFBIG`` if the file has more than ``limit`` bytes.

        Examples:
            >>> RootedPath(23309, "etc/hostname").read_text(encoding="utf-8")
            'cellar\\n'
        """
        encoding = codec(io.text_encoding(encoding))
        if not is_coded_at_once(encoding, newline):
            if limit is None:
                file = self.open("r", encoding=encoding, errors=errors, newline=newline)
            else:
                read = io.BytesIO(self.read_bytes(limit=limit))
                file = io.TextIOWrapper(read, encoding, errors, newline)
            with noted(self._root.note), file:
                return file.read()
        text = self.read_bytes(limit=limit).decode(encoding, errors or "strict")
        if newline is None and "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        return text

    def iterdir(self) -> Iterator[Self]:
        """Iterate over the paths in the directory, in no order. They have their :attr:`info`.

        Raises ``OSError`` before the first one, if it is not a directory or cannot be listed.

        Examples:
            >>> sorted(path.name for path in RootedPath(23309, "etc/app").iterdir())
            ['app.conf', 'conf.d']
        """
        directory = self._root.open_raw(self._raw, uapi.LISTING, 0)
        try:
            return self._children(scan(directory))
        except OSError as error:
            raise about(error, self._raw, self._root.note) from None

    def _children(self, entries: list[os.DirEntry[str]]) -> Iterator[Self]:
        prefix = below(str(self), "")
        # One by one: of a deep directory the paths are long.
        if not self._is_plain:
            for entry in entries:
                path = self._normalized(prefix + entry.name)
                path._info_ = entry
                yield path
            return
        cls, root = type(self), self._root
        for entry in entries:
            path = _new(cls)
            path._root = root
            path._str_ = text = prefix + entry.name
            path._given = (text,)
            path._info_ = entry
            yield path

    def glob(
        self,
        pattern: Segment,
        *,
        case_sensitive: bool | None = None,
        recurse_symlinks: bool = False,
    ) -> Iterator[Self]:
        """Iterate over the paths below that match a relative pattern; links are followed inside.

        ``**`` follows links only with ``recurse_symlinks``, and then, unlike in pathlib, does not
        go on into a directory that is above already: links to ``.`` end. Nor does it into one that
        100 links have led to. With ``case_sensitive`` None, names are looked up as the file system
        has them. Raises ``ValueError`` for an empty pattern, ``NotImplementedError`` for an
        absolute one.

        Examples:
            >>> [str(path) for path in RootedPath(23309, "etc/app").glob("**/c*.conf")]
            ['/etc/app/conf.d/cache.conf']
        """
        parts = parse_pattern(_pattern_text(pattern))
        found = glob(self._root, str(self), parts, case_sensitive, recurse_symlinks)
        return self._all_normalized(found)

    def rglob(
        self,
        pattern: Segment,
        *,
        case_sensitive: bool | None = None,
        recurse_symlinks: bool = False,
    ) -> Iterator[Self]:
        """:meth:`glob` with ``**/`` before the ``pattern``.

        Examples:
            >>> sorted(str(path) for path in RootedPath(23309, "etc/app").rglob("*.conf"))
            ['/etc/app/app.conf', '/etc/app/conf.d/cache.conf']
        """
        parts = parse_pattern(posixpath.join("**", _pattern_text(pattern)))
        found = glob(self._root, str(self), parts, case_sensitive, recurse_symlinks)
        return self._all_normalized(found)

    def walk(
        self, top_down: bool = True, on_error: OnError = None, follow_symlinks: bool = False
    ) -> Iterator[tuple[Self, list[str], list[str]]]:
        """Iterate over the tree as ``(path, dirnames, filenames)``, like ``os.walk``.

        With ``top_down``, the caller may change ``dirnames`` to choose where to go on. Without
        ``follow_symlinks`` a link to a directory is among the ``filenames``; with it, and unlike
        in pathlib, a directory that is above already is an ``ELOOP`` error for ``on_error``, and so
        is one that 100 links have led to.

        Examples:
            >>> for path, dirnames, filenames in RootedPath(23309, "etc/app").walk():
            ...     print(path, dirnames, filenames)
            /etc/app ['conf.d'] ['app.conf']
            /etc/app/conf.d [] ['cache.conf']
        """
        note = self._root.note

        def report(error: OSError) -> None:
            note_once(error, note)
            if on_error is not None:
                on_error(error)

        walk = walk_following if follow_symlinks else walk_real
        with noted(note):
            for path, dirnames, filenames in walk(self._root, str(self), top_down, report):
                yield self._normalized(path), dirnames, filenames

    def scan(
        self,
        *,
        on_error: OnError = None,
        max_depth: int | None = None,
        cross_mounts: bool | None = None,
    ) -> Iterator[scanning.Entry[Self]]:
        """Iterate over everything below as an :class:`Entry`, directories before their contents.

        No link is entered, and special files are as for the root: if it refuses them, a kernel
        file system that the scan did not start in is not entered either. With ``max_depth=1``
        only what is in this directory is yielded. With ``cross_mounts=False`` mount points are
        yielded and not entered; None is as the root has it, and a root that does not cross mounts
        is never made to. What vanishes meanwhile is left out. An error that keeps a directory from
        being listed, or an entry from having a type, is passed to ``on_error``, or raised.

        Examples:
            >>> sorted((each.depth, each.name) for each in RootedPath(23309, "etc/app").scan())
            [(1, 'app.conf'), (1, 'conf.d'), (2, 'cache.conf')]
        """
        from procpath.tree import scanning

        return scanning.scan(self, on_error, max_depth, cross_mounts)

    # What pathlib.types (Python 3.14, 3.15) and pathlib_abc ask of a path

    def __vfspath__(self) -> str:
        """Return the in-root path."""
        return str(self)

    def __open_reader__(self) -> BinaryIO:
        return self.open("rb")

    def __open_writer__(self, mode: Literal["a", "w", "x"]) -> BinaryIO:
        return cast(BinaryIO, self.open(f"{mode}b"))

    def __open_rb__(self, buffering: int = -1) -> BinaryIO:
        return self.open("rb", buffering)

    def __open_wb__(self, buffering: int = -1) -> BinaryIO:
        return self.open("wb", buffering)

    # Writing

    def write_bytes(self, data: Buffer) -> int:
        """Write ``data`` as the whole file, which is created if missing.

        Returns the number of bytes.

        Examples:
            >>> RootedPath(23309, "tmp/data").write_bytes(b"123")
            3
        """
        view = memoryview(data)
        return self._write(view if view.format == "B" and view.ndim == 1 else view.cast("B"))

    def write_text(
        self,
        data: str,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> int:
        """Write ``data`` as the whole file, which is created if missing.

        ``encoding``, ``errors`` and ``newline`` are those of the built-in ``open()``. Returns the
        number of characters.

        Examples:
            >>> RootedPath(23309, "tmp/note").write_text("a note", encoding="utf-8")
            6
        """
        encoding = codec(io.text_encoding(encoding))
        if not isinstance(data, str):
            raise TypeError(f"data must be str, not {type(data).__name__}")
        if not is_coded_at_once(encoding, newline):
            file = self.open("w", encoding=encoding, errors=errors, newline=newline)
            with noted(self._root.note), file:
                return file.write(data)
        self._write(memoryview(data.encode(encoding, errors or "strict")))
        return len(data)

    def _write(self, view: memoryview) -> int:
        fd = self._root.open_raw(self._raw, _WRITE_WHOLE, 0o666)
        try:
            write_whole(fd.value, view)
            # Closing can fail for what was written before (close(2)).
            fd.close()
        except OSError as error:
            fd.close()
            raise about(error, self._raw, self._root.note) from None
        return len(view)

    def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:
        """Create the file with ``mode`` (and the umask), or set its times to now.

        With ``exist_ok=False``, raise ``FileExistsError`` if it exists.

        Examples:
            >>> RootedPath(23309, "tmp/touched").touch(mode=0o600)
        """
        if exist_ok:
            try:
                self.utime()
                return
            except UnverifiedProcError:
                raise
            except OSError:
                # Whatever stands in the way, creating the file reports it better.
                pass
        flags = os.O_CREAT | os.O_WRONLY | (0 if exist_ok else os.O_EXCL)
        self._root.open_raw(self._raw, flags, mode).close()

    def mkdir(
        self,
        mode: int = 0o777,
        parents: bool = False,
        exist_ok: bool = False,
        *,
        parent_mode: int | None = None,
    ) -> None:
        """Create a directory with ``mode`` (and the umask), and those above it with ``parents``.

        Those above it get ``parent_mode``, or 0o777 if it is None. With ``exist_ok`` a directory,
        or a link to one, may be there already; otherwise ``FileExistsError``.

        Examples:
            >>> RootedPath(23309, "tmp/new/deep").mkdir(parents=True, exist_ok=True)
        """
        try:
            entries.mkdir(self._root, self._raw, mode)
        except FileNotFoundError:
            if not parents or self.parent == self:
                raise
            above = 0o777 if parent_mode is None else parent_mode
            entries.make_parents(self._root, self._raw, above)
            self.mkdir(mode, exist_ok=exist_ok)
        except OSError:
            # The system may have a more pressing objection than EEXIST.
            if not exist_ok or not self.is_dir():
                raise

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove a file or a link. With ``missing_ok``, it may be missing.

        Examples:
            >>> RootedPath(23309, "tmp/old").unlink(missing_ok=True)
        """
        try:
            entries.unlink(self._root, self._raw)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmdir(self) -> None:
        """Remove an empty directory.

        Examples:
            >>> path = RootedPath(23309, "tmp/empty")
            >>> path.mkdir()
            >>> path.rmdir()
        """
        entries.rmdir(self._root, self._raw)

    def symlink_to(self, target: Segment | pathlib.Path, target_is_directory: bool = False) -> None:
        """Make this path a link to ``target``, which is stored as given and not looked at.

        ``target_is_directory`` has no effect on Linux.

        Examples:
            >>> RootedPath(23309, "tmp/log").symlink_to("/var/log/app")
        """
        text = str(target) if isinstance(target, LexicalPath) else os.fspath(target)
        try:
            entries.symlink(self._root, text, self._raw)
        except OSError as error:
            raise about_two(error, text, str(self), self._root.note) from None

    def hardlink_to(self, target: Segment) -> None:
        """Make this path another name of the file that ``target`` leads to, links followed.

        ``target`` is of the same root. A host path of pathlib is a ``TypeError``.

        Examples:
            >>> RootedPath(23309, "srv/again.csv").hardlink_to("/srv/data.csv")
        """
        source = self._same_root(target)
        try:
            entries.link(self._root, _as_written(target, source), self._raw)
        except OSError as error:
            raise about_two(error, str(source), str(self), self._root.note) from None

    def rename(self, target: Segment, *, replace: bool = True) -> Self:
        """Rename to ``target``, of the same root, and return it as a path.

        A file or an empty directory of that name is replaced, or with ``replace=False``
        ``FileExistsError`` (renameat2(2), ``RENAME_NOREPLACE``).

        Examples:
            >>> RootedPath(23309, "srv/a").write_text("new")
            3
            >>> RootedPath(23309, "srv/a").rename("/srv/b")
            RootedPath('/srv/b', root='/proc/23309/root')
        """
        flags = 0 if replace else uapi.RENAME_NOREPLACE
        return self._rename(target, flags)

    def _rename(self, target: Segment, flags: int) -> Self:
        new = self._same_root(target)
        try:
            entries.rename(self._root, self._raw, _as_written(target, new), flags)
        except OSError as error:
            raise about_two(error, str(self), str(new), self._root.note) from None
        return new

    def replace(self, target: Segment) -> Self:
        """:meth:`rename` to ``target``, replacing what has that name.

        Examples:
            >>> RootedPath(23309, "srv/next").write_text("new")
            3
            >>> RootedPath(23309, "srv/next").replace("/srv/now")
            RootedPath('/srv/now', root='/proc/23309/root')
        """
        return self.rename(target)

    def exchange(self, other: Segment) -> None:
        """Swap this file and ``other``, of the same root, in one step (renameat2(2)).

        Both must exist, and may be of any kind (``RENAME_EXCHANGE``).

        Examples:
            >>> RootedPath(23309, "srv/blue").mkdir()
            >>> RootedPath(23309, "srv/green").mkdir()
            >>> RootedPath(23309, "srv/blue").exchange("/srv/green")
        """
        self._rename(other, uapi.RENAME_EXCHANGE)

    def chmod(self, mode: int, *, follow_symlinks: bool = True) -> None:
        """Set the permissions to ``mode``.

        Linux keeps none for a link: with ``follow_symlinks=False`` that is ``EOPNOTSUPP``.

        Examples:
            >>> RootedPath(23309, "srv/data.csv").chmod(0o640)
        """
        entries.chmod(self._root, self._raw, mode, follow_symlinks)

    def lchmod(self, mode: int) -> None:
        """:meth:`chmod` that follows no link.

        Examples:
            >>> RootedPath(23309, "srv/data.csv").lchmod(0o640)
        """
        self.chmod(mode, follow_symlinks=False)

    def chown(self, uid: int = -1, gid: int = -1, *, follow_symlinks: bool = True) -> None:
        """Set the owner to ``uid`` and the group to ``gid``; -1 keeps one.

        The numbers are the host's, as :meth:`stat` has them. With ``follow_symlinks=False``, of a
        link itself.

        Examples:
            >>> RootedPath(23309, "srv/data.csv").chown(gid=0)
        """
        entries.chown(self._root, self._raw, uid, gid, follow_symlinks)

    def utime(
        self,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Set the times of access and modification, as ``os.utime()``.

        ``times`` are in seconds, ``ns`` in nanoseconds since the epoch; without both, it is
        now. With ``follow_symlinks=False``, of a link itself.

        Examples:
            >>> path = RootedPath(23309, "srv/data.csv")
            >>> path.utime((0, 86400))
            >>> path.stat().st_mtime
            86400.0
        """
        if times is not None and ns is not None:
            raise ValueError("utime: you may specify either 'times' or 'ns' but not both")
        entries.utime(self._root, self._raw, times, ns, follow_symlinks)

    def getxattr(self, attribute: str | bytes, *, follow_symlinks: bool = True) -> bytes:
        """Return the value of the extended attribute ``attribute``, like ``os.getxattr()``.

        With ``follow_symlinks=False``, of a link itself. ``ENODATA`` if there is none.

        Examples:
            >>> RootedPath(23309, "srv/data.csv").setxattr("user.kind", b"table")
            >>> RootedPath(23309, "srv/data.csv").getxattr("user.kind")
            b'table'
        """
        name = _attribute(attribute)
        with entries.attributes(self._root, self._raw, follow_symlinks) as held:
            return held.get(name)

    def listxattr(self, *, follow_symlinks: bool = True) -> list[str]:
        """Return the names of the extended attributes, like ``os.listxattr()``.

        With ``follow_symlinks=False``, of a link itself.

        Examples:
            >>> RootedPath(23309, "srv/data.csv").setxattr("user.kind", b"table")
            >>> "user.kind" in RootedPath(23309, "srv/data.csv").listxattr()
            True
        """
        with entries.attributes(self._root, self._raw, follow_symlinks) as held:
            return held.names()

    def setxattr(
        self,
        attribute: str | bytes,
        value: Buffer,
        flags: int = 0,
        *,
        follow_symlinks: bool = True,
    ) -> None:
        """Set the extended attribute ``attribute`` to the bytes ``value``, like ``os.setxattr()``.

        ``flags`` is 0, ``os.XATTR_CREATE`` or ``os.XATTR_REPLACE``. With ``follow_symlinks=False``,
        of a link itself.

        Examples:
            >>> RootedPath(23309, "srv/data.csv").setxattr("user.kind", b"table", os.XATTR_CREATE)
        """
        name, data = _attribute(attribute), bytes(memoryview(value))
        with entries.changeable_attributes(self._root, self._raw, follow_symlinks) as held:
            held.set(name, data, flags)

    def removexattr(self, attribute: str | bytes, *, follow_symlinks: bool = True) -> None:
        """Remove the extended attribute ``attribute``, like ``os.removexattr()``.

        With ``follow_symlinks=False``, of a link itself. ``ENODATA`` if there is none.

        Examples:
            >>> RootedPath(23309, "srv/data.csv").setxattr("user.kind", b"table")
            >>> RootedPath(23309, "srv/data.csv").removexattr("user.kind")
        """
        name = _attribute(attribute)
        with entries.changeable_attributes(self._root, self._raw, follow_symlinks) as held:
            held.remove(name)

    def _same_root(self, other: Segment) -> Self:
        """Return ``other`` as a path of this root. A host path of pathlib is a TypeError."""
        if isinstance(other, pathlib.Path):
            raise TypeError(f"{other!r} is a host path; use copy() or move() to go between the two")
        if isinstance(other, type(self)) and other._root == self._root:
            return other
        return self.with_segments(other)

    # Copying, moving and removing trees

    @overload
    def copy(
        self,
        target: H,
        *,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
        on_error: OnError = None,
        on_progress: copying.OnProgress | None = None,
        **options: Unpack[copying.CopyOptions],
    ) -> H: ...
    @overload
    def copy(
        self,
        target: str,
        *,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
        on_error: OnError = None,
        on_progress: copying.OnProgress | None = None,
        **options: Unpack[copying.CopyOptions],
    ) -> Self: ...
    def copy(
        self,
        target: Segment | pathlib.Path,
        *,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
        on_error: OnError = None,
        on_progress: copying.OnProgress | None = None,
        **options: Unpack[copying.CopyOptions],
    ) -> RootedPath | pathlib.Path:
        """Copy the file or tree to ``target``: a path of any root, or a host path of pathlib.

        A string is a path in this root: for one on the host, write ``pathlib.Path("logs")``.
        Each file appears under its final name only when it is whole. Links are followed
        inside the root; with ``follow_symlinks=False`` they are copied as links. On the way out
        of the root so are those that lead out of the copied tree, unless ``follow_outside``.
        ``preserve_metadata`` keeps modes, times, extended attributes and, where that is
        permitted, owners. Nothing new has a mode wider than its source's.

        The other options:

        * ``dirs_exist_ok``: copy into a directory that exists.
        * ``special``: out to the host, leave out devices, set-ID bits and file capabilities
          (``"skip"``), or keep them (``"keep"``).
        * ``owners``: into another user namespace, the owners are the same users there
          (``"mapped"``), or keep the host's IDs (``"host"``).
        * ``cross_mounts``: copy what is mounted in the tree (True), raise ``EXDEV`` (False), or
          copy its mount point alone (``"skip"``). Kernel file systems are always left out,
          unless the root allows special files.
        * ``durable``: write each file to the disk before it gets its name.
        * ``on_progress(progress)``: called after each entry and piece of data with a
          :class:`CopyProgress`.
        * ``on_error(error)``: called with each ``OSError`` of an entry in the tree, or of metadata
          that could not be kept. Without it the first one is raised when the rest is copied.

        Returns ``target`` as a path. Raises ``OSError``; a full disk ends the copy at once.

        Examples:
            >>> RootedPath(23309, "etc/app").copy(pathlib.Path("app"))
            PosixPath('app')
        """
        end = self._end(target)
        if not isinstance(end, (RootedPath, pathlib.Path)):
            end._copy_from(self, follow_symlinks=follow_symlinks)
            return cast("RootedPath", end.joinpath())
        from procpath.tree import copy as copying

        choices = copying.Choices(follow_symlinks, preserve_metadata, **options)
        with _noting(self, end):
            copying.copy(_place(self), _place(end), choices, on_progress, on_error)
        return end.joinpath()

    @overload
    def copy_into(
        self,
        target_dir: H,
        *,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
        on_error: OnError = None,
        on_progress: copying.OnProgress | None = None,
        **options: Unpack[copying.CopyOptions],
    ) -> H: ...
    @overload
    def copy_into(
        self,
        target_dir: str,
        *,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
        on_error: OnError = None,
        on_progress: copying.OnProgress | None = None,
        **options: Unpack[copying.CopyOptions],
    ) -> Self: ...
    def copy_into(
        self,
        target_dir: Segment | pathlib.Path,
        *,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
        on_error: OnError = None,
        on_progress: copying.OnProgress | None = None,
        **options: Unpack[copying.CopyOptions],
    ) -> RootedPath | pathlib.Path:
        """:meth:`copy` to the same name in ``target_dir``.

        Examples:
            >>> RootedPath(23309, "etc/app/app.conf").copy_into("/tmp")
            RootedPath('/tmp/app.conf', root='/proc/23309/root')
        """
        return self.copy(
            self._in(target_dir),
            follow_symlinks=follow_symlinks,
            preserve_metadata=preserve_metadata,
            on_error=on_error,
            on_progress=on_progress,
            **options,
        )

    def copy_from(
        self,
        source: Segment | pathlib.Path,
        *,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
        on_error: OnError = None,
        on_progress: copying.OnProgress | None = None,
        **options: Unpack[copying.CopyOptions],
    ) -> Self:
        """Copy ``source``, a path of any root or of the host, to this path, as :meth:`copy`.

        A string is a path in this root.

        Examples:
            >>> RootedPath(23309, "tmp/hostname").copy_from(pathlib.Path("/etc/hostname"))
            RootedPath('/tmp/hostname', root='/proc/23309/root')
        """
        from procpath.tree import copy as copying

        start = self._end(source)
        with _noting(self, start):
            if isinstance(start, (RootedPath, pathlib.Path)):
                choices = copying.Choices(follow_symlinks, preserve_metadata, **options)
                copying.copy(_place(start), _place(self), choices, on_progress, on_error)
            else:
                copying.copy_readable(start, _place(self), follow_symlinks)
        return self.joinpath()

    def _copy_from(
        self,
        source: Segment | pathlib.Path,
        follow_symlinks: bool = True,
        preserve_metadata: bool = False,
    ) -> None:
        """Called by ``pathlib.Path.copy()`` of Python 3.14 on a target of another kind."""
        self.copy_from(source, follow_symlinks=follow_symlinks, preserve_metadata=preserve_metadata)

    @overload
    def move(self, target: H) -> H: ...
    @overload
    def move(self, target: str) -> Self: ...
    def move(self, target: Segment | pathlib.Path) -> RootedPath | pathlib.Path:
        """Rename to ``target``; onto another file system or out of the root, copy and remove.

        A string is a path in this root: for one on the host, write ``pathlib.Path("logs")``.
        Returns ``target`` as a path.

        Examples:
            >>> RootedPath(23309, "srv/report").write_text("done")
            4
            >>> RootedPath(23309, "srv/report").move(pathlib.Path("report"))
            PosixPath('report')
        """
        end: RootedPath | pathlib.Path = self._end(target)
        with _noting(self, end):
            from procpath.tree import moving

            moving.move(_place(self), _place(end))
        return end.joinpath()

    @overload
    def move_into(self, target_dir: H) -> H: ...
    @overload
    def move_into(self, target_dir: str) -> Self: ...
    def move_into(self, target_dir: Segment | pathlib.Path) -> RootedPath | pathlib.Path:
        """:meth:`move` to the same name in ``target_dir``.

        Examples:
            >>> RootedPath(23309, "srv/upload").write_text("done")
            4
            >>> RootedPath(23309, "srv/upload").move_into("/tmp")
            RootedPath('/tmp/upload', root='/proc/23309/root')
        """
        return self.move(self._in(target_dir))

    def rmtree(
        self,
        ignore_errors: bool = False,
        onexc: Callable[[Callable[..., object], Self, OSError], object] | None = None,
        *,
        cross_mounts: bool = False,
    ) -> None:
        """Remove the directory and everything below, like ``shutil.rmtree``; no link is followed.

        ``onexc(function, path, error)`` is called for what cannot be removed, unless
        ``ignore_errors``; without either, the first ``OSError`` is raised. A mount point
        in the tree is an error and is left alone, unless ``cross_mounts``.

        Examples:
            >>> RootedPath(23309, "srv/cache/deep").mkdir(parents=True)
            >>> RootedPath(23309, "srv/cache").rmtree()
        """
        from procpath.tree import removing

        handle: removing.OnError = removing.ignore if ignore_errors else removing.reraise
        if onexc is not None and not ignore_errors:
            handle = partial(_tell, onexc, self)
        with _noting(self):
            removing.rmtree(_place(self), handle, cross_mounts=cross_mounts)

    def to_tar(self, fileobj: IO[bytes], *, on_error: OnError = None) -> None:
        """Write the file or directory to the binary ``fileobj`` as a tar stream (pax).

        The archive of a directory has what is in it, named from there; that of a file has the
        file. Links in it are archived as links, holes as zeros, sockets not at all. Kernel file
        systems, and with ``cross_mounts=False`` all others that are mounted in it, are empty
        directories. Owners are as the root's process sees them.

        ``on_error(OSError)`` is called for what cannot be read, and for a file that is cut short
        meanwhile. Without it the first of these errors is raised when everything else is written.
        An error of ``fileobj`` ends it at once.

        Examples:
            >>> with open("app.tar", "wb") as file:
            ...     RootedPath(23309, "etc/app").to_tar(file)
        """
        from procpath.tree.copy.archive import pack

        place = _rooted_place(self)
        with _noting(self), place.find() as found:
            is_directory = stat.S_ISDIR(os.fstat(found).st_mode)
            pack(place, found, "" if is_directory else self.name, fileobj, on_error)

    def from_tar(
        self,
        fileobj: IO[bytes],
        *,
        limit: int | None = None,
        on_error: OnError = None,
        special: Literal["skip", "keep"] = "skip",
        owners: Literal["mapped", "host"] = "mapped",
    ) -> None:
        """Extract a tar stream into this directory, whatever it holds and whoever made it.

        ``fileobj`` is binary, and only read; gzip, bzip2, xz and, from Python 3.14 on, zstd are
        unpacked. A member is created in the directory or below, or it is an error; a ``/`` at the
        start of its name does not count. A link that is there already is followed on the way where
        it leads to a directory in this one. What has the member's name is replaced, unless one of
        the two is a directory and the other, such as a link to one, is not. The archive's links are
        made last; hard links lead to files of the archive alone. This directory itself keeps its
        mode and owner.

        ``limit`` bounds the bytes of the uncompressed archive and of holes: ``EFBIG``. ``special``
        says whether to ``"keep"`` devices, FIFOs and the extended attributes that mean something to
        the host. ``owners`` are numbers of the root's process (``"mapped"``), or of the host.
        Set-ID bits are kept where the owner is.

        ``on_error(OSError)`` is called for what cannot be extracted. Without it the first of these
        errors is raised when everything else is there. An invalid archive is ``EBADMSG``; that,
        ``EFBIG`` and a full or failing disk end it at once.

        Examples:
            >>> archive = io.BytesIO()
            >>> RootedPath(23309, "etc/app").to_tar(archive)
            >>> archive.seek(0)
            0
            >>> RootedPath(23309, "srv").from_tar(archive, limit=1 << 20)
        """
        from procpath.tree.copy.archive import Extraction, extract

        with _noting(self):
            extract(fileobj, _rooted_place(self), Extraction(limit, special, owners), on_error)

    def _end(self, path: Any) -> Any:
        """Return path objects unchanged, and strings as paths in this root."""
        if isinstance(path, (RootedPath, pathlib.Path)):
            return path
        words = isinstance(path, (str, pathlib.PurePath)) or not hasattr(path, "with_segments")
        return self.with_segments(path) if words else path

    def _in(self, directory: Segment | pathlib.Path) -> RootedPath | pathlib.Path:
        if not self.name:
            raise ValueError(f"{self!r} has an empty name")
        target: RootedPath | pathlib.Path = self._end(directory) / self.name
        return target

    # For other programs

    def as_file(
        self, *, siblings: Iterable[str] = (), limit: int = 1 << 30
    ) -> AbstractContextManager[pathlib.Path]:
        """Return a context manager for a private copy on the host, removed at its end.

        It gives a ``pathlib.Path`` of the same name, ``root`` for ``/``. For libraries and
        programs that resolve or look at the name that they are given, for which :meth:`pin` is
        wrong. What is written to the copy is lost.

        ``siblings`` name files beside the resolved one that come along where they exist, such as
        ``("{name}-wal", "{name}-shm")`` of SQLite. ``limit`` bounds the bytes of all files
        together, and there may be a million of them: ``EFBIG``. In a directory, links to what is
        in it lead there in the copy too; other links and special files are left out, and errors
        in the ``with`` block have a note of them. Files have mode 0o600, directories 0o700.

        What changes meanwhile is copied again, and after some times ``EBUSY``. Links that take
        more than 30 seconds of work to follow are ``EFBIG``, and a lease (fcntl(2)) that another
        process does not give up is ``EAGAIN``. Besides, raises what :meth:`open` raises. A process
        that is killed leaves the copy behind.

        Examples:
            >>> with RootedPath(23309, "etc/hostname").as_file() as copy:
            ...     copy.name, copy.read_text()
            ('hostname', 'cellar\\n')
        """
        from procpath import handing

        return handing.as_file(self._root, str(self), self._raw, siblings, limit)

    def pin(self, *, follow_symlinks: bool = True) -> PinnedPath:
        """Hold the file open, with a name for programs and libraries that take host paths.

        Right only for what opens the name as it is given. What resolves it first, such as SQLite,
        opens the host's file of the same path: see :class:`PinnedPath`, and use :meth:`as_file`.
        Raises what :meth:`open` raises, :class:`SpecialFileError` for a FIFO or device too.

        Examples:
            >>> with RootedPath(23309, "etc/hostname").pin() as pinned:
            ...     subprocess.check_output(["cat", pinned], pass_fds=[pinned.fileno()])
            b'cellar\\n'
        """
        # One for both, since another thread may close the root in between.
        resolver = self._root.resolver
        fd = resolver.find(self._raw) if follow_symlinks else resolver.find_last(self._raw)
        try:
            with closed_on_error(fd) as number:
                resolver.require_openable(number, os.fstat(number))
            return PinnedPath(fd, repr(self))
        except OSError as error:
            raise about(error, str(self), self._root.note) from None

    def connect(
        self,
        type: int = uapi.SOCK_STREAM,  # noqa: A002 - named as in socket.socket()
    ) -> socket.socket:
        """Return a socket connected to the UNIX socket at this path.

        ``type`` is a ``socket.SOCK_*``.

        Examples:
            >>> with RootedPath(23309, "run/app/app.sock").connect() as connection:
            ...     connection.family.name
            'AF_UNIX'
        """
        try:
            with self._root.find(self._raw) as fd:
                from procpath import unix_sockets

                return unix_sockets.connect(fd, type)
        except OSError as error:
            raise about(error, self._raw, self._root.note) from None


class BoundPath(RootedPath, from_segments=True):
    """The base of the classes that :meth:`RootedPath.bind` makes: their root is the class's."""

    __slots__ = ()

    _bound_root: ClassVar[Root]
    _bound_class: ClassVar[type[RootedPath]]
    """the class that :meth:`RootedPath.bind` was called on"""

    def __init__(self, *segments: Segment) -> None:
        LexicalPath.__init__(self, self._bound_root, *segments)

    def _construct(self, segments: tuple[Segment, ...]) -> Self:
        return type(self)(*segments)

    def __reduce__(self) -> tuple[object, ...]:
        if "_bound_root" in type(self).__dict__:
            # The class was made by bind(), so there is no name to import it by.
            return _unpickled_bound, (self._bound_class, self._root, str(self))
        return super().__reduce__()


register(RootedPath)


def _as_root(root: int | str | os.PathLike[str] | Root, options: OptionArguments) -> Root:
    if isinstance(root, Root):
        if options:
            given = ", ".join(options)
            raise TypeError(f"a Root has its own options: give {given} to the call that makes it")
        root.fileno()
        return root
    if isinstance(root, int):
        return Root.of_process(root, **options)
    if isinstance(root, (str, os.PathLike)):
        try:
            return Root.at(root, **options)
        except FileNotFoundError as error:
            if isinstance(root, str) and root.isascii() and root.isdecimal():
                error.strerror = f"{error.strerror} (for a process, give the PID as an int: {root})"
            raise
    raise TypeError(
        f"a root must be a PID, a host directory or a Root, not {type(root).__name__!r}"
    )


def _unpickled_bound(cls: type[RootedPath], root: Root, text: str) -> BoundPath:
    # Of the class that it had, if there still is one, so that isinstance() holds.
    bound: type[BoundPath] = find_bound_class(cls, root) or bound_class(BoundPath, cls, root)
    return bound(text)


def _unpickled(cls: type[RootedPath], root: Root, text: str) -> RootedPath:
    if not issubclass(cls, BoundPath):
        return cls(root).with_segments(text)
    path = cls(text)
    if path.root_handle != root:
        reason = f"{cls.__name__} is bound to another directory here"
        raise OSError(ESTALE, reason, root.origin)
    return path


def _tell(
    onexc: Callable[[Callable[..., object], P, OSError], object],
    top: P,
    function: Callable[..., object],
    path: str,
    error: OSError,
) -> object:
    note_once(error, top._root.note)
    return onexc(function, top._normalized(path), error)


def _noting(*paths: Any) -> noted:
    return noted(*(path._root.note for path in paths if isinstance(path, RootedPath)))


def _accounts(path: RootedPath) -> Accounts:
    from procpath.accounts import Accounts

    return Accounts(path._root)


def _place(path: RootedPath | pathlib.Path) -> Place:
    from procpath.tree.places import HostPlace

    return _rooted_place(path) if isinstance(path, RootedPath) else HostPlace(os.fspath(path))


def _rooted_place(path: RootedPath) -> RootedPlace:
    from procpath.tree.places import RootedPlace

    return RootedPlace(path._root, str(path), path._raw)


def _known_home(home: str | None) -> str:
    if home is None:
        raise RuntimeError("Could not determine home directory.")
    return home or "/"


def _attribute(name: str | bytes) -> bytes:
    raw = os.fsencode(name)
    if b"\0" in raw:
        raise ValueError("embedded null byte")
    return raw


def _pattern_text(pattern: Segment) -> str:
    return str(pattern) if isinstance(pattern, LexicalPath) else os.fspath(pattern)


def _as_written(target: Segment, path: RootedPath) -> bytes:
    """Return ``target``, which is ``path``, for a system call: a string keeps its final slash."""
    if isinstance(target, str) and "\0" not in target:
        return os.fsencode(target)
    return path._raw
