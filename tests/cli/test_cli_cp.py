"""``procpath cp``: what arrives where, what is in the way, and what a hostile side cannot do."""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.commandline import here, procpath, shown
from helpers.containers import OS_RELEASE, RuncContainer
from helpers.seccomp import NO_OPENAT2, forbid
from helpers.support import private_mounts, run_in_child
from procpath import linux
from procpath.commands import cp
from procpath.tree.copy import CopyProgress

HOSTILE = os.fsdecode(b"\x1b]0;pwned\x07\n\xe2\x80\xae'\\\xff.txt")
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

QUIET = (0, b"", "")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a few files and links in it."""
    top = tmp_path / "rootfs"
    (top / "etc/app/conf.d").mkdir(parents=True)
    (top / "run").mkdir()
    (top / "usr").mkdir()
    (top / "usr/os-release").write_text("ID=inside\n")
    (top / "etc/os-release").symlink_to("/usr/os-release")
    (top / "etc/app/main.conf").write_text("main\n")
    (top / "etc/app/conf.d/a.conf").write_text("a\n")
    (top / "etc/app/alias").symlink_to("/etc/app/main.conf")
    (top / "app").symlink_to("/etc/app")
    os.mkfifo(top / "run/fifo")
    return top


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that local paths count from."""
    top = tmp_path / "local"
    top.mkdir()
    monkeypatch.chdir(top)
    return top


def complaint(*arguments: str) -> str:
    """The only line of a run that fails."""
    ran = here("cp", *arguments)
    assert (ran.status, ran.out) == (1, b"")
    [line] = ran.err.splitlines()
    assert line.startswith("procpath: ")
    return line.removeprefix("procpath: ")


def portrait(top: Path) -> dict[str, str]:
    """What is below ``top``: the text of files and links by their names."""
    found = {}
    for path in top.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            said = f"-> {os.readlink(path)}"
        else:
            said = path.read_text() if stat.S_ISREG(mode) else stat.filemode(mode)[0]
        found[str(path.relative_to(top))] = said
    return found


# Out of a container, into it, from one to another


@pytest.mark.parametrize("kind", ["container", "mapped_container"])
def test_a_file_comes_out_of_a_container(
    kind: str, request: pytest.FixtureRequest, local: Path
) -> None:
    container: RuncContainer = request.getfixturevalue(kind)
    assert here("cp", f"{container.pid}:/etc/os-release", ".") == QUIET
    assert portrait(local) == {"os-release": OS_RELEASE}


def test_tree_goes_from_container_to_container(
    start_container: Callable[[], RuncContainer], local: Path
) -> None:
    one, other = start_container(), start_container()
    (local / "conf/sub").mkdir(parents=True)
    (local / "conf/sub/x.conf").write_text("x = 1\n")
    assert here("cp", "-r", "./conf", f"{one.pid}:/etc/app.d/") == QUIET
    assert one.exec(["cat", "/etc/app.d/conf/sub/x.conf"]) == "x = 1\n"
    # By an absolute link, which leads into a tmpfs that only the container has.
    assert here("cp", "-r", f"{one.pid}:/srv/app.d/conf", f"{other.pid}:/var/run/conf") == QUIET
    assert other.exec(["cat", "/run/conf/sub/x.conf"]) == "x = 1\n"


def test_mount_on_a_file_of_a_container_stays(
    start_container: Callable[[], RuncContainer], local: Path
) -> None:
    target = f"{start_container().pid}:/etc/resolv.conf"
    (local / "resolv.conf").symlink_to("nowhere")
    line = complaint("-a", "resolv.conf", target)
    assert line == f"{target}: a mount point, which cannot be replaced"


def test_a_link_out_of_the_root_is_no_way_out(root: Path, local: Path) -> None:
    (local / "secret").write_text("of the host")
    (root / "evil").symlink_to(local / "secret")
    assert complaint(f"{root}:/evil", "stolen") == f"{root}:/evil: No such file or directory"
    (root / "trap").symlink_to(local)
    assert complaint(f"{root}:/usr/os-release", f"{root}:/trap/secret") == (
        f"{root}:/trap/secret: No such file or directory"
    )
    assert portrait(local) == {"secret": "of the host"}


# Which name a copy gets


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (["R:/etc/os-release", "."], {"os-release": "ID=inside\n"}),
        (["R:/etc/os-release", "new"], {"new": "ID=inside\n"}),
        (["-a", "R:/etc/os-release", "."], {"os-release": "-> /usr/os-release"}),
        (["-a", "R:/app", "new"], {"new": "-> /etc/app"}),
        (["R:/run/fifo", "."], {"fifo": "p"}),
        (["-r", "R:/etc/app/conf.d", "."], {"conf.d": "d", "conf.d/a.conf": "a\n"}),
        (["-r", "R:/etc/app/conf.d/", "new/"], {"new": "d", "new/a.conf": "a\n"}),
        (["-R", "R:/etc/app/conf.d/.", "."], {"a.conf": "a\n"}),
        (["-r", "R:/usr/../run/../usr/.", "."], {"os-release": "ID=inside\n"}),
        (
            ["-r", "R:/usr/os-release", "R:/usr", "."],
            {"os-release": "ID=inside\n", "usr": "d", "usr/os-release": "ID=inside\n"},
        ),
        (
            ["-r", "R:/app", "new"],
            {
                "new": "d",
                "new/alias": "-> /etc/app/main.conf",
                "new/conf.d": "d",
                "new/conf.d/a.conf": "a\n",
                "new/main.conf": "main\n",
            },
        ),
    ],
    ids=lambda value: shlex.join(value) if isinstance(value, list) else "",
)
def test_a_copy_gets_the_name_that_cp_gives_it(
    arguments: list[str], made: dict[str, str], root: Path, local: Path
) -> None:
    assert here("cp", *(word.replace("R:", f"{root}:") for word in arguments)) == QUIET
    assert portrait(local) == made


def test_all_that_is_in_a_root_can_be_copied(root: Path, local: Path) -> None:
    assert here("cp", "-a", f"{root}:/", ".") == QUIET
    assert portrait(local) == portrait(root)


def test_target_link_is_followed_inside_its_root(root: Path, local: Path) -> None:
    (local / "x.conf").write_text("x\n")
    (local / "os").write_text("ID=new\n")
    assert here("cp", "x.conf", f"{root}:/app") == QUIET
    assert here("cp", "os", f"{root}:/etc/os-release") == QUIET
    assert (root / "etc/app/x.conf").read_text() == "x\n"
    assert (root / "usr/os-release").read_text() == "ID=new\n"
    assert (root / "etc/os-release").is_symlink()


def test_an_archive_keeps_owner_mode_and_time(root: Path, local: Path) -> None:
    source = root / "etc/app/main.conf"
    os.chown(source, 1234, 4321)
    source.chmod(0o640)
    os.utime(source, ns=(1, 2))
    assert here("cp", "-a", f"{root}:/etc/app", f"{root}:/etc/app/main.conf", ".") == QUIET
    for path in ("main.conf", "app/main.conf"):
        status = (local / path).stat()
        assert (status.st_uid, status.st_gid, status.st_mtime_ns) == (1234, 4321, 2)
        assert stat.S_IMODE(status.st_mode) == 0o640
    assert here("cp", f"{root}:/etc/app/main.conf", "plain") == QUIET
    assert (local / "plain").stat().st_uid == os.getuid()


# What is there already


def test_a_file_is_overwritten_and_keeps_its_mode(root: Path, local: Path) -> None:
    (local / "main.conf").write_text("something much longer than what comes\n")
    (local / "main.conf").chmod(0o600)
    assert here("cp", f"{root}:/etc/app/main.conf", ".") == QUIET
    assert (local / "main.conf").read_text() == "main\n"
    assert stat.S_IMODE((local / "main.conf").stat().st_mode) == 0o600


def _merge(root: Path, local: Path) -> None:
    """A tree onto one that has other files, the same, and links."""
    kept = local / "out/app"
    (kept / "conf.d/deeper").mkdir(parents=True)
    (kept / "own.conf").write_text("own\n")
    (kept / "conf.d/a.conf").write_text("old\n")
    (kept / "alias").symlink_to("elsewhere")
    kept.chmod(0o700)
    (root / "etc/app/conf.d/deeper").mkdir()
    (root / "etc/app/conf.d/deeper/b.conf").write_text("b\n")
    for options in (["-r"], ["-r"], ["-a"]):
        assert here("cp", *options, f"{root}:/etc/app", "out") == QUIET
    assert portrait(kept) == portrait(root / "etc/app") | {"own.conf": "own\n"}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700


def test_directories_are_merged(root: Path, local: Path) -> None:
    _merge(root, local)


def test_directories_are_merged_without_openat2(root: Path, local: Path) -> None:
    def inside() -> None:
        forbid(NO_OPENAT2)
        _merge(root, local)

    run_in_child(inside)


@pytest.mark.parametrize("openat2", [True, False])
def test_link_in_the_target_is_never_written_through(
    openat2: bool, root: Path, local: Path
) -> None:
    """A hostile root first gives links, and then what would go through them (CVE-2018-15664)."""

    def inside() -> None:
        if not openat2:
            forbid(NO_OPENAT2)
        evil = root / "evil"
        evil.mkdir()
        (evil / "file").symlink_to(local / "passwd")
        (evil / "directory").symlink_to(local / "home")
        assert here("cp", "-r", f"{root}:/evil", "out") == QUIET
        assert (local / "out/file").is_symlink()
        for name in ("file", "directory"):
            (evil / name).unlink()
        (evil / "file").write_text("evil")
        (evil / "directory").mkdir()
        (evil / "directory/keys").write_text("evil")
        there = "will not replace it with a directory"
        line = complaint("-r", f"{root}:/evil/.", "out")
        assert line == f"out/directory: {there}"
        assert complaint("-r", f"{root}:/evil/directory", "out") == line
        assert here("cp", f"{root}:/evil/file", "out") == QUIET

    (local / "home").mkdir()
    (local / "passwd").write_text("of the host")
    run_in_child(inside)
    assert portrait(local) == {
        "home": "d",
        "passwd": "of the host",
        "out": "d",
        "out/file": "evil",
        "out/directory": f"-> {local}/home",
    }


def test_unmergeable_entries_do_not_stop_a_copy(root: Path, local: Path) -> None:
    (local / "app/main.conf").mkdir(parents=True)
    (local / "app/conf.d").write_text("no directory\n")
    ran = here("cp", "-r", f"{root}:/etc/app", ".")
    assert (ran.status, ran.out) == (1, b"")
    assert ran.err.splitlines() == [
        "procpath: app/conf.d: will not replace it with a directory",
        "procpath: app/main.conf: Is a directory",
    ]
    assert os.readlink(local / "app/alias") == "/etc/app/main.conf"


def test_copied_link_replaces_a_file_but_no_directory(root: Path, local: Path) -> None:
    (local / "os-release").write_text("a file\n")
    assert here("cp", "-a", f"{root}:/etc/os-release", "os-release") == QUIET
    assert portrait(local) == {"os-release": "-> /usr/os-release"}
    (local / "os-release").unlink()
    (local / "os-release").mkdir()
    assert complaint("-a", f"{root}:/etc/os-release", ".") == "os-release: Is a directory"
    assert portrait(local) == {"os-release": "d"}


def test_file_just_copied_is_not_overwritten(root: Path, local: Path) -> None:
    (root / "usr/main.conf").write_text("another\n")
    first, second = f"{root}:/etc/app/main.conf", f"{root}:/usr/main.conf"
    line = complaint(first, second, ".")
    assert line == f"{second}: will not overwrite main.conf, just copied from {first}"
    assert portrait(local) == {"main.conf": "main\n"}


# What fails


def test_a_directory_needs_an_option(root: Path, local: Path) -> None:
    assert complaint(f"{root}:/etc/app", ".") == f"{root}:/etc/app: is a directory (use -r)"
    assert portrait(local) == {}


def test_failing_source_stops_no_other(root: Path, local: Path) -> None:
    ended = os.fork()
    if ended == 0:
        os._exit(0)
    os.waitpid(ended, 0)
    sources = [f"{root}:/nowhere", "absent", f"{ended}:/x", f"{root}:/usr/os-release"]
    ran = here("cp", *sources, ".")
    assert (ran.status, ran.out) == (1, b"")
    assert ran.err.splitlines() == [
        f"procpath: {root}:/nowhere: No such file or directory",
        "procpath: absent: No such file or directory",
        f"procpath: {ended}:/x: process {ended} does not exist (any more)",
    ]
    assert portrait(local) == {"os-release": "ID=inside\n"}


def test_a_target_that_cannot_be_is_told_in_one_line(root: Path, local: Path) -> None:
    source = f"{root}:/usr/os-release"
    (local / "file").write_text("")
    several = "not a directory, which several sources need"
    assert complaint(source, "new/") == "new/: No such file or directory"
    assert complaint(source, "no/where") == "no/where: No such file or directory"
    assert complaint(source, "file/") == "file/: Not a directory"
    assert complaint(source, source, "file") == f"file: {several}"
    assert complaint("file", source, f"{root}:/new") == f"{root}:/new: {several}"
    assert complaint("file", f"{root / 'x'}:/") == f"{root / 'x'}: No such file or directory"
    assert complaint("-r", f"{root}:/etc", "file") == ("file: will not replace it with a directory")
    assert complaint("file", f"{root}:/run/fifo").startswith(
        f"{root}:/run/fifo: will not replace a special"
    )
    assert portrait(local) == {"file": ""}
    assert not (root / "new").exists()


def test_nothing_is_copied_into_itself(root: Path) -> None:
    before = portrait(root)
    for source in ("/etc", "/etc/."):
        for target in ("/etc/app", "/app/"):
            line = complaint("-r", f"{root}:{source}", f"{root}:{target}")
            assert line == f"{root}:{source}: Source path is a parent of target path"
    same = f"{root}:/usr/os-release"
    assert complaint(same, f"{root}:/usr") == f"{same}: Source and target are the same file"
    assert portrait(root) == before


def test_a_full_disk_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    (root / "etc/app/large").write_bytes(bytes(2 << 20))
    full = tmp_path / "full"
    full.mkdir()

    def inside() -> tuple[str, list[str]]:
        linux.mount(b"tmpfs", os.fsencode(full), b"tmpfs", 0, b"size=1m")
        return complaint("-r", f"{root}:/etc/app", f"{full}/app"), os.listdir(full)

    line, left = private_mounts(inside)
    assert line == f"{full}/app/large: No space left on device"
    assert left == []


def test_no_name_can_break_a_line_or_a_terminal(root: Path, local: Path) -> None:
    (root / HOSTILE).mkdir()
    (local / HOSTILE).write_text("")
    for arguments in (
        [f"{root}:/{HOSTILE}", "."],
        ["-r", f"{root}:/{HOSTILE}", "."],
        [f"{root}:/usr/os-release", f"{HOSTILE}/x"],
    ):
        line = complaint(*arguments)
        assert not OBEYED.search(line)
        assert r"\033]0;pwned" in line


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["1:/x"], "TARGET"),
        (["a", "b"], "no PID:/path or DIR:/path among them"),
        (["-", "-"], "no PID:/path or DIR:/path among them"),
        (["1:/x", "2:/x", "-"], "a tar stream (-) goes with one other path"),
        (["-", "1:/x", "2:/x"], "a tar stream (-) goes with one other path"),
        (["1:/x", ""], "an empty path"),
        (["1:/x", "1:tmp"], "not a PID:/path: '1:tmp'; a local file is ./1:tmp"),
        (["0:/x", "."], "0 cannot be a PID"),
    ],
    ids=str,
)
def test_wrong_usage_is_told_below_the_usage(
    arguments: list[str], reason: str, local: Path
) -> None:
    ran = here("cp", *arguments)
    assert (ran.status, ran.out) == (2, b"")
    assert ran.err.startswith("usage: procpath cp")
    assert reason in ran.err.splitlines()[-1]
    assert portrait(local) == {}


def test_it_explains_itself() -> None:
    ran = here("cp", "--help")
    assert (ran.status, ran.err) == (0, "")
    for word in (b"-r, -R, --recursive", b"-a, --archive", b"merged", b"links"):
        assert word in ran.out


def test_no_descriptor_is_leaked(root: Path, local: Path, no_leak: None) -> None:
    for arguments in (
        ["-r", f"{root}:/etc/app", "."],
        ["-r", f"{root}:/etc/app", "."],
        ["-a", f"{root}:/etc/app/.", f"{root}:/usr/os-release", "."],
        [f"{root}:/nowhere", f"{root}:/etc", "nowhere"],
        ["-r", f"{root}:/etc", f"{root}:/app/"],
    ):
        here("cp", *arguments)


# Progress


def test_terminal_sees_progress_and_then_nothing(
    root: Path, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cp, "_PATIENCE", 0)
    monkeypatch.setattr(cp, "_INTERVAL", 0.000001)
    (root / "etc/app/large").write_bytes(bytes(3 << 20))
    seen = shown("cp", "-r", f"{root}:/etc/app", f"{root}:/nowhere", ".")
    progress, complaint_, *rest = re.split(r"(procpath: .*\n)", seen)
    assert complaint_ == f"procpath: {root}:/nowhere: No such file or directory\n"
    assert rest == [""]
    lines = [line.rstrip(" ") for line in progress.split("\r")]
    assert lines[-3].startswith("6 entries, 3.0 MiB, ")
    assert re.fullmatch(r"[\d,]+ entr(y|ies), [\d.]+ [KMG]?i?B, [\d.]+ [KMG]?i?B/s", lines[-3])
    # What is over it in the end is as wide as it.
    assert lines[-2:] == ["", ""]
    assert progress.endswith(f"\r{' ' * len(lines[-3])}\r")


def test_a_line_is_no_wider_than_the_terminal(
    root: Path, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cp, "_PATIENCE", 0)
    seen = shown("cp", f"{root}:/usr/os-release", ".", columns=12)
    assert [line for line in seen.split("\r") if line.strip()]
    assert max(len(line) for line in seen.split("\r")) == 11


def test_short_copy_shows_no_progress(root: Path, local: Path) -> None:
    assert shown("cp", f"{root}:/usr/os-release", ".") == ""


def test_without_a_terminal_there_is_no_progress(
    root: Path, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cp, "_PATIENCE", 0)
    assert here("cp", "-r", f"{root}:/etc/app", ".") == QUIET


def test_a_terminal_that_was_closed_ends_no_copy(
    root: Path, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cp, "_PATIENCE", 0)
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        progress = cp._Progress()
        os.close(ours)
        monkeypatch.undo()
        assert progress._stream is not None
        progress.count(CopyProgress())
        assert progress._stream is None


def test_an_interrupt_leaves_nothing_behind(
    root: Path, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(progress: cp._Progress, done: CopyProgress) -> None:
        print(*os.listdir(local), flush=True)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(cp, "_PATIENCE", 0)
    monkeypatch.setattr(cp._Progress, "_show", interrupt)
    [line] = shown("cp", "-r", f"{root}:/etc/app", ".").splitlines()
    assert re.fullmatch(r"\.procpath-unfinished-copy-[0-9a-f]{16}", line)
    assert os.listdir(local) == []


def test_it_runs_as_its_users_run_it(root: Path, local: Path) -> None:
    assert procpath("cp", f"{root}:/usr/os-release", ".") == QUIET
    assert portrait(local) == {"os-release": "ID=inside\n"}


def test_advice_names_the_options_of_the_command(root: Path, local: Path) -> None:
    os.mknod(root / "run/null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    assert complaint("-a", f"{root}:/run/null", ".").endswith("to the host only with --special")
    assert complaint("--special", f"{root}:/run/null", ".").endswith("creates one only with -a")
    assert complaint("/:/proc/version", ".").endswith(
        ": a file of procfs is copied only with --special"
    )
    assert here("cp", "--special", "/:/proc/version", ".") == (0, b"", "")
    assert (local / "version").read_bytes() == Path("/proc/version").read_bytes()
