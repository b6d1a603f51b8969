"""A process in which trees are real, and which answers questions about them in several ways.

The test process makes trees and questions, and knows the model. The laboratory, a forked
child with a mount namespace and a tmpfs of its own, materializes each tree and asks every
*witness*: a process that is chrooted into it (the laboratory itself, while it answers), and a
:class:`procpath.Root` with each resolver. Objects are known by device and inode and reported by
the in-root path at which they were made, so an object from outside the tree shows. Whatever a
witness creates is found again by its descriptor, reported by place, and removed.

Uses chroot(2) and mount namespaces, and therefore needs root's rights.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import socket
import struct
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn, Self, TypeAlias

from helpers.support import make_mounts_private
from procpath import Root, linux, uapi
from procpath.linux import Descriptor
from procpath.proc import VerifiedProc
from procpath.testing import Tree
from procpath.testing.model import Caller
from procpath.testing.tree import Directory

CHROOT = "chroot"
"""the witness that is right by definition"""

RESOLVERS = ("walk", "openat2")


class Question(NamedTuple):
    """One thing to ask about a path. ``call`` is ``open``, ``stat``, ``lstat`` or ``readlink``."""

    call: str
    path: str
    flags: int = 0


class Found(NamedTuple):
    """An object of the tree, by the in-root path at which it was made, and what F_GETFL says
    of its descriptor; None where there is none."""

    path: str
    status_flags: int | None = None


class Created(NamedTuple):
    """A file that was not there before, at this in-root path."""

    path: str


class Nameless(NamedTuple):
    """A file without a name, in the directory at this in-root path."""

    path: str


class Text(NamedTuple):
    """What a symlink says."""

    text: str


class Failed(NamedTuple):
    """An OSError."""

    errno: int

    @classmethod
    def by(cls, error: OSError) -> Self:
        return cls(error.errno or 0)


class Misnamed(NamedTuple):
    """An OSError with another filename than the path that was asked about."""

    filename: object


class Outside(NamedTuple):
    """An object that is not in the tree: what must never be."""

    host_path: str


Answer: TypeAlias = Found | Created | Nameless | Text | Failed | Misnamed | Outside

# What a descriptor keeps of the flags it was opened with, and a resolver must not change.
_KEPT_FLAGS = (
    os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_DSYNC | os.O_SYNC | os.O_PATH | os.O_NOATIME
)

# Things of the names that trees use, next to the root: a `..` too many lands on one of them.
_DECOYS = Tree({f"/{name}/{inner}": Directory() for name in "abcd" for inner in "abcd"})

_TREES_TO_A_FILE_SYSTEM = 200


@dataclass(frozen=True)
class _Work:
    tree: Tree
    questions: Sequence[Question]
    caller: Caller
    options: dict[str, Any]
    witnesses: Sequence[str]


class Laboratory:
    """The test process's end. A context manager: the child and all it mounted go with it."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self._socket.close()
            _serve(theirs)
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self._socket.close()
        os.waitpid(self.pid, 0)

    def ask(
        self,
        tree: Tree,
        questions: Sequence[Question],
        *,
        caller: Caller,
        options: dict[str, Any] | None = None,
        witnesses: Sequence[str] = (CHROOT, *RESOLVERS),
    ) -> dict[str, list[Answer]]:
        """What each witness, as ``caller``, answers to each of the questions.

        ``options`` go to :class:`procpath.Root`.
        """
        answers: dict[str, list[Answer]] = self.do(
            _ask_all, _Work(tree, questions, caller, options or {}, witnesses)
        )
        return answers

    def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call ``function``, of the top level of a module, in the laboratory, with the
        :class:`Bench` to work at in front of ``arguments``."""
        try:
            _send(self._socket, (function, arguments))
            error, text, result = _receive(self._socket)
        except BaseException:
            # Interrupted, as by a timeout: the answer on the way belongs to no question now.
            self._stop()
            self._start()
            raise
        if error is not None:
            error.add_note(f"In the laboratory:\n{text}")
            raise error
        return result


class Bench:
    """Where the laboratory works: fresh directories on a tmpfs of its own.

    The tmpfs is thrown away as a whole from time to time, which unmounts what trees have
    mounted in it and is faster than removing their entries.
    """

    def __init__(self) -> None:
        # Made now, because it is kept: later it would look like a leak.
        VerifiedProc.default().self_fd().fileno()
        self.host_root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.place = os.fsencode(f"/tmp/procpath-laboratory-{os.getpid()}")
        os.mkdir(self.place)
        self._made = 0
        self._mount()

    def _mount(self) -> None:
        linux.mount(b"laboratory", self.place, b"tmpfs", 0, b"mode=755,size=1g")
        _DECOYS.materialize(self.place)

    def fresh_directory(self) -> str:
        """An empty directory, with nothing but decoys around it."""
        if self._made == _TREES_TO_A_FILE_SYSTEM:
            linux.umount2(self.place, uapi.MNT_DETACH)
            self._mount()
            self._made = 0
        self._made += 1
        directory = os.path.join(os.fsdecode(self.place), f"tree{self._made}")
        os.mkdir(directory)
        return directory

    def close(self) -> None:
        linux.umount2(self.place, uapi.MNT_DETACH)
        os.rmdir(self.place)

    def path_of(self, fd: int) -> str:
        """What this process's procfs calls ``fd``: inside a chroot, its in-root path."""
        return os.readlink(f"self/fd/{fd}", dir_fd=self.proc)

    @contextmanager
    def chrooted(self, directory: str) -> Iterator[None]:
        """This process, really chrooted into ``directory``; root alone can come back."""
        os.chroot(directory)
        try:
            os.chdir("/")
            yield
        finally:
            os.fchdir(self.host_root)
            os.chroot(".")


@contextmanager
def acting_as(caller: Caller) -> Iterator[None]:
    """This process with the caller's credentials for files, and with none of root's rights."""
    if caller.privileged:
        assert (caller.uid, caller.gid) == (0, 0)
        yield
        return
    os.setgroups(sorted(caller.groups))
    os.setegid(caller.gid)
    # The kernel drops the effective capabilities with the effective uid 0 (capabilities(7)).
    os.seteuid(caller.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups([])


class _Identities:
    """Tells the objects of a materialized tree by device and inode."""

    def __init__(self, bench: Bench, tree: Tree, directory: str) -> None:
        self.bench = bench
        self.directory = directory
        self.root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._known: dict[tuple[int, int, int], str] = {}
        self._scan(tree, "/", self.root)

    def close(self) -> None:
        os.close(self.root)

    def _scan(self, tree: Tree, path: str, fd: int) -> None:
        """By descriptors, because paths into a tree of long names can be too long."""
        self._known[_identity(os.fstat(fd))] = path
        for child in tree.children(path):
            flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(child.rpartition("/")[2], flags, dir_fd=fd)
            try:
                if isinstance(tree[child], Directory):
                    self._scan(tree, child, inner)
                else:
                    self._known[_identity(os.fstat(inner))] = child
            finally:
                os.close(inner)

    def name(self, status: os.stat_result) -> str | None:
        return self._known.get(_identity(status))

    def describe(self, fd: int, *, chrooted: bool) -> Answer:
        """Which object ``fd`` is; a new one is removed again."""
        known = self.name(os.fstat(fd))
        if known is not None:
            return Found(known, fcntl.fcntl(fd, fcntl.F_GETFL) & _KEPT_FLAGS)
        path = self.bench.path_of(fd)
        if not chrooted:
            if not path.startswith(self.directory + "/"):
                return Outside(path)
            path = path.removeprefix(self.directory)
        if path.endswith(" (deleted)"):
            return Nameless(os.path.dirname(path))
        os.unlink(path[1:], dir_fd=self.root)
        return Created(path)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_mode & 0o170000


def _ask_all(bench: Bench, work: _Work) -> dict[str, list[Answer]]:
    directory = bench.fresh_directory()
    work.tree.materialize(directory)
    identities = _Identities(bench, work.tree, directory)
    answers = {}
    try:
        for witness in work.witnesses:
            ask = _ask_chrooted if witness == CHROOT else _ask_root
            answers[witness] = ask(identities, work, witness)
    finally:
        identities.close()
    return answers


def _ask_chrooted(identities: _Identities, work: _Work, witness: str) -> list[Answer]:
    with identities.bench.chrooted(identities.directory):
        return [
            _answer(identities, work.caller, question, _CHROOTED_CALLS, chrooted=True)
            for question in work.questions
        ]


def _ask_root(identities: _Identities, work: _Work, witness: str) -> list[Answer]:
    before = set(os.listdir("/proc/self/fd"))
    options: dict[str, Any] = {"special_files": "allow", **work.options}
    with Root.at(identities.directory, resolver=witness, **options) as root:
        answers = [
            _answer(identities, work.caller, question, _root_calls(root), chrooted=False)
            for question in work.questions
        ]
    leaked = set(os.listdir("/proc/self/fd")) - before
    assert not leaked, [os.readlink(f"/proc/self/fd/{fd}") for fd in leaked]
    return answers


_CHROOTED_CALLS: dict[str, Callable[..., Any]] = {
    "open": os.open,
    "stat": os.stat,
    "lstat": os.lstat,
    "readlink": os.readlink,
}


def _root_calls(root: Root) -> dict[str, Callable[..., Any]]:
    return {
        "open": root.open,
        "stat": lambda text: _status_and_close(root.find(os.fsencode(text))),
        "lstat": lambda text: _status_and_close(root.find_last(os.fsencode(text))),
    }


def _status_and_close(found: Descriptor) -> os.stat_result:
    with found as fd:
        return os.fstat(fd)


def _answer(
    identities: _Identities,
    caller: Caller,
    question: Question,
    calls: dict[str, Callable[..., Any]],
    *,
    chrooted: bool,
) -> Answer:
    arguments = (question.flags,) if question.call == "open" else ()
    try:
        with acting_as(caller):
            result = calls[question.call](question.path, *arguments)
    except OSError as error:
        # Whoever gave a path finds that path in the error, whatever was opened on the way.
        return Failed.by(error) if error.filename == question.path else Misnamed(error.filename)
    if question.call == "open":
        try:
            assert chrooted or not os.get_inheritable(result), question
            return identities.describe(result, chrooted=chrooted)
        finally:
            os.close(result)
    if question.call == "readlink":
        return Text(result)
    known = identities.name(result)
    return Outside(question.path) if known is None else Found(known)


def _serve(theirs: socket.socket) -> NoReturn:
    """The laboratory's own life, which ends with the test process's end of the socket."""
    try:
        # Ctrl-C is for the test process, which then closes its end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.umask(0o022)
        make_mounts_private()
        bench = Bench()
        try:
            while (request := _receive(theirs)) is not None:
                function, arguments = request
                _send(theirs, _outcome(function, bench, arguments))
        finally:
            bench.close()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _outcome(function: Callable[..., Any], bench: Bench, arguments: tuple[Any, ...]) -> Any:
    try:
        return None, "", function(bench, *arguments)
    except Exception as error:
        return error, traceback.format_exc(), None


_LENGTH = struct.Struct("=Q")


def _send(to: socket.socket, message: Any) -> None:
    data = pickle.dumps(message)
    to.sendall(_LENGTH.pack(len(data)) + data)


def _receive(sender: socket.socket) -> Any:
    """The next message; None when the other end is closed."""
    header = _read(sender, _LENGTH.size)
    return None if header is None else pickle.loads(_read(sender, *_LENGTH.unpack(header)) or b"")


def _read(sender: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        piece = sender.recv(size - len(data))
        if not piece:
            return None
        data += piece
    return bytes(data)
