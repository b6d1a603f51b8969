"""What is attacked: each public operation that writes, beside what plain Python does instead.

Each acts on entries of the attacked directory that are alike inside and outside:
``victim``, a file; ``emptied``, a directory; ``tree``, one with something in it; ``made`` is
not there yet. :func:`restore` puts them back inside after each attempt.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import ENODATA, ENOTSUP, EPERM
from pathlib import Path
from typing import Final

from attackers.scene import INSIDE, Scene
from procpath import RootedPath

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_REAL_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(frozen=True)
class Writing:
    """An operation that writes, and the entry of the attacked directory that it comes to."""

    name: str
    entry: str
    act: Callable[[RootedPath, Scene], object]
    """what it returns must reveal nothing from outside"""
    plain: Callable[[Path], object]
    """what the like does that knows host paths only; by that the attack is seen to work"""
    follows: bool = True
    """it follows a link at the end of its path, so the entry itself can be the trap"""
    makes_way: bool = False
    """it makes directories that are missing on its path"""
    may_raise: frozenset[int] = frozenset()
    """errnos of its own, beside those of any path under attack"""
    restore: Callable[[int], None] = lambda dirfd: restore(dirfd)
    """puts back inside, in the held directory, what the next attempt needs"""

    @property
    def member(self) -> str:
        """The public member that it tries."""
        return self.name.partition(":")[0]


def restore(dirfd: int) -> None:
    """Make the real directory inside as it was: nothing ``made``, and the others there."""
    _remove("made", dirfd)
    _undo_exchange(dirfd)
    _ensure_directory("emptied", dirfd)
    _ensure_file("victim", dirfd)
    _ensure_directory("tree", dirfd)
    try:
        tree = os.open("tree", _REAL_DIRECTORY, dir_fd=dirfd)
    except NotADirectoryError:
        # At this moment it is the attacker's link.
        return
    try:
        _remove("made", tree)
        _ensure_file("file", tree)
        _ensure_directory("sub", tree)
    finally:
        os.close(tree)


def _undo_exchange(dirfd: int) -> None:
    """Remove ``victim`` where it is a directory, and ``emptied`` where it is a file."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat("victim", dir_fd=dirfd, follow_symlinks=False).st_mode):
            os.rmdir("victim", dir_fd=dirfd)
    with suppress(FileNotFoundError):
        mode = os.stat("emptied", dir_fd=dirfd, follow_symlinks=False).st_mode
        # A link there is the attacker's, who takes it away again.
        if not stat.S_ISDIR(mode) and not stat.S_ISLNK(mode):
            os.unlink("emptied", dir_fd=dirfd)


def _remove(name: str, dirfd: int) -> None:
    try:
        mode = os.stat(name, dir_fd=dirfd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        shutil.rmtree(name, dir_fd=dirfd)
    else:
        os.unlink(name, dir_fd=dirfd)


def _is_there(name: str, dirfd: int) -> bool:
    try:
        os.stat(name, dir_fd=dirfd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _ensure_directory(name: str, dirfd: int) -> None:
    if not _is_there(name, dirfd):
        os.mkdir(name, dir_fd=dirfd)


def _ensure_file(name: str, dirfd: int) -> None:
    if not _is_there(name, dirfd):
        fd = os.open(name, _NEW_FILE, dir_fd=dirfd)
        os.write(fd, INSIDE.encode())
        os.close(fd)


def _contents(name: str, dirfd: int) -> Iterator[tuple[str, bytes]]:
    """The names of a tree in the held directory, and the contents of its regular files."""
    mode = os.stat(name, dir_fd=dirfd, follow_symlinks=False).st_mode
    yield name, _content(name, dirfd) if stat.S_ISREG(mode) else b""
    if stat.S_ISDIR(mode):
        # Not by os.fwalk(), which opens first and looks then.
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        fd = os.open(name, flags, dir_fd=dirfd)
        try:
            for each in os.listdir(fd):
                for below, content in _contents(each, fd):
                    yield f"{name}/{below}", content
        finally:
            os.close(fd)


def _content(name: str, dirfd: int) -> bytes:
    # An attacker may have put a FIFO there, which is not to be opened.
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=dirfd)
    try:
        is_regular = stat.S_ISREG(os.fstat(fd).st_mode)
        return Path(f"/proc/self/fd/{fd}").read_bytes() if is_regular else b""
    finally:
        os.close(fd)


def _copied(act: Callable[[RootedPath], object]) -> Callable[[RootedPath, Scene], object]:
    """Returns what the copy that ``act`` makes, as ``made``, has in it."""

    def copy(directory: RootedPath, scene: Scene) -> object:
        act(directory)
        return list(_contents("made", scene.inside))

    return copy


def _copied_out(act: Callable[[RootedPath, Path], object]) -> Callable[[RootedPath, Scene], object]:
    """Returns what the copy on the host has in it."""

    def copy(directory: RootedPath, scene: Scene) -> object:
        target = Path(scene.base, "copied out")
        target.mkdir()
        try:
            act(directory, target)
            holder = os.open(target, os.O_PATH)
            try:
                return list(_contents(".", holder))
            finally:
                os.close(holder)
        finally:
            shutil.rmtree(target)

    return copy


def _copied_in(directory: RootedPath, scene: Scene) -> object:
    (directory / "made").copy_from(Path(f"{scene.source}/sub"))
    return list(_contents("made", scene.inside))


def _writing_by_open(
    mode: str, name: str
) -> tuple[Callable[[RootedPath, Scene], object], Callable[[Path], object]]:
    """Ours, and pathlib's."""

    def write(directory: RootedPath, _: Scene) -> object:
        with (directory / name).open(mode) as file:
            file.write("written")
        return None

    def write_plainly(directory: Path) -> None:
        with (directory / name).open(mode) as file:
            file.write("written")

    return write, write_plainly


def _none(act: Callable[[RootedPath], object]) -> Callable[[RootedPath, Scene], object]:
    """For what returns nothing of interest."""

    def only_act(directory: RootedPath, _: Scene) -> object:
        act(directory)
        return None

    return only_act


def _set_attribute(directory: RootedPath, _: Scene) -> None:
    with _where_there_are_attributes():
        (directory / "victim").setxattr("user.written", b"written")


def _remove_attribute(directory: RootedPath, _: Scene) -> None:
    with _where_there_are_attributes():
        (directory / "victim").removexattr("user.written")


@contextmanager
def _where_there_are_attributes() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # No such attribute, or none at all: on tmpfs since Linux 6.6, and of special files never.
        if error.errno not in (ENODATA, ENOTSUP, EPERM):
            raise


def _extracted(directory: RootedPath, scene: Scene) -> object:
    (directory / "made").mkdir()
    (directory / "made").from_tar(io.BytesIO(_ARCHIVE))
    return list(_contents("made", scene.inside))


def _archive() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        member = tarfile.TarInfo("below/file")
        member.size = len(INSIDE)
        archive.addfile(member, io.BytesIO(INSIDE.encode()))
    return data.getvalue()


_ARCHIVE: Final = _archive()


def _exchange_plainly(directory: Path) -> None:
    os.rename(directory / "victim", directory / "between")
    os.rename(directory / "emptied", directory / "victim")
    os.rename(directory / "between", directory / "emptied")


def _link_and_write_plainly(directory: Path) -> None:
    # As hardlink_to() of Python 3.14: before, os.link() follows no link without a directory.
    here = os.open(directory, os.O_PATH)
    try:
        os.link("victim", "made", src_dir_fd=here, dst_dir_fd=here, follow_symlinks=True)
        with open(
            "made", "w", opener=lambda name, flags: os.open(name, flags, dir_fd=here)
        ) as made:
            made.write("written")
    finally:
        os.close(here)


WRITINGS: Final = {
    writing.name: writing
    for writing in (
        Writing(
            "write_bytes",
            "victim",
            _none(lambda p: (p / "victim").write_bytes(b"written")),
            lambda p: (p / "victim").write_bytes(b"written"),
        ),
        Writing(
            "write_text",
            "victim",
            _none(lambda p: (p / "victim").write_text("written")),
            lambda p: (p / "victim").write_text("written"),
        ),
        Writing(
            "write_text:new",
            "tree",
            _none(lambda p: (p / "tree/made").write_text("written")),
            lambda p: (p / "tree/made").write_text("written"),
        ),
        Writing("open:w", "victim", *_writing_by_open("w", "victim")),
        Writing("open:a", "victim", *_writing_by_open("a", "victim")),
        Writing("open:r+", "victim", *_writing_by_open("r+", "victim")),
        Writing("open:x", "made", *_writing_by_open("x", "made"), follows=False),
        Writing(
            "touch",
            "victim",
            _none(lambda p: (p / "victim").touch()),
            lambda p: (p / "victim").touch(),
        ),
        Writing(
            "touch:new",
            "made",
            _none(lambda p: (p / "made").touch(exist_ok=False)),
            lambda p: (p / "made").touch(exist_ok=False),
            follows=False,
        ),
        Writing(
            "mkdir",
            "made",
            _none(lambda p: (p / "made").mkdir()),
            lambda p: (p / "made").mkdir(),
            follows=False,
        ),
        Writing(
            "mkdir:parents",
            "tree",
            _none(lambda p: (p / "tree/made/a/b").mkdir(parents=True, exist_ok=True)),
            lambda p: (p / "tree/made/a/b").mkdir(parents=True, exist_ok=True),
            makes_way=True,
        ),
        Writing(
            "unlink",
            "victim",
            _none(lambda p: (p / "victim").unlink()),
            lambda p: (p / "victim").unlink(),
            follows=False,
        ),
        Writing(
            "unlink:below",
            "tree",
            _none(lambda p: (p / "tree/file").unlink(missing_ok=True)),
            lambda p: (p / "tree/file").unlink(),
        ),
        Writing(
            "rmdir",
            "emptied",
            _none(lambda p: (p / "emptied").rmdir()),
            lambda p: (p / "emptied").rmdir(),
            follows=False,
        ),
        Writing(
            "symlink_to",
            "made",
            _none(lambda p: (p / "made").symlink_to("anywhere")),
            lambda p: (p / "made").symlink_to("anywhere"),
            follows=False,
        ),
        Writing(
            "hardlink_to",
            "made",
            _none(lambda p: (p / "made").hardlink_to(p / "victim")),
            lambda p: (p / "made").hardlink_to(p / "victim"),
            follows=False,
        ),
        Writing(
            "hardlink_to:of a link",
            "victim",
            _copied(lambda p: (p / "made").hardlink_to(p / "victim")),
            _link_and_write_plainly,
        ),
        Writing(
            "rename",
            "victim",
            _none(lambda p: (p / "victim").rename(p / "made")),
            lambda p: (p / "victim").rename(p / "made"),
            follows=False,
        ),
        Writing(
            "rename:not replacing",
            "tree",
            _none(lambda p: (p / "tree").rename(p / "made", replace=False)),
            lambda p: (p / "tree").rename(p / "made"),
            follows=False,
        ),
        Writing(
            "replace",
            "victim",
            _none(lambda p: (p / "tree/file").replace(p / "victim")),
            lambda p: (p / "tree/file").replace(p / "victim"),
            follows=False,
        ),
        Writing(
            "exchange",
            "victim",
            _none(lambda p: (p / "victim").exchange(p / "emptied")),
            _exchange_plainly,
            follows=False,
        ),
        Writing(
            "chmod",
            "victim",
            _none(lambda p: (p / "victim").chmod(0o604)),
            lambda p: (p / "victim").chmod(0o604),
        ),
        Writing(
            "lchmod",
            "victim",
            _none(lambda p: (p / "victim").lchmod(0o604)),
            lambda p: (p / "victim").chmod(0o604),
            follows=False,
        ),
        Writing(
            "chown",
            "victim",
            _none(lambda p: (p / "victim").chown(4711, 4711)),
            lambda p: os.chown(p / "victim", 4711, 4711),
        ),
        Writing(
            "chown:not followed",
            "victim",
            _none(lambda p: (p / "victim").chown(4711, follow_symlinks=False)),
            lambda p: os.lchown(p / "victim", 4711, -1),
            follows=False,
        ),
        Writing(
            "utime",
            "victim",
            _none(lambda p: (p / "victim").utime((1, 1))),
            lambda p: os.utime(p / "victim", (1, 1)),
        ),
        Writing(
            "utime:not followed",
            "victim",
            _none(lambda p: (p / "victim").utime((1, 1), follow_symlinks=False)),
            lambda p: os.utime(p / "victim", (1, 1), follow_symlinks=False),
            follows=False,
        ),
        # That an attribute was set is not seen by the control, so it writes.
        Writing(
            "setxattr",
            "victim",
            _set_attribute,
            lambda p: (p / "victim").write_text("written"),
        ),
        Writing(
            "removexattr",
            "victim",
            _remove_attribute,
            lambda p: (p / "victim").write_text("written"),
        ),
        Writing(
            "from_tar",
            "made",
            _extracted,
            lambda p: (p / "made").mkdir(),
            follows=False,
        ),
        Writing(
            "copy",
            "victim",
            _copied(lambda p: (p / "tree").copy(p / "made")),
            lambda p: shutil.copytree(p / "tree", p / "made"),
            follows=False,
        ),
        Writing(
            "copy:onto",
            "victim",
            _none(lambda p: (p / "tree/file").copy(p / "victim", preserve_metadata=True)),
            lambda p: shutil.copy2(p / "tree/file", p / "victim"),
        ),
        Writing(
            "copy:out",
            "tree",
            _copied_out(lambda p, target: (p / "tree").copy(target / "copy")),
            lambda p: (p / "tree/made").touch(),
        ),
        Writing(
            "copy_into",
            "tree",
            _none(lambda p: (p / "file").copy_into(p / "tree")),
            lambda p: shutil.copy(p / "file", p / "tree/made"),
        ),
        Writing(
            "copy_from",
            "made",
            _copied_in,
            lambda p: (p / "made").write_text("written"),
            follows=False,
        ),
        Writing(
            "move",
            "tree",
            _copied(lambda p: (p / "tree").move(p / "made")),
            lambda p: shutil.move(p / "tree", p / "made"),
            follows=False,
        ),
        Writing(
            "move_into",
            "emptied",
            _none(lambda p: (p / "victim").move_into(p / "emptied")),
            lambda p: shutil.move(p / "victim", p / "emptied"),
        ),
        Writing(
            "rmtree",
            "tree",
            _none(lambda p: (p / "tree").rmtree()),
            lambda p: shutil.rmtree(p / "tree"),
            follows=False,
        ),
        Writing(
            "rmtree:below",
            "tree",
            _none(lambda p: (p / "tree/sub").rmtree()),
            lambda p: shutil.rmtree(p / "tree/sub"),
        ),
    )
}
