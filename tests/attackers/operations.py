"""What is attacked: each public operation of a path and of a root, as a question.

The answer to each question is something by which :func:`attackers.scene.reveals` can tell
whether it came from outside the root. Every public member stands here, or among those
that only handle words; a test compares with ``dir()``.
"""

from __future__ import annotations

import io
import os
import socket
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from errno import EBUSY, ENODATA, ENOTSUP, EPERM
from pathlib import Path
from typing import Any, Final

from attackers.scene import CANARY, Scene
from procpath import RootedPath
from procpath.linux import Descriptor

Ask = Callable[[RootedPath, Scene], object]
"""Asked of the attacked directory's path; see :attr:`attackers.races.Shape.directory`."""


@dataclass(frozen=True)
class Reading:
    """An operation that reads, and the entry of the attacked directory that it comes to."""

    name: str
    entry: str
    ask: Ask
    follows: bool = True
    """it follows a link at the end of its path"""
    may_raise: frozenset[int] = frozenset()
    """errnos of its own, beside those of any path under attack"""

    @property
    def member(self) -> str:
        """The public member that it tries."""
        return self.name.partition(":")[0]


def _if(condition: bool) -> str | None:
    return CANARY if condition else None


def _accounts(ask: Callable[[RootedPath], object]) -> Ask:
    """``/etc`` is a link along the attacked path, so the accounts come from there."""

    def from_attacked_etc(directory: RootedPath, scene: Scene) -> object:
        link = f"{scene.root}/etc"
        if not os.path.lexists(link):
            os.symlink(f"{directory}/etc", link)
        return ask(directory)

    return from_attacked_etc


def _read_after_resolving(directory: RootedPath, _: Scene) -> object:
    return (directory / "file").resolve(strict=True).read_bytes()


def _list_after_resolving(directory: RootedPath, _: Scene) -> object:
    return list((directory / "sub").resolve().iterdir())


def _read_pinned(directory: RootedPath, _: Scene) -> object:
    with (directory / "file").pin() as pinned:
        return pinned.stat(), Path(pinned).read_bytes()


def _read_in_sub_root(directory: RootedPath, _: Scene) -> object:
    with (directory / "sub").as_root() as root:
        return os.fstat(root.fileno()), RootedPath(root, "file").read_bytes()


def _connect(directory: RootedPath, scene: Scene) -> object:
    with (directory / "socket").connect(socket.SOCK_DGRAM) as connection:
        where = connection.getpeername()
    return _if(where.startswith(scene.places_outside))


def _read_open(mode: str) -> Ask:
    def ask(directory: RootedPath, _: Scene) -> object:
        with (directory / "file").open(mode) as file:
            return file.read()

    return ask


def _kinds(paths: list[RootedPath]) -> object:
    """The paths, and what their ``info`` says of the links and others among them."""
    return paths, [
        _if(path.name == "folder" and path.info.is_dir())
        or _if(path.name == "regular" and path.info.is_file())
        or _if(path.name == "ghost" and path.info.exists())
        for path in paths
    ]


def _walked(follow_symlinks: bool) -> Ask:
    def ask(directory: RootedPath, _: Scene) -> object:
        return [
            (path, dirnames, filenames)
            for path, dirnames, filenames in (directory / "sub").walk(
                follow_symlinks=follow_symlinks
            )
        ]

    return ask


def _scanned(directory: RootedPath, _: Scene) -> object:
    found: list[object] = []
    for entry in (directory / "sub").scan():
        found.append((entry.path, entry.stat()))
        if entry.is_symlink():
            found.append(entry.readlink())
        elif entry.is_file():
            found.append(entry.read_bytes())
            with entry.open("rb") as file:
                found.append(os.fstat(file.fileno()))
    return found


def _same_as_outside(directory: RootedPath, scene: Scene) -> object:
    return _if((directory / "file").samefile(Path(f"{scene.outside}/dir/file"))) or _if(
        (directory / "file").samefile(Path(f"{scene.limbo}/file"))
    )


def _traced(directory: RootedPath, _: Scene) -> object:
    trace = (directory / "link").trace()
    return [(step.name, step.target or "") for step in trace], trace.result


def _private_copy(entry: str) -> Ask:
    def ask(directory: RootedPath, _: Scene) -> object:
        with (directory / entry).as_file() as copy:
            files = [copy] if copy.is_file() else [p for p in copy.rglob("*") if p.is_file()]
            return [(file.name, file.read_bytes()) for file in files]

    return ask


def _archived(directory: RootedPath, _: Scene) -> object:
    data = io.BytesIO()
    (directory / "sub").to_tar(data)
    data.seek(0)
    with tarfile.open(fileobj=data) as archive:
        files = {one.name: archive.extractfile(one) for one in archive if one.isreg()}
        return [(name, file.read()) for name, file in files.items() if file is not None]


def _attribute(directory: RootedPath, _: Scene) -> object:
    try:
        return (directory / "file").getxattr("user.none")
    except OSError as error:
        if error.errno not in (ENODATA, ENOTSUP, EPERM):
            raise
        return None


def _fd(fd: int) -> bytes:
    with open(fd, "rb") as file:
        return file.read()


def _in_root_beneath(directory: RootedPath, _: Scene) -> object:
    with directory.root_handle.beneath(str(directory / "sub")) as root:
        return RootedPath(root, "file").read_bytes()


def _through_opener(directory: RootedPath, _: Scene) -> object:
    with open(str(directory / "file"), opener=directory.root_handle.opener) as file:
        return file.read()


def _by_descriptor(find: Callable[[Any, bytes], Descriptor], entry: str) -> Ask:
    def ask(directory: RootedPath, _: Scene) -> object:
        with find(directory.root_handle, bytes(directory / entry)) as fd:
            return os.fstat(fd) if fd >= 0 else None

    return ask


_CHANGING: Final = frozenset((EBUSY,))

READINGS: Final = {
    operation.name: operation
    for operation in (
        Reading("stat", "file", lambda p, _: (p / "file").stat()),
        Reading("lstat", "file", lambda p, _: (p / "file").lstat(), follows=False),
        Reading(
            "stat:not followed",
            "link",
            lambda p, _: (p / "link").stat(follow_symlinks=False),
            follows=False,
        ),
        Reading("exists", "ghost", lambda p, _: _if((p / "ghost").exists())),
        Reading(
            "exists:not followed",
            "sub",
            lambda p, _: _if((p / "sub" / CANARY).exists(follow_symlinks=False)),
        ),
        Reading("is_file", "regular", lambda p, _: _if((p / "regular").is_file())),
        Reading("is_dir", "folder", lambda p, _: _if((p / "folder").is_dir())),
        Reading(
            "is_symlink", "linked", lambda p, _: _if((p / "linked").is_symlink()), follows=False
        ),
        Reading("is_socket", "bound", lambda p, _: _if((p / "bound").is_socket())),
        Reading("is_fifo", "fifo", lambda p, _: _if((p / "fifo").is_fifo())),
        Reading("is_block_device", "block", lambda p, _: _if((p / "block").is_block_device())),
        Reading("is_char_device", "char", lambda p, _: _if((p / "char").is_char_device())),
        Reading("is_mount", "mounted", lambda p, _: _if((p / "mounted").is_mount()), follows=False),
        Reading("samefile", "file", _same_as_outside),
        Reading("info", "ghost", lambda p, _: _if((p / "ghost").info.exists())),
        Reading("info:is_dir", "folder", lambda p, _: _if((p / "folder").info.is_dir())),
        Reading("info:is_file", "regular", lambda p, _: _if((p / "regular").info.is_file())),
        Reading("owner", "etc", _accounts(lambda p: (p / "file").owner())),
        Reading("group", "etc", _accounts(lambda p: (p / "file").group())),
        Reading("home", "etc", _accounts(lambda p: p.home())),
        Reading("expanduser", "etc", _accounts(lambda p: p.with_segments("~").expanduser())),
        Reading("resolve", "file", _read_after_resolving),
        Reading("resolve:lenient", "sub", _list_after_resolving),
        Reading(
            "resolve:not the last",
            "sub",
            lambda p, _: (p / "sub/file").resolve(follow_last=False).read_bytes(),
        ),
        Reading("readlink", "link", lambda p, _: (p / "link").readlink(), follows=False),
        Reading("trace", "link", _traced),
        Reading("as_root", "sub", _read_in_sub_root),
        Reading("open", "file", _read_open("r")),
        Reading("open:binary", "file", _read_open("rb")),
        Reading("open:to read and write", "file", _read_open("r+")),
        Reading("read_bytes", "file", lambda p, _: (p / "file").read_bytes()),
        Reading("read_text", "file", lambda p, _: (p / "file").read_text()),
        Reading("iterdir", "sub", lambda p, _: list((p / "sub").iterdir())),
        Reading("iterdir:info", "folder", lambda p, _: _kinds(list(p.iterdir()))),
        Reading("glob", "sub", lambda p, _: list(p.glob("s*/*"))),
        Reading("glob:literal", "sub", lambda p, _: list(p.glob(f"sub/{CANARY}"))),
        Reading("glob:recursive", "sub", lambda p, _: list(p.glob("sub/**"))),
        Reading(
            "glob:through links",
            "sub",
            lambda p, _: list(p.glob("sub/**/*", recurse_symlinks=True)),
        ),
        Reading("rglob", "sub", lambda p, _: list((p / "sub").rglob("*"))),
        Reading(
            "rglob:through links",
            "sub",
            lambda p, _: list((p / "sub").rglob("*", recurse_symlinks=True)),
        ),
        Reading("walk", "sub", _walked(False)),
        Reading("walk:through links", "sub", _walked(True)),
        Reading("scan", "sub", _scanned),
        Reading("pin", "file", _read_pinned),
        Reading("as_file", "file", _private_copy("file"), may_raise=_CHANGING),
        Reading("as_file:directory", "sub", _private_copy("sub"), may_raise=_CHANGING),
        Reading("to_tar", "sub", _archived),
        Reading("getxattr", "file", _attribute),
        Reading("listxattr", "file", lambda p, _: (p / "file").listxattr()),
        Reading("connect", "socket", _connect),
    )
}

ROOT_READINGS: Final = {
    operation.name: operation
    for operation in (
        Reading("open", "file", lambda p, _: _fd(p.root_handle.open(str(p / "file"), os.O_RDONLY))),
        Reading("opener", "file", _through_opener),
        Reading("beneath", "sub", _in_root_beneath),
        Reading(
            "open_raw",
            "file",
            lambda p, _: _fd(p.root_handle.open_raw(bytes(p / "file"), os.O_RDONLY, 0).detach()),
        ),
        Reading("find", "file", _by_descriptor(lambda root, raw: root.find(raw), "file")),
        Reading(
            "find_last",
            "file",
            _by_descriptor(lambda root, raw: root.find_last(raw), "file"),
            follows=False,
        ),
        Reading("try_find", "file", _by_descriptor(lambda root, raw: root.try_find(raw), "file")),
    )
}

WORDS_OF_PATHS: Final = {
    *("absolute", "anchor", "as_posix", "as_uri", "bind", "cwd", "drive", "from_uri"),
    *("full_match", "is_absolute", "is_junction", "is_relative_to", "is_reserved", "joinpath"),
    *(
        "match",
        "name",
        "of_container",
        "parent",
        "parents",
        "parser",
        "parts",
        "relative_to",
        "root",
    ),
    *("root_handle", "stem", "suffix", "suffixes"),
    *("with_name", "with_segments", "with_stem", "with_suffix"),
}
"""Members of a path that look at no file system."""

WORDS_OF_ROOTS: Final = {
    # How roots are made, from what is not inside any.
    *("at", "from_fd", "of_pidfd", "of_process"),
    *(
        "close",
        "closed",
        "fileno",
        "identity",
        "note",
        "options",
        "origin",
        "process",
        "user_namespace",
    ),
    # What the operations above use.
    *("resolver", "resolver_below", "walker"),
}
"""Members of a root that take no path."""
