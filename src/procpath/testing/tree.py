"""Directory trees as values: what a root holds, written down.

A :class:`Tree` maps in-root paths to nodes. It can be compared, hashed, printed as the
expression that makes it, built for real by :meth:`Tree.materialize` and read back by
:meth:`Tree.capture`; :mod:`procpath.testing.model` resolves paths in it without any file
system. Only mounts need Linux, so a tree can be described on any system.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "Directory",
    "Fifo",
    "File",
    "MagicLink",
    "Node",
    "Socket",
    "Symlink",
    "Tree",
]


class _ShortRepr:
    """Prints a node with only what differs from the defaults, and modes in octal."""

    def __repr__(self) -> str:
        shown = []
        for field in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, field.name)
            if value == field.default:
                continue
            text = f"0o{value:o}" if field.name == "mode" else repr(value)
            shown.append(text if field.name in ("content", "target") else f"{field.name}={text}")
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class File(_ShortRepr):
    """A regular file.

    ``content`` is what it holds; None, the default, stands for its own in-root path, so
    that whoever reads a file can tell which one it was. ``uid`` and ``gid`` are numbers;
    None, the default, is whoever materializes the tree (0 for the model).
    """

    content: bytes | None = None
    mode: int = 0o644
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, repr=False)
class Directory(_ShortRepr):
    """A directory. With ``mount`` it is the root of a mount of its own (a tmpfs), which
    with ``nosymfollow`` has no symlink followed on it (mount(2), Linux 5.10)."""

    mode: int = 0o755
    uid: int | None = None
    gid: int | None = None
    mount: bool = False
    nosymfollow: bool = False


@dataclass(frozen=True, repr=False)
class Symlink(_ShortRepr):
    """A symlink; ``target`` is its text, bytes that are not UTF-8 by ``surrogateescape``."""

    target: str
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, repr=False)
class MagicLink(_ShortRepr):
    """A magic link of procfs, which jumps to an object; ``target`` is what readlink(2) says.

    Only procfs has them, so a tree with one can be resolved in but not materialized.
    """

    target: str
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, repr=False)
class Fifo(_ShortRepr):
    """A named pipe, which nobody holds open."""

    mode: int = 0o644
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, repr=False)
class Socket(_ShortRepr):
    """A UNIX socket's file, on which nobody listens."""

    mode: int = 0o755
    uid: int | None = None
    gid: int | None = None


Node: TypeAlias = File | Directory | Symlink | MagicLink | Fifo | Socket

_MODE_BITS = 0o7777
_LINE = 88


class Tree(Mapping[str, Node]):
    """What a root holds: in-root paths, and the node at each.

    Directories that are only on the way need not be given (mode 0755, as
    :class:`Directory` has it), nor the root itself. Keys are absolute and normal: no
    ``.``, ``..``, doubled or trailing slash. Immutable; iterates in order, a directory
    before what is in it. A path that is not normal, or is below something other than a
    directory, is a ValueError.

    Examples:
        >>> tree = Tree({"/run/app.pid": File(b"7"), "/var/run": Symlink("/run")})
        >>> tree["/run"]
        Directory()
    """

    __slots__ = ("_children", "_nodes")

    def __init__(self, nodes: Mapping[str, Node] | None = None) -> None:
        given = dict(nodes or {})
        for path in list(given):
            _check_normal(path)
            while path != "/":
                path = parent_of(path)
                if not isinstance(given.setdefault(path, Directory()), Directory):
                    raise ValueError(f"{path!r} is not a directory, but has something in it")
        if not isinstance(given.setdefault("/", Directory()), Directory):
            raise ValueError("the root must be a directory")
        self._nodes = {path: given[path] for path in sorted(given, key=_sort_key)}
        self._children: dict[str, list[str]] = {
            path: [] for path, node in self._nodes.items() if isinstance(node, Directory)
        }
        for path in self._nodes:
            if path != "/":
                self._children[parent_of(path)].append(path)

    def __getitem__(self, path: str) -> Node:
        return self._nodes[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __hash__(self) -> int:
        return hash(tuple(self._nodes.items()))

    def __repr__(self) -> str:
        shown = [f"{path!r}: {node!r}" for path, node in self._nodes.items() if self._says(path)]
        line = f"Tree({{{', '.join(shown)}}})"
        if len(line) <= _LINE:
            return line
        return "Tree({\n" + "".join(f"    {item},\n" for item in shown) + "})"

    def _says(self, path: str) -> bool:
        """Whether the tree would be another one with this entry left out."""
        implied = self._nodes[path] == Directory() and (path == "/" or self._children[path])
        return not implied

    def children(self, path: str) -> list[str]:
        """Return the in-root paths of the entries of the directory ``path``, in order."""
        return list(self._children[path])

    def content(self, path: str) -> bytes:
        """Return what reading the file at ``path`` gives."""
        node = self._nodes[path]
        if not isinstance(node, File):
            raise ValueError(f"{path!r} is not a regular file")
        return os.fsencode(path) if node.content is None else node.content

    def materialize(self, directory: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> None:
        """Create all of this in ``directory``, an empty directory, which becomes the root.

        Modes are exact whatever the umask. Foreign owners take the rights of root, and
        mounts CAP_SYS_ADMIN; do those in a mount namespace of your own, or unmount them
        yourself. Names longer than the file system allows and whatever else it refuses
        raise its OSError; a magic link is a ValueError.
        """
        for path, node in self._nodes.items():
            if isinstance(node, MagicLink):
                raise ValueError(f"{path!r} is a magic link, and only procfs has those")
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._fill(fd, "/")
        finally:
            os.close(fd)

    def _fill(self, dirfd: int, path: str) -> None:
        for child in self._children[path]:
            node = self._nodes[child]
            if isinstance(node, Directory):
                self._make_directory(dirfd, child, node)
            else:
                self._make_leaf(dirfd, child, node)
        # Last, because a directory without write permission can no longer be filled.
        node = self._nodes[path]
        assert isinstance(node, Directory)
        if node.uid is not None or node.gid is not None:
            os.fchown(dirfd, *_owner(node))
        os.fchmod(dirfd, node.mode)

    def _make_directory(self, parent: int, path: str, node: Directory) -> None:
        name = name_of(path)
        os.mkdir(name, 0o700, dir_fd=parent)
        with ExitStack() as held:
            if node.mount:
                from procpath import linux, uapi

                fd = held.enter_context(linux.fsopen(b"tmpfs"))
                linux.fsconfig(fd, uapi.FSCONFIG_CMD_CREATE)
                attributes = _MOUNT_ATTR_NOSYMFOLLOW if node.nosymfollow else 0
                mounted = held.enter_context(linux.fsmount(fd, attributes))
                linux.move_mount(mounted, parent, os.fsencode(name))
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(name, flags, dir_fd=parent)
            held.callback(os.close, fd)
            self._fill(fd, path)

    def _make_leaf(self, dirfd: int, path: str, node: Node) -> None:
        name = name_of(path)
        if isinstance(node, (Symlink, MagicLink)):
            os.symlink(node.target, name, dir_fd=dirfd)
        elif isinstance(node, File):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(name, flags, 0o600, dir_fd=dirfd), "wb") as file:
                file.write(self.content(path))
        else:
            kind = stat.S_IFIFO if isinstance(node, Fifo) else stat.S_IFSOCK
            os.mknod(name, kind | 0o600, dir_fd=dirfd)
        if node.uid is not None or node.gid is not None:
            os.chown(name, *_owner(node), dir_fd=dirfd, follow_symlinks=False)
        if not isinstance(node, (Symlink, MagicLink)):
            # Nobody else writes here while a tree is made, so the name is still ours.
            os.chmod(name, node.mode, dir_fd=dirfd)

    @classmethod
    def capture(
        cls, directory: str | bytes | os.PathLike[str] | os.PathLike[bytes], *, owners: bool = False
    ) -> Self:
        """Read a real directory back: the counterpart of :meth:`materialize`.

        Contents are always given, owners only with ``owners``. Mounts are recognized by their
        device number. Follows no symlink. Devices are a ValueError.
        """
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            nodes: dict[str, Node] = {}
            _capture(fd, "/", os.fstat(fd).st_dev, owners, nodes)
        finally:
            os.close(fd)
        return cls(nodes)


_MOUNT_ATTR_NOSYMFOLLOW = 0x00200000  # fsmount(2), Linux 5.14


def _capture(fd: int, path: str, device: int, owners: bool, nodes: dict[str, Node]) -> None:
    status = os.fstat(fd)
    mount = status.st_dev != device
    nosymfollow = mount and _is_nosymfollow(fd)
    mode, uid, gid = _attributes(status, owners)
    nodes[path] = Directory(mode, uid, gid, mount, nosymfollow)
    for name in os.listdir(fd):
        child = child_of(path, name)
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        mode, uid, gid = _attributes(status, owners)
        if stat.S_ISDIR(status.st_mode):
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(name, flags, dir_fd=fd)
            try:
                _capture(inner, child, os.fstat(fd).st_dev, owners, nodes)
            finally:
                os.close(inner)
        elif stat.S_ISLNK(status.st_mode):
            nodes[child] = Symlink(os.readlink(name, dir_fd=fd), uid, gid)
        elif stat.S_ISREG(status.st_mode):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(name, flags, dir_fd=fd), "rb") as file:
                nodes[child] = File(file.read(), mode, uid, gid)
        elif stat.S_ISFIFO(status.st_mode):
            nodes[child] = Fifo(mode, uid, gid)
        elif stat.S_ISSOCK(status.st_mode):
            nodes[child] = Socket(mode, uid, gid)
        else:
            raise ValueError(f"{child!r} is a device, which a Tree has no node for")


def _is_nosymfollow(fd: int) -> bool:
    from procpath import linux, uapi

    return bool(linux.fstatfs(fd).flags & uapi.ST_NOSYMFOLLOW)


def _attributes(status: os.stat_result, owners: bool) -> tuple[int, int | None, int | None]:
    mode = status.st_mode & _MODE_BITS
    return (mode, status.st_uid, status.st_gid) if owners else (mode, None, None)


def _owner(node: Node) -> tuple[int, int]:
    """For chown(2), to which -1 means that the number stays."""
    return (-1 if node.uid is None else node.uid, -1 if node.gid is None else node.gid)


def _check_normal(path: str) -> None:
    names = path[1:].split("/")
    if path != "/" and (not path.startswith("/") or {"", ".", ".."} & set(names) or "\0" in path):
        raise ValueError(f"not a normal in-root path: {path!r}")


def _sort_key(path: str) -> list[str]:
    return [] if path == "/" else path[1:].split("/")


def parent_of(path: str) -> str:
    """The in-root path of the directory that ``path`` lies in; the root lies in itself."""
    return path.rpartition("/")[0] or "/"


def child_of(path: str, name: str) -> str:
    """The in-root path of ``name`` in the directory ``path``."""
    return f"/{name}" if path == "/" else f"{path}/{name}"


def name_of(path: str) -> str:
    """The last name of an in-root path."""
    return path.rpartition("/")[2]
