"""Inside containers and sandboxes races are explored, or refused before anything runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procpath.testing import CANARY

SCRIPT = """
from pathlib import Path
from procpath import RootedPath
from procpath.testing import HOST, File, Symlink, Tree
from procpath.testing.races import Exchange, RaceError, explore

def read(directory):
    print("runs", flush=True)
    return (directory / "app/conf").read_bytes()

tree = Tree({"/app/conf": File(), "/out": Symlink(HOST + "/app")})
moves = [Exchange("/app", "/out")]
print(Path("/proc/self/status").read_text().partition("Seccomp_filters:")[2].split()[:1])
try:
    print(next(explore(read, tree, moves).failures).result)
    print(next(explore(["cat", "{root}/app/conf"], tree, moves).failures).result.stdout)
    print(str(explore(lambda d: RootedPath(d, "app/conf").read_bytes(), tree))[:9])
except RaceError as error:
    print(error)
"""

CANARIES = f"runs\nruns\n{CANARY!r}\n{CANARY!r}\nconfined:\n"
NO_PROC = "races need the /proc of this PID namespace, which is not mounted\n"

# What Docker's default profile keeps from a process without capabilities, by the table in its
# documentation ("Seccomp security profiles for Docker"). io_uring is on it since Docker 25.
KEPT_BY_DOCKER = """
    acct add_key bpf clock_adjtime clock_settime create_module delete_module fanotify_init
    finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy init_module
    io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load
    keyctl lookup_dcookie mbind mount mount_setattr move_mount move_pages nfsservctl
    open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root process_madvise query_module
    quotactl reboot request_key set_mempolicy setdomainname sethostname setns settimeofday stime
    swapoff swapon sysfs syslog umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old
"""


def places_of_python() -> list[str]:
    """Return the directories that a sandbox needs for this Python and for procpath."""
    wanted = {*sys.path, sys.base_prefix, "/usr", "/bin", "/lib", "/lib64"} - {""}
    return sorted(place for place in wanted if os.path.isdir(place))


@pytest.fixture
def bundle() -> Iterator[Path]:
    """A bundle of runc with runc's own default configuration, and this Python in it."""
    directory = Path(tempfile.mkdtemp(prefix="procpath-bundle-"))
    try:
        (directory / "rootfs").mkdir()
        subprocess.run(["runc", "spec", "--bundle", directory], check=True)
        yield directory
    finally:
        shutil.rmtree(directory)


def ran(argv: list[str]) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.stderr == ""
    return done.stdout


def filters(more: int) -> str:
    """Return what the script says of seccomp filters, where there are so many more than here."""
    status = Path("/proc/self/status").read_text()
    return f"['{int(status.partition('Seccomp_filters:')[2].split()[0]) + more}']\n"


def python() -> list[str]:
    return [os.path.realpath(sys.executable), "-c", SCRIPT]


def environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.skipif(shutil.which("runc") is None, reason="needs runc")
@pytest.mark.parametrize(
    ("user", "forbidden"),
    [(0, ""), (0, KEPT_BY_DOCKER), (65534, KEPT_BY_DOCKER)],
    ids=["root of runc", "root of Docker", "user of Docker"],
)
def test_a_process_of_a_container_explores(bundle: Path, user: int, forbidden: str) -> None:
    path = bundle / "config.json"
    config: dict[str, Any] = json.loads(path.read_text())
    process = config["process"]
    process |= {"terminal": False, "args": python(), "user": {"uid": user, "gid": user}}
    process["env"] = [f"{name}={value}" for name, value in environment().items()]
    if user:
        process["capabilities"] = {}
    config["mounts"].append({"type": "tmpfs", "source": "tmpfs", "destination": "/tmp"})
    config["mounts"] += [
        {"type": "bind", "source": place, "destination": place, "options": ["rbind", "ro"]}
        for place in places_of_python()
    ]
    if forbidden:
        rule = {"names": forbidden.split(), "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
        config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    path.write_text(json.dumps(config))
    name = f"procpath-{uuid.uuid4()}"
    argv = ["runc", "--root", str(bundle / "state"), "run", "--bundle", str(bundle), name]
    assert ran(argv) == filters(bool(forbidden)) + CANARIES


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
@pytest.mark.parametrize(
    ("proc", "told"),
    [(["--proc", "/proc"], CANARIES), ([], NO_PROC)],
    ids=["own /proc", "/proc of the host"],
)
def test_a_sandbox_explores_if_it_has_a_proc(proc: list[str], told: str) -> None:
    argv = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "--dev", "/dev", "--tmpfs", "/dev/shm"]
    argv += [word for item in environment().items() for word in ("--setenv", *item)]
    assert ran([*argv, *proc, *python()]) == filters(0) + told
