"""The tests of the resolvers notice when a safeguard is taken away.

A test that cannot fail proves nothing. Each mutation takes one safeguard away, in a copy of the
package; the tests in ``tests/resolve`` must fail on it, and pass on the package as it is.
"""

from __future__ import annotations

import pytest

from helpers.forms import by_form
from mutations.catalogue import MUTATIONS, SOURCES, Mutation, caught


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_still_fits_the_code(mutation: Mutation) -> None:
    assert (SOURCES / mutation.file).read_text().count(mutation.old) == 1


def test_the_package_as_it_is_passes() -> None:
    assert not caught(None)


@pytest.mark.parametrize(
    "mutation",
    by_form(MUTATIONS[::12], MUTATIONS[::3], MUTATIONS),
    ids=lambda mutation: mutation.name,
)
def test_a_mutation_is_caught(mutation: Mutation) -> None:
    assert caught(mutation)
