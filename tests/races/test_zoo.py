"""Every reader of the zoo is caught by the strategies, the races or both; RootedPath by none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, example, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from helpers.forms import by_form
from procpath.testing import (
    HOST,
    Fifo,
    File,
    MakeRootedTree,
    Symlink,
    Tree,
    hostile_trees,
    in_root_paths,
    trees,
)
from procpath.testing.races import (
    Exchange,
    Move,
    Replace,
    assert_confined,
    explore,
    schedules,
)
from procpath.testing.races.exploration import play
from races import zoo

EXAMPLES = 200
SEARCH = settings(
    database=None,
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TREE = Tree({"/a/f": File(), "/b": Symlink(HOST + "/a"), "/l": Symlink("a")})


def read(victim: zoo.Reader, root: Path) -> bytes | None:
    try:
        return victim(root, "/a/f")
    except OSError:
        return None


def answer(reader: Callable[[], bytes]) -> bytes | int | None:
    try:
        return reader()
    except (OSError, ValueError):
        return None


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tree, str]:
    tree = draw(hostile_trees(max_size=5))
    # These readers run in this process, and would wait for the other end of a FIFO.
    tree = Tree({path: node for path, node in tree.items() if not isinstance(node, Fifo)})
    return tree, draw(in_root_paths(tree))


def is_led_out(make: MakeRootedTree, reader: zoo.Reader, case: tuple[Tree, str]) -> bool:
    tree, path = case
    with make(tree) as made:
        return answer(partial(reader, made.directory, path)) == made.canary


@pytest.mark.parametrize("reader", zoo.BY_TREES)
def test_a_tree_leads_a_careless_reader_out(
    rooted_tree: MakeRootedTree, reader: zoo.Reader
) -> None:
    found = partial(is_led_out, rooted_tree, reader)
    find(cases(), found, settings=settings(SEARCH, phases=[Phase.generate]))


def test_no_tree_leads_rooted_path_out(rooted_tree: MakeRootedTree) -> None:
    found = partial(is_led_out, rooted_tree, zoo.rooted)
    with pytest.raises(NoSuchExample):
        find(cases(), found, settings=settings(SEARCH, max_examples=25))


@pytest.mark.parametrize("reader", zoo.READERS)
def test_one_exploration_catches_each_reader(reader: zoo.Reader) -> None:
    moves = [Exchange("/a", "/b"), Replace("/a/f", Symlink(HOST + "/a/f"))]
    explored = explore(partial(read, reader), TREE, moves)
    assert any(outcome.escaped for outcome in explored.failures), str(explored)


@pytest.mark.parametrize("writer", zoo.WRITERS)
def test_one_exploration_catches_each_writer(writer: Callable[[Path], None]) -> None:
    explored = explore(writer, TREE)
    assert any(outcome.escaped for outcome in explored.failures), str(explored)


def test_one_exploration_catches_an_open_after_a_stat() -> None:
    explored = explore(partial(read, zoo.stat_then_open), TREE, [Replace("/a/f", Fifo())])
    assert [outcome.hung for outcome in explored] == [False, False, True]


def test_no_exploration_catches_rooted_path() -> None:
    explored = explore(partial(read, zoo.rooted), TREE)
    assert next(explored.failures, None) is None, str(explored)


@pytest.mark.slow
@pytest.mark.parametrize("victim", zoo.ROOTED_WRITERS)
def test_no_exploration_catches_writing_by_rooted_path(victim: Callable[[Path], object]) -> None:
    explored = explore(victim, TREE)
    assert next(explored.failures, None) is None, str(explored)


@st.composite
def attacks(draw: st.DrawFn, reader: zoo.Reader) -> tuple[Tree, str, list[tuple[int, Move]]]:
    tree = draw(trees(max_size=2))
    files = [path for path, node in tree.items() if isinstance(node, File)]
    assume(files)
    path = draw(st.sampled_from(files))
    return tree, path, draw(schedules(tree, victim=victim_of(reader, path)))


def victim_of(reader: zoo.Reader, path: str) -> Callable[[Path], bytes | None]:
    def victim(root: Path) -> bytes | None:
        return answer(partial(reader, root, path))  # type: ignore[return-value]

    return victim


def is_led_out_by_a_race(
    reader: zoo.Reader, attack: tuple[Tree, str, list[tuple[int, Move]]]
) -> bool:
    tree, path, schedule = attack

    victim = victim_of(reader, path)
    attacked = play(victim, tree, schedule) if schedule else None
    return attacked is not None and attacked.escaped != () and not play(victim, tree, []).escaped


@pytest.mark.slow
@pytest.mark.parametrize("reader", by_form(zoo.READERS[::4], zoo.READERS[::2], zoo.READERS))
def test_a_race_shrinks_to_one_move_before_one_call(reader: zoo.Reader) -> None:
    search = settings(SEARCH, max_examples=1000)
    tree, _, schedule = find(
        attacks(reader), partial(is_led_out_by_a_race, reader), settings=search
    )
    assert len(schedule) == 1
    assert len(tree) - len(["/"]) <= 2, tree


def scans_after_a_check(root: Path) -> list[bytes]:
    return [
        entry.read_bytes()
        for entry in sorted(root.iterdir())
        if entry.is_file() and not entry.is_symlink()
    ]


@st.composite
def aimed_attacks(draw: st.DrawFn) -> tuple[Tree, list[tuple[int, Move]]]:
    tree = draw(hostile_trees(max_size=4))
    return tree, draw(schedules(tree, victim=scans_after_a_check))


@pytest.mark.slow
def test_schedules_that_know_the_victim_find_its_race() -> None:
    def is_raced(attack: tuple[Tree, list[tuple[int, Move]]]) -> bool:
        return play(scans_after_a_check, *attack).escaped != ()

    tree, schedule = find(aimed_attacks(), is_raced, settings=SEARCH)
    assert len(schedule) == 1, (tree, schedule)


@pytest.mark.slow
@pytest.mark.parametrize("reader", by_form(zoo.READERS[1::4], zoo.READERS[::3], zoo.READERS))
def test_schedules_of_a_tree_alone_catch_each_reader(reader: zoo.Reader) -> None:
    def is_raced(schedule: list[tuple[int, Move]]) -> bool:
        return play(partial(read, reader), TREE, schedule).escaped != ()

    find(schedules(TREE), is_raced, settings=settings(SEARCH, phases=[Phase.generate]))


def test_schedules_of_a_victim_lie_before_its_calls() -> None:
    def are_there(schedule: list[tuple[int, Move]]) -> bool:
        return all(before <= 1 for before, _ in schedule) and schedule != []

    chosen = schedules(TREE, victim=partial(read, zoo.joins))
    with pytest.raises(NoSuchExample):
        find(chosen, lambda one: not are_there(one), settings=settings(SEARCH, max_examples=20))
    # A victim without a call has no place for a move.
    assert find(schedules(TREE, victim=lambda _: None), lambda one: True, settings=SEARCH) == []


@example(tree=TREE, schedule=[(1, Exchange("/a", "/b"))]).xfail(raises=AssertionError)
@example(tree=TREE, schedule=[(1, Replace("/a", Symlink(HOST + "/a")))]).xfail(
    raises=AssertionError
)
@given(tree=st.just(TREE), schedule=st.just([]))
@settings(max_examples=1, deadline=None)
def test_an_example_replays(tree: Tree, schedule: list[tuple[int, Exchange]]) -> None:
    assert_confined(partial(read, zoo.joins), tree, schedule)


@given(tree=hostile_trees(max_size=4), data=st.data())
@settings(max_examples=10, deadline=None)
def test_rooted_path_is_confined_in_any_tree(tree: Tree, data: st.DataObject) -> None:
    path = data.draw(in_root_paths(tree))

    def victim(root: Path) -> bytes | None:
        return answer(partial(zoo.rooted, root, path))  # type: ignore[return-value]

    assert_confined(victim, tree, data.draw(schedules(tree)))


@pytest.mark.slow
def test_ways_out_are_in_tens_of_percent_of_hostile_trees() -> None:
    counts = dict.fromkeys(("climbing", "host", "two hops"), 0)

    @given(tree=hostile_trees())
    @settings(SEARCH, max_examples=300)
    def count(tree: Tree) -> None:
        names = {path.rpartition("/")[2] for path in tree}
        targets = [node.target for node in tree.values() if isinstance(node, Symlink)]
        counts["climbing"] += "up" in names
        counts["host"] += any(target.startswith(HOST) for target in targets)
        counts["two hops"] += "hop" in names

    count()
    assert all(amount >= 30 for amount in counts.values()), counts
