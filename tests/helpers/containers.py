"""A real container, made by runc from a busybox root file system, with the usual traps in it.

Its root file system has what makes ``/proc/PID/root`` dangerous: absolute links
(``/var/run -> /run``), a tmpfs that is there only in its own mount namespace, accounts that
the host does not have, and links that name files of the host. :meth:`RuncContainer.close` leaves
no process, mount or file behind. Needs runc, a static busybox and root's rights.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from helpers.cgroups import new_ancestors_removed
from helpers.support import run_in_child, wait_until
from procpath import linux

ALICE: Final = 1000
"""a user id that the container's ``/etc/passwd`` gives a name of its own"""

HOST_SECRET: Final = "of the host"
"""what :attr:`RuncContainer.canary` contains; nothing that is read through a root may contain it"""

OS_RELEASE: Final = 'ID=cellar\nNAME="Cellar Linux"\nPRETTY_NAME="Cellar Linux 7"\n'

PASSWD: Final = f"""\
root:x:0:0:root of the cellar:/root:/bin/sh
cellarer:x:101:201:keeper:/var/lib/cellar:/bin/false
alice-within:x:{ALICE}:{ALICE}:Alice:/home/alice:/bin/sh
"""

GROUP: Final = f"""\
root:x:0:
cellar:x:201:alice-within
alices:x:{ALICE}:
"""

# What Docker grants by default: enough that root inside may read everything inside.
_CAPABILITIES = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
]

# type, source (relative to the bundle), destination, options
_MOUNTS = [
    ("proc", "proc", "/proc", ["nosuid", "noexec", "nodev"]),
    ("tmpfs", "tmpfs", "/dev", ["nosuid", "mode=755", "size=1m"]),
    ("tmpfs", "tmpfs", "/run", ["nosuid", "nodev", "mode=755", "size=4m"]),
    ("tmpfs", "tmpfs", "/tmp", ["nosuid", "nodev", "mode=1777", "size=4m"]),
    # As `docker run --volume`: on the same device as the root file system.
    ("bind", "volume", "/data", ["rbind", "rw"]),
    ("bind", "resolv.conf", "/etc/resolv.conf", ["rbind", "ro"]),
]

# Long enough for any test, short enough that a container whose tests were killed ends too.
_LIFE_SECONDS = 3600

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def missing_requirements() -> list[str]:
    """What this machine lacks to run these containers, in words; empty if nothing."""
    missing = [name for name in ("runc", "busybox") if shutil.which(name) is None]
    if os.geteuid() != 0:
        missing.append("root's rights")
    return missing


class RuncContainer:
    """A running container with mount, PID, IPC, UTS and network namespaces of its own.

    Parameters: ``host_id_of_root``, the user and group id of the host that is 0 inside; if it
    is not 0 itself, the container has a user namespace too, with 65,536 ids from there on;
    ``cgroup``, the path of its cgroup in every hierarchy.
    """

    def __init__(self, *, host_id_of_root: int = 0, cgroup: str | None = None) -> None:
        self.id: Final = f"procpath-{uuid.uuid4()}"
        self.host_id_of_root: Final = host_id_of_root
        with ExitStack() as stack:
            self.directory: Final = Path(tempfile.mkdtemp(prefix="procpath-container-"))
            stack.callback(shutil.rmtree, self.directory)
            # A root that is mapped to another id has to get through here.
            self.directory.chmod(0o755)
            self.canary: Final = self.directory / "canary"
            self.canary.write_text(HOST_SECRET)
            self.rootfs: Final = self.directory / "rootfs"
            _build_rootfs(self.rootfs, self.canary)
            _build_mounted_files(self.directory)
            if host_id_of_root:
                _shift_owners(self.rootfs, host_id_of_root)
                _shift_owners(self.directory / "volume", host_id_of_root)
            if cgroup is not None:
                stack.enter_context(new_ancestors_removed(cgroup))
            config = json.dumps(_configuration(host_id_of_root, cgroup), indent=1)
            (self.directory / "config.json").write_text(config)
            stack.callback(self._runc, "delete", "--force", self.id)
            self._running: list[int] = []
            stack.callback(self.reap)
            stack.callback(self.kill)
            self.pid: Final = self._start("run", "--bundle", os.fspath(self.directory), self.id)
            self.exec(["sh", "-c", _FILL_RUN])
            self._cleanup: Final = stack.pop_all()

    def exec(self, argv: Sequence[str]) -> str:
        """What ``argv`` prints when it runs inside: what a process inside sees.

        Raises ``subprocess.CalledProcessError`` if it fails.
        """
        return self._runc("exec", self.id, *argv)

    def spawn(self, argv: Sequence[str]) -> int:
        """Start ``argv`` inside, in the background; its PID by the host's count."""
        return self._start("exec", self.id, *argv)

    def end(self, pid: int) -> None:
        """Kill and reap a process that :meth:`spawn` started."""
        self._running.remove(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def listen(self, path: str) -> socket.socket:
        """A listening UNIX socket that root inside has bound to ``path``."""
        here, there = socket.socketpair()
        with here, there:
            run_in_child(self._bind_and_send, path, there)
            _, fds, _, _ = socket.recv_fds(here, 1, 1, socket.MSG_CMSG_CLOEXEC)
        return socket.socket(fileno=fds[0])

    def kill(self) -> None:
        """Kill every process of the container and wait for the end, but leave a zombie.

        Its PID names a process that has no files any more, until :meth:`reap`.
        """
        if not self._running:
            return
        # The others die with the first one (pid_namespaces(7)), whose own end waits until
        # they are reaped.
        os.kill(self._running[0], signal.SIGKILL)
        while len(self._running) > 1:
            os.waitpid(self._running[-1], 0)
            self._running.pop()
        os.waitid(os.P_PID, self._running[0], os.WEXITED | os.WNOWAIT)

    def reap(self) -> None:
        """Take the zombie away that :meth:`kill` leaves: the PID is nobody's then."""
        if self._running:
            os.waitpid(self._running[0], 0)
            self._running.clear()

    def close(self) -> None:
        """Kill the container and remove everything that belongs to it."""
        self._cleanup.close()

    def _bind_and_send(self, path: str, channel: socket.socket) -> None:
        kinds = ["user"] if self.host_id_of_root else []
        for kind in [*kinds, "mnt"]:
            fd = os.open(f"/proc/{self.pid}/ns/{kind}", os.O_RDONLY)
            linux.setns(fd)
            os.close(fd)
            if kind == "user":
                os.setresgid(0, 0, 0)
                os.setresuid(0, 0, 0)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            socket.send_fds(channel, [b"\0"], [listener.fileno()])

    def _start(self, command: str, *arguments: str) -> int:
        """Run a detaching runc command; the process that it leaves becomes our child."""
        pid_file = self.directory / "pid"
        with _as_subreaper():
            self._runc(command, "--detach", "--pid-file", os.fspath(pid_file), *arguments)
        pid = int(pid_file.read_text())
        self._running.append(pid)
        # Until execve(2) the process is runc's own, and is called `runc init`.
        cmdline = Path(f"/proc/{pid}/cmdline")
        wait_until(lambda: cmdline.read_bytes().split(b"\0")[1:2] != [b"init"])
        return pid

    def _runc(self, *arguments: str) -> str:
        # Into files, not pipes: a detached container inherits them, and a pipe would not
        # come to its end before the container does.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            command = ["runc", "--root", os.fspath(self.directory / "state"), *arguments]
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, check=False
            )
            out.seek(0)
            err.seek(0)
            text = out.read().decode(errors="surrogateescape")
            complaint = err.read().decode(errors="replace")
        if done.returncode != 0:
            error = subprocess.CalledProcessError(done.returncode, command, text, complaint)
            error.add_note(complaint)
            raise error
        return text


@contextmanager
def _as_subreaper() -> Iterator[None]:
    """Adopt what runc leaves behind, for not every PID 1 of a test machine reaps orphans."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


# What is in /run exists only in the tmpfs that is mounted there inside.
_FILL_RUN = """
set -e
mkdir /run/app /run/lock
echo 'inside the tmpfs' > /run/x
echo 1 > /run/app/app.pid
chown 101:201 /run/app/app.pid
"""


def _build_rootfs(rootfs: Path, canary: Path) -> None:
    busybox = shutil.which("busybox")
    assert busybox is not None
    for directory in (
        *("bin", "dev", "etc/app.d/deep/er", "etc/alternatives", "home/alice", "proc", "root"),
        *("run", "srv", "sys", "tmp", "usr/lib", "var/lib/cellar", "var/log"),
    ):
        (rootfs / directory).mkdir(parents=True)
    shutil.copy2(busybox, rootfs / "bin/busybox")
    applets = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, text=True, check=True)
    for applet in set(applets.stdout.split()) - {"busybox"}:
        (rootfs / "bin" / applet).symlink_to("/bin/busybox")

    for name, text in {
        "etc/passwd": PASSWD,
        "etc/group": GROUP,
        "etc/hostname": "cellar\n",
        "etc/app.d/10-first.conf": "order = 1\n",
        "etc/app.d/20-second.conf": "order = 2\n",
        "etc/app.d/deep/er/30-third.conf": "order = 3\n",
        "etc/app.d/notes.txt": "not a configuration\n",
        "home/alice/diary": "dear diary\n",
        "usr/lib/os-release": OS_RELEASE,
        "var/lib/cellar/stock": "12 bottles\n",
    }.items():
        (rootfs / name).write_text(text)

    for link, target in {
        "var/run": "/run",
        "var/lock": "../run/lock",
        "etc/os-release": "../usr/lib/os-release",
        "etc/mtab": "/proc/self/mounts",
        # three absolute links in a row
        "etc/alternatives/stock": "/var/lib/cellar/stock",
        "srv/stock": "/etc/alternatives/stock",
        "srv/current": "/srv/stock",
        # a directory behind an absolute link
        "srv/app.d": "/etc/app.d",
        "etc/app.d/99-linked.conf": "/etc/app.d/deep/er/30-third.conf",
        # stays inside only if `..` is clamped
        "srv/climb": "../../../../../../../../etc/passwd",
        "srv/loop": "/srv/pool",
        "srv/pool": "/srv/loop",
        "srv/dangling": "/nowhere/at/all",
        # files of the host; inside there is nothing of these names
        "evil": "../" * 16 + os.fspath(canary)[1:],
        "srv/evil-absolute": os.fspath(canary),
        "srv/evil-directory": os.fspath(canary.parent),
    }.items():
        (rootfs / link).symlink_to(target)

    os.mkfifo(rootfs / "srv/fifo")
    # A name that is not UTF-8.
    (rootfs / os.fsdecode(b"srv/caf\xe9")).write_text("latin-1\n")
    os.chown(rootfs / "home/alice", ALICE, ALICE)
    os.chown(rootfs / "home/alice/diary", ALICE, ALICE)
    (rootfs / "home/alice/diary").chmod(0o600)
    os.chown(rootfs / "var/lib/cellar/stock", 101, 201)
    # An id that neither side has a name for.
    os.chown(rootfs / "srv/fifo", 54321, 54321)


def _build_mounted_files(directory: Path) -> None:
    (directory / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    (directory / "volume").mkdir()
    (directory / "volume/shelf").write_text("a book\n")
    (directory / "volume/out").symlink_to("../etc/hostname")


def _shift_owners(tree: Path, offset: int) -> None:
    for top, directories, files in os.walk(tree):
        for name in [".", *directories, *files]:
            path = os.path.join(top, name)
            found = os.lstat(path)
            # chown clears set-id bits (chown(2)); there are none here to keep.
            assert not found.st_mode & (stat.S_ISUID | stat.S_ISGID)
            if name == "." or not stat.S_ISDIR(found.st_mode):
                os.lchown(path, found.st_uid + offset, found.st_gid + offset)


def _configuration(host_id_of_root: int, cgroup: str | None) -> dict[str, Any]:
    """The bundle's config.json, as the OCI runtime specification describes it."""
    namespaces = ["pid", "network", "ipc", "uts", "mount"]
    linux_part: dict[str, Any] = {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "readonlyPaths": ["/proc/sys"],
        "maskedPaths": ["/proc/kcore"],
    }
    if cgroup is not None:
        linux_part["cgroupsPath"] = cgroup
    if host_id_of_root:
        namespaces.append("user")
        mapping = [{"containerID": 0, "hostID": host_id_of_root, "size": 65536}]
        linux_part["uidMappings"] = linux_part["gidMappings"] = mapping
    linux_part["namespaces"] = [{"type": name} for name in namespaces]
    kinds = ("bounding", "effective", "permitted")
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": ["sleep", str(_LIFE_SECONDS)],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": dict.fromkeys(kinds, _CAPABILITIES),
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "cellar",
        "mounts": [
            {"type": fstype, "source": source, "destination": where, "options": options}
            for fstype, source, where, options in _MOUNTS
        ],
        "linux": linux_part,
    }
