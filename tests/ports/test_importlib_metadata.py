"""``importlib.metadata`` of the standard library over the packages in a root."""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import Distribution, PathDistribution, distributions
from typing import Any

from ports.ground import Ground
from ports.scene import DISTRIBUTIONS
from procpath import BoundPath

PLACE = "usr/lib/python3/dist-packages"


def facts(found: Distribution) -> dict[str, Any]:
    return {
        "name": found.name,
        "version": found.version,
        "summary": found.metadata.json.get("summary"),
        "requires": found.requires,
        "files": [
            (str(file), file.hash and file.hash.value, hashlib.sha256(_content(file)).hexdigest())
            for file in found.files or []
        ],
        "entry points": [(each.group, each.name, each.value) for each in found.entry_points],
        "top level": found.read_text("top_level.txt"),
        "missing": found.read_text("missing"),
        "origin": found.read_text("direct_url.json"),
    }


def _content(file: Any) -> bytes:
    located = file.locate()
    return located.read_bytes() if located.is_file() else b"missing"


def stock(root: str) -> list[dict[str, Any]]:
    found = distributions(path=[os.path.join(root, PLACE)])
    return sorted(map(facts, found), key=lambda each: str(each["name"]))


def ported(P: type[BoundPath]) -> list[dict[str, Any]]:
    # The finder makes texts of its paths; a distribution takes any path.
    found = [
        PathDistribution(path)
        for path in P(PLACE).iterdir()
        if path.suffix in (".dist-info", ".egg-info")
    ]
    return sorted(map(facts, found), key=lambda each: str(each["name"]))


def test_it_finds_the_packages_of_the_root(ground: Ground) -> None:
    expected = ground.compare(stock, ported)
    assert [each["name"] for each in expected] == sorted([*DISTRIBUTIONS, "legacy"])
    assert not any("HOST" in str(each["version"]) for each in expected)
    assert any(each["files"] for each in expected)
