"""How many examples a test tries: a multiple of what the Hypothesis profile says."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

SHARED = settings(
    # The fixtures hold no state that one example could leave to the next.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    report_multiple_bugs=False,
)


def times(factor: int) -> settings:
    """So many times the examples of the profile."""
    return settings(SHARED, max_examples=factor * settings.default.max_examples)
