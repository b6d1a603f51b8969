"""Fixtures of the vulnerabilities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cve.stage import Resolver, Stage, build
from procpath import RootedPath


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A container, and the host around it."""
    return build(tmp_path)


@pytest.fixture(params=["walk", "openat2"])
def resolver(request: pytest.FixtureRequest) -> Resolver:
    chosen: Resolver = request.param
    return chosen


@pytest.fixture
def rooted(stage: Stage, resolver: Resolver) -> Iterator[RootedPath]:
    """The container's root."""
    with stage.rooted(resolver) as path:
        yield path
