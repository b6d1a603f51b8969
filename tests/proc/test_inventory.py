"""``procpath.containers()``: one for each mount namespace, whatever its processes do."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from errno import ESTALE, EXDEV
from pathlib import Path
from typing import Any

import pytest

from helpers.cgroups import cgroup
from helpers.commandline import as_nobody, drop_rights, here
from helpers.containers import OS_RELEASE, RuncContainer
from helpers.fuse import OneFile
from helpers.processes import end_after, living
from helpers.support import make_mounts_private, private_mounts, run_in_child, wait_until
from procpath import (
    Container,
    ProcessDir,
    ProcessGoneError,
    Root,
    RootedPath,
    VerifiedProc,
    containers,
    linux,
    uapi,
)

# Others may test on this machine too.
ID = secrets.token_hex(32)
OTHER = ID[:8] + secrets.token_hex(28)


def found(pid: int, **options: Any) -> Container | None:
    """Return what stands for the mount namespace of ``pid``."""
    namespace = os.stat(f"/proc/{pid}/ns/mnt").st_ino
    chosen = [each for each in containers(**options) if each.mount_namespace == namespace]
    assert len(chosen) <= 1
    return chosen[0] if chosen else None


def start_of(pid: int) -> tuple[int, int]:
    with VerifiedProc.default().process(pid) as process:
        return process.start_time, pid


def end(pid: int) -> None:
    """Kill a process, which stays a zombie."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Starts a process in a mount namespace and a root of its own, and in a cgroup; its PID."""
    with ExitStack() as stack:

        def start(group: str | None = None, root: Path = tmp_path) -> int:
            def enter() -> None:
                make_mounts_private()
                os.chroot(root)
                os.chdir("/")

            put = stack.enter_context(cgroup(group)) if group else None
            pid = stack.enter_context(living(enter))
            if put:
                put(pid)
            return pid

        yield start


# Real containers

UID = str(uuid.uuid4())
CGROUPS = [
    ("/system.slice/docker-{}.scope", "docker", None),
    (f"/kubepods/burstable/pod{UID}/{{}}", None, UID),
    (
        f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-containerd-{{}}.scope",
        *("containerd", UID),
    ),
    ("/machine.slice/libpod-{}.scope", "podman", None),
    ("/kubepods.slice/crio-{}.scope", "cri-o", None),
    ("/lxc.payload.{}x", "lxc", None),
]


@pytest.mark.machine_root
def test_containers_have_the_ids_of_their_cgroups(
    start_container: Callable[..., RuncContainer], no_leak: None
) -> None:
    ids = [secrets.token_hex(32) for _ in CGROUPS]
    started = [
        start_container(cgroup=path.format(number))
        for number, (path, _, _) in zip(ids, CGROUPS, strict=True)
    ]
    by_pid = {each.pid: each for each in containers()}
    for one, number, (_, runtime, pod_uid) in zip(started, ids, CGROUPS, strict=True):
        container = by_pid[one.pid]
        assert container.id == (f"{number}x" if runtime == "lxc" else number)
        assert (container.runtime, container.pod_uid) == (runtime, pod_uid)
        assert (container.processes, container.is_ours) == (1, False)
        assert container.command == "sleep 3600"
        assert container.os_release["PRETTY_NAME"] == "Cellar Linux 7"
        with container.root() as root:
            assert RootedPath(root, "etc/os-release").read_text() == OS_RELEASE
        assert f"id={container.id!r}" in repr(container)
    assert len({each.mount_namespace for each in by_pid.values()}) == len(by_pid)

    docker, *others, lxc = ids
    assert RootedPath.of_container(docker[:16], "etc", "os-release").read_text() == OS_RELEASE
    for number in (*others, f"{lxc}x"):
        assert str(RootedPath.of_container(number)) == "/"
    with pytest.raises(ProcessLookupError):
        RootedPath.of_container(lxc)

    addresses = f"{docker[:16]}:/etc/os-release", f"{docker.upper()}:/usr/lib/os-release"
    assert here("cat", *addresses) == (0, 2 * OS_RELEASE.encode(), "")
    wrong = docker[:11] + ("0" if docker[11] != "0" else "1")
    ran = here("cat", f"{wrong}:/etc/x")
    assert (ran.status, ran.out) == (1, b"")
    [line] = ran.err.splitlines()
    assert line.endswith(f"begins with {wrong}; did you mean {docker[:12]}:/etc/x?")
    [line] = [line for line in here("roots").lines if str(started[0].pid) in line.split()]
    assert f" docker:{docker[:12]} " in line
    assert here("ls", "sleep:/x").err.startswith("procpath: sleep: No such file or directory; did ")


def test_exec_child_never_stands_for_the_container(
    start_container: Callable[[], RuncContainer],
) -> None:
    container = start_container()
    second = container.spawn(["sleep", "600"])
    described = found(container.pid)
    assert described is not None
    assert (described.pid, described.processes) == (container.pid, 2)
    container.end(second)
    assert described.command == "sleep 3600"


def test_younger_child_with_a_lower_pid_does_not_stand_for_it(tmp_path: Path) -> None:
    """PIDs start again from below at some time (pid_max, proc_sys_kernel(5))."""

    def look() -> None:
        linux.mount(b"proc", bytes(tmp_path), b"proc")
        last_pid = tmp_path / "sys/kernel/ns_last_pid"
        last_pid.write_text("1000")
        with ExitStack() as stack:
            first = stack.enter_context(living(make_mounts_private))
            namespace = stack.enter_context(open(f"{tmp_path}/{first}/ns/mnt"))
            proc = stack.enter_context(VerifiedProc(tmp_path))
            with proc.process(first) as process:
                begin = process.start_time
            last_pid.write_text("500")
            ticks = os.sysconf("SC_CLK_TCK")  # in which their ages are counted
            wait_until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) * ticks > begin + 2)
            child = stack.enter_context(living(lambda: linux.setns(namespace.fileno())))
            assert child < first
            [(pid, processes)] = [
                (each.pid, each.processes)
                for each in containers(all=True, proc=proc)
                if each.pid in (first, child)
            ]
            assert (pid, processes) == (first, 2)

    def enter() -> None:
        linux.unshare(uapi.CLONE_NEWPID)
        run_in_child(look)

    private_mounts(enter)


# Which process


def test_next_process_stands_in_for_one_that_ends_meanwhile(
    start: Callable[..., int], tmp_path: Path
) -> None:
    first, second = sorted((start(), start()))
    namespace = os.open(f"/proc/{second}/ns/mnt", os.O_RDONLY)

    def join() -> None:
        linux.setns(namespace)
        os.chroot(tmp_path)

    with living(join) as younger:
        os.close(namespace)
        going = containers()
        for each in going:
            if each.pid == first:
                break
        end(second)
        [stand_in] = [each for each in going if each.pid in (second, younger)]
        assert (stand_in.pid, stand_in.processes) == (younger, 2)


def test_processes_are_opened_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: Counter[int] = Counter()
    process_of = VerifiedProc.process

    def counting(proc: VerifiedProc, pid: int) -> ProcessDir:
        opened[pid] += 1
        return process_of(proc, pid)

    with ExitStack() as stack:
        first = stack.enter_context(living(make_mounts_private))
        namespace = stack.enter_context(open(f"/proc/{first}/ns/mnt"))
        others = [
            stack.enter_context(living(lambda: linux.setns(namespace.fileno()))) for _ in range(20)
        ]
        monkeypatch.setattr(VerifiedProc, "process", counting)
        container = found(first, all=True)
    assert container is not None
    assert container.processes == 21
    assert {opened[pid] for pid in others} == {1}
    assert opened[first] == 2


def test_process_that_ended_has_no_root_to_open(start: Callable[..., int]) -> None:
    with ExitStack() as stack:
        pid = stack.enter_context(living(make_mounts_private))
        container = found(pid, all=True)
        assert container is not None
        assert container.is_ours
        with container.root(symlinks=False) as root:
            assert root.options.symlinks is False
    for ask in (container.root, lambda: container.command, lambda: container.os_release):
        with pytest.raises(ProcessGoneError):
            ask()


@pytest.mark.machine_root
def test_process_that_has_left_is_another_container(start: Callable[..., int]) -> None:
    with cgroup(f"docker/{ID}") as put, cgroup(f"docker/{OTHER}") as put_elsewhere:
        pid = start()
        put(pid)
        container = found(pid)
        assert container is not None
        assert (container.id, container.runtime) == (ID, "docker")
        put_elsewhere(pid)
        with pytest.raises(OSError, match="has left the container") as caught:
            container.root()
        assert caught.value.errno == ESTALE
        put(pid)
        container.root().close()
        end(pid)


@pytest.fixture
def leaver(tmp_path: Path) -> Iterator[tuple[Container, Callable[[], None]]]:
    """A container, and the function that lets its process leave it."""

    def leave(*_: object) -> None:
        linux.unshare(uapi.CLONE_NEWNS)
        signal.pause()

    def enter() -> None:
        make_mounts_private()
        os.chroot(tmp_path)
        signal.signal(signal.SIGUSR1, leave)

    with living(enter) as pid:
        container = found(pid)
        assert container is not None
        namespace = container.mount_namespace

        def let_it_leave() -> None:
            os.kill(pid, signal.SIGUSR1)
            wait_until(lambda: os.stat(f"/proc/{pid}/ns/mnt").st_ino != namespace)

        yield container, let_it_leave


def test_namespace_that_was_left_is_not_opened(
    leaver: tuple[Container, Callable[[], None]],
) -> None:
    container, let_it_leave = leaver
    container.root().close()
    let_it_leave()
    with pytest.raises(OSError, match="has left the container") as caught:
        container.root()
    assert caught.value.errno == ESTALE


def test_namespace_that_is_left_meanwhile_is_not_opened(
    leaver: tuple[Container, Callable[[], None]], monkeypatch: pytest.MonkeyPatch, no_leak: None
) -> None:
    container, let_it_leave = leaver
    owning = Root._owning

    def slow(process: ProcessDir, options: Any) -> Root:
        let_it_leave()
        return owning(process, options)

    monkeypatch.setattr(Root, "_owning", slow)
    with pytest.raises(OSError, match="has left the container"):
        container.root()


# Our own root


def test_our_own_root_is_left_out_unless_asked_for() -> None:
    own = os.stat("/proc/self/ns/mnt").st_ino
    with living(make_mounts_private) as unshared:
        assert found(unshared) is None
        assert found(os.getpid()) is None
        everything = {each.mount_namespace: each for each in containers(all=True)}
        for namespace in (own, os.stat(f"/proc/{unshared}/ns/mnt").st_ino):
            assert everything[namespace].is_ours


@pytest.mark.machine_root
def test_no_id_leads_to_our_own_root() -> None:
    with cgroup(f"docker/{ID}") as put:
        with living(make_mounts_private) as unshared:
            put(unshared)
            container = found(unshared, all=True)
            assert container is not None
            assert container.id == ID
            with pytest.raises(ProcessLookupError):
                RootedPath.of_container(ID)


# Claims


@pytest.mark.machine_root
def test_one_id_under_two_cgroups_is_ambiguous(start: Callable[..., int]) -> None:
    groups = f"docker/{ID}", f"user.slice/docker-{ID}.scope"
    for group in groups:
        start(group)
    with pytest.raises(ValueError) as caught:
        RootedPath.of_container(ID)
    assert all(f"/{group}'" in str(caught.value) for group in groups)
    ran = here("cat", f"{ID[:8]}:/etc/passwd")
    assert (ran.status, ran.out) == (2, b"")
    [line] = ran.err.splitlines()
    assert all(group in line for group in groups)


@pytest.mark.machine_root
def test_one_prefix_of_two_ids_is_ambiguous(start: Callable[..., int]) -> None:
    for number in (ID, OTHER):
        start(f"docker/{number}")
    with pytest.raises(ValueError) as caught:
        RootedPath.of_container(ID[:8])
    assert ID in str(caught.value)
    assert OTHER in str(caught.value)
    assert RootedPath.of_container(ID).root_handle.process is not None


@pytest.mark.machine_root
def test_several_namespaces_of_one_cgroup_are_the_oldest(start: Callable[..., int]) -> None:
    with cgroup(f"docker/{ID}") as put:
        started = start(), start()
        for pid in started:
            put(pid)
        assert {each.pid for each in containers() if each.id == ID} == {*started}
        process = RootedPath.of_container(ID).root_handle.process
        assert process is not None
        assert process.pid == min(started, key=start_of)
        for pid in started:
            end(pid)


@pytest.mark.machine_root
def test_nested_cgroup_hides_no_container(start: Callable[..., int]) -> None:
    # Longer than a path in /proc/PID/cgroup: ENAMETOOLONG before Linux 6.8, then it is cut.
    with cgroup(*["x" * 255] * 17) as put:
        pid = start()
        put(pid)
        container = found(pid)
        assert container is not None
        assert container.id is None
        container.root().close()
        end(pid)


@pytest.mark.machine_root
def test_a_user_can_mount_the_host_in_a_root_of_his_own() -> None:
    """SECURITY.md says so: with root's rights more is read there than that user may."""
    with tempfile.TemporaryDirectory() as directory:
        # The user has to get through here.
        os.chmod(directory, 0o755)
        _read_what_a_user_mounted(Path(directory))


def _read_what_a_user_mounted(directory: Path) -> None:
    secret, place = directory / "secret", directory / "place"
    secret.mkdir(0o700)
    (secret / "f").write_text("HOST")
    place.mkdir()

    def enter() -> None:
        drop_rights()
        make_mounts_private()
        linux.mount(b"tmpfs", bytes(place), b"tmpfs")
        (place / "etc").mkdir()
        flags = uapi.MS_BIND | uapi.MS_REC
        linux.mount(bytes(secret), bytes(place / "etc"), None, flags)
        os.chroot(place)
        with pytest.raises(PermissionError):
            open("/etc/f")

    with living(enter) as pid:
        container = found(pid)
        assert container is not None
        with container.root() as root:
            assert RootedPath(root, "etc/f").read_text() == "HOST"
        with container.root(cross_mounts=False) as root, pytest.raises(OSError) as caught:
            RootedPath(root, "etc/f").read_text()
        assert caught.value.errno == EXDEV


@pytest.mark.parametrize("prefix", ["", 7, None])
def test_an_id_is_a_text_that_is_not_empty(prefix: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        RootedPath.of_container(prefix)  # type: ignore[arg-type]


def test_a_bound_class_has_a_root_already(tmp_path: Path) -> None:
    with pytest.raises(ProcessLookupError):
        RootedPath.bind(tmp_path).of_container("f" * 64)


# Failures and tricks


def test_processes_that_may_not_be_traced_are_told() -> None:
    def look() -> tuple[int, list[type[OSError]]]:
        errors: list[OSError] = []
        return len(list(containers(all=True, on_error=errors.append))), [*map(type, errors)]

    shown, errors = as_nobody(look)
    assert shown == 1
    assert set(errors) == {PermissionError}


def test_a_root_whose_server_is_silent_holds_up_nobody(tmp_path: Path) -> None:
    class Silent(OneFile):
        is_silent = False

        def _answer(self, operation: int, node: int, body: bytes) -> bytes | int:
            if self.is_silent:
                threading.Event().wait()
            return super()._answer(operation, node, body)

    def enter() -> None:
        make_mounts_private()
        served = Silent(tmp_path, 0, b"")
        os.chroot(tmp_path)
        served.is_silent = True

    def look() -> None:
        with living(enter) as pid:
            end_after(20)
            found(pid)

    private_mounts(look)


def test_pid_of_another_process_is_noticed(start: Callable[..., int]) -> None:
    pid = start()
    container = found(pid)
    assert container is not None
    container._start_time -= 1
    with pytest.raises(ProcessGoneError):
        container.root()


@pytest.mark.root
def test_listing_holds_no_descriptors(start: Callable[..., int], no_leak: None) -> None:
    container = found(start(), all=True)
    assert container is not None
    container.root().close()
    with pytest.raises(ValueError):
        container.root(resolver="neither")


def test_other_procfs_is_looked_in(tmp_path: Path) -> None:
    def look() -> None:
        linux.mount(b"proc", bytes(tmp_path), b"proc")
        with living(make_mounts_private) as pid, VerifiedProc(tmp_path) as proc:
            [container] = [each for each in containers(all=True, proc=proc) if each.pid == pid]
            with container.root() as root:
                assert root.origin == f"{tmp_path}/{pid}/root"

    def enter() -> None:
        linux.unshare(uapi.CLONE_NEWPID)
        run_in_child(look)

    private_mounts(enter)
