"""Victims that hang are ended sooner than users want it."""

from __future__ import annotations

import pytest

from procpath.testing.races import victim


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(victim, "_ASLEEP", 0.1)
