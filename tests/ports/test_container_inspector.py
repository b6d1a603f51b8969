"""container-inspector, which says which distribution is in a root."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ports.ground import Ground
from procpath import BoundPath

distro: Any = pytest.importorskip("container_inspector.distro")
rootfs: Any = pytest.importorskip("container_inspector.rootfs")


def stock(root: str) -> tuple[dict[str, Any], str]:
    found = distro.Distro.from_rootfs(root)
    top = rootfs.find_root(root)
    return found.to_dict(), os.path.relpath(top, root)


def ported(P: type[BoundPath]) -> tuple[dict[str, Any], str]:
    # A pinned file is good for open(); the directory pinned would lead to the host.
    candidates = (P("etc/os-release"), P("usr/lib/os-release"))
    with next(each for each in candidates if each.exists()).pin() as pinned:
        found = distro.Distro.from_os_release_file(os.fspath(pinned))
    top = rootfs.find_root("/", walker=walk_of(P))
    return found.to_dict(), os.path.relpath(top, "/")


def walk_of(P: type[BoundPath]) -> Any:
    """Return what stands in for ``os.walk()``."""
    return lambda top: ((str(path), names, files) for path, names, files in P(top).walk())


def test_it_names_the_distribution_of_the_root(ground: Ground) -> None:
    found, top = ground.compare(stock, ported)
    assert (found["name"], found["version_id"], top) == ("Cellar", "1.0", ".")
    assert found["pretty_name"] == "Cellar 1.0"
