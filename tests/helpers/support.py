"""Children of the test process, and counts of its descriptors.

Mount namespaces, chroots and credentials are properties of a process, so a test that needs
its own runs a function in a forked child. What the child returns or raises comes back
through a pipe; a child never outlives the call.
"""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from errno import EPERM
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

import pytest

from helpers.refusals import PrivilegeError, note_refusal
from procpath import linux, uapi
from procpath.commands.container import enter_user_namespace

P = ParamSpec("P")
T = TypeVar("T")
_Tree = TypeVar("_Tree", bound=str | os.PathLike[str])


_RESULT = b"result:"


class _Skipped(Exception):
    """The child called ``pytest.skip``."""


class ChildFailedError(Exception):
    """The child died, or raised something that cannot travel through a pipe."""


def run_in_child(func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``func`` in a forked child and return what it returns (it must be picklable).

    What it raises is raised here too, with the child's traceback as a note, so
    ``pytest.raises`` works around the call. The child leaves by ``os._exit``: no
    finalizer and no ``atexit`` function of the test process runs twice.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        # What the parent has forgotten and not collected keeps its descriptors: no test that
        # counts them sees one go.
        gc.freeze()
        _report(writer, func, args, kwargs)
    os.close(writer)
    status: int | None = None
    try:
        with open(reader, "rb") as pipe:
            report = pipe.read()
        status = os.waitpid(pid, 0)[1]
    finally:
        if status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    if status != 0 or not report:
        raise ChildFailedError(f"the child ended with wait status {status:#x} and said nothing")
    if not report.startswith(_RESULT):
        raise_dumped(report)
    result: T = pickle.loads(report.removeprefix(_RESULT))
    return result


def _report(writer: int, func: Callable[..., Any], args: Any, kwargs: Any) -> NoReturn:
    try:
        try:
            report = _RESULT + pickle.dumps(func(*args, **kwargs))
        except BaseException as error:
            report = dump_error(error)
        with open(writer, "wb") as pipe:
            pipe.write(report)
        os._exit(0)
    finally:
        os._exit(1)


def dump_error(error: BaseException) -> bytes:
    """Pickle what was raised, for :func:`raise_dumped` in the process at the other end."""
    text = "".join(traceback.format_exception(error))
    note_refusal(error)
    if isinstance(error, pytest.skip.Exception):
        # pytest's class cannot be pickled.
        error = _Skipped(error.msg)
    try:
        dumped = pickle.dumps((error, text))
        # An exception with required arguments pickles well and fails to unpickle.
        pickle.loads(dumped)
    except Exception as unpicklable:
        substitute = ChildFailedError(f"{error!r} (not picklable: {unpicklable})")
        return pickle.dumps((substitute, text))
    return dumped


def raise_dumped(report: bytes) -> NoReturn:
    """Raise what :func:`dump_error` pickled, with the traceback of the child as a note."""
    error: BaseException
    error, text = pickle.loads(report)
    if isinstance(error, _Skipped):
        pytest.skip(str(error))
    error.add_note(f"In the child:\n{text}")
    raise error


def become_root() -> None:
    """Unless this process is root, make it the root of a user namespace of its own."""
    if os.geteuid() != 0:
        enter_user_namespace(0, lambda name: open(f"/proc/self/{name}", "w"))


def make_mounts_private() -> None:
    """Put this process into a mount namespace of its own, from which nothing propagates."""
    become_root()
    linux.unshare(uapi.CLONE_NEWNS)
    linux.mount(None, b"/", None, uapi.MS_REC | uapi.MS_PRIVATE)


def private_mounts(func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """:func:`run_in_child` in a private mount namespace: ``func`` may mount what it likes."""

    def inside() -> T:
        make_mounts_private()
        return func(*args, **kwargs)

    return run_in_child(inside)


def chrooted(
    tree: str | os.PathLike[str], func: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """:func:`run_in_child` after chroot(2) into ``tree``: the oracle for what a path means.

    ``func`` must not import anything there: the interpreter's files are out of reach.
    """

    def inside() -> T:
        become_root()
        os.chroot(tree)
        os.chdir("/")
        return func(*args, **kwargs)

    return run_in_child(inside)


def chrooted_in_turn(calls: Mapping[_Tree, Callable[[], T]]) -> dict[_Tree, T]:
    """What each function returns in its tree, as with :func:`chrooted`, from one child for all."""

    def inside() -> dict[_Tree, T]:
        become_root()
        machine = os.open("/", os.O_PATH)
        found = {}
        for tree, func in calls.items():
            os.chroot(tree)
            os.chdir("/")
            found[tree] = func()
            os.fchdir(machine)
            os.chroot(".")
        return found

    return run_in_child(inside)


@contextmanager
def fs_sysctls(**wanted: int) -> Iterator[None]:
    """``fs.NAME`` of the machine as wanted, until the block ends.

    They belong to the machine and not to a namespace, so test runs take turns.
    """
    files = {name: Path("/proc/sys/fs", name) for name in wanted}
    if not all(os.access(file, os.W_OK) for file in files.values()):
        raise PrivilegeError(
            EPERM, f"needs root's rights to set {', '.join(map(str, files.values()))}"
        )
    with open("/tmp/procpath-sysctls.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = {name: file.read_text() for name, file in files.items()}
        try:
            for name, value in wanted.items():
                if int(before[name]) != value:
                    files[name].write_text(f"{value}\n")
            yield
        finally:
            for name, text in before.items():
                if int(text) != wanted[name]:
                    files[name].write_text(text)


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Return when ``condition`` holds; fail if it does not within so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.005)


def child_pids() -> set[int]:
    """The children of this process, zombies too. Shared containers are among them."""
    pids: set[int] = set()
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/children") as file:
            pids.update(map(int, file.read().split()))
    return pids


def remove_tree(top: str | os.PathLike[str]) -> None:
    """Remove a tree of any depth.

    ``shutil.rmtree`` needs a level of recursion for each level of the tree until Python 3.12,
    and a descriptor from 3.13 on.
    """
    try:
        shutil.rmtree(top)
    except (OSError, RecursionError):
        if os.geteuid() != 0:
            # Directories that may not be read, which are no obstacle for root.
            subprocess.run(["chmod", "-R", "u+rwx", "--", top], check=False)
        subprocess.run(["rm", "-rf", "--", top], check=True)


def open_descriptors() -> dict[int, str]:
    """Every open descriptor of this process and what it refers to."""
    gc.collect()
    found = {}
    with os.scandir("/proc/self/fd") as entries:
        for entry in entries:
            try:
                target = os.readlink(entry.path)
            except FileNotFoundError:
                continue
            # The scan's own descriptor; its number is not to be had from scandir().
            if target != f"/proc/{os.getpid()}/fd":
                found[int(entry.name)] = target
    return found


@contextmanager
def no_free_number_below() -> Iterator[int]:
    """Fill the gaps among the open descriptors, so that a limit means what it says.

    Gives how many are open then.
    """
    highest = max(open_descriptors())
    fillers = [os.dup(0)]
    try:
        while fillers[-1] <= highest:
            fillers.append(os.dup(0))
        yield fillers[-1] + 1
    finally:
        for fd in fillers:
            os.close(fd)
