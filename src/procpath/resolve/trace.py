"""Every step that the walker takes along a path, as it reports them itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

from procpath.errors import shown
from procpath.resolve.walk import Observation, StepKind, Walker

_MOST_KEPT = 16 << 20
"""Bytes of in-root paths and links that a trace keeps."""

_MOST_PADDED = 48
"""How wide the column of directories is at most: some are wider, and steps are many."""

_WORDS: dict[StepKind, str] = {
    "start": "start at the root",
    "directory": "enter",
    "up": "go up",
    "clamp": "stay: the root has nothing above it",
    "link": "follow",
    "end": "found",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a walk.

    ``kind``: ``start``, ``directory`` (entered), ``up``, ``clamp`` (a ``..`` at the root), ``link``
    (followed), ``end`` (the object) or ``error``. ``directory``: in-root path of where the step
    was taken. ``name``: the component. ``target``: the text of a link. ``error``: what the
    walk ended in. ``crosses_mount``: the step led onto another mount.
    """

    kind: StepKind
    directory: str
    name: str
    target: str | None = None
    error: OSError | None = field(default=None, compare=False)
    crosses_mount: bool = False

    def __str__(self) -> str:
        return f"{shown(self.directory)}  {self._words()}"

    def _words(self) -> str:
        if self.error is not None:
            return f"stopped at {shown(self.name)}: {self.error.strerror}"
        words = _WORDS[self.kind]
        if self.kind not in ("start", "clamp"):
            words += f" {shown(self.name)}"
        if self.target is not None:
            words += f" -> {shown(self.target)}"
        return words + ("  (another mount)" if self.crosses_mount else "")


@dataclass(frozen=True, slots=True)
class Trace(Sequence[Step]):
    """What the walker did with a path: a sequence of :class:`Step`.

    ``path`` is the path that was asked for, ``result`` the in-root path that it led to or
    None, ``error`` what it ended in or None. ``omitted`` counts the steps at the end that
    were not kept: a hostile tree can make a path take 80,000. ``str()`` is a line a step.
    """

    path: str
    steps: tuple[Step, ...]
    result: str | None
    error: OSError | None = field(default=None, compare=False)
    omitted: int = 0

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Step, ...]: ...
    def __getitem__(self, index: int | slice) -> Step | tuple[Step, ...]:
        return self.steps[index]

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __str__(self) -> str:
        width = max((len(shown(step.directory)) for step in self.steps), default=0)
        width = min(width, _MOST_PADDED)
        lines = [f"{shown(step.directory).ljust(width)}  {step._words()}" for step in self.steps]
        if self.omitted:
            lines.append(f"and {self.omitted} more steps")
        return "\n".join(lines)


class _Recorder:
    """Keeps what the walker reports, up to a bound."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.omitted = 0
        self._room = _MOST_KEPT
        self._mount: int | None = None

    def __call__(self, observation: Observation) -> None:
        if self._room < 0:
            self.omitted += 1
            return
        step = self._step(observation)
        self._room -= len(step.directory) + len(step.name) + len(step.target or "")
        self.steps.append(step)

    def _step(self, observation: Observation) -> Step:
        kind, _, name, detail, mount = observation
        before, self._mount = self._mount, mount
        return Step(
            kind,
            os.fsdecode(observation.location),
            os.fsdecode(name),
            os.fsdecode(detail) if isinstance(detail, bytes) else None,
            detail if isinstance(detail, OSError) else None,
            kind in ("directory", "end") and before is not None and mount != before,
        )


def trace(walker: Walker, path: bytes) -> Trace:
    """Walk along ``path`` and return every step, to an error too."""
    recorder = _Recorder()
    result: str | None = None
    failure: OSError | None = None
    try:
        result = os.fsdecode(walker.observe(path, recorder))
    except OSError as error:
        failure = error
    return Trace(os.fsdecode(path), tuple(recorder.steps), result, failure, recorder.omitted)
