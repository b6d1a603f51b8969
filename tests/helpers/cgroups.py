"""Cgroups for tests: of any name, in one hierarchy, and removed afterwards."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_MOUNT = Path("/sys/fs/cgroup")
_HIERARCHIES = ("", "unified", "systemd")
"""version 2, the same beside version 1, and version 1 without controllers (cgroups(7))"""


@contextmanager
def cgroup(*names: str) -> Iterator[Callable[[int], None]]:
    """A cgroup; ``names`` lead to it from a new one at the top, and each may have slashes in it.

    Gives the function that puts a process into it. All must have left or ended at the end of the
    block.
    """
    names = f"procpath-{uuid.uuid4()}", *names
    top = next(place for each in _HIERARCHIES if (place := _MOUNT / each / "cgroup.procs").exists())
    with ExitStack() as stack:
        directory = os.open(top.parent, os.O_PATH)
        stack.callback(os.close, directory)
        # Step by step: together the names may be longer than a path can be.
        for part in "/".join(names).split("/"):
            os.mkdir(part, dir_fd=directory)
            stack.callback(os.rmdir, part, dir_fd=directory)
            directory = os.open(part, os.O_PATH, dir_fd=directory)
            stack.callback(os.close, directory)

        def put(pid: int) -> None:
            processes = os.open("cgroup.procs", os.O_WRONLY, dir_fd=directory)
            try:
                os.write(processes, b"%d" % pid)
            finally:
                os.close(processes)

        yield put


@contextmanager
def new_ancestors_removed(path: str) -> Iterator[None]:
    """Remove the cgroups above ``path`` afterwards that were not there before.

    A runtime makes the cgroup of a container in all hierarchies, and removes it alone.
    """
    hierarchies = [place for place in (_MOUNT, *_MOUNT.iterdir()) if place.is_dir()]
    above = [place / str(parent)[1:] for place in hierarchies for parent in Path(path).parents]
    new = [each for each in above if not each.exists()]
    yield
    for each in new:
        with suppress(OSError):
            each.rmdir()
