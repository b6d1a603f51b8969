"""Procfs inside a root: magic links are never followed, its plain links are.

What is right: the model, which knows which links are magic, and the kernel's own
``RESOLVE_NO_MAGICLINKS`` in a chrooted process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import ELOOP
from typing import NamedTuple

from differential.laboratory import RESOLVERS, Bench, Laboratory
from procpath import MagicLinkError, Root, linux, uapi
from procpath.testing import Directory, File, MagicLink, Symlink, Tree, model

MAGIC = ("exe", "cwd", "root", "fd/0", "ns/mnt", "ns/pid")
FLAGS = (
    os.O_PATH,
    os.O_PATH | os.O_NOFOLLOW,
    os.O_PATH | os.O_DIRECTORY,
    os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW,
    os.O_RDONLY,
    os.O_RDONLY | os.O_NOFOLLOW,
)


class Answer(NamedTuple):
    """The in-root path of the object, or the ``errno`` and whether it was a MagicLinkError."""

    path: str | None
    errno: int | None = None
    magic: bool = False


OUTSIDE_PROC = {
    "/proc": Directory(0o555),
    "/to-exe": Symlink("proc/self/exe"),
    "/to-root": Symlink("/proc/self/root/"),
    "/to-mounts": Symlink("/proc/mounts"),
    "/to-self": Symlink("proc/self"),
    "/up": Symlink("proc/self/../.."),
    "/usr/bin/app": File(),
}


def tree_with_procfs(pid: int) -> Tree:
    """The little of procfs that is asked about, for the process ``pid`` that asks."""
    own = f"/proc/{pid}"
    return Tree(
        {
            **OUTSIDE_PROC,
            "/proc": Directory(0o555, mount=True),
            "/proc/self": Symlink(str(pid)),
            "/proc/thread-self": Symlink(f"{pid}/task/{pid}"),
            "/proc/mounts": Symlink("self/mounts"),
            "/proc/net": Symlink("self/net"),
            f"{own}/mounts": File(mode=0o444),
            f"{own}/net": Directory(0o555),
            f"{own}/status": File(mode=0o444),
            f"{own}/task/{pid}/status": File(mode=0o444),
            **{f"{own}/{name}": MagicLink("anything") for name in MAGIC},
        }
    )


def paths_into(pid: int) -> list[str]:
    starts = ["/proc/self", f"/proc/{pid}", "/to-self", "/up/proc/self"]
    inside = [*MAGIC, "status", "mounts", "net", "..", "missing", *(f"{m}/usr" for m in MAGIC)]
    places = [f"{start}/{name}" for start in starts for name in inside]
    others = ["/proc/mounts", "/proc/net", "/proc/thread-self/status", *OUTSIDE_PROC]
    return [place + ending for place in places + others for ending in ("", "/", "/.", "/..")]


def ask(bench: Bench, paths: list[str]) -> tuple[int, dict[str, list[Answer]]]:
    """The asking PID, and the answers of each resolver and of the kernel in a chroot."""
    directory = bench.fresh_directory()
    Tree(OUTSIDE_PROC).materialize(directory)
    linux.mount(b"proc", os.fsencode(f"{directory}/proc"), b"proc")
    questions = [(path, flags) for path in paths for flags in FLAGS]
    answers = {}
    for resolver in RESOLVERS:
        with Root.at(directory, resolver=resolver, special_files="allow") as root:
            answers[resolver] = [
                answer(bench, directory, root.open, *question) for question in questions
            ]
    with bench.chrooted(directory):
        answers["kernel"] = [answer(bench, "", open_without_magic, *q) for q in questions]
    return os.getpid(), answers


def open_without_magic(path: str, flags: int) -> int:
    return linux.openat2(
        uapi.AT_FDCWD, os.fsencode(path), flags, resolve=uapi.RESOLVE_NO_MAGICLINKS
    ).detach()


def answer(
    bench: Bench, directory: str, opener: Callable[[str, int], int], path: str, flags: int
) -> Answer:
    try:
        fd = opener(path, flags)
    except OSError as error:
        return Answer(None, error.errno, isinstance(error, MagicLinkError))
    try:
        return Answer(bench.path_of(fd).removeprefix(directory) or "/")
    finally:
        os.close(fd)


def model_answer(tree: Tree, path: str, flags: int) -> Answer:
    try:
        return Answer(model.open(tree, path, flags).path)
    except OSError as error:
        return Answer(None, error.errno, isinstance(error, MagicLinkError))


def test_only_plain_links_of_procfs_are_followed(
    laboratory: Laboratory,
) -> None:
    pid = laboratory.pid
    paths = paths_into(pid)
    asked_by, answers = laboratory.do(ask, paths)
    assert asked_by == pid
    tree = tree_with_procfs(pid)
    expected = [model_answer(tree, path, flags) for path in paths for flags in FLAGS]
    assert sum(one.magic for one in expected) > 100
    assert sum(one.errno is None for one in expected) > 100
    for resolver in RESOLVERS:
        assert answers[resolver] == expected
    # The kernel has one errno for all kinds of loops.
    assert [one._replace(magic=False) for one in expected] == answers["kernel"]
    assert all(one.errno == ELOOP for one in expected if one.magic)
