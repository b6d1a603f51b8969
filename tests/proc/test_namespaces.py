"""Who a process is, across user, PID and mount namespaces, and against what it says of itself."""

from __future__ import annotations

import ctypes
import errno
import io
import os
import pickle
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from helpers.processes import become_user, living
from helpers.rights import require_root_of_the_machine
from helpers.seccomp import forbid
from helpers.support import private_mounts, run_in_child
from procpath import Root, RootedPath, linux, origin, uapi
from procpath.errors import ProcessGoneError
from procpath.proc import IdMapping, VerifiedProc

T = TypeVar("T")

PR_SET_DUMPABLE = 4
PR_SET_NAME = 15


@pytest.mark.parametrize(
    "name",
    [b"x\rUid:\t0", b"\rUid:", b"\x0bUid:\tz", b"\x1cUid:\t0", b"\xc2\x85Uid:\t0", b"\nUid:\t0"],
)
def test_name_does_not_forge_the_uid(name: bytes) -> None:
    def prepare() -> None:
        become_user(1234)
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        libc.prctl(PR_SET_NAME, name, 0, 0, 0)

    with living(prepare) as pid, Root.of_process(pid) as root:
        assert root.user_namespace is not None
        assert root.user_namespace.uid == 1234


ROOTLESS = "0 1000 1\n1 100000 65535\n"


def in_user_namespace(maps: str, func: Callable[[], T]) -> T:
    """Run ``func`` in a child as root of a user namespace with ``maps``, as rootless podman."""
    require_root_of_the_machine()
    unshared, mapped = os.pipe(), os.pipe()

    def inside() -> T:
        linux.unshare(uapi.CLONE_NEWUSER)
        os.write(unshared[1], str(os.getpid()).encode())
        os.read(mapped[0], 1)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        return func()

    mapper = os.fork()
    if mapper == 0:
        try:
            os.close(unshared[1])
            pid = os.read(unshared[0], 9).decode()
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{pid}/{name}").write_text(maps)
        finally:
            # Not mapped, the child fails at setresgid(): it does not wait for ever, and no
            # second pytest runs on here.
            os.write(mapped[1], b"x")
            os._exit(0)
    try:
        return run_in_child(inside)
    finally:
        # Nobody is left to write, so the mapper ends even if the child never unshared.
        for fd in (*unshared, *mapped):
            os.close(fd)
        os.waitpid(mapper, 0)


def maps_of(pid: int) -> tuple[object, object]:
    with VerifiedProc(source="mounted").process(pid) as process:
        return process.uid_map, process.gid_map


def test_maps_of_a_process_in_our_user_namespace() -> None:
    """To it the kernel shows what the IDs stand for in the parent."""

    def inside() -> tuple[str, tuple[object, object]]:
        with living() as pid:
            return Path(f"/proc/{pid}/uid_map").read_text(), maps_of(pid)

    shown, maps = in_user_namespace(ROOTLESS, inside)
    assert shown.split() == ROOTLESS.split()
    same = (IdMapping(0, 0, 1), IdMapping(1, 1, 65535))
    assert maps == (same, same)


def test_maps_in_a_child_of_our_user_namespace() -> None:
    def inside() -> tuple[object, object]:
        unshared, mapped = os.pipe(), os.pipe()

        def prepare() -> None:
            linux.unshare(uapi.CLONE_NEWUSER)
            os.write(unshared[1], b"x")
            os.read(mapped[0], 1)

        pid = os.fork()
        if pid == 0:
            prepare()
            signal.pause()
        try:
            os.read(unshared[0], 1)
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{pid}/{name}").write_text("0 1 1\n1 0 1\n")
            return maps_of(pid)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    maps = (IdMapping(0, 1, 1), IdMapping(1, 0, 1))
    assert in_user_namespace(ROOTLESS, inside) == (maps, maps)
    # Ours has the same text, as our parent sees it.
    assert in_user_namespace("0 1 1\n1 0 1\n", inside) == (maps, maps)


def test_owner_in_our_user_namespace(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/x\none:x:1000:1000::/home/one:/x\n")
    (tmp_path / "file").touch()
    os.chown(tmp_path / "file", 100_999, 100_999)
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == os.getuid() and directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o055)

    def inside() -> tuple[str, str]:
        with living(lambda: os.chroot(tmp_path)) as pid:
            with Root.of_process(pid, proc=VerifiedProc(source="mounted")) as root:
                path = RootedPath(root, "file")
                return path.owner(), str(RootedPath.bind(root).home())

    assert in_user_namespace(ROOTLESS, inside) == ("one", "/root")


def test_pidfd_in_a_pid_namespace_of_our_own() -> None:
    """pidfd_send_signal(2) is EINVAL for processes outside of it."""

    def agent(pidfd: int, place: str, pid: int) -> tuple[str, bool]:
        linux.mount(b"/proc", place.encode(), None, uapi.MS_BIND)
        with VerifiedProc(place) as proc, Root.of_pidfd(pidfd, proc=proc) as root:
            assert root.process is not None
            return root.origin, root.process.pid == pid

    def outer() -> tuple[str, bool]:
        with living() as pid:
            pidfd = os.pidfd_open(pid)
            linux.unshare(uapi.CLONE_NEWPID)
            return run_in_child(agent, pidfd, tempfile.mkdtemp(), pid)

    told, right = private_mounts(outer)
    assert told.endswith("/root")
    assert right


def recycling(pid: int) -> None:
    """Let the next process have the number ``pid``, in a PID namespace of ours."""
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))


def in_pid_namespace(func: Callable[[], T]) -> T:
    def first() -> T:
        linux.mount(b"proc", b"/proc", b"proc")
        return func()

    def outer() -> T:
        linux.unshare(uapi.CLONE_NEWPID)
        return run_in_child(first)

    return private_mounts(outer)


def test_a_descriptor_with_the_text_of_a_pidfd_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a dma-buf, whose maker chooses its name: no kernel here has a device that makes one."""
    forged = b"pos:\t0\nname:\tx\nPid:\t%d\n" % os.getpid()
    monkeypatch.setattr(VerifiedProc, "self_fdinfo", lambda proc, fd: io.BytesIO(forged))
    fd = os.memfd_create("anon_inode:[pidfd]")
    with pytest.raises(ValueError, match=f"descriptor {fd} is not a pidfd"):
        Root.of_pidfd(fd)
    os.close(fd)


@pytest.mark.parametrize("filtered", [{}, {"pidfd_send_signal": errno.EPERM}])
def test_pid_recycled_while_a_pidfd_is_looked_up(
    filtered: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def inside() -> None:
        forbid(filtered)
        process = VerifiedProc.process
        with living() as pid:
            pidfd = os.pidfd_open(pid)

        def late(self: VerifiedProc, pid: int | None = None) -> Any:
            os.kill(first, signal.SIGKILL)
            os.waitpid(first, 0)
            recycling(first)
            with living() as second:
                assert second == first == pid
                return process(self, pid)

        first = os.fork()
        if first == 0:
            signal.pause()
        pidfd = os.pidfd_open(first)
        monkeypatch.setattr(VerifiedProc, "process", late)
        Root.of_pidfd(pidfd)

    with pytest.raises(ProcessGoneError):
        in_pid_namespace(inside)


@pytest.mark.parametrize(
    "other",
    [
        {"mount_namespace": "mnt:[1]"},
        {"user_namespace": "user:[1]"},
        {"start_time": 1},
        {"since_boot": 1},
    ],
    ids=str,
)
def test_unpickling_finds_another_process(other: dict[str, Any]) -> None:
    with living() as pid, Root.of_process(pid) as root:
        with pickle.loads(pickle.dumps(root)) as same:
            assert same == root
        root._origin = root._origin._replace(**other)
        pickled = pickle.dumps(root)
        with pytest.raises(ProcessGoneError):
            pickle.loads(pickled)


def test_unpickling_a_pid_recycled_within_a_tick() -> None:
    """The same PID, start time and namespaces: distinguished since Linux 6.9."""

    def inside() -> tuple[bool, list[str]]:
        outcomes = []
        proc = VerifiedProc.default()
        for _ in range(30):
            with living() as pid:
                pickled = pickle.dumps(Root.of_process(pid))
                with proc.process(pid) as process:
                    known = process.number_since_boot() != 0
            recycling(pid)
            with living() as again:
                assert again == pid
                try:
                    pickle.loads(pickled).close()
                    outcomes.append("taken for the first")
                except ProcessGoneError:
                    outcomes.append("gone")
        return known, outcomes

    known, outcomes = in_pid_namespace(inside)
    if not known:
        pytest.skip("pidfds have inode numbers of their own since Linux 6.9")
    assert set(outcomes) == {"gone"}


def test_unpickling_after_another_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    with living() as pid, Root.of_process(pid) as root:
        pickled = pickle.dumps(root)
        monkeypatch.setattr(origin, "_boot_id", lambda: "another")
        with pytest.raises(ProcessGoneError):
            pickle.loads(pickled)


def test_pickling_where_sysctls_are_covered() -> None:
    def inside() -> bool:
        linux.mount(b"/proc/sys", b"/proc/sys", None, uapi.MS_BIND)
        forbid({"fsopen": errno.EPERM, "open_tree": errno.EPERM})
        with Root.of_process(os.getpid()) as root:
            with pickle.loads(pickle.dumps(root)) as same:
                return bool(same == root)

    assert private_mounts(inside)
