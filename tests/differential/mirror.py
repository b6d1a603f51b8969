"""The same operation on a RootedPath and on plain pathlib in a chrooted process.

Operations are named; most are the method of that name. Results are made comparable: paths
become text, and what is raised becomes its ``errno`` with the in-root paths that it names.
Where pathlib's answer has changed with Python versions, the other side is the call of ``os``
that Python 3.14 makes.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PosixPath
from typing import Any, NamedTuple, TypeAlias

from differential.laboratory import Bench, acting_as
from procpath import Entry, Root, RootedPath, linux, uapi
from procpath.testing import Fifo, Socket, Tree
from procpath.testing.model import Caller

AnyPath: TypeAlias = "RootedPath | Path"


class InRoot(str):
    """An argument that is a path, and becomes one of the kind that the operation is done on."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"path({str(self)!r})"


class Operation(NamedTuple):
    """``path.name(*arguments, **keywords)``."""

    name: str
    path: str
    arguments: tuple[Any, ...] = ()
    keywords: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        given = [
            *map(repr, self.arguments),
            *(f"{name}={value!r}" for name, value in self.keywords),
        ]
        return f"path({self.path!r}).{self.name}({', '.join(given)})"


class Refused(NamedTuple):
    """An OSError. With two paths, which of them it names first depends on the system call."""

    errno: int | None
    filenames: frozenset[object]


class Mirrored(NamedTuple):
    """What an operation did on either side."""

    ours: Any
    theirs: Any


def _write_more(path: AnyPath, mode: str, data: bytes) -> int:
    with path.open(mode) as file:
        return file.write(data)


def _shown(path: AnyPath, *, follow_symlinks: bool) -> tuple[int, ...]:
    """What of a status does not differ between two copies of a tree."""
    status = path.stat(follow_symlinks=follow_symlinks)
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return status.st_mode, status.st_nlink, status.st_uid, status.st_gid, size


def _resolve_by_kernel(path: Path) -> str:
    """What the kernel calls the object: of realpath(3) Python has a version of its own."""
    fd = os.open(path, os.O_PATH)
    try:
        return os.readlink(f"self/fd/{fd}", dir_fd=_proc)
    finally:
        os.close(fd)


def _realpath(path: str) -> str:
    """os.path.realpath() as from Python 3.13 on; before, it resolved nothing after a loop."""
    here = "/"
    todo: list[str | tuple[str]] = _reversed_names(path)
    ends: dict[str, str] = {}
    while todo:
        name = todo.pop()
        if isinstance(name, tuple):
            ends[name[0]] = here
            continue
        place = os.path.join(here, name)
        if name == "..":
            here = os.path.dirname(here)
        elif not os.path.islink(place):
            here = place
        elif place in ends:
            here = ends[place]
        else:
            text = os.readlink(place)
            # Until its end is known it leads no further: to meet it again is a loop.
            ends[place] = place
            todo += [(place,), *_reversed_names(text)]
            here = "/" if text.startswith("/") else here
    return here


def _reversed_names(path: str) -> list[str | tuple[str]]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _resolve(path: Path) -> str:
    try:
        return _resolve_by_kernel(path)
    except OSError:
        if sys.version_info >= (3, 13):
            return os.path.realpath(path)
        return _realpath(os.path.join("/", path))


def _walked(steps: Iterable[tuple[AnyPath | str, list[str], list[str]]]) -> list[tuple[str, ...]]:
    return sorted((str(place), *sorted(dirs), *sorted(files)) for place, dirs, files in steps)


def _as_pathlib_walks(
    step: tuple[str, list[str], list[str]],
) -> tuple[str, list[str], list[str]]:
    """Path.walk (Python 3.12) takes links to directories for files, where os.walk does not."""
    place, dirs, files = step
    links = [name for name in dirs if os.path.islink(os.path.join(place, name))]
    return place, [name for name in dirs if name not in links], files + links


def _or_refused(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except OSError as error:
        return Refused(error.errno, frozenset([str(error.filename)]))


def _identified(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mode, status.st_dev, status.st_ino, status.st_nlink, status.st_size


def _seen(entry: Entry[RootedPath]) -> tuple[Any, ...]:
    """All that an entry of a scan says of itself."""
    return (
        str(entry.path),
        (entry.is_dir(), entry.is_file(), entry.is_symlink()),
        _or_refused(lambda: _identified(entry.stat())),
        _or_refused(lambda: str(entry.readlink())) if entry.is_symlink() else None,
        _or_refused(entry.read_bytes) if entry.is_file() else None,
    )


def _seen_by_name(entry: os.DirEntry[str]) -> tuple[Any, ...]:
    """The same, from the kernel's own lookups."""
    path = _Path(entry.path)
    is_dir, is_file = entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False)
    return (
        str(path),
        (is_dir, is_file, entry.is_symlink()),
        _or_refused(lambda: _identified(path.lstat())),
        _or_refused(lambda: str(path.readlink())) if entry.is_symlink() else None,
        _or_refused(path.read_bytes) if is_file else None,
    )


def _scan(path: RootedPath) -> tuple[object, ...]:
    errors: list[OSError] = []
    seen = sorted(map(_seen, path.scan(on_error=errors.append)))
    return *seen, {Refused(error.errno, frozenset([str(error.filename)])) for error in errors}


def _scan_by_name(path: Path) -> tuple[object, ...]:
    seen = []
    errors = set()
    todo = [str(path)]
    while todo:
        place = todo.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    seen.append(_seen_by_name(entry))
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
        except OSError as error:
            errors.add(Refused(error.errno, frozenset([place])))
    return *sorted(seen), errors


def _exchange(path: Path, other: Path) -> None:
    both = os.fsencode(path), os.fsencode(other)
    try:
        linux.renameat2(uapi.AT_FDCWD, both[0], uapi.AT_FDCWD, both[1], uapi.RENAME_EXCHANGE)
    except OSError as error:
        error.filename, error.filename2 = path, other
        raise


def _hardlink(path: Path, target: Path) -> None:
    # Until 3.14 os.link() follows a link only where it is given a directory (gh-81793); an
    # absolute path does not use it.
    os.link(target, path, src_dir_fd=_proc, follow_symlinks=True)


# A procfs to ask from inside a chroot, where there is none.
_proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

_EITHER: dict[str, Callable[..., Any]] = {
    "write_more": _write_more,
    "shown": _shown,
}
_OURS: dict[str, Callable[..., Any]] = {
    "resolve_strictly": lambda path: path.resolve(strict=True),
    "walk": lambda path: _walked(path.walk()),
    "scan": _scan,
}
_THEIRS: dict[str, Callable[..., Any]] = {
    "resolve_strictly": _resolve_by_kernel,
    "resolve": _resolve,
    "walk": lambda path: _walked(map(_as_pathlib_walks, os.walk(path))),
    "scan": _scan_by_name,
    "exists": os.path.exists,
    "is_dir": os.path.isdir,
    "is_file": os.path.isfile,
    "is_symlink": os.path.islink,
    "is_mount": os.path.ismount,
    "chown": os.chown,
    "exchange": _exchange,
    "hardlink_to": _hardlink,
    "rmtree": shutil.rmtree,
}


class _Path(PosixPath):
    """With what mkdir(exist_ok=True) asks as Python 3.14 answers it."""

    __slots__ = ()

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return os.path.isdir(self)


def plain(result: Any) -> Any:
    """A result without what is of one side only."""
    if isinstance(result, RootedPath | Path):
        return str(result)
    if isinstance(result, bool | bytes | str | int | tuple | None):
        return result
    return sorted(map(plain, result))


def perform(root: AnyPath, functions: dict[str, Callable[..., Any]], operation: Operation) -> Any:
    """Do it beneath ``root``; what came of it."""

    def path_of(text: str) -> AnyPath:
        return root / text.lstrip("/")

    arguments = [
        path_of(argument) if isinstance(argument, InRoot) else argument
        for argument in operation.arguments
    ]
    path = path_of(operation.path)
    function = {**_EITHER, **functions}.get(
        operation.name, getattr(type(path), operation.name, None)
    )
    assert function is not None, operation
    try:
        return plain(function(path, *arguments, **dict(operation.keywords)))
    except OSError as error:
        named = {str(name) for name in (error.filename, error.filename2) if name is not None}
        return Refused(error.errno, frozenset(named))


def without_fifos(tree: Tree) -> Tree:
    """The tree with nothing in it that would keep open() waiting."""
    return Tree({p: Socket() if isinstance(node, Fifo) else node for p, node in tree.items()})


def look(
    bench: Bench, tree: Tree, operations: Sequence[Operation], caller: Caller, resolver: Any
) -> list[Mirrored]:
    """Do what changes nothing on one tree, both ways."""
    directory = bench.fresh_directory()
    tree.materialize(directory)
    ours = _all_ours(directory, operations, caller, resolver)
    theirs = _all_theirs(bench, directory, operations, caller)
    return list(map(Mirrored, ours, theirs))


def prepare(bench: Bench, tree: Tree) -> str:
    """Two copies of a tree, ``ours`` and ``theirs``, in the directory that is returned."""
    directory = bench.fresh_directory()
    for side in ("ours", "theirs"):
        os.mkdir(f"{directory}/{side}")
        tree.materialize(f"{directory}/{side}")
    return directory


def change(
    bench: Bench, directory: str, operation: Operation, caller: Caller, resolver: Any
) -> tuple[Mirrored, Tree, Tree]:
    """Do it on each copy, and see what they are now."""
    (ours,) = _all_ours(f"{directory}/ours", [operation], caller, resolver)
    (theirs,) = _all_theirs(bench, f"{directory}/theirs", [operation], caller)
    after = [Tree.capture(f"{directory}/{side}", owners=True) for side in ("ours", "theirs")]
    return Mirrored(ours, theirs), after[0], after[1]


def _all_ours(
    directory: str, operations: Sequence[Operation], caller: Caller, resolver: Any
) -> list[Any]:
    with Root.at(directory, resolver=resolver, special_files="allow") as root:
        path = RootedPath(root)
        with acting_as(caller):
            return [perform(path, _OURS, operation) for operation in operations]


def _all_theirs(
    bench: Bench, directory: str, operations: Sequence[Operation], caller: Caller
) -> list[Any]:
    with bench.chrooted(directory), acting_as(caller):
        return [perform(_Path("/"), _THEIRS, operation) for operation in operations]
