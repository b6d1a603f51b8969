"""The command line: addresses, usage, errors, standard streams, and ``cat``.

``test_container.py`` compares what comes out with what processes inside a container see.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import shlex
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.commandline import HOSTILE, OBEYED, as_nobody, here, printed, procpath
from helpers.processes import living
from procpath.commands.session import parse_address

COMMANDS = [
    *("resolve", "cat", "ls", "stat", "tree", "find", "tail", "du", "roots", "check", "demo"),
]


# Addresses and usage


@pytest.mark.parametrize(
    ("typed", "holder", "path"),
    [
        ("1:/x", 1, "/x"),
        ("0042:/", 42, "/"),
        ("4194304:/", 4194304, "/"),
        ("./1:/x", "./1", "/x"),
        ("00000001:/x", "00000001", "/x"),
        ("DEADbeef:/x", "deadbeef", "/x"),
        ("./deadbeef:/x", "./deadbeef", "/x"),
        ("deadbeefs:/x", "deadbeefs", "/x"),
        ("/:/", "/", "/"),
        ("dir:/a:b", "dir", "/a:b"),
        ("a:b:/c:/d", "a:b", "/c:/d"),
        ("colon::/x", "colon:", "/x"),
        ("1:///x/../y/", 1, "/x/../y/"),
        ("1:/a\nb", 1, "/a\nb"),
        ("²:/x", "²", "/x"),
    ],
)
def test_address_is_a_holder_and_a_path(typed: str, holder: int | str, path: str) -> None:
    assert parse_address(typed) == (holder, path)


@pytest.mark.parametrize(
    "typed", ["", "x", "1", "1:", "1:etc", ":/etc", "0:/x", f"{'9' * 5000}:/x", "/etc/passwd"]
)
def test_invalid_address_is_wrong_usage(typed: str) -> None:
    ran = here("ls", typed)
    assert (ran.status, ran.out) == (2, b"")
    usage, *_, line = ran.err.splitlines()
    assert usage.startswith("usage: procpath ls")
    assert line.startswith("procpath ls: argument ADDRESS: ")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("23309/etc/passwd", "23309:/etc/passwd"),
        ("23309:etc/passwd", "23309:/etc/passwd"),
        ("/proc/23309/root/etc/passwd", "23309:/etc/passwd"),
        ("23309", "23309:/"),
        ("deadbeef:", "deadbeef:/"),
    ],
)
def test_mistaken_address_is_answered_with_what_was_meant(typed: str, meant: str) -> None:
    assert here("ls", typed).err.endswith(f"; did you mean {meant}?\n")


def test_what_can_be_no_pid_was_not_meant() -> None:
    for typed in ("0", "0:x", "12345678x:x"):
        assert "did you mean" not in here("ls", typed).err


def test_mistaken_command_is_answered_with_what_was_meant() -> None:
    assert here("fnd", "/:/").err.endswith("unknown command: 'fnd'; did you mean find?\n")
    assert "choose from resolve, cat" in here("frobnicate").err


def test_wrong_option_shows_the_usage_of_the_command() -> None:
    assert here("ls", "--long", "/:/").err.startswith("usage: procpath ls")


def test_name_of_a_process_is_answered_with_its_pid() -> None:
    name = f"pp{os.getpid()}"

    def be_called() -> None:
        ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)  # PR_SET_NAME, prctl(2)

    with living(be_called) as pid:
        ran = here("cat", f"{name}:/etc/\x1b[31m")
    assert (ran.status, ran.out) == (1, b"")
    assert ran.err == (
        f"procpath: {name}: No such file or directory; did you mean {pid}:/etc/\\033[31m?\n"
    )


def test_directory_with_the_name_of_an_id_is_pointed_out(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree.parent)
    tree.rename("deadbeef")
    assert here("ls", "deadbeef:/run").err.endswith(
        "; the directory of that name is ./deadbeef:/run\n"
    )
    assert here("ls", "./deadbeef:/run") == (0, b"x\n", "")


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
def test_wrong_usage_is_one_line_below_the_usage(arguments: list[str]) -> None:
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


def test_version_is_that_of_the_distribution() -> None:
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


def test_untraceable_process_names_the_missing_right() -> None:
    ran = as_nobody(here, "cat", f"{os.getpid()}:/etc/passwd")
    assert (ran.status, ran.out) == (1, b"")
    [line] = ran.err.splitlines()
    assert line.startswith(
        f"procpath: {os.getpid()}:/etc/passwd: no permission to inspect process "
    )
    assert "CAP_SYS_PTRACE" in line


def test_a_host_path_that_is_no_directory_is_named(tree: Path) -> None:
    passwd = tree / "etc/passwd"
    ran = here("ls", f"{passwd}:/", f"{tree}/nowhere:/")
    assert (ran.status, ran.out) == (1, b"")
    assert ran.err.splitlines() == [
        f"procpath: {passwd}: Not a directory",
        f"procpath: {tree}/nowhere: No such file or directory",
    ]


def test_failing_address_stops_no_other(tree: Path) -> None:
    ran = here("cat", f"{tree}:/run/x", f"{tree}:/nowhere", f"{tree}:/var/run/x")
    assert ran == (
        1,
        b"inside\ninside\n",
        f"procpath: {tree}:/nowhere: No such file or directory\n",
    )


def test_errors_come_after_what_was_printed_before(tree: Path) -> None:
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


def test_closed_pipe_ends_it_silently(tree: Path) -> None:
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


def test_closed_standard_error_leaves_the_status() -> None:
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
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")


def test_a_full_standard_error_stops_no_other_address(tree: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "procpath", "ls", f"{tree}/nowhere:/", f"{tree}:/run"],
            stdout=subprocess.PIPE,
            stderr=full,
            check=False,
        )
    assert done.returncode == 1
    assert done.stdout.endswith(b"/run:\nx\n")


@pytest.mark.parametrize("module", ["cli", "root", "commands.session", "commands.ls"])
def test_an_interrupt_while_it_starts_is_no_traceback(module: str) -> None:
    program = f"""
import sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == "procpath.{module}":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from procpath.__main__ import main
sys.argv = ["procpath", "ls", "/:/etc"]
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_only_the_command_that_runs_is_imported(tree: Path) -> None:
    program = f"""
import sys
from procpath.cli import main
assert main(["ls", "{tree}:/run"]) == 0
print([name for name in sys.modules if name.startswith("procpath.commands.")])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    imported = set(re.findall(r"commands\.(\w+)", done.stdout.decode()))
    assert imported & {*COMMANDS, "cp"} == {"ls"}


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


def test_cat_opens_a_special_file_only_when_asked_to(tree: Path) -> None:
    (tree / "srv/to-fifo").symlink_to("/srv/fifo")
    os.mknod(tree / "srv/null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    for name, kind in (("fifo", "FIFO"), ("to-fifo", "FIFO"), ("null", "character device")):
        assert here("cat", f"{tree}:/srv/{name}") == (
            1,
            b"",
            f"procpath: {tree}:/srv/{name}: a {kind} is opened only with --special\n",
        )
    assert here("cat", "--special", f"{tree}:/srv/null") == (0, b"", "")
    with subprocess.Popen(["sh", "-c", "echo told >$0", tree / "srv/fifo"]):
        assert here("cat", "--special", f"{tree}:/srv/to-fifo") == (0, b"told\n", "")


def test_cat_opens_a_file_of_the_kernel_only_when_asked_to() -> None:
    ran = here("cat", "/:/proc/version")
    assert ran.err == "procpath: /:/proc/version: a file of procfs is opened only with --special\n"
    assert here("cat", "--special", "/:/proc/version").out == Path("/proc/version").read_bytes()


def test_cat_refuses_directories_and_loops(tree: Path) -> None:
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
