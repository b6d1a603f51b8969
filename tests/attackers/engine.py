"""One attack: an operation is asked over and over while its path is being led outside.

In the same seconds plain pathlib reads along the same path, so that each run shows that
its attack does work: one in which pathlib never read from outside proves nothing, goes on for
longer, and in the end fails. Everything happens in a child with a mount namespace of its own.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from errno import (
    EAGAIN,
    EEXIST,
    ELOOP,
    ENOENT,
    ENOTDIR,
    ENOTEMPTY,
    ESTALE,
    EXDEV,
    errorcode,
)
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import pytest

from attackers.operations import Reading
from attackers.races import Attacker, Shape, attacking
from attackers.scene import Scene, build, identities, reveals, snapshot
from attackers.writings import Writing
from helpers.support import open_descriptors, private_mounts
from procpath import Root, RootedPath, VerifiedProc, linux

T = TypeVar("T")

Idiom: TypeAlias = "Callable[[str, str], bytes]"
"""Reads an in-root path below a root given by its host path, without this library."""

SECONDS: Final = 0.06
"""of each attack, if all that must have happened by then has"""

ONE_IN: Final = 7
ONE_IN_OF_CI: Final = 3
"""attacks makes the short form, and that of CI: with no factor in common with the shapes and the
resolvers, so that each has every operation, shape and resolver. Races by luck add little where
tests/races/proof has tried every place; all of them are run by the profile ``long``."""

LIMIT: Final = 30.0
"""seconds after which what has not happened is not waited for"""

_ROUNDS: Final = 50
_CALLS: Final = 8

_ERRNOS: Final = {ENOENT, ENOTDIR, ELOOP, EAGAIN}
"""What a path under attack may turn out to be: nothing, no directory, a loop of links, or not
to be had for all the renaming."""


_ERRNOS_OF_WRITING: Final = {EEXIST, ENOTEMPTY, ESTALE}
"""And what stands in the way of writing there."""


@dataclass
class Tally:
    """How often something was asked, and how often the answer came from outside."""

    asked: int = 0
    leaked: int = 0

    def count(self, leaked: bool) -> None:
        self.asked += 1
        self.leaked += leaked

    def add(self, other: Tally) -> None:
        self.asked += other.asked
        self.leaked += other.leaked


@dataclass
class Outcome:
    """What came of an attack."""

    rounds: int = 0
    seconds: float = 0.0
    ours: Tally = field(default_factory=Tally)
    plain: Tally = field(default_factory=Tally)
    """pathlib on the joined path"""
    answered: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    revealed: list[str] = field(default_factory=list)
    changed_outside: list[str] = field(default_factory=list)
    left_open: dict[int, str] = field(default_factory=dict)

    def proves_something(self) -> bool:
        """Whether there was an attack, that pathlib fell for, and an answer to our questions."""
        return bool(self.plain.leaked and self.answered and self.rounds >= _ROUNDS)


@dataclass
class Totals:
    """What the attacks of a test came to."""

    rounds: int = 0
    seconds: float = 0.0
    ours: Tally = field(default_factory=Tally)
    plain: Tally = field(default_factory=Tally)
    checked: Tally = field(default_factory=Tally)
    """the idiom of ``resolve()`` and ``is_relative_to()``"""

    def add(self, outcome: Outcome) -> None:
        """Count an attack's outcome in."""
        self.rounds += outcome.rounds
        self.seconds += outcome.seconds
        self.ours.add(outcome.ours)
        self.plain.add(outcome.plain)


def run(shape: Shape, resolver: str, operation: Reading) -> Outcome:
    """Attack ``operation``, and tell what came of it."""
    return in_a_new_place(lambda base: _attack(build(base), shape, resolver, operation))


def run_writing(shape: Shape, resolver: str, operation: Writing) -> Outcome:
    """Attack an operation that writes, and tell what came of it."""
    return in_a_new_place(lambda base: _attack_writing(base, shape, resolver, operation))


def run_idiom(shape: Shape, idiom: Idiom) -> Tally:
    """Attack an idiom of plain pathlib until it has been led outside."""
    return in_a_new_place(lambda base: _attack_idiom(build(base), shape, idiom))


def require_control(led_outside: int, why: str) -> None:
    """Fail in CI where the control was not led outside; elsewhere skip: nothing was proven.

    An attack that unconfined code withstands too says nothing about ours. On a busy machine
    that happens now and then.
    """
    if led_outside:
        return
    if os.environ.get("CI") or os.environ.get("PROCPATH_NO_SKIPS"):
        pytest.fail(why)
    pytest.skip(f"the attack proved nothing: {why}")


def in_a_new_place(work: Callable[[str], T]) -> T:
    """Call ``work`` with an empty directory, in a child that has mounts of its own."""
    # Not pytest's directory: the names of sockets have to be short (unix(7)).
    base = tempfile.mkdtemp(prefix="pp-")

    def inside() -> T:
        # Or each collection would copy all that pytest has, page by page, into this child.
        gc.freeze()
        linux.mount(b"tmpfs", os.fsencode(base), b"tmpfs")
        return work(base)

    try:
        return private_mounts(inside)
    finally:
        os.rmdir(base)


def _attack(scene: Scene, shape: Shape, resolver: str, operation: Reading) -> Outcome:
    attack = shape.begin(scene, operation.entry)
    outcome = Outcome()
    with _watching(scene, shape, resolver, outcome) as directory:
        # Undisturbed it answers, so what is tried under attack is not a mistake of the test.
        assert not reveals(scene, operation.ask(directory, scene))
        with attacking(attack) as attacker:
            _race(scene, shape, operation, directory, attacker, outcome)
    return outcome


def _attack_writing(base: str, shape: Shape, resolver: str, operation: Writing) -> Outcome:
    """Two places alike are attacked alike: one is ours, in the other pathlib may do its worst."""
    scene, other = build(f"{base}/a"), build(f"{base}/b")
    ours, theirs = (shape.begin(place, operation.entry) for place in (scene, other))

    def attack() -> None:
        ours()
        theirs()

    outcome = Outcome()
    with _watching(scene, shape, resolver, outcome) as directory:
        operation.restore(scene.inside)
        operation.restore(other.inside)
        assert not reveals(scene, operation.act(directory, scene))
        operation.restore(scene.inside)
        with attacking(attack) as attacker:
            _race_to_write(scene, other, shape, operation, directory, attacker, outcome)
    return outcome


@contextmanager
def _watching(scene: Scene, shape: Shape, resolver: str, outcome: Outcome) -> Iterator[RootedPath]:
    """The directory to attack; afterwards ``outcome`` has what became of outside."""
    # What is held once per process: both kinds of procfs handle.
    VerifiedProc.default().self_fd().fileno()
    RootedPath("/").pin().close()
    identities(scene)
    before, descriptors = snapshot(scene), open_descriptors()
    with Root.at(scene.root, **shape.options(resolver)) as root:
        yield RootedPath(root, shape.directory)
    outcome.left_open = dict(open_descriptors().items() - descriptors.items())
    after = snapshot(scene)
    outcome.changed_outside = [
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    ]


def _race(
    scene: Scene,
    shape: Shape,
    operation: Reading,
    directory: RootedPath,
    attacker: Attacker,
    outcome: Outcome,
) -> None:
    begin = time.monotonic()
    while True:
        for _ in range(_CALLS):
            _count(scene, operation, directory, outcome, lambda: operation.ask(directory, scene))
            outcome.plain.count(_leaks(scene, shape, read_plainly))
        outcome.seconds = time.monotonic() - begin
        outcome.rounds = attacker.rounds
        if outcome.seconds > (SECONDS if outcome.proves_something() else LIMIT):
            return


def _race_to_write(
    scene: Scene,
    other: Scene,
    shape: Shape,
    operation: Writing,
    directory: RootedPath,
    attacker: Attacker,
    outcome: Outcome,
) -> None:
    theirs = Path(other.root, shape.long_way or shape.directory)
    untouched = snapshot(other)
    begin = time.monotonic()
    while True:
        for _ in range(_CALLS):
            _count(scene, operation, directory, outcome, lambda: operation.act(directory, scene))
            operation.restore(scene.inside)
            if not outcome.plain.leaked:
                # Right before, or what appears new has been attacked before pathlib sees it.
                operation.restore(other.inside)
                _write_plainly(operation, theirs)
        if not outcome.plain.leaked:
            outcome.plain.count(snapshot(other) != untouched)
        outcome.seconds = time.monotonic() - begin
        outcome.rounds = attacker.rounds
        if outcome.seconds > (SECONDS if outcome.proves_something() else LIMIT):
            return


def _write_plainly(operation: Writing, directory: Path) -> None:
    # RecursionError: of copytree() into a directory that has become one below its source.
    with suppress(OSError, shutil.Error, RecursionError):
        operation.plain(directory)


def _count(
    scene: Scene,
    operation: Reading | Writing,
    directory: RootedPath,
    outcome: Outcome,
    attempt: Callable[[], object],
) -> None:
    leaked = False
    try:
        answer = attempt()
    except OSError as error:
        _count_error(error, operation, directory, outcome)
    except (KeyError, RuntimeError) as error:
        # No such account, where there is no /etc/passwd at this moment.
        outcome.errors[type(error).__name__] += 1
        if operation.entry != "etc":
            raise
    else:
        outcome.answered += 1
        leaked = reveals(scene, answer)
        if leaked:
            outcome.revealed.append(repr(answer))
    outcome.ours.count(leaked)


def _count_error(
    error: OSError, operation: Reading | Writing, directory: RootedPath, outcome: Outcome
) -> None:
    outcome.errors[errorcode.get(error.errno or 0, str(error))] += 1
    crosses = error.errno == EXDEV and not directory.root_handle.options.cross_mounts
    possible = _ERRNOS if isinstance(operation, Reading) else _ERRNOS | _ERRNOS_OF_WRITING
    if error.errno not in possible | operation.may_raise and not crosses:
        outcome.unexpected.append(repr(error))


def _attack_idiom(scene: Scene, shape: Shape, idiom: Idiom) -> Tally:
    tally = Tally()
    end = time.monotonic() + LIMIT
    with attacking(shape.begin(scene, "file")):
        while not tally.leaked and time.monotonic() < end:
            tally.count(_leaks(scene, shape, idiom))
    return tally


def read_plainly(root: str, path: str) -> bytes:
    """pathlib on the joined path."""
    return Path(root, path).read_bytes()


def read_after_check(root: str, path: str) -> bytes:
    """The idiom by which programs hope to stay inside."""
    resolved = Path(root, path).resolve()
    return resolved.read_bytes() if resolved.is_relative_to(root) else b""


def _leaks(scene: Scene, shape: Shape, idiom: Idiom) -> bool:
    try:
        return reveals(scene, idiom(scene.root, f"{shape.long_way or shape.directory}/file"))
    except (OSError, RuntimeError):
        # RuntimeError: a loop of links, to resolve() before Python 3.13.
        return False
