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


def by_form(brief: T, ci: T, long: T) -> T:
    """Return what belongs to the form that was asked for."""
    examples = settings.default.max_examples
    if examples < settings.get_profile("ci").max_examples:
        return brief
    return long if examples >= settings.get_profile("long").max_examples else ci


def one_in(number: int, cases: Sequence[T]) -> Sequence[T]:
    """Return all cases in the long form, one in ``number`` of them in the short form."""
    return by_form(cases[::number], cases, cases)
