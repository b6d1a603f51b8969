"""A root that is closed while an operation runs: it answers from inside, or is closed.

The moment is chosen and not hoped for: at one line of the package after the other, another
thread closes the root and opens directories outside, which get all numbers that are free. The
operation, in a thread that stands still for so long, goes on with what it has.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import pytest

import procpath
from attackers.engine import in_a_new_place
from attackers.operations import READINGS, ROOT_READINGS, Reading
from attackers.scene import Scene, build, identities, reveals, snapshot
from attackers.writings import WRITINGS, Writing, restore
from helpers.forms import one_in
from helpers.processes import end_after
from procpath import ClosedRootError, Root, RootedPath, VerifiedProc

OPERATIONS: dict[str, Reading | Writing] = {
    **READINGS,
    **{f"Root.{name}": operation for name, operation in ROOT_READINGS.items()},
    **WRITINGS,
}

Resolver = Literal["walk", "openat2"]

_PACKAGE = os.path.dirname(procpath.__file__)
_OPENED = 8
"""directories outside that are opened: more than an operation has descriptors"""


@dataclass
class _Result:
    """What came of the closings."""

    closings: int = 0
    answered: int = 0
    closed: int = 0
    wrong: list[str] = field(default_factory=list)


class _At:
    """Calls ``act`` in another thread when a call of an operation comes to the line ``number``."""

    def __init__(self, number: int, act: Callable[[], None], package: str) -> None:
        self.lines = 0
        self._number = number
        self._act = act
        self._package = package

    def run(self, operation: Callable[[], object]) -> object:
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            return operation()
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(self._package):
            return None
        if event == "line":
            if self.lines == self._number:
                thread = threading.Thread(target=self._act)
                thread.start()
                thread.join()
            self.lines += 1
        return self._trace


def _placements(lines: int) -> list[int]:
    """At how many lines, of so many, a root is closed."""
    most = one_in(2, [4, 24])[-1]
    return sorted({lines * number // most for number in range(most)})


def _close(base: str, resolver: Resolver) -> _Result:
    end_after(300)
    scene = build(base)
    # What an in-root path comes to that is looked up outside by mistake.
    os.symlink(".", f"{scene.outside}/work")
    VerifiedProc.default().self_fd().fileno()
    RootedPath("/").pin().close()
    identities(scene)
    before = snapshot(scene)
    result = _Result()
    for name, operation in OPERATIONS.items():
        lines = _close_at(scene, resolver, name, operation, -1, result)
        for number in _placements(lines):
            _close_at(scene, resolver, name, operation, number, result)
        after = snapshot(scene)
        changed = [
            path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
        ]
        result.wrong += [f"{name} changed {path}" for path in changed]
        before = after
    return result


def _close_at(
    scene: Scene,
    resolver: Resolver,
    name: str,
    operation: Reading | Writing,
    number: int,
    result: _Result,
) -> int:
    restore(scene.inside)
    root = Root.at(scene.root, resolver=resolver)
    directory = RootedPath(root, "work/dir")
    opened: list[int] = []

    def close() -> None:
        root.close()
        for place in (scene.outside, f"{scene.outside}/dir") * (_OPENED // 2):
            opened.append(os.open(place, os.O_PATH | os.O_DIRECTORY))
        result.closings += 1

    at = _At(number, close, _PACKAGE)
    act = operation.act if isinstance(operation, Writing) else operation.ask
    try:
        answer = at.run(lambda: act(directory, scene))
        result.answered += 1
        if reveals(scene, answer):
            result.wrong.append(f"{name}, closed at line {number}, answered {answer!r}")
    except ClosedRootError:
        result.closed += 1
    except Exception as error:
        result.wrong.append(f"{name}, closed at line {number}: {error!r}")
    finally:
        root.close()
        for fd in opened:
            os.close(fd)
    return at.lines


@pytest.mark.parametrize("resolver", ["walk", "openat2"])
def test_a_root_closed_in_use_never_answers_from_outside(resolver: Resolver) -> None:
    result = in_a_new_place(lambda base: _close(base, resolver))
    assert result.wrong == []
    assert result.closings > len(OPERATIONS)
    assert result.answered > len(OPERATIONS)
    assert result.closed


class _Careless:
    """A root as a simple program has it: a number, closed without a look at who uses it."""

    def __init__(self, directory: str) -> None:
        self.fd = os.open(directory, os.O_PATH | os.O_DIRECTORY)

    def close(self) -> None:
        os.close(self.fd)

    def read(self, path: str) -> bytes:
        number = self.fd
        names = path.split("/")
        fd = os.open("/".join(names), os.O_RDONLY, dir_fd=number)
        with open(fd, "rb") as file:
            return file.read()


def test_a_number_closed_in_use_reads_from_outside(tmp_path: Path) -> None:
    """What the closings above prove: a program that they lead outside."""
    for side in ("inside", "outside"):
        (tmp_path / side / "work").mkdir(parents=True)
        (tmp_path / side / "work/file").write_text(side)
    answers = []
    lines = 1
    number = 0
    while number < lines:
        root = _Careless(f"{tmp_path}/inside")
        opened: list[int] = []

        def close(root: _Careless = root, opened: list[int] = opened) -> None:
            root.close()
            opened.append(os.open(tmp_path / "outside", os.O_PATH))

        at = _At(number, close, __file__)
        answers.append(at.run(partial(root.read, "work/file")))
        lines = at.lines
        number += 1
        for fd in opened:
            os.close(fd)
    assert b"outside" in answers
