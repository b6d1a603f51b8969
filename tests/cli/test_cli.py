"""The command line: what its users type, see on a terminal, feed to programs and get when it fails.

What comes out is compared with what processes inside a container see in ``test_container.py``;
here it is the forms, the exit statuses and what hostile names and files may not do.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.commandline import Ran, as_nobody, here, printed, procpath, shown
from helpers.containers import RuncContainer
from helpers.seccomp import NO_OPENAT2, forbid
from helpers.support import private_mounts, run_in_child
from procpath import VerifiedProc, linux
from procpath.commands.output import printable, quoted
from procpath.commands.session import parse_address
from procpath.containers import describe, parse_os_release

COMMANDS = ["resolve", "cat", "ls", "stat", "tree", "find", "roots", "check", "demo"]

# A name that sets a terminal's title, paints, breaks the line, turns the direction of writing,
# and is not UTF-8.
HOSTILE = os.fsdecode(b"\x1b]0;pwned\x07\x1b[31m\n\xe2\x80\xae'\\\xff.txt")

# What no terminal may get from a name.
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root file system with a bit of everything."""
    root = tmp_path / "rootfs"
    for directory in ("etc/app.d", "run", "srv/.hidden", "var"):
        (root / directory).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nalice:x:1234:1234::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nalices:x:1234:\n")
    (root / "etc/app.d/b.conf").write_text("b\n")
    (root / "etc/app.d/a.conf").write_text("a\n")
    (root / "etc/app.d/link.conf").symlink_to("/etc/app.d/a.conf")
    (root / "run/x").write_text("inside\n")
    (root / "var/run").symlink_to("/run")
    (root / "srv/dangling").symlink_to("/nowhere//at/all/")
    (root / "srv/loop").symlink_to("loop")
    (root / "srv/.secret").write_text("")
    os.mkfifo(root / "srv/fifo")
    os.chown(root / "run/x", 1234, 1234)
    (root / "run/x").chmod(0o4750)
    return root


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A directory with one file, of a hostile name, a link to it and a link of its name."""
    root = tmp_path / "hostile"
    (root / "d").mkdir(parents=True)
    (root / "d" / HOSTILE).write_text("harmless\n")
    (root / "link").symlink_to(f"d/{HOSTILE}")
    return root


# Addresses and usage


@pytest.mark.parametrize(
    ("typed", "holder", "path"),
    [
        ("1:/x", 1, "/x"),
        ("0042:/", 42, "/"),
        ("./1:/x", "./1", "/x"),
        ("/:/", "/", "/"),
        ("dir:/a:b", "dir", "/a:b"),
        ("a:b:/c:/d", "a:b", "/c:/d"),
        ("colon::/x", "colon:", "/x"),
        ("1:///x/../y/", 1, "/x/../y/"),
        ("1:/a\nb", 1, "/a\nb"),
        ("²:/x", "²", "/x"),
    ],
)
def test_an_address_is_a_pid_or_a_directory_and_a_path(
    typed: str, holder: int | str, path: str
) -> None:
    assert parse_address(typed) == (holder, path)


@pytest.mark.parametrize(
    "typed", ["", "x", "1", "1:", "1:etc", ":/etc", "0:/x", f"{'9' * 5000}:/x", "/etc/passwd"]
)
def test_what_is_no_address_is_wrong_usage(typed: str) -> None:
    ran = here("ls", typed)
    assert (ran.status, ran.out) == (2, b"")
    usage, line = ran.err.splitlines()
    assert usage.startswith("usage: procpath ls")
    assert line.startswith("procpath ls: argument ADDRESS: ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["ls"],
        ["ls", "--lon", "/:/"],
        ["ls", "-x", "/:/"],
        ["ls", "-1:/x"],
        ["find", "/:/", "-type", "x"],
        ["find", "/:/", "-type", "f,"],
        ["find", "/:/", "-maxdepth", "-1"],
        ["find", "/:/", "-print0", "--json"],
        ["tree", "-L", "0", "/:/"],
        ["roots", "1:/"],
        ["cat", "/:/etc/passwd", HOSTILE],
    ],
    ids=shlex.join,
)
def test_wrong_usage_is_told_in_one_line_below_the_usage(arguments: list[str]) -> None:
    ran = here(*arguments)
    assert (ran.status, ran.out) == (2, b"")
    assert ran.err.startswith("usage: procpath")
    assert ran.err.splitlines()[-1].startswith("procpath")
    assert not OBEYED.search(ran.err)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str) -> None:
    ran = here(command, "--help")
    assert (ran.status, ran.err) == (0, "")
    assert ran.lines[0].startswith(f"usage: procpath {command}")
    assert command in os.fsdecode(here("--help").out)


def test_the_version_is_that_of_the_distribution_or_says_that_there_is_none() -> None:
    assert re.fullmatch(r"procpath (\d+\.\d+\.\d+\S*|\(not installed\))", printed("--version")[0])


def test_a_directory_of_digits_is_written_with_a_dot(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree.parent)
    tree.rename("123")
    assert here("ls", "./123:/run") == (0, b"x\n", "")


# What failed


def test_a_missing_process_is_named_in_one_line() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    for command in ("resolve", "cat", "ls", "stat", "tree", "find"):
        ran = here(command, f"{pid}:/etc")
        assert (ran.status, ran.out) == (1, b"")
        assert ran.err == f"procpath: {pid}:/etc: process {pid} does not exist (any more)\n"


def test_of_a_process_that_may_not_be_traced_the_missing_right_is_named() -> None:
    ran = as_nobody(here, "cat", f"{os.getpid()}:/etc/passwd")
    assert (ran.status, ran.out) == (1, b"")
    [line] = ran.err.splitlines()
    assert line.startswith(f"procpath: {os.getpid()}:/etc/passwd: process {os.getpid()} may not ")
    assert "CAP_SYS_PTRACE" in line


def test_a_host_path_that_is_no_directory_is_named(tree: Path) -> None:
    passwd = tree / "etc/passwd"
    ran = here("ls", f"{passwd}:/", f"{tree}/nowhere:/")
    assert (ran.status, ran.out) == (1, b"")
    assert ran.err.splitlines() == [
        f"procpath: {passwd}: Not a directory",
        f"procpath: {tree}/nowhere: No such file or directory",
    ]


def test_one_address_that_fails_does_not_stop_the_others(tree: Path) -> None:
    ran = here("cat", f"{tree}:/run/x", f"{tree}:/nowhere", f"{tree}:/var/run/x")
    assert ran == (
        1,
        b"inside\ninside\n",
        f"procpath: {tree}:/nowhere: No such file or directory\n",
    )


def test_a_failure_is_told_after_what_was_printed_before(tree: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "procpath", "cat", f"{tree}:/run/x", f"{tree}:/nowhere"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.stdout.startswith(b"inside\nprocpath: ")


def test_a_message_is_one_line_that_no_terminal_obeys(hostile: Path) -> None:
    for command in ("cat", "ls", "stat", "find", "tree", "resolve"):
        ran = here(command, f"{hostile}:/{HOSTILE}")
        assert ran.status == 1
        [line] = ran.err.splitlines()
        assert not OBEYED.search(line)
        assert r"\033]0;pwned" in line


# Standard output and standard error


def test_a_reader_that_goes_away_ends_it_without_a_word(tree: Path) -> None:
    with open(tree / "large", "wb") as file:
        file.truncate(64 << 20)
    for arguments in (["cat", f"{tree}:/large"], ["find", "/:/usr"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "procpath", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.read(1)
        process.stdout.close()
        assert process.stderr is not None
        with process, process.stderr as err:
            assert err.read() == b""
        assert process.returncode == 128 + signal.SIGPIPE


@pytest.mark.parametrize(
    "arguments",
    [["cat", "/:/etc/passwd"], ["ls", "/:/"], ["roots"], ["check"], ["--help"], ["ls", "--help"]],
    ids=shlex.join,
)
def test_a_full_disk_is_told_in_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "procpath", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "procpath: standard output: No space left on device\n"


@pytest.mark.parametrize("command", ["cat", "ls"])
def test_a_closed_standard_output_is_told_in_one_line(command: str) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "procpath", command, "/:/etc"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "procpath: standard output: Bad file descriptor\n"


def test_with_standard_error_closed_a_failure_is_told_by_the_status_alone() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "procpath", "cat", "/:/nowhere"],
        stdout=subprocess.PIPE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, b"")


def test_an_interrupt_ends_it_without_a_traceback(tree: Path) -> None:
    with open(tree / "large", "wb") as file:
        file.truncate(64 << 20)
    process = subprocess.Popen(
        [sys.executable, "-m", "procpath", "cat", f"{tree}:/large"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    # It writes, and then waits for a reader of the rest.
    assert process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, b"")


# cat


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_cat_prints_every_byte(tree: Path, unbuffered: str) -> None:
    content = bytes(range(256)) * 4096 + b"no newline"
    (tree / "run/x").write_bytes(content)
    (tree / "empty").write_bytes(b"")
    addresses = (f"{tree}:/var/run/x", f"{tree}:/empty", f"{tree}:/run/x")
    ran = procpath("cat", *addresses, PYTHONUNBUFFERED=unbuffered)
    assert ran == (0, content * 2, "")


def test_cat_holds_no_whole_file(tree: Path) -> None:
    limit = 256 << 20
    with open(tree / "large", "wb") as file:
        file.truncate(2 * limit)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    process = subprocess.Popen(
        [sys.executable, "-m", "procpath", "cat", f"{tree}:/large"],
        stdout=subprocess.PIPE,
        preexec_fn=limited,
    )
    assert process.stdout is not None
    with process, process.stdout as out:
        size = 0
        while chunk := out.read(1 << 20):
            size += len(chunk)
    assert (process.returncode, size) == (0, 2 * limit)


def test_cat_refuses_what_is_no_regular_file(tree: Path) -> None:
    (tree / "srv/to-fifo").symlink_to("/srv/fifo")
    os.mknod(tree / "srv/null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    for name in ("fifo", "to-fifo", "null"):
        ran = here("cat", f"{tree}:/srv/{name}")
        assert (ran.status, ran.out) == (1, b"")
        assert ran.err == (
            f"procpath: {tree}:/srv/{name}: a FIFO, socket or device, which cat does not open\n"
        )
    ran = here("cat", f"{tree}:/etc", f"{tree}:/srv/loop")
    assert ran.err.splitlines() == [
        f"procpath: {tree}:/etc: Is a directory",
        f"procpath: {tree}:/srv/loop: Too many levels of symbolic links",
    ]


def test_cat_keeps_inside(tree: Path) -> None:
    canary = tree.parent / "canary"
    canary.write_text("outside")
    (tree / "absolute").symlink_to(canary)
    (tree / "climbing").symlink_to("../" * 20 + os.fspath(canary)[1:])
    for name in ("absolute", "climbing", "../canary"):
        ran = here("cat", f"{tree}:/{name}")
        assert (ran.status, ran.out) == (1, b"")


# ls


def test_ls_sorts_by_name_and_hides_what_begins_with_a_dot(tree: Path) -> None:
    assert printed("ls", f"{tree}:/srv") == ["dangling", "fifo", "loop"]
    assert printed("ls", "-a", f"{tree}:/srv") == [
        ".hidden",
        ".secret",
        "dangling",
        "fifo",
        "loop",
    ]


def test_ls_follows_a_link_to_a_directory_and_lists_anything_else_itself(tree: Path) -> None:
    assert printed("ls", f"{tree}:/var/run") == ["x"]
    for path in ("/run/x", "/srv/dangling", "/srv/loop", "/srv/fifo"):
        assert printed("ls", f"{tree}:{path}") == [os.path.basename(path)]
    ran = here("ls", f"{tree}:/srv/nothing")
    assert ran == (1, b"", f"procpath: {tree}:/srv/nothing: No such file or directory\n")


def test_ls_of_an_empty_directory_prints_nothing(tree: Path) -> None:
    for option in ("-a", "-l"):
        assert here("ls", option, f"{tree}:/srv/.hidden") == (0, b"", "")
    assert shown("ls", f"{tree}:/srv/.hidden") == ""


def test_ls_of_several_has_a_heading_for_each(tree: Path) -> None:
    assert printed("ls", f"{tree}:/run", f"{tree}:/srv/.hidden", f"{tree}:/var") == [
        f"{tree}:/run:",
        "x",
        "",
        f"{tree}:/srv/.hidden:",
        "",
        f"{tree}:/var:",
        "run",
    ]


def test_ls_long_shows_everything_in_columns(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    when = 1_700_000_000
    for path in ("srv/.hidden", "srv/dangling", "srv/fifo", "srv/loop", "srv/.secret"):
        os.utime(tree / path, (when, when), follow_symlinks=False)
    os.chown(tree / "srv/fifo", 54321, 1234)
    (tree / "srv/.secret").write_bytes(bytes(123456))
    os.utime(tree / "srv/.secret", (when, when))
    os.mknod(tree / "srv/null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    os.utime(tree / "srv/null", (when, when))
    size = (tree / "srv/.hidden").stat().st_size
    assert printed("ls", "-la", f"{tree}:/srv") == [
        f"drwxr-xr-x  2  root   root    {size:>6}  2023-11-14 22:13  .hidden",
        "-rw-r--r--  1  root   root    123456  2023-11-14 22:13  .secret",
        "lrwxrwxrwx  1  root   root        17  2023-11-14 22:13  dangling -> /nowhere//at/all/",
        "prw-r--r--  1  54321  alices       0  2023-11-14 22:13  fifo",
        "lrwxrwxrwx  1  root   root         4  2023-11-14 22:13  loop -> loop",
        "crw-------  1  root   root       1:3  2023-11-14 22:13  null",
    ]


def test_ls_names_owners_as_the_container_does(mapped_container: RuncContainer) -> None:
    lines = printed("ls", "-l", f"{mapped_container.pid}:/run/app", f"{mapped_container.pid}:/home")
    owners = [line.split()[2:4] for line in lines if line.startswith(("-", "d"))]
    assert owners == [["cellarer", "cellar"], ["alice-within", "alices"]]


def test_ls_shows_numbers_where_accounts_cannot_be_read(tree: Path) -> None:
    (tree / "etc/passwd").unlink()
    os.mkfifo(tree / "etc/passwd")
    (tree / "etc/group").unlink()
    (tree / "etc/group").symlink_to("group")
    [line] = printed("ls", "-l", f"{tree}:/run")
    assert line.split()[2:4] == ["1234", "1234"]


def test_ls_shows_a_time_that_no_calendar_has() -> None:
    def list_it() -> Ran:
        linux.mount(b"tmpfs", b"/mnt", b"tmpfs")
        with open("/mnt/x", "w"):
            pass
        # tmpfs keeps any 64-bit time.
        os.utime("/mnt/x", (1 << 60, 1 << 60))
        return here("ls", "-l", "/mnt:/")

    ran = private_mounts(list_it)
    assert (ran.status, ran.err) == (0, "")
    assert f"@{1 << 60}" in ran.lines[0].split()


def test_names_go_into_a_pipe_byte_by_byte(hostile: Path) -> None:
    raw = os.fsencode(HOSTILE)
    assert here("ls", f"{hostile}:/d").out == raw + b"\n"
    assert here("find", f"{hostile}:/d", "-type", "f").out == b"/d/" + raw + b"\n"
    assert here("find", f"{hostile}:/d", "-type", "f", "-print0").out == b"/d/" + raw + b"\0"
    assert here("resolve", f"{hostile}:/link").out == b"/d/" + raw + b"\n"


# stat


def test_stat_tells_of_a_link_itself_or_with_an_option_of_its_end(tree: Path) -> None:
    link = dict(line.split(maxsplit=1) for line in printed("stat", f"{tree}:/var/run"))
    assert link["address"] == f"{tree}:/var/run"
    assert link["type"] == "symlink -> /run"
    end = dict(line.split(maxsplit=1) for line in printed("stat", "-L", f"{tree}:/var/run/x"))
    assert end["address"] == f"{tree}:/run/x"
    assert end["type"] == "file"
    assert end["mode"] == "-rwsr-x--- 4750"
    assert end["owner"] == "alice (1234)"
    assert end["group"] == "alices (1234)"
    assert end["size"].startswith("7, ")


def test_stat_tells_mount_points_and_owners_on_both_sides(mapped_container: RuncContainer) -> None:
    pid, offset = mapped_container.pid, mapped_container.host_id_of_root
    [run] = json.loads(here("stat", "--json", f"{pid}:/run").out)
    assert run["mount_point"] is True
    [stock] = json.loads(here("stat", "--json", f"{pid}:/var/lib/cellar/stock").out)
    assert stock["mount_point"] is False
    assert (stock["owner"], stock["uid"], stock["host_uid"]) == ("cellarer", 101, offset + 101)
    assert (stock["group"], stock["gid"], stock["host_gid"]) == ("cellar", 201, offset + 201)
    text = printed("stat", f"{pid}:/var/lib/cellar/stock")
    assert f"owner        cellarer (101; {offset + 101} outside its user namespace)" in text


def test_stat_shows_a_device(tree: Path) -> None:
    os.mknod(tree / "srv/null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    assert "type         character device 1:3" in printed("stat", f"{tree}:/srv/null")
    [record] = json.loads(here("stat", "--json", f"{tree}:/srv/null").out)
    assert (record["type"], record["device"]) == ("character device", "1:3")


# tree


def test_tree_draws_what_is_there(tree: Path) -> None:
    assert printed("tree", f"{tree}:/") == [
        "/",
        "├── etc",
        "│   ├── app.d",
        "│   │   ├── a.conf",
        "│   │   ├── b.conf",
        "│   │   └── link.conf -> /etc/app.d/a.conf",
        "│   ├── group",
        "│   └── passwd",
        "├── run",
        "│   └── x",
        "├── srv",
        "│   ├── dangling -> /nowhere//at/all/",
        "│   ├── fifo",
        "│   └── loop -> loop",
        "└── var",
        "    └── run -> /run",
        "",
        "5 directories, 10 files",
    ]


def test_tree_goes_as_deep_as_it_is_told_and_shows_hidden_names_when_asked(tree: Path) -> None:
    assert printed("tree", "-L", "1", f"{tree}:/")[1:] == [
        "├── etc",
        "├── run",
        "├── srv",
        "└── var",
        "",
        "4 directories, 0 files",
    ]
    assert printed("tree", "-a", "-L", "1", f"{tree}:/srv")[1:3] == ["├── .hidden", "├── .secret"]


def test_tree_follows_a_link_at_the_start_alone(tree: Path) -> None:
    assert printed("tree", f"{tree}:/var/run") == ["/var/run", "└── x", "", "0 directories, 1 file"]


def test_tree_draws_in_ascii_where_the_locale_has_no_more(tree: Path) -> None:
    (tree / "var/café").mkdir()
    ran = procpath("tree", f"{tree}:/var", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert (ran.status, ran.err) == (0, "")
    assert ran.lines[1:3] == ["|-- café", "`-- run -> /run"]


def test_tree_and_find_go_down_a_very_deep_tree() -> None:
    depth = 2500

    def draw() -> tuple[Ran, Ran]:
        # A mount of its own goes away with the child, however deep what is in it.
        linux.mount(b"tmpfs", b"/mnt", b"tmpfs")
        os.chdir("/mnt")
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        os.chdir("/")
        return here("tree", "/mnt:/"), here("find", "/mnt:/")

    drawn, found = private_mounts(draw)
    assert (drawn.status, drawn.lines[-1]) == (0, f"{depth} directories, 0 files")
    assert (found.status, found.lines[-1]) == (0, "/d" * depth)


def test_what_may_not_be_read_is_told_and_the_rest_is_shown() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        for directory in ("a/below", "b", "c/below"):
            (root / directory).mkdir(parents=True)
        (root / "b").chmod(0o700)
        complaint = f"procpath: {root}:/b: Permission denied\n"
        assert as_nobody(here, "tree", f"{root}:/") == (
            1,
            "/\n├── a\n│   └── below\n├── b\n└── c\n    └── below\n\n"
            "5 directories, 0 files\n".encode(),
            complaint,
        )
        found = as_nobody(here, "find", f"{root}:/")
        assert (found.status, found.err) == (1, complaint)
        assert set(found.lines) == {"/", "/a", "/a/below", "/b", "/c", "/c/below"}
        assert as_nobody(here, "ls", f"{root}:/b") == (1, b"", complaint)


# find


def test_find_finds_what_find_finds(tree: Path) -> None:
    for options in (
        [],
        ["-name", "*.conf"],
        ["-name", "*"],
        ["-name", ".*"],
        ["-name", "[ab].conf"],
        ["-name", "[!a].conf"],
        ["-type", "d"],
        ["-type", "f"],
        ["-type", "l"],
        ["-type", "p,l"],
        ["-maxdepth", "0"],
        ["-maxdepth", "1"],
        ["-maxdepth", "2", "-type", "f"],
        ["-maxdepth", "2", "-name", "*d"],
    ):
        for start in ("/", "/etc", "/srv", "/srv/fifo", "/srv/dangling"):
            # `-H`, because a link at the start is followed.
            under = f".{start}".rstrip("/")
            command = ["find", "-H", under, *options]
            there = subprocess.check_output(command, cwd=tree, text=True).splitlines()
            expected = sorted(line.removeprefix(".") or "/" for line in there)
            if options[:1] == ["-name"] and start == "/":
                # There it is called `.`, here `/`.
                expected = [line for line in expected if line != "/"]
                expected += ["/"] if options[1] == "*" else []
            found = here("find", f"{tree}:{start}", *options)
            assert (found.status, found.err) == (0, "")
            assert sorted(found.lines) == sorted(expected), (start, options)


def test_find_follows_a_link_at_the_start_alone(tree: Path) -> None:
    (tree / "run/self").symlink_to("/run")
    assert sorted(printed("find", f"{tree}:/var/run")) == [
        "/var/run",
        "/var/run/self",
        "/var/run/x",
    ]
    assert printed("find", f"{tree}:/var/run", "-type", "d") == ["/var/run"]


def test_find_names_a_directory_before_what_is_in_it(tree: Path) -> None:
    found = printed("find", f"{tree}:/")
    seen: set[str] = set()
    for path in found:
        assert path == "/" or os.path.dirname(path) in seen
        seen.add(path)


# resolve


def test_resolve_prints_where_it_leads_or_fails(tree: Path) -> None:
    assert printed("resolve", f"{tree}:/var/run/x", f"{tree}:/etc/../var/./run") == [
        "/run/x",
        "/run",
    ]
    ran = here("resolve", f"{tree}:/srv/dangling", f"{tree}:/srv/loop")
    assert (ran.status, ran.out) == (1, b"")
    assert ran.err.splitlines() == [
        f"procpath: {tree}:/srv/dangling: No such file or directory",
        f"procpath: {tree}:/srv/loop: Too many levels of symbolic links",
    ]


def test_a_trace_shows_every_step_and_the_end_in_its_last_line(tree: Path) -> None:
    assert printed("resolve", "--trace", f"{tree}:/var/../var/run/x") == [
        "/     start at the root",
        "/     enter var",
        "/var  go up ..",
        "/     enter var",
        "/var  follow run -> /run",
        "/     enter run",
        "/run  found x",
        "/run/x",
    ]


def test_a_trace_of_what_leads_nowhere_shows_where_it_stopped(tree: Path) -> None:
    ran = here("resolve", "--trace", f"{tree}:/srv/dangling")
    assert ran.status == 1
    assert "follow dangling -> /nowhere//at/all/" in ran.lines[-2]
    assert "stopped at nowhere: No such file or directory" in ran.lines[-1]
    assert ran.err == f"procpath: {tree}:/srv/dangling: No such file or directory\n"


# JSON


def test_json_names_give_the_bytes_back(hostile: Path) -> None:
    raw = os.fsencode(HOSTILE)
    for arguments in (["ls", f"{hostile}:/d"], ["find", f"{hostile}:/d", "-type", "f"]):
        ran = here(*arguments, "--json")
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.isascii()
        [record] = json.loads(ran.out)
        assert os.fsencode(record["name"]) == raw
        assert os.fsencode(record["path"]) == b"/d/" + raw
    [resolved] = json.loads(here("resolve", "--json", f"{hostile}:/link").out)
    assert os.fsencode(resolved["resolved"]) == b"/d/" + raw
    [link] = json.loads(here("stat", "--json", f"{hostile}:/link").out)
    assert os.fsencode(link["target"]) == b"d/" + raw


def test_json_of_a_listing_has_what_stat_has(tree: Path) -> None:
    listed = json.loads(here("ls", "-a", "--json", f"{tree}:/srv", f"{tree}:/run").out)
    names = [".hidden", ".secret", "dangling", "fifo", "loop", "x"]
    assert [record["name"] for record in listed] == names
    kinds = ["directory", "file", "symlink", "fifo", "symlink", "file"]
    assert [record["type"] for record in listed] == kinds
    file = listed[-1]
    status = (tree / "run/x").stat()
    assert file["address"] == f"{tree}:/run/x"
    assert (file["mode"], file["size"], file["links"]) == ("4750", 7, 1)
    assert (file["owner"], file["uid"], file["group"]) == ("alice", 1234, "alices")
    assert (file["inode"], file["mtime"]) == (status.st_ino, status.st_mtime)
    assert listed[2]["target"] == "/nowhere//at/all/"
    assert here("ls", "--json", file["address"]).out == here("find", "--json", file["address"]).out


def test_json_of_nothing_is_an_empty_array(tree: Path) -> None:
    for arguments in (["find", f"{tree}:/", "-name", "nothing"], ["ls", f"{tree}:/nowhere"]):
        assert json.loads(here(*arguments, "--json").out) == []


def test_json_of_a_trace_has_the_steps_and_the_error(tree: Path) -> None:
    ran = here("resolve", "--trace", "--json", f"{tree}:/var/run/x", f"{tree}:/srv/loop")
    assert ran.status == 1
    good, bad = json.loads(ran.out)
    assert (good["path"], good["resolved"], good["error"]) == ("/var/run/x", "/run/x", None)
    assert [step["kind"] for step in good["steps"]] == [
        "start",
        "directory",
        "link",
        "directory",
        "end",
    ]
    assert good["steps"][2]["target"] == "/run"
    assert bad["resolved"] is None
    assert bad["error"] == bad["steps"][-1]["error"] == "Too many levels of symbolic links"


# On a terminal


@pytest.mark.parametrize(
    "arguments",
    [["ls"], ["ls", "-l"], ["ls", "-la"], ["tree"], ["find"], ["find", "-print0"], ["stat", "-L"]],
    ids=shlex.join,
)
@pytest.mark.parametrize("path", ["/", "/d", "/link", f"/d/{HOSTILE}", f"/{HOSTILE}"])
def test_no_name_reaches_a_terminal_unquoted(
    hostile: Path, arguments: list[str], path: str
) -> None:
    text = shown(*arguments, f"{hostile}:{path}", TERM="xterm", NO_COLOR="1")
    assert not OBEYED.search(text.replace("\0", "")), text
    assert not any(0xDC80 <= ord(char) <= 0xDCFF for char in text)


def test_no_account_reaches_a_terminal_unquoted(tree: Path) -> None:
    (tree / "etc/passwd").write_text("\33[31malice:x:1234:1234::/:/bin/sh\n")
    (tree / "etc/group").write_text("\33]0;alices\7:x:1234:\n")
    for command in (["ls", "-l"], ["stat"]):
        text = shown(*command, f"{tree}:/run/x", TERM="xterm", NO_COLOR="1")
        assert "alices" in text
        assert not OBEYED.search(text), text


@pytest.mark.parametrize("option", ["--trace", "--json"])
def test_no_trace_reaches_a_terminal_unquoted(hostile: Path, option: str) -> None:
    for path in ("/link", f"/link/{HOSTILE}"):
        text = shown("resolve", option, f"{hostile}:{path}", TERM="xterm", NO_COLOR="1")
        assert "pwned" in text
        assert not OBEYED.search(text), text


def test_a_quoted_name_is_what_a_shell_reads_back() -> None:
    chance = random.Random(0)
    names = [bytes([byte]) for byte in range(1, 256) if byte != ord("/")]
    names += [
        bytes(chance.choices([byte for byte in range(1, 256) if byte != ord("/")], k=12))
        for _ in range(500)
    ]
    names += [
        name.encode() for name in ("café", "a b", "~", "\u202eabc", "'", "$'x'", "\x1b7", "日")
    ]
    for name in names:
        assert quoted(os.fsdecode(name)).isprintable()
    script = "printf '%s\\0' " + " ".join(quoted(os.fsdecode(name)) for name in names)
    assert subprocess.check_output(["bash", "-c", os.fsencode(script)]).split(b"\0")[:-1] == names


def test_a_plain_name_is_not_quoted() -> None:
    for name in ("a.txt", "café", "日本", "a-b_c+d@e:f,g=h%", "/run/x"):
        assert quoted(name) == printable(name) == name


def test_colours_are_for_terminals_that_have_some(tree: Path) -> None:
    listing = ["ls", f"{tree}:/"]
    colored = shown(*listing, TERM="xterm")
    assert "\033[1;34metc\033[0m" in colored
    # Nothing but colours, so that they can be taken away again.
    plain = re.sub(r"\033\[[0-9;]*m", "", colored)
    assert plain == shown(*listing, TERM="xterm", NO_COLOR="1")
    assert plain == shown(*listing, TERM="dumb")
    assert plain == shown(*listing)
    assert shown(*listing, TERM="xterm", NO_COLOR="") == colored
    assert "\033" not in "".join(printed(*listing))


def test_ls_fills_the_columns_of_a_terminal(tmp_path: Path) -> None:
    for number in range(1, 12):
        (tmp_path / f"name-{number:02}").touch()
    # Wide characters take two columns each.
    (tmp_path / "日本日本").touch()
    assert shown("ls", f"{tmp_path}:/", columns=40, TERM="dumb").splitlines() == [
        "name-01  name-04  name-07  name-10",
        "name-02  name-05  name-08  name-11",
        "name-03  name-06  name-09  日本日本",
    ]
    narrow = shown("ls", f"{tmp_path}:/", columns=5, TERM="dumb").splitlines()
    assert narrow == [*(f"name-{number:02}" for number in range(1, 12)), "日本日本"]


# roots


@pytest.fixture
def start_namespace(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a process in a mount namespace of its own, with ``tmp_path/etc`` for its root's."""
    started: list[subprocess.Popen[bytes]] = []
    (tmp_path / "etc").mkdir(exist_ok=True)
    (tmp_path / "usr").mkdir(exist_ok=True)
    sleep = shutil.which("busybox")
    assert sleep is not None
    shutil.copy(sleep, tmp_path / "busybox")

    def start(*argv: str) -> subprocess.Popen[bytes]:
        def enter() -> None:
            linux.unshare(linux.CLONE_NEWNS)
            linux.mount(None, b"/", None, linux.MS_REC | linux.MS_PRIVATE)
            os.chroot(tmp_path)
            os.chdir("/")

        process = subprocess.Popen(
            [*(argv or ("sleep",)), "600"], executable="/busybox", preexec_fn=enter
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_roots_lists_each_mount_namespace_once(
    start_namespace: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    (tmp_path / "usr/lib").mkdir()
    (tmp_path / "usr/lib/os-release").write_text('PRETTY_NAME="Own Linux"\n')
    one, other = start_namespace(), start_namespace()
    listed = json.loads(here("roots", "--json").out)
    by_pid = {entry["pid"]: entry for entry in listed}
    for process in (one, other):
        entry = by_pid[process.pid]
        assert entry["command"] == "sleep 600"
        assert entry["os"] == "Own Linux"
        assert entry["processes"] == 1
        link = os.readlink(f"/proc/{process.pid}/ns/mnt")
        assert link == f"mnt:[{entry['mount_namespace']}]"
    namespaces = [entry["mount_namespace"] for entry in listed]
    assert len(set(namespaces)) == len(namespaces)
    lines = here("roots").lines
    assert lines[0].split() == ["PID", "MOUNT", "NAMESPACE", "PROCESSES", "OS", "COMMAND"]
    [line] = [line for line in lines if line.split()[0] == str(one.pid)]
    assert re.fullmatch(rf" *{one.pid} +\d+ +1  Own Linux +sleep 600", line)


def test_the_first_process_is_the_oldest_whatever_its_number() -> None:
    def look() -> Ran:
        linux.unshare(linux.CLONE_NEWPID)
        return run_in_child(_look_at_two_processes, 1000, 500)

    listed = json.loads(private_mounts(look).out)
    assert [entry["pid"] for entry in listed if entry["processes"] == 2] == [1001]


def _look_at_two_processes(before_older: int, before_younger: int) -> Ran:
    """Run roots beside two processes of one mount namespace, in a PID namespace of our own.

    The kernel gives the number after the one in ``ns_last_pid`` (pid_namespaces(7)).
    """
    linux.mount(b"proc", b"/proc", b"proc")
    last_pid = Path("/proc/sys/kernel/ns_last_pid")
    reader, writer = os.pipe()
    last_pid.write_text(str(before_older))
    if os.fork() == 0:
        linux.unshare(linux.CLONE_NEWNS)
        time.sleep(0.02)  # a tick of the clock by which start times are told, and more
        last_pid.write_text(str(before_younger))
        if os.fork() == 0:
            os.write(writer, b"!")
        signal.pause()
    os.read(reader, 1)
    return here("roots", "--json")


def test_another_process_stands_in_for_the_first_one_that_has_ended(
    start_container: Callable[[], RuncContainer],
) -> None:
    container = start_container()
    second = container.spawn(["sleep", "600"])
    with VerifiedProc.default().process(second) as process:
        namespace = process.mount_namespace
    gone = subprocess.Popen(["true"])
    gone.wait()
    proc = VerifiedProc.default()
    *_, found = describe(proc, namespace, [gone.pid, os.getpid(), second])
    assert (found.pid, found.arguments) == (second, ["sleep", "600"])
    assert found.os_release is not None
    assert found.os_release["PRETTY_NAME"] == "Cellar Linux 7"
    assert list(describe(proc, namespace, [gone.pid, os.getpid()])) == []


def test_processes_that_may_not_be_looked_into_are_counted_in_one_line() -> None:
    ran = as_nobody(here, "roots")
    assert ran.status == 0
    [line] = ran.err.splitlines()
    assert re.fullmatch(r"procpath: skipped \d+ processes: permission denied", line)
    # Itself it may look into.
    assert len(ran.lines) == 2


@pytest.mark.parametrize("trap", ["fifo", "loop", "directory", "endless", "absent", "no name"])
def test_a_hostile_os_release_is_no_name(
    start_namespace: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, trap: str
) -> None:
    path = tmp_path / "etc/os-release"
    if trap == "fifo":
        os.mkfifo(path)
    elif trap == "loop":
        path.symlink_to("os-release")
    elif trap == "directory":
        path.mkdir()
    elif trap == "endless":
        with open(path, "wb") as file:
            file.truncate(1 << 40)
    elif trap == "no name":
        path.write_text("ID=x\n")
    process = start_namespace()
    listed = json.loads(here("roots", "--json").out)
    assert [entry["os"] for entry in listed if entry["pid"] == process.pid] == [None]


def test_what_a_container_says_of_itself_cannot_break_a_line_or_a_terminal(
    start_namespace: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    evil = os.fsdecode(b"\x1b[31m\xffevil")
    (tmp_path / "etc/os-release").write_bytes(
        b'PRETTY_NAME="' + os.fsencode(evil) + b"\xe2\x80\xae" + b"x" * 5000 + b'"\n'
    )
    # busybox takes its applet from the name after the last slash.
    process = start_namespace(f"\x1b]0;{evil}\n/sleep")
    ran = here("roots")
    [line] = [line for line in ran.lines if str(process.pid) in line.split()]
    assert "evil" in line
    assert line.isprintable()
    assert len(line) < 200


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
            "Debian GNU/Linux 12 (bookworm)",
        ),
        ("PRETTY_NAME=Alpine\n", "Alpine"),
        ("NAME=x\nPRETTY_NAME='single quoted'", "single quoted"),
        ('PRETTY_NAME="a \\"quoted\\" \\$name"\n', 'a "quoted" $name'),
        ('PRETTY_NAME="never closed\n', '"never closed'),
        ('PRETTY_NAME=""\n', ""),
        ("# PRETTY_NAME=x\nXPRETTY_NAME=y\n", None),
        ("PRETTY_NAME=first\nPRETTY_NAME=last\n", "last"),
        ("", None),
    ],
)
def test_the_name_in_an_os_release(text: str, name: str | None) -> None:
    assert parse_os_release(text.encode()).get("PRETTY_NAME") == name


# check


def test_check_tells_what_is_here() -> None:
    report = json.loads(here("check", "--json").out)
    found = {finding["name"]: finding["available"] for finding in report["findings"]}
    for name in ("openat2", "statx mount id", "procfs by mounted", "fs.protected_symlinks"):
        assert found[name] is True
    assert found["CAP_SYS_PTRACE"] is True
    assert report["linux"] == os.uname().release
    assert report["procfs"]["source"] == VerifiedProc.default().source
    assert {check["outcome"] for check in report["procfs"]["checks"]} <= {"passed", "note"}
    assert report["resolver"] == {"name": "openat2", "reason": "openat2 works here"}
    lines = printed("check")
    assert lines[-1] == "resolver: openat2, because openat2 works here"
    text = "\n".join(lines)
    for finding in report["findings"]:
        assert finding["name"] in text
        assert finding["detail"] in text


def test_check_tells_what_is_missing() -> None:
    ran = as_nobody(here, "check", "--json")
    assert (ran.status, ran.err) == (0, "")
    report = json.loads(ran.out)
    found = {finding["name"]: finding["available"] for finding in report["findings"]}
    for name in ("procfs by fsopen", "procfs by open_tree", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"):
        assert found[name] is False
    assert report["procfs"]["source"] == "mounted"


def test_check_tells_why_the_walker_is_used() -> None:
    def without_openat2() -> Ran:
        forbid(NO_OPENAT2)
        return here("check")

    ran = run_in_child(without_openat2)
    assert ran.status == 0
    assert ran.lines[-1] == (
        "resolver: walk, because openat2 does not work here: ENOSYS, this kernel lacks it"
    )
    [line] = [line for line in ran.lines if line.startswith("openat2 ")]
    assert line.split()[1] == "no"


def test_check_fails_where_no_procfs_can_be_trusted(tmp_path: Path) -> None:
    ran = here("--proc", os.fspath(tmp_path), "check")
    assert ran.status == 1
    [line] = ran.err.splitlines()
    assert line.startswith(f"procpath: {tmp_path}: superblock magic is ")
    assert ran.lines[-1].startswith("resolver: ")
    report = json.loads(here("--proc", os.fspath(tmp_path), "check", "--json").out)
    assert report["procfs"] is None
    details = {finding["name"]: finding["detail"] for finding in report["findings"]}
    assert "superblock magic" in details["procfs by mounted"]


# --proc


def test_another_procfs_can_be_named() -> None:
    def look() -> tuple[Ran, Ran, Ran]:
        linux.mount(b"tmpfs", b"/mnt", b"tmpfs")
        os.mkdir("/mnt/proc")
        linux.mount(b"proc", b"/mnt/proc", b"proc")
        address = f"{os.getpid()}:/etc/passwd"
        proc = ("--proc", "/mnt/proc")
        return here(*proc, "cat", address), here(*proc, "check"), here(*proc, "roots", "--json")

    cat, check, roots = private_mounts(look)
    assert cat == (0, Path("/etc/passwd").read_bytes(), "")
    assert "procfs: /mnt/proc, by open_tree" in check.lines
    assert json.loads(roots.out)


@pytest.mark.parametrize("arguments", [["cat", "1:/x", "1:/y"], ["roots"]], ids=shlex.join)
def test_without_a_procfs_there_are_no_processes(tmp_path: Path, arguments: list[str]) -> None:
    for place, reason in (
        (tmp_path, "superblock magic is "),
        (tmp_path / "nowhere", "No such file or directory"),
    ):
        ran = here("--proc", os.fspath(place), *arguments)
        assert (ran.status, ran.out) == (1, b"")
        [line] = ran.err.splitlines()
        assert line.startswith(f"procpath: {place}: {reason}")
    # A directory is had without.
    assert here("--proc", os.fspath(tmp_path), "ls", f"{tmp_path}:/").status == 0
