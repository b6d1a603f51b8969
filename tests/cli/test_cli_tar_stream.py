"""``procpath cp`` from and to ``-``: tar streams on standard input and output."""

from __future__ import annotations

import gzip
import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from helpers.archives import archive, directory, entry
from helpers.commandline import here, shown
from helpers.scenery import mount_tmpfs, write
from helpers.support import private_mounts

COMMAND = [sys.executable, "-m", "procpath", "cp"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    top = tmp_path / "root"
    write(top / "etc/app/main.conf", "main")
    (top / "etc/link").symlink_to("app")
    (top / "target").mkdir()
    return top


def listed(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        return [member.name for member in opened]


def extracted(data: bytes, *arguments: str) -> tuple[int, str]:
    """Exit status and standard error of an extraction."""
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(data))
    try:
        ran = here("cp", *arguments)
    finally:
        sys.stdin = before
    assert ran.out == b""
    return ran.status, ran.err


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/etc", ["etc", "etc/app", "etc/app/main.conf", "etc/link"]),
        ("/etc/", ["etc", "etc/app", "etc/app/main.conf", "etc/link"]),
        ("/etc/.", [".", "app", "app/main.conf", "link"]),
        ("/etc/link", ["link", "link/main.conf"]),
        ("/etc/app/main.conf", ["main.conf"]),
    ],
)
def test_a_stream_has_the_name_that_was_typed(path: str, names: list[str], root: Path) -> None:
    ran = here("cp", f"{root}:{path}", "-")
    assert (ran.status, ran.err, listed(ran.out)) == (0, "", names)


def test_with_a_a_link_is_archived_itself(root: Path) -> None:
    assert listed(here("cp", "-a", f"{root}:/etc/link", "-").out) == ["link"]


def test_a_stream_goes_from_one_root_to_another(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stream = here("cp", f"{root}:/etc", "-").out
    assert extracted(gzip.compress(stream), "-", f"{tmp_path}/other:/") == (0, "")
    assert (tmp_path / "other/etc/app/main.conf").read_text() == "main"
    assert os.readlink(tmp_path / "other/etc/link") == "app"


def test_each_error_is_a_line_and_the_rest_is_there(root: Path) -> None:
    write(root / "target/file")
    stream = archive(("file/a", b""), ("b", b""), ("../c", b"")).getvalue()
    status, err = extracted(stream, "-", f"{root}:/target")
    assert status == 1
    assert err.splitlines() == [
        f"procpath: {root}:/target/file/a: Not a directory",
        f"procpath: {root}:/target/../c: a name with '..' in it could lead out of the target",
    ]
    assert sorted(os.listdir(root / "target")) == ["b", "file"]


def test_special_files_are_counted(root: Path) -> None:
    fifo = entry("fifo", tarfile.FIFOTYPE)
    stream = archive(fifo, directory("dir")).getvalue()
    status, err = extracted(stream, "-", f"{root}:/target")
    assert (status, err) == (0, "procpath: skipped 1 special files (--special extracts them)\n")
    assert extracted(stream, "--special", "-", f"{root}:/target") == (0, "")
    assert (root / "target/fifo").is_fifo()


def test_sockets_are_counted(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "etc/socket"))
    ran = here("cp", f"{root}:/etc", "-")
    said = "procpath: left out 1 sockets, which an archive cannot have\n"
    assert (ran.status, ran.err) == (0, said)
    assert "etc/socket" not in listed(ran.out)


def test_what_is_no_archive_is_a_line(root: Path) -> None:
    status, err = extracted(b"not an archive" * 100, "-", f"{root}:/target")
    assert status == 1
    assert err.startswith(f"procpath: {root}:/target: not a valid tar archive: ")
    assert extracted(b"", "-n", "-", f"{root}:/target")[0] == 1


def test_the_target_must_exist(root: Path) -> None:
    for path, reason in (("/gone", "No such file or directory"), ("/etc/app/main.conf", "Not a")):
        status, err = extracted(b"", "-", f"{root}:{path}")
        assert status == 1
        assert err.startswith(f"procpath: {root}:{path}: {reason}")


def test_who_writes_the_stream_is_not_killed(root: Path) -> None:
    """It is read to its end, beyond the end of the archive."""
    data = archive(("a", b"")).getvalue() + bytes(1 << 20)
    with subprocess.Popen(
        [*COMMAND, "-", f"{root}:/target"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        running.stdin.write(data)
        running.stdin.close()
        assert running.wait(60) == 0


def test_a_reader_that_goes_away_ends_it(root: Path) -> None:
    write(root / "large", "x" * (1 << 20))
    with subprocess.Popen(
        [*COMMAND, f"{root}:/large", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        running.stdout.read(1)
        running.stdout.close()
        assert running.wait(60) in (-signal.SIGPIPE, 128 + signal.SIGPIPE)
        assert running.stderr is not None
        assert running.stderr.read() == b""


def test_a_terminal_gets_no_archive(root: Path) -> None:
    assert "will not write a tar stream to a terminal" in shown("cp", f"{root}:/etc", "-")


def test_without_standard_input_there_is_a_line(root: Path) -> None:
    command = " ".join([*COMMAND, "-", f"{root}:/target", "<&-"])
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "procpath: -: a tar stream is to come from standard input\n"


def test_a_file_of_that_name_is_written_with_its_directory(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert here("cp", f"{root}:/etc/app/main.conf", "./-").status == 0
    assert (tmp_path / "-").read_text() == "main"


@pytest.mark.root
def test_x_leaves_out_what_is_mounted(root: Path) -> None:
    def mounted() -> bytes:
        mount_tmpfs(root / "target")
        write(root / "target/file")
        return here("cp", "-x", f"{root}:/", "-").out

    assert listed(private_mounts(mounted))[-1] == "target"
