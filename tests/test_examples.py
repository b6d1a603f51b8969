"""Each program in ``examples/`` is run, on real containers and hostile input, and is right."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pathlib
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing

import pytest

from helpers.containers import RuncContainer
from procpath import RootedPath

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def example(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an example as a user would."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def printed(name: str, *arguments: str) -> str:
    done = example(name, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_container_inventory_reads_each_database(
    start_container: Callable[[], RuncContainer],
) -> None:
    debian, alpine = start_container(), start_container()
    status = RootedPath(debian.pid) / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: kept\nStatus: install ok installed\nVersion: 1:2.0-1\n\n"
        "Package: removed\nStatus: deinstall ok config-files\nVersion: 3\n"
    )
    installed = RootedPath(alpine.pid) / "lib/apk/db/installed"
    installed.parent.mkdir(parents=True)
    installed.write_text("C:Q1abc=\nP:musl\nV:1.2.5-r0\n\nP:zlib\nV:1.3.1-r2\n")
    # The host has a database too; a link to it must lead to the container's own, or nowhere.
    (RootedPath(alpine.pid) / "var/lib/dpkg").parent.mkdir(parents=True, exist_ok=True)
    (RootedPath(alpine.pid) / "var/lib/dpkg").symlink_to("../../../../../../var/lib/dpkg")
    paragraphs = printed("container_inventory.py").split("\n")
    of_debian = paragraphs.index(f"{debian.pid}: Cellar Linux 7")
    assert paragraphs[of_debian + 1] == "    kept 1:2.0-1"
    assert not paragraphs[of_debian + 2].startswith("    ")
    of_alpine = paragraphs.index(f"{alpine.pid}: Cellar Linux 7")
    assert paragraphs[of_alpine + 1 : of_alpine + 3] == ["    musl 1.2.5-r0", "    zlib 1.3.1-r2"]
    assert not paragraphs[of_alpine + 3].startswith("    ")


def rpm_header(name: str, version: str) -> bytes:
    """The header of a package, as rpm has it in its database."""
    values = [(1000, name), (1001, version), (1002, "1.fc42"), (1022, "x86_64")]
    index, store = b"", b""
    for tag, text in values:
        index += struct.pack(">IIII", tag, 6, len(store), 1)
        store += text.encode() + b"\0"
    return struct.pack(">II", len(values), len(store)) + index + store


def make_rpm_database(directory: pathlib.Path, *versions: str) -> sqlite3.Connection:
    """Make a database whose last package is in its log, until the connection is closed."""
    connection = sqlite3.connect(directory / "rpmdb.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
    for version in versions:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        row = rpm_header("bash", version)
        connection.execute("INSERT INTO Packages (blob) VALUES (?)", [row])
    return connection


def test_rpm_packages_reads_the_database_and_log(
    start_container: Callable[[], RuncContainer], tmp_path: pathlib.Path
) -> None:
    root = RootedPath(start_container().pid)
    made = tmp_path / "made"
    made.mkdir()
    host = tmp_path / "rpm"
    host.mkdir()
    with closing(make_rpm_database(made, "5.2", "5.3")), closing(make_rpm_database(host, "HOST")):
        assert (made / "rpmdb.sqlite-wal").stat().st_size
        # The container's own database is where the host has another one.
        (root / str(host)).mkdir(parents=True)
        for file in made.iterdir():
            file_inside = root / str(host) / file.name
            file_inside.write_bytes(file.read_bytes())
        (root / "var/lib/rpm").symlink_to(host)
        pid = str(root.root_handle.process.pid) if root.root_handle.process else ""
        assert printed("rpm_packages.py", pid) == (
            "bash 5.2-1.fc42 x86_64\nbash 5.3-1.fc42 x86_64\n"
        )
        assert printed("rpm_packages.py", pid, "var/lib/rpm/rpmdb.sqlite") == "Packages 2\n"
        # Nothing was made beside the container's own files.
        assert {file.name for file in (root / str(host)).iterdir()} == set(os.listdir(made))


def test_rpm_packages_ends_with_a_hostile_database(
    start_container: Callable[[], RuncContainer], tmp_path: pathlib.Path
) -> None:
    root = RootedPath(start_container().pid)
    pid = str(root.root_handle.process.pid) if root.root_handle.process else ""
    place = root / "var/lib/rpm/rpmdb.sqlite"
    place.parent.mkdir()
    endless = tmp_path / "endless"
    with closing(sqlite3.connect(endless, isolation_level=None)) as connection:
        connection.execute(
            "CREATE VIEW Packages AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n"
            ") SELECT x AS blob FROM n WHERE x < 0"
        )
    cut = rpm_header("bash", "5")[:-3]
    with closing(sqlite3.connect(tmp_path / "cut", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE Packages (blob BLOB)")
        connection.execute("INSERT INTO Packages VALUES (?)", [cut])
    for content in (endless.read_bytes(), (tmp_path / "cut").read_bytes(), b"SQLite format 4"):
        place.write_bytes(content)
        done = example("rpm_packages.py", pid)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"{pid}: ")
        assert len(done.stderr.splitlines()) == 1


def test_python_packages_lists_those_of_the_container(
    start_container: Callable[[], RuncContainer], tmp_path: pathlib.Path
) -> None:
    root = RootedPath(start_container().pid)
    for directory, version in ((root / str(tmp_path), "1.0"), (tmp_path, "HOST")):
        info = directory / "packages/app-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: app\nVersion: {version}\n")
    (root / "usr/lib/python3").mkdir(parents=True)
    (root / "usr/lib/python3/dist-packages").symlink_to(f"{'../' * 20}{tmp_path}/packages")
    old = root / "usr/local/lib/python3.9/site-packages/old.egg-info"
    old.mkdir(parents=True)
    (old / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: o\x1bld\nVersion: 2\n")
    pid = str(root.root_handle.process.pid) if root.root_handle.process else ""
    assert printed("python_packages.py", pid).splitlines() == [
        f"app 1.0 {tmp_path}/packages",
        r"'o\x1bld 2 /usr/local/lib/python3.9/site-packages'",
    ]


def test_docker_socket_finds_the_socket_and_talks_to_it(container: RuncContainer) -> None:
    with container.listen("/run/docker.sock") as listener:
        server = threading.Thread(target=_answer_one_request, args=[listener])
        server.start()
        output = printed("docker_socket.py", str(container.pid))
        server.join()
    assert "/var/run/docker.sock is /run/docker.sock" in output
    assert "follow run -> /run" in output
    assert '200 OK\n{"Version": "from within"}' in output


def _answer_one_request(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(4096)
        assert request.startswith(b"GET /version HTTP/1.1\r\n")
        body = b'{"Version": "from within"}'
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)


def test_extract_layer_keeps_a_hostile_layer_inside(tmp_path: pathlib.Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("untouched")
    root = tmp_path / "root"
    root.mkdir()
    first, second = tmp_path / "first.tar.gz", tmp_path / "second.tar"
    with tarfile.open(first, "w:gz") as archive:
        _add(archive, "etc/passwd", b"root:x:0:0::/root:/bin/sh\n")
        _add(archive, str(outside / "old").lstrip("/"), b"so that the links below lead somewhere")
        _add_link(archive, "up", "../../../../../../.." + str(outside))
        _add_link(archive, "absolute", str(outside))
        _add(archive, "up/early", b"through a link of the same archive")
        _add(archive, "../../../outside/victim", b"by a climbing name")
        _add(archive, str(outside / "victim"), b"by an absolute name")
        _add_link(archive, "file", str(outside / "victim"))
        _add(archive, "file", b"over a link")
        hard = tarfile.TarInfo("hard")
        hard.type, hard.linkname = tarfile.LNKTYPE, "etc/passwd"
        archive.addfile(hard)
    with tarfile.open(second, "w") as archive:
        _add(archive, "up/new", b"through a climbing link")
        _add(archive, "absolute/victim", b"through an absolute link")
    before = identity_and_change(outside / "victim")
    done = example("extract_layer.py", str(first), str(root))
    assert done.returncode == 0
    assert re.findall(r": '(.*)'$", done.stderr, re.MULTILINE) == [
        "/up/early",
        "/../../../outside/victim",
    ]
    inside = root / str(outside).lstrip("/")
    assert (inside / "victim").read_text() == "by an absolute name"
    assert (root / "file").read_text() == "over a link"
    assert not (root / "file").is_symlink()
    assert (root / "hard").samefile(root / "etc/passwd")
    printed("extract_layer.py", str(second), str(root))
    assert (inside / "new").read_text() == "through a climbing link"
    assert (inside / "victim").read_text() == "through an absolute link"
    assert (outside / "victim").read_text() == "untouched"
    assert identity_and_change(outside / "victim") == before
    assert os.listdir(outside) == ["victim"]


def identity_and_change(path: pathlib.Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o640
    archive.addfile(member, io.BytesIO(data))


def _add_link(archive: tarfile.TarFile, name: str, target: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    archive.addfile(member)


def test_build_ids_names_every_file_that_the_process_maps(container: RuncContainer) -> None:
    output = printed("build_ids.py", str(os.getpid()))
    ids = dict(reversed(line.split("  ", 1)) for line in output.splitlines())
    [libc] = [name for name in ids if pathlib.Path(name).name.startswith("libc.so")]
    said = subprocess.run(["readelf", "-n", libc], capture_output=True, text=True, check=True)
    assert f"Build ID: {ids[libc]}" in said.stdout
    assert "/bin/busybox" in printed("build_ids.py", str(container.pid))


def test_hash_container_hashes_the_files_inside_and_no_others(
    start_container: Callable[[], RuncContainer], tmp_path: pathlib.Path
) -> None:
    pytest.importorskip("tqdm")
    container = start_container()
    top = RootedPath(container.pid, "hashed")
    (top / "deep/er").mkdir(parents=True)
    contents = {f"deep/{number}": os.urandom(number * 1000) for number in range(100)}
    contents["deep/er/new\n\x1b[31mline"] = b"odd"
    for name, content in contents.items():
        (top / name).write_bytes(content)
    canary = tmp_path / "canary"
    canary.write_bytes(b"of the host")
    (top / "link").symlink_to(canary)
    (top / "way").symlink_to(tmp_path)
    (top / "proc").symlink_to("/proc")
    os.mkfifo(f"/proc/{container.pid}/root/hashed/fifo")
    output = printed("hash_container.py", str(container.pid))
    found = {line["path"]: line for line in map(json.loads, output.splitlines())}
    for name, content in contents.items():
        line = found[f"/hashed/{name}"]
        assert (line["sha256"], line["size"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert {path for path in found if path.startswith("/hashed/")} == {
        f"/hashed/{name}" for name in contents
    }
    assert not [path for path in found if path.startswith(("/proc/", "/sys/", "/dev/"))]
    below = printed("hash_container.py", str(container.pid), "hashed/deep/er")
    assert [json.loads(line)["path"] for line in below.splitlines()] == [
        "/hashed/deep/er/new\n\x1b[31mline"
    ]


def test_hash_container_stays_inside_during_swaps(
    start_container: Callable[[], RuncContainer], tmp_path: pathlib.Path
) -> None:
    pytest.importorskip("tqdm")
    container = start_container()
    top = RootedPath(container.pid, "hashed")
    for number in range(40):
        (tmp_path / f"{number}/d").mkdir(parents=True)
        (tmp_path / f"{number}/d/file").write_bytes(b"of the host")
        (top / f"{number}/d").mkdir(parents=True)
        (top / f"{number}/d/file").write_bytes(b"inside")
        (top / f"link{number}").symlink_to(f"{'../' * 20}{tmp_path}/{number}")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            for number in range(40):
                (top / f"link{number}").exchange(top / str(number))

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        output = [example("hash_container.py", str(container.pid), "hashed") for _ in range(3)]
    finally:
        done.set()
        swapper.join()
    hashed = {json.loads(line)["sha256"] for run in output for line in run.stdout.splitlines()}
    assert hashed == {hashlib.sha256(b"inside").hexdigest()}
    assert [run.returncode for run in output] == [0, 0, 0]


@pytest.mark.usefixtures("container")
def test_one_line_port_agrees_where_roots_are_shared() -> None:
    assert printed("one_line_port.py", str(os.getpid())) == printed("one_line_port.py")


def test_one_line_port_looks_into_a_container(start_container: Callable[[], RuncContainer]) -> None:
    root = RootedPath(start_container().pid)
    (root / "etc/shells").write_text("# shells\n/bin/sh\n/bin/none\n")
    home = root / "home/alice"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/id_ed25519.pub").write_text("ssh-ed25519 AAAA")
    (root / "etc/passwd").write_text(
        "alice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/none\n"
    )
    pid = root.root_handle.process
    assert pid is not None
    assert printed("one_line_port.py", str(pid.pid)) == "alice /bin/sh id_ed25519\n"


def test_races_of_others_lead_all_out_but_rooted_path() -> None:
    output = printed("races_of_others.py")
    victims = dict(part.split("\n", 1) for part in output.removeprefix("# ").split("\n# "))
    assert len(victims) == 7
    for name, told in victims.items():
        confined = name.startswith("rooted_path")
        assert told.startswith("confined: " if confined else "escaped: "), told
        assert ("  -->  Exchange('/app', '/out')" in told) != confined


def test_workspace_keeps_its_tools_in_the_directory(tmp_path: pathlib.Path) -> None:
    (tmp_path / "secret").write_text("HOST")
    workspace = tmp_path / "workspace"
    (workspace / "notes").mkdir(parents=True)
    (workspace / "notes/today.md").write_text("inside")
    (workspace / "climbs").symlink_to("../secret")
    (workspace / "absolute").symlink_to(tmp_path / "secret")
    (workspace / "large").write_bytes(bytes((1 << 20) + 1))
    os.mkfifo(workspace / "fifo")
    exchanges: list[tuple[dict[str, str], object]] = [
        ({"tool": "read", "path": "notes/today.md"}, "inside"),
        ({"tool": "read", "path": "/notes/today.md"}, "inside"),
        ({"tool": "read", "path": "notes/../notes/today.md"}, "inside"),
        ({"tool": "write", "path": "new/file.txt", "text": "written"}, 7),
        ({"tool": "list", "path": "new"}, ["file.txt"]),
        ({"tool": "find", "path": ".", "pattern": "*.md"}, ["notes/today.md"]),
        ({"tool": "read", "path": "../secret"}, None),
        ({"tool": "read", "path": "climbs"}, None),
        ({"tool": "read", "path": "absolute"}, None),
        ({"tool": "read", "path": str(tmp_path / "secret")}, None),
        ({"tool": "write", "path": "climbs", "text": "changed"}, None),
        ({"tool": "write", "path": "../new", "text": "changed"}, None),
        ({"tool": "list", "path": "../.."}, None),
        ({"tool": "find", "path": ".", "pattern": "/*"}, None),
        ({"tool": "read", "path": "large"}, None),
        ({"tool": "read", "path": "fifo"}, None),
        ({"tool": "run", "path": "notes"}, None),
        ({"tool": "read"}, None),
    ]
    requests = "".join(json.dumps(request) + "\n" for request, _ in exchanges)
    command = [sys.executable, str(EXAMPLES / "workspace.py"), str(workspace)]
    done = subprocess.run(
        command, input=requests, capture_output=True, text=True, timeout=60, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for (request, expected), answer in zip(exchanges, answers, strict=True):
        if expected is None:
            assert answer.keys() == {"error"}, request
            assert "HOST" not in answer["error"]
        else:
            assert answer == {"result": expected}, request
    assert "climbs above the root" in answers[6]["error"]
    assert (tmp_path / "secret").read_text() == "HOST"
    assert sorted(os.listdir(tmp_path)) == ["secret", "workspace"]
