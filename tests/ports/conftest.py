"""The roots that ports of real programs run on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from helpers.containers import RuncContainer, missing_requirements
from helpers.processes import living
from helpers.support import make_mounts_private, remove_tree
from helpers.twins import Twins, making_twins
from procpath import linux, uapi

pytest.register_assert_rewrite("ports.ground")

from ports import debian, scene  # noqa: E402
from ports.ground import Ground  # noqa: E402

# checksec.py and dissect.target support Python up to 3.13.
collect_ignore = ["test_checksec.py", "test_dissect.py"] if sys.version_info >= (3, 14) else []


@pytest.fixture(scope="session")
def _debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    directory = tmp_path_factory.mktemp("debian")
    tree = directory / "root"
    debian.build(tree)
    scene.plant(tree, directory / "twin")

    def enter() -> None:
        make_mounts_private()
        linux.mount(os.fsencode(tree), os.fsencode(tree), None, uapi.MS_BIND)
        os.chdir(tree)
        # pivot_root(2), NOTES: the old root is then mounted on top of the new one.
        linux.pivot_root(b".", b".")
        linux.umount2(b".", uapi.MNT_DETACH)

    with living(enter) as pid:
        yield Ground("debian", pid, os.fspath(tree))
    remove_tree(directory)


@pytest.fixture(scope="session")
def _busybox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    if missing := missing_requirements():
        pytest.skip(f"a container needs {' and '.join(missing)}")
    twin = tmp_path_factory.mktemp("busybox") / "twin"
    with closing(RuncContainer()) as container:
        # The twin is in /tmp, a tmpfs that only the container has.
        scene.plant(Path(f"/proc/{container.pid}/root"), twin)
        yield Ground("busybox", container.pid, f"/proc/{container.pid}/root")
    remove_tree(twin.parent)


@pytest.fixture(params=["debian", "busybox"])
def ground(request: pytest.FixtureRequest) -> Ground:
    """A root like Debian's, and a container made by runc."""
    found: Ground = request.getfixturevalue(f"_{request.param}")
    return found


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    """A directory in a container, and one of the same path on the host."""
    with making_twins(tmp_path) as made:
        yield made
