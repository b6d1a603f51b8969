"""The command line: ``du``, as du(1) counts, and ``tail``, as tail(1) follows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from helpers.commandline import HOSTILE, OBEYED, here, printed, shown
from helpers.processes import living
from helpers.support import private_mounts
from procpath import RootedPath, linux
from procpath.commands import tail
from procpath.tree.scanning import Entry

# du


@pytest.fixture
def full(tree: Path) -> Path:
    """A tree with files that take space, and a hard link."""
    for number, name in enumerate(("etc/large", "etc/app.d/larger", "srv/.hidden/x", "top"), 3):
        (tree / name).write_bytes(b"x" * 5000 * number)
    os.link(tree / "top", tree / "srv/again")
    (tree / "a b/empty/within").mkdir(parents=True)
    (tree / "a b/other").mkdir()
    return tree


@pytest.mark.parametrize("options", [[], ["-s"], ["-d", "1"], ["-d", "2"], ["-h"], ["-x"]])
@pytest.mark.parametrize("start", ["/", "/etc", "/a b"])
def test_du_counts_what_du_counts(full: Path, options: list[str], start: str) -> None:
    theirs = subprocess.check_output(["du", *options, f".{start}"], cwd=full, text=True)
    expected = [line.split("\t") for line in theirs.splitlines()]
    ours = [line.split(None, 1) for line in printed("du", *options, f"{full}:{start}")]
    assert sorted(ours) == sorted([size, name.removeprefix(".") or "/"] for size, name in expected)
    seen: set[str] = set()
    for _, path in ours:
        # After what is in it.
        assert os.path.dirname(path) not in seen
        seen.add(path)


def test_du_follows_a_link_at_the_start_alone(full: Path) -> None:
    [line] = printed("du", f"{full}:/var/run")
    assert line.split()[1] == "/var/run"
    (full / "out").symlink_to("/etc")
    [line] = printed("du", "-s", f"{full}:/out")
    assert line.split()[0] == printed("du", "-s", f"{full}:/etc")[0].split()[0]


def test_du_counts_a_file_once_in_all_addresses(full: Path) -> None:
    first, second = json.loads(here("du", "--json", f"{full}:/top", f"{full}:/srv/again").out)
    assert first["size"] == (full / "top").stat().st_blocks * 512
    assert first["address"] == f"{full}:/top"
    assert (second["size"], second["path"]) == (first["size"], "/srv/again")
    whole = printed("du", "-s", f"{full}:/")[0].split()[0]
    assert whole == subprocess.check_output(["du", "-s", full], text=True).split()[0]


@pytest.mark.parametrize(("options", "most"), [(["-s"], 1), (["-d", "2"], 3)])
def test_du_makes_no_path_below_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], most: int
) -> None:
    """Paths of a deep tree are long."""
    (tmp_path / "d/d/d/d/d/d").mkdir(parents=True)
    made: list[int] = []
    path = Entry.path.fget
    assert path is not None

    def path_counted(entry: Entry[RootedPath]) -> RootedPath:
        made.append(entry.depth)
        return path(entry)

    monkeypatch.setattr(Entry, "path", property(path_counted))
    printed("du", *options, f"{tmp_path}:/")
    assert len(made) == most


def test_du_goes_down_a_very_deep_tree() -> None:
    depth = 1500

    def count() -> tuple[int, list[str]]:
        linux.mount(b"tmpfs", b"/mnt", b"tmpfs")
        os.chdir("/mnt")
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        os.chdir("/")
        ran = here("du", "/mnt:/")
        return ran.status, ran.lines

    status, lines = private_mounts(count)
    assert status == 0
    assert [line.split()[1] for line in lines] == [
        "/d" * level or "/" for level in range(depth, -1, -1)
    ]


def test_du_and_tail_show_no_name_unquoted(hostile: Path) -> None:
    (hostile / "d" / f"{HOSTILE}d").mkdir()
    text = shown("du", f"{hostile}:/d", TERM="xterm", NO_COLOR="1")
    text += shown("tail", f"{hostile}:/d/{HOSTILE}", f"{hostile}:/x", TERM="xterm", NO_COLOR="1")
    assert "pwned" in text
    assert not OBEYED.search(text), text


# tail


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\n", b"one", b"one\n", b"one\ntwo", b"\n\n\n", b"a\nb\nc\nd\n", b"a\nb\nc\nd"),
        b"x" * 600_000 + b"\n" + b"y" * 300_000 + b"\nz\n",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_tail_prints_the_last_lines(tree: Path, content: bytes) -> None:
    (tree / "run/x").write_bytes(content)
    for lines in ("0", "1", "2", "3", "100"):
        expected = subprocess.check_output(["tail", "-n", lines, tree / "run/x"])
        assert here("tail", "-n", lines, f"{tree}:/var/run/x") == (0, expected, "")


def test_tail_of_several_has_headings(tree: Path) -> None:
    ran = here("tail", "-n", "1", f"{tree}:/run/x", f"{tree}:/srv/fifo", f"{tree}:/etc/group")
    assert ran.status == 1
    assert ran.lines == [
        *(f"==> {tree}:/run/x <==", "inside", ""),
        *(f"==> {tree}:/etc/group <==", "alices:x:1234:"),
    ]
    assert ran.err == f"procpath: {tree}:/srv/fifo: not a regular file\n"
    assert "Is a directory" in here("tail", f"{tree}:/etc").err


@pytest.mark.parametrize("option", ["-n=-1", "-n=x", "-s=0", "-s=x", "-s=nan", "-s=-1"])
def test_tail_refuses_what_is_no_number(option: str) -> None:
    assert here("tail", *option.split("="), "/:/etc/passwd").status == 2


@pytest.fixture
def growing(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let ``run/x`` grow by 10 bytes at each read, by any of which something may happen."""
    reads = 0

    def start(on_read: Callable[[int], object] = lambda number: None) -> None:
        pread = os.pread

        def pread_and_append(fd: int, count: int, position: int) -> bytes:
            nonlocal reads
            reads += 1
            assert reads < 100, "does not end"
            chunk = pread(fd, count, position)
            with (tree / "run/x").open("a") as file:
                file.write("more more\n")
            on_read(reads)
            return chunk

        monkeypatch.setattr(tail, "_CHUNK", 4)
        monkeypatch.setattr(os, "pread", pread_and_append)

    return start


def test_tail_prints_what_there_is_at_first(tree: Path, growing: Callable[..., None]) -> None:
    """A file that grew faster than it was read was printed for ever."""
    growing()
    assert here("tail", f"{tree}:/run/x", f"{tree}:/etc/app.d/a.conf").lines == [
        # Two reads find where the last lines begin.
        *(f"==> {tree}:/run/x <==", "inside", "more more", "more more", ""),
        *(f"==> {tree}:/etc/app.d/a.conf <==", "a"),
    ]


def test_tail_follows_a_file_beside_a_growing_one(
    tree: Path, growing: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(reads: int) -> None:
        if reads == 40:
            raise KeyboardInterrupt

    monkeypatch.setattr(tail, "_MOST_A_ROUND", 20)
    growing(stop)
    ran = here("tail", "-f", f"{tree}:/run/x", f"{tree}:/etc/app.d/a.conf")
    assert ran.out.splitlines().count(f"==> {tree}:/etc/app.d/a.conf <==".encode()) == 1
    assert b"\na\n" in ran.out


def test_tail_ends_with_the_process_also_where_the_file_grows(
    tree: Path, growing: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "_MOST_A_ROUND", 8)
    with subprocess.Popen(["sleep", "1000"]) as process:

        def end(reads: int) -> None:
            if reads == 2:
                process.kill()
                process.wait()

        growing(end)
        ran = here("tail", "-f", f"{process.pid}:{tree}/run/x")
    assert ran.status == 0
    # Four reads until it is seen that the process has ended.
    assert ran.out == b"inside\n" + b"more more\n" * 4
    assert ran.err.endswith("the process has ended\n")


class Follower:
    """A running ``procpath tail -f``."""

    def __init__(self, *addresses: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "procpath", "tail", "-f", "-s", "0.01", *addresses],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def reads(self, expected: str) -> None:
        """Wait for exactly this output."""
        assert self.process.stdout is not None
        assert self.process.stdout.read(len(expected)) == expected

    def says(self, expected: str) -> None:
        """Wait for exactly this line on standard error."""
        stderr: IO[str] | None = self.process.stderr
        assert stderr is not None
        assert stderr.readline() == expected + "\n"


@pytest.fixture
def follow() -> Iterator[Callable[..., Follower]]:
    started = []

    def start(*addresses: str) -> Follower:
        started.append(Follower(*addresses))
        return started[-1]

    yield start
    for follower in started:
        with follower.process as process:
            process.kill()


def test_tail_follows_what_is_appended_and_cut(tree: Path, follow: Callable[..., Follower]) -> None:
    log = tree / "run/x"
    following = follow(f"{tree}:/var/run/x")
    following.reads("inside\n")
    with log.open("a") as file:
        file.write("more\n")
    following.reads("more\n")
    log.write_text("new\n")
    following.says(f"procpath: {tree}:/var/run/x: the file was truncated")
    following.reads("new\n")
    following.process.send_signal(signal.SIGINT)
    assert following.process.wait(60) == 130


def test_tail_follows_the_name_through_rotation(
    tree: Path, follow: Callable[..., Follower]
) -> None:
    log = tree / "run/x"
    following = follow(f"{tree}:/run/x")
    following.reads("inside\n")
    with log.open("a") as old:
        log.rename(tree / "run/x.1")
        following.says(
            f"procpath: {tree}:/run/x: has become inaccessible: No such file or directory"
        )
        old.write("last of the old\n")
        old.flush()
        following.reads("last of the old\n")
    (tree / "run/new").write_text("first of the new\n")
    (tree / "run/new").rename(log)
    following.says(f"procpath: {tree}:/run/x: following a new file")
    following.reads("first of the new\n")


def test_tail_follows_no_link_out_of_the_root(tree: Path, follow: Callable[..., Follower]) -> None:
    canary = tree.parent / "canary"
    canary.write_text("outside\n")
    following = follow(f"{tree}:/run/x")
    following.reads("inside\n")
    (tree / "run/link").symlink_to(canary)
    (tree / "run/link").rename(tree / "run/x")
    following.says(f"procpath: {tree}:/run/x: has become inaccessible: No such file or directory")
    (tree / "run/fifo").unlink(missing_ok=True)
    os.mkfifo(tree / "run/fifo")
    (tree / "run/fifo").rename(tree / "run/x")
    (tree / "run/again").write_text("inside again\n")
    (tree / "run/again").rename(tree / "run/x")
    following.says(f"procpath: {tree}:/run/x: following a new file")
    following.reads("inside again\n")


def test_tail_waits_for_a_file_that_is_not_there_yet(
    tree: Path, follow: Callable[..., Follower]
) -> None:
    following = follow(f"{tree}:/run/later", f"{tree}:/run/x")
    following.says(f"procpath: {tree}:/run/later: No such file or directory")
    following.reads(f"==> {tree}:/run/x <==\ninside\n")
    (tree / "run/later").write_text("here\n")
    following.reads(f"\n==> {tree}:/run/later <==\nhere\n")


def test_tail_ends_with_the_process(tree: Path, follow: Callable[..., Follower]) -> None:
    with living(lambda: os.chroot(tree)) as pid:
        following = follow(f"{pid}:/run/x")
        following.reads("inside\n")
    following.says(f"procpath: {pid}:/run/x: the process has ended")
    assert following.process.wait(60) == 0
