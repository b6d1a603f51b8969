"""That what is said of the vulnerabilities is what is tested."""

from __future__ import annotations

import re
from pathlib import Path

from cve.catalogue import VULNERABILITIES
from cve.table import table

_HERE = Path(__file__).parent
_SECURITY = _HERE.parents[1] / "SECURITY.md"


def test_each_vulnerability_is_shown_open_and_closed() -> None:
    functions = [
        name
        for path in _HERE.glob("test_*.py")
        for name in re.findall(r"^def (test_cve_\w+)\(", path.read_text(), re.MULTILINE)
    ]
    named = ["test_" + each.id.lower().replace("-", "_") for each in VULNERABILITIES]
    assert named == sorted(set(named), key=lambda name: [int(n) for n in re.findall(r"\d+", name)])
    for name in named:
        assert name in functions
        assert any(other.startswith(f"{name}_by_") for other in functions)
    assert {re.sub(r"_by_\w+$", "", name) for name in functions} == set(named)


def test_security_md_has_the_table_of_the_tests() -> None:
    assert table() in _SECURITY.read_text()
