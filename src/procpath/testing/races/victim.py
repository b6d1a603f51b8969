"""A victim: a child process that stops before each of its calls that names a file."""

from __future__ import annotations

import gc
import os
import pickle
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from errno import EBUSY, EINVAL, ENOENT, ENOSYS
from functools import cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from procpath import linux
from procpath.errors import os_error
from procpath.testing.races.calls import (
    HANDOVER_FLAGS,
    Call,
    CallReader,
    is_32_bit,
    stopping_filter,
)
from procpath.testing.races.mounts import enter_own_namespace

if TYPE_CHECKING:
    from typing import Self

Victim: TypeAlias = "Callable[[Path], object] | Sequence[str | os.PathLike[str]]"

MOST_CALLS = 10_000
_ASLEEP = 1.0
"""seconds without a call, and with no thread running, after which a victim hangs"""
_PATIENCE = 60.0
"""seconds after which any victim hangs"""
_NO_REPORT = 0xCC
"""exit status of a victim that has closed the pipe for its result"""


_PROBE = "/name of a file that procpath looks for in vain"


class RaceError(Exception):
    """Races cannot be explored here, or not with this victim."""


class VictimHungError(Exception):
    """The victim waited for something that does not come, and was ended."""


class VictimDiedError(Exception):
    """The victim ended before it returned a result."""


@dataclass
class Run:
    """What a victim did."""

    calls: list[Call] = field(default_factory=list)
    result: object = None
    output: bytes = b""
    """the result as it came out of the process"""
    notes: list[str] = field(default_factory=list)


Stopped: TypeAlias = "Callable[[int, int], int | None]"
"""Called before each call that counts, with its number from 1 on and the victim's PID. Returns
the errno with which the call fails, or None for the call to be made."""


@cache
def require_support() -> None:
    """Raise RaceError if the kernel, a filter, /proc or the privileges do not allow races here."""
    listener, child = _start(lambda: os.access(_PROBE, os.F_OK), own_mounts=False)
    with child, listener as fd:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not poll.poll(10_000):
            raise RaceError("the first call of a child was not notified within 10 seconds")
        stopped = linux.seccomp_receive(fd)
        try:
            os.close(os.pidfd_open(child.pid))
            call = CallReader(_PROBE, _PROBE).read(stopped)
        except (FileNotFoundError, ProcessLookupError):
            call = None
        except OSError as error:
            raise RaceError(f"races need to look into a child, which failed: {error}") from None
        if call is None:
            # None is mounted, or that of another PID namespace, as in some sandboxes.
            raise RaceError("races need the /proc of this PID namespace, which is not mounted")
        try:
            linux.seccomp_continue(fd, stopped.id)
        except OSError as error:
            if error.errno != EINVAL:
                raise
            raise RaceError("races need Linux 5.5: a stopped call cannot be continued") from None


def require_victim(victim: Victim) -> None:
    """Raise an error if ``victim`` cannot be run."""
    if callable(victim):
        return
    if not victim:
        raise ValueError("the victim's argv is empty")
    program = os.fspath(victim[0])
    found = shutil.which(program)
    if found is None:
        raise os_error(ENOENT, program)
    with open(found, "rb") as file:
        head = file.read(5)
    # e_ident[EI_CLASS] of elf(5): 1 is a 32-bit program.
    if head[:4] == b"\x7fELF" and head[4] != 2:
        raise RaceError(f"{found} is a 32-bit program, whose calls cannot be stopped")


class _Child:
    """A forked child and what it left running: all ended with the block."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.status: int | None = None

    def wait(self) -> int:
        if self.status is None:
            self.status = os.waitpid(self.pid, 0)[1]
        return self.status

    def kill(self) -> None:
        if self.status is None:
            # The child has a process group of its own, once it has begun.
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            os.kill(self.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait()


def _start(run: Callable[[], object], *, own_mounts: bool) -> tuple[linux.Descriptor, _Child]:
    """Fork a child that calls ``run`` under the filter and exits; return its listener."""
    sys.stdout.flush()
    sys.stderr.flush()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            _begin(theirs, run, own_mounts)
        theirs.close()
        child = _Child(pid)
        try:
            message, fds, _, _ = socket.recv_fds(ours, 64, 1)
        except BaseException:
            child.__exit__()
            raise
    if not fds:
        child.__exit__()
        raise _refusal(int(message or b"0"))
    # socket.recv_fds() leaves the descriptor open across exec.
    os.set_inheritable(fds[0], False)
    return linux.Descriptor(fds[0]), child


def _begin(report: socket.socket, run: Callable[[], object], own_mounts: bool) -> NoReturn:
    try:
        # Finalizers of what the parent has forgotten are the parent's to run.
        gc.freeze()
        os.setpgid(0, 0)
        try:
            if own_mounts:
                enter_own_namespace()
            program = stopping_filter()
            with linux.seccomp_listener(program) as listener:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", listener))
                report.sendmsg([b"+"], [rights], HANDOVER_FLAGS)
        except OSError as error:
            report.send(str(error.errno).encode())
            os._exit(1)
        report.close()
        run()
        os._exit(0)
    finally:
        os._exit(1)


def _refusal(number: int) -> RaceError:
    if number == EINVAL:
        why = "races need Linux 5.5 (seccomp user notifications)"
    elif number == ENOSYS:
        why = "the kernel has no seccomp filters"
    elif number == EBUSY:
        why = "this process is under a seccomp filter that has a listener already"
    elif number:
        why = f"a seccomp filter or a missing privilege forbids it: {os.strerror(number)}"
    else:
        why = "the child ended before it began"
    return RaceError(f"races cannot be explored here: {why}")


def run_victim(
    victim: Victim,
    directory: Path,
    base: Path,
    stopped: Stopped,
    *,
    own_mounts: bool = False,
) -> Run:
    """Run the victim on ``directory``; ``stopped`` is called before each call that counts."""
    with ExitStack() as stack:
        if callable(victim):
            reader, writer = os.pipe()
            stack.callback(os.close, reader)
            function = victim

            def run() -> None:
                _call(function, directory, writer)

            try:
                listener, child = _start(run, own_mounts=own_mounts)
            finally:
                os.close(writer)
            stack.enter_context(child)
            stack.enter_context(listener)
            supervision = _Supervision(listener.value, child, stopped, base, directory)
            supervision.attend(reader)
            return supervision.returned()
        argv = [os.fspath(word).replace("{root}", str(directory)) for word in victim]
        with ExitStack() as files:
            out, err = (os.memfd_create(name) for name in ("stdout", "stderr"))
            files.callback(os.close, out)
            files.callback(os.close, err)

            def execute() -> None:
                null = os.open(os.devnull, os.O_RDONLY)
                for source, target in ((null, 0), (out, 1), (err, 2)):
                    os.dup2(source, target)
                os.execvp(argv[0], argv)

            listener, child = _start(execute, own_mounts=own_mounts)
            stack.enter_context(child)
            stack.enter_context(listener)
            supervision = _Supervision(listener.value, child, stopped, base, directory)
            supervision.attend(None)
            return supervision.completed(argv, _contents(out), _contents(err))


def _contents(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", closefd=False) as file:
        return file.read()


def _call(function: Callable[[Path], object], directory: Path, writer: int) -> None:
    result: object
    frames: list[tuple[str, int, str, None]] = []
    known = len(sys.modules)
    try:
        result = function(directory)
    except BaseException as error:
        result, frames = error, _frames(error)
    imported = _imported(known)
    try:
        report = pickle.dumps((result, frames, imported))
        if frames:
            # An exception with required arguments pickles well and fails to unpickle.
            pickle.loads(report)
    except Exception as unpicklable:
        text = f"{result!r} ({unpicklable})"
        refused = TypeError(f"the victim's result must pickle: {text}")
        report = pickle.dumps((refused, frames, imported))
    if not _is_pipe(writer):
        # Another file may have the number now: nothing is written to it.
        os._exit(_NO_REPORT)
    with open(writer, "wb", closefd=False) as pipe:
        pipe.write(report)


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


def _imported(known: int) -> list[tuple[str, str]]:
    """Return the modules behind the first ``known`` ones, each with its file."""
    # From the end: to touch all modules would copy the memory that they share with the parent.
    names = list(islice(reversed(sys.modules), max(0, len(sys.modules) - known)))
    return [
        (name, file)
        for name in reversed(names)
        if isinstance(file := getattr(sys.modules[name], "__file__", None), str)
    ]


def _import_here(imported: list[tuple[str, str]], calls: list[Call]) -> None:
    """Import what the victim has imported, so that the next child finds it: that is most of the
    work of a child otherwise.

    Only modules of packages that are in use here, or of the standard library, and nothing whose
    file the victim has looked for in the tree or around it.
    """
    looked_for = {os.path.basename(path) for call in calls for path in call.paths}
    for name, file in imported:
        package = name.partition(".")[0]
        is_known = package in sys.stdlib_module_names or package in sys.modules
        if is_known and os.path.basename(file) not in looked_for:
            # A module that does not import here is left to the victims.
            with suppress(Exception):
                import_module(name)


def _frames(error: BaseException) -> list[tuple[str, int, str, None]]:
    """Return where the error came from, without the lines, for which files would be read here."""
    return [
        (frame.f_code.co_filename, line, frame.f_code.co_name, None)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]


class _Supervision:
    """Answers the stopped calls of one victim, until it ends."""

    def __init__(
        self, listener: int, child: _Child, stopped: Stopped, base: Path, directory: Path
    ) -> None:
        self._listener = listener
        self._child = child
        self._stopped = stopped
        self._reader = CallReader(str(base), str(directory))
        self._run = Run()
        self._report = bytearray()
        self._processes = {child.pid}
        self._threads = {child.pid}
        self._hung: str | None = None

    def attend(self, report: int | None) -> None:
        """Answer calls until the victim has ended, or hangs and is ended."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        if report is not None:
            poll.register(report, select.POLLIN)
        with linux.Descriptor(os.pidfd_open(self._child.pid)) as pidfd:
            poll.register(pidfd, select.POLLIN)
            begun = last = time.monotonic()
            spent: object = None
            while True:
                events = dict(poll.poll(_ASLEEP * 250))
                if events.get(self._listener, 0) & select.POLLIN:
                    self._answer()
                    last, spent = time.monotonic(), None
                    continue
                if self._listener in events:
                    # POLLHUP: nobody is under the filter any more.
                    poll.unregister(self._listener)
                    continue
                if report in events:
                    data = os.read(report, 1 << 20)
                    self._report += data
                    if not data:
                        poll.unregister(report)
                    continue
                if pidfd in events:
                    break
                now, activity = time.monotonic(), self._activity()
                if activity is None or activity != spent:
                    spent, last = activity, now
                if now - last > _ASLEEP:
                    self._hung = f"the victim did nothing for {now - last:.1f} seconds"
                    break
                if now - begun > _PATIENCE:
                    self._hung = f"the victim was not done after {now - begun:.0f} seconds"
                    break
        self._child.kill()
        self._child.wait()
        if report is not None and self._hung is None:
            # A child that the victim has left behind may hold the other end: do not wait for it.
            os.set_blocking(report, False)
            with suppress(BlockingIOError):
                while data := os.read(report, 1 << 20):
                    self._report += data

    def _activity(self) -> object:
        """Return what threads have done so far; None if one of them can run."""
        done = []
        for pid in self._processes:
            with suppress(FileNotFoundError, ProcessLookupError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/status", "rb") as file:
                        lines = file.read().split(b"\n")
                    fields = (line.partition(b":") for line in lines)
                    status = {name: value for name, _, value in fields}
                    # Asleep, stopped, or dead: see proc_pid_status(5).
                    if status[b"State"].split()[0] not in (b"S", b"T", b"t", b"Z", b"X"):
                        return None
                    # How often it has slept: a victim that polls is not one that hangs.
                    done.append((task, status[b"voluntary_ctxt_switches"]))
        return done

    def _answer(self) -> None:
        try:
            stopped = linux.seccomp_receive(self._listener)
        except FileNotFoundError:
            return
        if is_32_bit(stopped):
            raise RaceError("the victim runs a 32-bit program, whose calls cannot be stopped")
        self._note_thread(stopped.tid)
        try:
            call = self._reader.read(stopped)
        except (FileNotFoundError, ProcessLookupError):
            call = None
        except PermissionError as error:
            raise RaceError(f"the victim's memory cannot be read: {error}") from error
        if not linux.seccomp_is_stopped(self._listener, stopped.id):
            return
        failing = None
        if call is not None:
            if len(self._run.calls) == MOST_CALLS:
                raise RaceError(f"the victim makes more than {MOST_CALLS:,} calls in the tree")
            self._run.calls.append(call)
            failing = self._stopped(len(self._run.calls), self._child.pid)
        with suppress(FileNotFoundError):
            if failing is None:
                linux.seccomp_continue(self._listener, stopped.id)
            else:
                linux.seccomp_fail(self._listener, stopped.id, failing)

    def _note_thread(self, tid: int) -> None:
        if tid in self._threads:
            return
        self._threads.add(tid)
        with suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{tid}/status", "rb") as file:
                lines = file.read().split(b"\n")
            [pid] = [int(line.split()[1]) for line in lines if line.startswith(b"Tgid:")]
            if pid == self._child.pid:
                self._note("the victim has several threads, which run as they like")
            else:
                self._processes.add(pid)
                self._note("the victim has forked: its children run as they like")

    def _note(self, text: str) -> None:
        if text not in self._run.notes:
            self._run.notes.append(text)

    def returned(self) -> Run:
        """Return the run with what a callable returned or raised."""
        run = self._run
        run.output = bytes(self._report)
        if self._hung is not None:
            run.result = VictimHungError(self._hung)
        elif not self._report:
            code = os.waitstatus_to_exitcode(self._child.wait())
            why = f"the victim ended with {_told(code)}"
            if code == _NO_REPORT:
                why = "the victim closed all descriptors, so that its result is lost"
            run.result = VictimDiedError(why)
        else:
            try:
                run.result, frames, imported = pickle.loads(self._report)
            except Exception as error:
                error.add_note("The victim's result could not be unpickled.")
                run.result = error
            else:
                _import_here(imported, run.calls)
                if isinstance(run.result, BaseException) and frames:
                    told = traceback.StackSummary.from_list(frames).format()
                    run.result.add_note("In the victim:\n" + "".join(told))
        return run

    def completed(self, argv: list[str], out: bytes, err: bytes) -> Run:
        """Return the run with what a program printed, and how it ended."""
        run = self._run
        run.output = out + err
        if self._hung is not None:
            run.result = VictimHungError(self._hung)
        else:
            code = os.waitstatus_to_exitcode(self._child.wait())
            run.result = subprocess.CompletedProcess(argv, code, out, err)
        return run


def _told(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"
