"""Interrupts in the middle of every public operation leak no descriptor and close none twice.

The handler of a timer opens files, which get the numbers that have just become free, and raises.
It raises only where the package is at work: what a test loses is not the package's.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Literal

import pytest

import procpath
from attackers.engine import in_a_new_place
from attackers.operations import READINGS, ROOT_READINGS, Reading
from attackers.scene import Scene, build
from attackers.writings import WRITINGS, Writing, restore
from helpers.forms import one_in
from helpers.support import open_descriptors
from procpath import Root, RootedPath, VerifiedProc

OPERATIONS: dict[str, Reading | Writing] = {
    **READINGS,
    **{f"Root.{name}": operation for name, operation in ROOT_READINGS.items()},
    **WRITINGS,
}

RETURN_NUMBERS = {"Root.open", "Root.opener", "Root.open_raw"}
"""They give a bare number, which os.open() too loses where an interrupt comes before it is kept."""

LIMIT = 20.0
"""seconds after which what has not closed is not waited for"""

_PACKAGE = os.path.dirname(procpath.__file__)
_INNOCENT = 3


class Interrupted(BaseException):
    """What the handler raises, as a timeout does."""


@dataclass
class _Result:
    """What came of the interrupts."""

    interrupts: int = 0
    wrong: list[str] = field(default_factory=list)


class _Interrupter:
    """Interrupts calls, and looks whether what it opened meanwhile is open still."""

    def __init__(self) -> None:
        self._raised = False
        self._opened: list[int] = []
        signal.signal(signal.SIGALRM, self._handle)
        # An iterator of os.scandir() that an interrupt keeps from being assigned warns as it goes,
        # and pytest keeps the warning, with the frames that it passed and what those hold open.
        sys.unraisablehook = lambda unraisable: None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        while frame is not None and not frame.f_code.co_filename.startswith(_PACKAGE):
            frame = frame.f_back
        if frame is not None and not self._raised:
            self._raised = True
            for _ in range(_INNOCENT):
                self._opened.append(os.open("/proc/self/status", os.O_RDONLY))
            raise Interrupted

    def interrupt(self, call: Callable[[], object], seconds: float) -> str | None:
        """Interrupt ``call`` after so many seconds; return what was wrong with that."""
        self._raised = False
        caught = False
        wrong = None
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                call()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Interrupted:
            caught = True
        except (OSError, KeyError, RuntimeError) as error:
            wrong = repr(error)
        if self._raised and not caught:
            wrong = f"the interrupt was lost ({wrong})"
        for fd in self._opened:
            try:
                os.close(fd)
            except OSError:
                wrong = f"descriptor {fd}, somebody else's, was closed"
        self._opened.clear()
        return wrong

    @property
    def raised(self) -> bool:
        return self._raised


def _interrupt(base: str, resolver: Literal["walk", "openat2"]) -> _Result:
    scene = build(base)
    VerifiedProc.default().self_fd().fileno()
    RootedPath("/").pin().close()
    interrupter = _Interrupter()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    result = _Result()
    with Root.at(scene.root, resolver=resolver) as root:
        directory = RootedPath(root, "work/dir")
        for name, operation in OPERATIONS.items():
            _interrupt_often(scene, directory, name, operation, interrupter, result)
    return result


def _interrupt_often(
    scene: Scene,
    directory: RootedPath,
    name: str,
    operation: Reading | Writing,
    interrupter: _Interrupter,
    result: _Result,
) -> None:
    act = operation.act if isinstance(operation, Writing) else operation.ask
    longest = 0.0
    for _ in range(3):
        _renew(scene)
        begin = time.perf_counter()
        act(directory, scene)
        longest = max(longest, time.perf_counter() - begin)
    before = open_descriptors()
    for _ in range(one_in(2, [12, 150])[-1]):
        _renew(scene)
        delay = max(2e-6, random.uniform(0, longest))
        wrong = interrupter.interrupt(lambda: act(directory, scene), delay)
        result.interrupts += interrupter.raised
        if wrong is not None:
            result.wrong.append(f"{name}: {wrong}")
    if name in RETURN_NUMBERS:
        return
    end = time.monotonic() + LIMIT
    # The thread of an interrupted connect() ends a moment later.
    while left_open := open_descriptors().keys() - before.keys():
        if time.monotonic() > end:
            result.wrong.append(f"{name} left open {left_open}")
            return
        time.sleep(0.005)


def _renew(scene: Scene) -> None:
    """Make the scene as it was, also without what interrupted operations have left."""
    restore(scene.inside)
    for name in os.listdir(f"/proc/self/fd/{scene.inside}"):
        if name.startswith("."):
            shutil.rmtree(name, ignore_errors=True, dir_fd=scene.inside)
    shutil.rmtree(f"{scene.base}/copied out", ignore_errors=True)


@pytest.mark.parametrize("resolver", ["walk", "openat2"])
def test_interrupts_leak_nothing_and_close_nothing_twice(
    resolver: Literal["walk", "openat2"],
) -> None:
    result = in_a_new_place(lambda base: _interrupt(base, resolver))
    assert result.wrong == []
    assert result.interrupts > len(OPERATIONS)
