"""A container's directory with a twin on the host: the same path, other words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from helpers.processes import living
from helpers.support import make_mounts_private
from procpath import RootedPath, linux, uapi


class Twins(NamedTuple):
    """Two directories of the same path. Each has a file ``f``."""

    inside: RootedPath
    """in the root of a process with mounts of its own; ``f`` is ``inside``"""
    host: Path
    """on the host; ``f`` is ``HOST``"""


@contextmanager
def making_twins(directory: Path) -> Iterator[Twins]:
    """Make twins in ``<directory>/app``, and end the container's process in the end."""
    mount_point = directory / "root"
    mount_point.mkdir()

    def enter_container() -> None:
        make_mounts_private()
        linux.mount(b"tmpfs", os.fsencode(mount_point), b"tmpfs")
        os.chdir(mount_point)
        # pivot_root(2), NOTES: the old root is then mounted on top of the new one.
        linux.pivot_root(b".", b".")
        linux.umount2(b".", uapi.MNT_DETACH)

    host = directory / "app"
    host.mkdir()
    (host / "f").write_text("HOST")
    with living(enter_container) as pid:
        inside = RootedPath(pid, str(host))
        inside.mkdir(parents=True)
        (inside / "f").write_text("inside")
        yield Twins(inside, host)
        inside.root_handle.close()
