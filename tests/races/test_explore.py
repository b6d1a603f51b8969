"""Races are found where they are planted, nowhere else, and told so that they can be understood."""

from __future__ import annotations

import ctypes
import doctest
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.processes import become_user
from helpers.support import open_descriptors, run_in_child
from procpath import Root, RootedPath
from procpath.testing import Directory, Fifo, File, Symlink, Tree
from procpath.testing.races import (
    CANARY,
    HOST,
    Exchange,
    Mount,
    Move,
    MoveBack,
    MoveOut,
    RaceError,
    Remove,
    Replace,
    Signal,
    Unmount,
    VictimDiedError,
    assert_confined,
    exploration,
    explore,
    mounts,
    moves_of,
    victim,
)

TREE = Tree({"/app/conf": File(), "/out": Symlink(HOST + "/app")})


EXCHANGE = Exchange("/app", "/out")


def read_by_name(directory: Path) -> bytes:
    return (directory / "app/conf").read_bytes()


def read_checked(directory: Path) -> bytes:
    path = (directory / "app/conf").resolve()
    if not path.is_relative_to(directory):
        raise PermissionError(path)
    return path.read_bytes()


def read_rooted(directory: Path) -> bytes:
    return RootedPath(directory, "app/conf").read_bytes()


def read_walking(directory: Path) -> bytes:
    with Root.at(directory, resolver="walk") as root:
        return RootedPath(root, "app/conf").read_bytes()


def test_pathlib_is_led_out_before_its_only_call() -> None:
    explored = explore(read_by_name, TREE, [EXCHANGE])
    alone, attacked = explored
    assert (alone.escaped, alone.result) == ((), b"/app/conf")
    assert attacked.schedule == ((1, EXCHANGE),)
    assert attacked.result == CANARY
    assert attacked.escaped[-1] == "the content of a canary came out"
    assert [call.name for call in attacked.calls] == ["openat"]


def test_a_check_before_the_use_is_led_out_in_between() -> None:
    explored = explore(read_checked, TREE, [EXCHANGE])
    escapes = [outcome.schedule[0][0] for outcome in explored.failures]
    last = len(explored.calls)
    assert escapes
    assert last in escapes, "the open itself"
    assert 1 not in escapes, "what was exchanged before the check does not pass it"


@pytest.mark.slow
@pytest.mark.parametrize("victim", [read_rooted, read_walking])
def test_rooted_path_is_confined(victim: Callable[[Path], bytes]) -> None:
    explored = explore(victim, TREE)
    assert list(explored.failures) == [], str(explored)
    assert len(explored) == 1 + len(explored.calls) * _of_one_move(TREE)


def _of_one_move(tree: Tree) -> int:
    return sum(not isinstance(move, (MoveBack, Unmount)) for move in moves_of(tree))


def test_a_schedule_replays() -> None:
    attacked = [outcome for outcome in explore(read_checked, TREE, [EXCHANGE]) if outcome.escaped]
    for outcome in attacked:
        with pytest.raises(AssertionError) as caught:
            assert_confined(read_checked, TREE, outcome.schedule)
        assert str(caught.value) == str(outcome)


def test_a_failing_schedule_shows_where_the_attack_struck() -> None:
    shown = str(explore(read_by_name, TREE, [EXCHANGE]))
    assert shown.splitlines() == [
        "escaped: opened {outside}/host/app/conf",
        "escaped: read {outside}/host/app/conf",
        "escaped: the content of a canary came out",
        repr(TREE),
        "  -->  Exchange('/app', '/out')",
        "    1  openat({root}/app/conf)",
        f"result: {CANARY!r}",
    ]


def test_a_passing_exploration_is_one_line() -> None:
    explored = explore(read_rooted, TREE, [EXCHANGE])
    assert len(explored) == 1 + len(explored.calls)
    expected = f"confined: {len(explored.calls)} calls, {len(explored)} placements, "
    assert str(explored).startswith(expected)


@pytest.mark.parametrize(
    ("move", "change"),
    [
        (Exchange("/a", "/b"), {"/a": File(b"B"), "/b/in": File()}),
        (MoveOut("/a"), {"/b": File(b"B")}),
        (Remove("/a"), {"/b": File(b"B")}),
        (Replace("/a", Symlink("b")), {"/a": Symlink("b"), "/b": File(b"B")}),
        (Replace("/b", Directory(0o700)), {"/a/in": File(), "/b": Directory(0o700)}),
        (Replace("/a/in", Fifo()), {"/a/in": Fifo(), "/b": File(b"B")}),
    ],
    ids=repr,
)
def test_a_move_does_what_it_says(move: Move, change: dict[str, File]) -> None:
    def look(directory: Path) -> Tree:
        (directory / "a").exists()
        return Tree.capture(directory)

    tree = Tree({"/a/in": File(), "/b": File(b"B")})
    outcome = exploration.play(look, tree, [(2, move)])
    assert isinstance(outcome.result, Tree)
    changed = Tree(change)
    assert set(outcome.result) == set(changed)
    assert all(type(outcome.result[path]) is type(changed[path]) for path in changed)
    assert outcome.missed == ()
    assert outcome.escaped == ()


def test_what_was_moved_out_has_a_canary_above_it_until_it_is_back() -> None:
    def climb(directory: Path) -> list[bytes]:
        fd = os.open(directory / "a/b", os.O_PATH)
        read = []
        for _ in range(2):
            found = os.open("../conf", os.O_RDONLY, dir_fd=fd)
            read.append(os.read(found, 100))
        return read

    tree = Tree({"/a/b": Directory(), "/a/conf": File()})
    out, back = MoveOut("/a/b"), MoveBack("/a/b")
    assert exploration.play(climb, tree, [(2, out), (3, back)]).result == [CANARY, b"/a/conf"]
    assert exploration.play(climb, tree, [(3, out)]).result == [b"/a/conf", CANARY]
    pairs = explore(climb, tree, [out, back], most=2)
    assert ((2, out), (3, back)) in [outcome.schedule for outcome in pairs.failures]
    assert exploration.play(climb, tree, [(2, back)]).missed == (back,)


@pytest.mark.root
def test_a_mount_is_the_victim_s_alone() -> None:
    def listed(directory: Path) -> list[list[str]]:
        return [os.listdir(directory / "app") for _ in range(2)]

    schedule = [(1, Mount("/app")), (4, Unmount("/app"))]
    outcome = exploration.play(listed, TREE, schedule)
    assert outcome.result == [[], ["conf"]], str(outcome)
    assert "races-" not in Path("/proc/self/mounts").read_text()


def test_a_signal_arrives_between_two_calls() -> None:
    read: list[bytes] = []

    def interrupted(directory: Path) -> list[bytes]:
        try:
            for _ in range(3):
                read.append(read_by_name(directory))
        except KeyboardInterrupt:
            read.append(b"interrupted")
        return read

    outcome = exploration.play(interrupted, TREE, [(2, Signal(signal.SIGINT))])
    assert outcome.result in ([b"/app/conf", b"interrupted"], [b"/app/conf"] * 2 + [b"interrupted"])
    assert "  -->  Signal(SIGINT)\n    2  openat(" in str(outcome)


@pytest.mark.parametrize(
    ("attack", "way"),
    [
        (lambda path: path.chmod(0o600), "changed"),
        (lambda path: path.unlink(), "removed"),
        (lambda path: path.write_bytes(b""), "written to"),
        (lambda path: os.close(os.open(path, os.O_RDONLY)), "opened"),
        (lambda path: path.rename(path.with_name("new")), "moved away"),
        (lambda path: path.lstat(), "the status of something outside came out"),
        (lambda path: os.listdir(path.parent), "the name of a canary came out"),
        (lambda path: path.with_name("new").mkdir(), "created"),
        (lambda path: path.parents[1].joinpath("stolen").hardlink_to(path), "linked"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_happens_to_a_canary_is_seen(attack: Callable[[Path], object], way: str) -> None:
    outcome = exploration.play(lambda root: attack(root / "app/conf"), TREE, [(1, EXCHANGE)])
    assert any(told.startswith(way) for told in outcome.escaped), str(outcome)
    alone = exploration.play(lambda root: attack(root / "app/conf"), TREE, [])
    assert alone.escaped == ()


def test_a_link_to_a_file_that_was_moved_out_is_not_one_to_a_canary() -> None:
    def link(directory: Path) -> None:
        fd = os.open(directory / "app", os.O_PATH)
        os.link("conf", "again", src_dir_fd=fd, dst_dir_fd=fd)

    assert exploration.play(link, TREE, [(2, MoveOut("/app"))]).escaped == ()


def reads_the_host(directory: Path) -> bytes:
    return (directory / "out/conf").read_bytes()


def test_a_victim_that_needs_no_move_is_told_so() -> None:
    with pytest.raises(AssertionError, match="without any move: this is not a race") as caught:
        assert_confined(reads_the_host, TREE, [(1, Remove("/app")), (2, EXCHANGE)])
    assert "-->" not in str(caught.value)
    assert str(explore(reads_the_host, TREE)) == str(caught.value)

    def waits(directory: Path) -> bytes:
        return (directory / "pipe").read_bytes()

    with pytest.raises(AssertionError, match="without any move"):
        assert_confined(waits, Tree({"/pipe": Fifo()}), [(9, Remove("/pipe"))])
    # One that hangs is led out by a move all the same.
    tree = Tree({"/pipe": Fifo(), "/out": Symlink(HOST)})
    with pytest.raises(AssertionError, match="-->"):
        assert_confined(waits, tree, [(1, Replace("/pipe", Symlink(HOST + "/pipe")))])


@pytest.mark.parametrize(
    ("argv", "printed"),
    [
        (["cat", "{root}/app/conf"], b"/app/conf"),
        (["ls", "{root}/app"], b"conf\n"),
        (["tar", "-c", "--to-stdout", "-C", "{root}/app", "conf"], b"/app/conf"),
        (["sh", "-c", 'read line <"{root}/app/conf"; echo "$line"'], b"/app/conf\n"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_any_program_is_a_victim(argv: list[str], printed: bytes) -> None:
    explored = explore(argv, TREE, [EXCHANGE])
    alone = explored.calls and next(iter(explored))
    assert isinstance(alone.result, subprocess.CompletedProcess)
    assert alone.result.returncode == 0
    assert printed in alone.result.stdout
    assert not alone.escaped
    attacked = list(explored.failures)
    assert any(b"canary" in one.result.stdout or CANARY in one.result.stdout for one in attacked)


@pytest.mark.skipif(shutil.which("runc") is None, reason="needs runc")
def test_a_program_in_go_is_a_victim() -> None:
    explored = explore(["runc", "spec", "--bundle", "{root}/app"], TREE, [EXCHANGE])
    alone = next(iter(explored))
    assert alone.result.returncode == 0
    assert not alone.escaped
    assert any("config.json" in told for one in explored.failures for told in one.escaped)


def test_a_victim_that_hangs_is_ended_and_told() -> None:
    tree = Tree({"/pipe": Fifo()})
    for hanging in (lambda root: (root / "pipe").read_bytes(), ["cat", "{root}/pipe"]):
        (outcome,) = explore(hanging, tree, [])
        assert outcome.hung
        assert str(outcome).startswith("without any move: this is not a race\nhung\n")
        with pytest.raises(AssertionError, match="hung"):
            assert_confined(hanging, tree, [])


def compute() -> None:
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        pass


def poll_for_something() -> None:
    for _ in range(15):
        time.sleep(0.02)


@pytest.mark.parametrize("work", [compute, poll_for_something])
def test_a_busy_victim_does_not_hang(work: Callable[[], None]) -> None:
    def busy(directory: Path) -> bytes:
        work()
        return read_by_name(directory)

    (outcome,) = explore(busy, TREE, [])
    assert outcome.result == b"/app/conf"


def test_a_victim_that_dies_is_told() -> None:
    def die(_: Path) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    (outcome,) = explore(die, TREE, [])
    assert isinstance(outcome.result, VictimDiedError)
    assert "SIGKILL" in str(outcome.result)
    (outcome,) = explore(["sh", "-c", "kill -9 $$"], TREE, [])
    assert outcome.result.returncode == -signal.SIGKILL


def test_a_victim_that_stops_itself_hangs() -> None:
    (outcome,) = explore(lambda _: os.kill(os.getpid(), signal.SIGSTOP), TREE, [])
    assert outcome.hung


def test_a_victim_that_closes_all_descriptors_is_told() -> None:
    def close_all(directory: Path) -> None:
        os.closerange(3, 1_000)
        read_by_name(directory)

    alone, attacked = explore(close_all, TREE, [EXCHANGE])
    assert "closed all descriptors" in str(alone.result)
    assert attacked.escaped


def test_children_and_threads_of_a_victim_are_told_and_ended() -> None:
    def fork(directory: Path) -> int:
        pid = os.fork()
        if pid == 0:
            os.access(directory, os.F_OK)
            while True:
                signal.pause()
        time.sleep(0.1)
        return pid

    (outcome,) = explore(fork, TREE, [])
    assert "the victim has forked: its children run as they like" in outcome.notes
    assert isinstance(outcome.result, int)
    deadline = time.monotonic() + 10
    while _runs(outcome.result) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(outcome.result)

    def start_thread(directory: Path) -> None:
        thread = threading.Thread(target=read_by_name, args=[directory])
        thread.start()
        thread.join()

    (outcome,) = explore(start_thread, TREE, [])
    assert outcome.notes == ("the victim has several threads, which run as they like",)


def _runs(pid: int) -> bool:
    try:
        return b") Z" not in Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_an_error_of_the_victim_is_its_result() -> None:
    def fail(directory: Path) -> None:
        (directory / "missing").read_bytes()

    (outcome,) = explore(fail, TREE, [])
    assert isinstance(outcome.result, FileNotFoundError)
    assert "in fail" in outcome.result.__notes__[0]
    (outcome,) = explore(lambda _: threading.Lock(), TREE, [])
    assert isinstance(outcome.result, TypeError)
    assert "must pickle" in str(outcome.result)


def test_pairs_beyond_the_limit_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploration, "MOST_PLACEMENTS", 10)
    explored = explore(read_by_name, TREE, most=2)
    singles = len(explore(read_by_name, TREE))
    assert singles < len(explored) <= singles + 10
    assert explored.sampled
    assert repr(explored).endswith("placements, chosen among more, 1 run>")
    again = explore(read_by_name, TREE, most=2)
    assert [one.schedule for one in explored] == [one.schedule for one in again]


def test_the_number_of_placements_is_said_before_they_run() -> None:
    explored = explore(read_by_name, TREE, [EXCHANGE, MoveOut("/app"), MoveBack("/app")], most=2)
    # One call: alone, two moves, and any two of the three but for those that begin with the last.
    assert repr(explored) == "<Exploration: 1 calls, 8 placements, 1 run>"
    assert len(explored) == len(list(explored)) == 8


def test_an_exploration_of_many_calls_is_not_written_down() -> None:
    def many(directory: Path) -> None:
        for _ in range(2_000):
            (directory / "app").exists()

    wide = Tree({f"/{number}": File() for number in range(10)} | dict(TREE))
    explored = explore(many, wide)
    assert len(explored) == 1 + 2_000 * _of_one_move(wide)
    assert sys.getsizeof(explored._longer) < 1_000


@pytest.mark.root
def test_mounts_are_offered_to_those_who_may_mount() -> None:
    mounts.refusal.cache_clear()
    offered = [move for move in moves_of(TREE) if isinstance(move, (Mount, Unmount))]
    assert offered == [Mount("/app"), Unmount("/app")]


def test_an_ordinary_user_needs_no_privilege() -> None:
    def as_user() -> str:
        become_user(65534)
        # A process that has changed its user is not dumpable, so /proc/PID/mem is root's.
        assert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0
        tempfile.tempdir = None  # chosen as root, it may not be the user's to write
        victim.require_support.cache_clear()
        return str(explore(read_by_name, TREE, [EXCHANGE]))

    assert "the content of a canary came out" in run_in_child(as_user)


@pytest.mark.usefixtures("no_leak")
def test_an_exploration_leaves_nothing_behind(tmp_path: Path) -> None:
    before = open_descriptors()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path))
        patch.setattr("tempfile.tempdir", None)
        for _ in explore(read_by_name, TREE):
            pass
        patch.setattr(victim, "MOST_CALLS", 0)
        with pytest.raises(RaceError):
            explore(read_by_name, TREE)
    assert os.listdir(tmp_path) == []
    assert open_descriptors() == before


def test_the_example_of_the_docstring_runs() -> None:
    [example] = doctest.DocTestFinder().find(explore, "explore", globs={})
    assert doctest.DocTestRunner().run(example).failed == 0
