"""The two forms of a proof: a short one that runs by default, and the long one of CI.

The Hypothesis profile decides, since ``--hypothesis-profile`` is there for every test run:
``brief`` or ``ci``, and ``long`` for nights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import settings

T = TypeVar("T")


def register_profiles() -> None:
    """Register the profiles with Hypothesis, and load the short one."""
    settings.register_profile("ci", deadline=None, print_blob=True)
    settings.register_profile("brief", settings.get_profile("ci"), max_examples=20)
    settings.register_profile("long", settings.get_profile("ci"), max_examples=1000)
    settings.load_profile("brief")


def one_in(number: int, cases: Sequence[T]) -> Sequence[T]:
    """Return all cases in the long form, one in ``number`` of them in the short form."""
    is_short = settings.default.max_examples < settings.get_profile("ci").max_examples
    return cases[::number] if is_short else cases
