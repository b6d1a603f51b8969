"""auditwheel's lddtree, which finds the libraries of a program: written with texts throughout."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ports.debian import PROGRAMS
from ports.facade import facade
from ports.ground import Ground
from procpath import BoundPath

lddtree: Any = pytest.importorskip("auditwheel.lddtree")

NAMES = (
    *(f"bin/{name}" for name in PROGRAMS),
    "opt/app/tool",
    "opt/tool",
    "opt/app/lib/libacl.so.1",
)


def tree_of(path: Any, root: str) -> Any:
    """Return what is found, or the error; both without the name of the root."""
    try:
        found = lddtree.ldd(path, root)
    except Exception as error:
        return type(error).__name__
    text = json.dumps(asdict(found), default=str)
    return json.loads(text.replace(root.rstrip("/") + "/", "/"))


def stock(root: str) -> dict[str, Any]:
    lddtree.load_ld_paths.cache_clear()
    lddtree.parse_ld_so_conf.cache_clear()
    return {name: tree_of(Path(os.path.join(root, name)), root) for name in NAMES}


def ported(P: type[BoundPath]) -> dict[str, Any]:
    # They remember by text what they have read, whatever root it was in.
    lddtree.load_ld_paths.cache_clear()
    lddtree.parse_ld_so_conf.cache_clear()
    lddtree.os, lddtree.open, lddtree.glob, lddtree.Path = facade(P)
    return {name: tree_of(P("/", name), "/") for name in NAMES}


def test_it_finds_the_libraries_of_the_root(ground: Ground) -> None:
    expected = ground.compare(stock, ported)
    assert "HOST" not in repr(expected)
    found = expected["opt/app/tool"]["libraries"]["libacl.so.1"]
    assert found["path"] == "/opt/app/lib/libacl.so.1"

    if ground.name == "debian":
        for name in PROGRAMS:
            assert expected[f"bin/{name}"]["libraries"]["libc.so.6"]["platform"]
