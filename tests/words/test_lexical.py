"""The lexical half is pathlib's of Python 3.14, on every Python, for paths that belong to a root.

What 3.14 answers stands in :mod:`pathlib_answers`, for most interpreters here are older; where
the running one is not, pathlib itself is held against it. Hypothesis compares the rest with
the interpreter's own ``PurePosixPath``.
"""

from __future__ import annotations

import copy
import enum
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.pathlib_answers import ANSWERS
from helpers.support import private_mounts
from procpath import Root, RootedPath, linux, uapi
from procpath.lexical import LexicalPath
from procpath.path import BoundPath

SLASH = RootedPath.bind("/")


class Fake(os.PathLike[Any]):
    """An ``os.PathLike`` that is not a path."""

    def __init__(self, said: object) -> None:
        self._said = said

    def __fspath__(self) -> Any:
        return self._said


def _shown(answer: object) -> str:
    if isinstance(answer, tuple):
        return f"({', '.join(map(_shown, answer))}{',' if len(answer) == 1 else ''})"
    if isinstance(answer, list):
        return f"[{', '.join(map(_shown, answer))}]"
    if isinstance(answer, (SLASH, PurePosixPath)):
        return f"P({str(answer)!r})"
    return repr(answer)


def _answer(expression: str, cls: type) -> str:
    names = {
        "P": cls,
        "Fake": Fake,
        "PurePosixPath": PurePosixPath,
        "PureWindowsPath": PureWindowsPath,
    }
    try:
        return _shown(eval(expression, names))
    except Exception as error:
        return type(error).__name__


def _differences(topic: str, cls: type) -> list[str]:
    differences = []
    for line in ANSWERS[topic].strip().splitlines():
        expression, wanted = line.split(" => ")
        got = _answer(expression, cls)
        if got != wanted:
            differences.append(f"{expression}: {got}, not {wanted}")
    return differences


@pytest.mark.parametrize("topic", ANSWERS)
def test_answers_are_those_of_pathlib_in_python_3_14(topic: str) -> None:
    assert _differences(topic, SLASH) == []


if sys.version_info >= (3, 14):

    @pytest.mark.parametrize("topic", ANSWERS)
    def test_the_table_says_what_pathlib_itself_answers(topic: str) -> None:
        assert _differences(topic, PurePosixPath) == []


# Against PurePosixPath, whatever the words

NAMES = st.sampled_from(["", ".", "..", "a", "b.c", ".d", "e.", "f..g", "~", "a b", "\udcff", "é"])
WORDS = st.builds(
    lambda start, names, end: start + "/".join(names) + end,
    st.sampled_from(["", "", "/", "//", "///", "./"]),
    st.lists(NAMES, max_size=4),
    st.sampled_from(["", "", "/", "//", "/.", "/./"]),
)
SEGMENTS = st.lists(st.one_of(WORDS, WORDS.map(PurePosixPath)), max_size=4)


@given(SEGMENTS)
def test_segments_are_joined_as_pathlib_joins_them(segments: list[str | PurePath]) -> None:
    assert str(SLASH(*segments)) == str(PurePosixPath(*segments))


class Name(str, enum.Enum):  # noqa: UP042 - formats as its name, unlike a StrEnum
    ETC = "etc"
    HOSTS = "hosts"


class NewName(enum.StrEnum):
    ETC = "etc"
    HOSTS = "hosts"


@pytest.mark.parametrize("names", [Name, NewName])
def test_a_str_enum_counts_by_its_value(names: Any) -> None:
    # pathlib does it since Python 3.12.
    for cls in (SLASH, PurePosixPath) if sys.version_info >= (3, 12) else (SLASH,):
        assert str(cls("/", names.ETC, names.HOSTS)) == "/etc/hosts"
        assert str(cls("/") / names.ETC / names.HOSTS) == "/etc/hosts"
        assert str(cls(names.ETC, "x")) == "etc/x"
        assert str(names.ETC / cls("x")) == "etc/x"
        assert str(cls("a").with_name(names.HOSTS)) == "hosts"
        assert str(cls("a").joinpath(names.ETC)) == "a/etc"


def _same(ours: BoundPath, pure: PurePosixPath) -> None:
    assert type(ours) is SLASH
    assert str(ours) == str(pure)
    assert ours.parts == pure.parts
    assert ours.root == pure.root
    assert ours.anchor == pure.anchor
    assert ours.drive == pure.drive
    assert ours.name == pure.name
    assert ours.is_absolute() == pure.is_absolute()
    assert bytes(ours) == bytes(pure)
    assert [str(parent) for parent in ours.parents] == [str(parent) for parent in pure.parents]


@given(SEGMENTS, st.data())
def test_whatever_is_done_to_a_path_pathlib_does_too(
    segments: list[str | PurePath], data: st.DataObject
) -> None:
    """Chains of joining, going up and renaming; each path is compared in full, and again as a
    fresh one: what a path was made from leaves no trace in it.
    """
    ours, pure = SLASH(*segments), PurePosixPath(*segments)
    for _ in range(data.draw(st.integers(0, 6), "steps")):
        words = data.draw(WORDS, "words")
        step = data.draw(st.sampled_from(sorted(STEPS)), "step")
        ours, pure = STEPS[step](ours, words), STEPS[step](pure, words)
        _same(ours, pure)
        fresh = SLASH(str(pure))
        assert ours == fresh
        assert hash(ours) == hash(fresh)


STEPS: dict[str, Callable[[Any, str], Any]] = {
    "/": lambda path, words: path / words,
    "right /": lambda path, words: words / path,
    "joinpath": lambda path, words: path.joinpath(words, "x", words),
    "parent": lambda path, words: path.parent,
    "with_name": lambda path, words: path.with_name("n.m") if path.name else path,
    "relative_to": lambda path, words: path.relative_to(path.parent),
    "with_segments": lambda path, words: type(path)(path, words),
}


@given(SEGMENTS, SEGMENTS)
def test_order_is_that_of_pathlib(left: list[str | PurePath], right: list[str | PurePath]) -> None:
    ours, others = SLASH(*left), SLASH(*right)
    one, other = _ordered_as_in_3_12(left), _ordered_as_in_3_12(right)
    assert (ours < others) == (one < other)
    assert (ours <= others) == (one <= other)
    assert (ours > others) == (one > other)
    assert (ours >= others) == (one >= other)
    assert (ours == others) == (one == other)


def _ordered_as_in_3_12(segments: list[str | PurePath]) -> Any:
    """3.11 had another order for `.`; since then it is that of the components as written."""
    pure = PurePosixPath(*segments)
    return pure if sys.version_info >= (3, 12) else str(pure).split("/")


@given(st.lists(st.sampled_from(["a", "b", ".c", "ab", "..", "a\n"]), max_size=4), st.booleans())
def test_a_double_star_alone_matches_every_path(parts: list[str], absolute: bool) -> None:
    path = SLASH("/" if absolute else "", *parts)
    assert path.full_match("**")
    assert path.full_match(path)
    assert not parts or path.match(path)
    assert (path / "x").full_match(path / "**")
    assert path.full_match("/**") == absolute


if sys.version_info >= (3, 13):
    PATTERNS = st.lists(
        st.sampled_from(
            ["*", "**", "?", "[", "]", "!", "^", "-", "a", "A", ".", "/", "[a-b]", "\\"]
        ),
        max_size=8,
    ).map("".join)

    @given(SEGMENTS, PATTERNS, st.sampled_from([None, True, False]))
    def test_patterns_mean_what_they_mean_to_pathlib(
        segments: list[str | PurePath], pattern: str, case_sensitive: bool | None
    ) -> None:
        ours, pure = SLASH(*segments), PurePosixPath(*segments)
        assert ours.full_match(pattern, case_sensitive=case_sensitive) == pure.full_match(
            pattern, case_sensitive=case_sensitive
        )
        if PurePosixPath(pattern).parts:
            assert ours.match(pattern, case_sensitive=case_sensitive) == pure.match(
                pattern, case_sensitive=case_sensitive
            )

    @given(st.text("ab*?[]!-^&~|\\.", max_size=10), st.text("ab-]!^&~|\\", max_size=3))
    def test_names_in_brackets_match_as_in_pathlib(pattern: str, name: str) -> None:
        if PurePosixPath(pattern).parts:
            assert SLASH(name).match(pattern) == PurePosixPath(name).match(pattern)
        assert SLASH(name).full_match(pattern) == PurePosixPath(name).full_match(pattern)


# Types


class Remembering:
    """A mixin whose constructor keeps more than the path."""

    def __init__(self, *segments: Any, session_id: int) -> None:
        super().__init__(*segments)
        self.session_id = session_id

    def with_segments(self, *segments: Any) -> Any:
        return type(self)(*segments, session_id=self.session_id)


class OfSlash(SLASH):
    """A subclass of a bound class, as code written for pathlib makes one."""

    def shout(self) -> str:
        return str(self).upper()


class OfUnbound(RootedPath):
    """A subclass before binding."""


class Counted(SLASH):
    """A subclass with another constructor."""

    def __init__(self, *segments: Any, session_id: int) -> None:
        super().__init__(*segments)
        self.session_id = session_id

    def with_segments(self, *segments: Any) -> Counted:
        return type(self)(*segments, session_id=self.session_id)


class Mixed(Remembering, SLASH):
    """The like, where the mixin comes first."""


class CountedUnbound(RootedPath):
    """A constructor of its own, where the root is still an argument."""

    def __init__(self, root: Any, *segments: Any, session_id: int = 0) -> None:
        super().__init__(root, *segments)
        self.session_id = session_id

    def with_segments(self, *segments: Any) -> CountedUnbound:
        made = super().with_segments(*segments)
        made.session_id = self.session_id
        return made


def _derived(path: Any) -> Iterator[Any]:
    """Paths by every operation that makes one of ``path``, which is absolute and exists."""
    yield path / "a.b"
    yield path.joinpath("a", "b.c")
    yield path.joinpath("/b")
    yield "a" / path
    yield PurePosixPath("a") / path
    yield path.parent
    yield from path.parents
    yield path.parents[0]
    yield from path.parents[:1]
    yield path.with_name("x")
    yield (path / "a.b").with_stem("x")
    yield (path / "a.b").with_suffix(".x")
    yield path.with_segments("x")
    yield path.relative_to(path.parent)
    yield path.relative_to("/nowhere", walk_up=True)
    yield path.absolute()
    yield path.relative_to("/").absolute()
    yield path.resolve()
    yield (path / "a" / "..").resolve()
    yield path.expanduser()
    yield path.with_segments("~/x").expanduser()
    yield path.cwd()
    yield path.home()
    yield from path.iterdir()
    yield from path.glob("*")
    yield from path.glob("**")
    yield from path.rglob("*")
    yield from (visited for visited, _, _ in path.walk())
    yield from (visited for visited, _, _ in path.walk(top_down=False, follow_symlinks=True))
    yield (path / "link").readlink()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/file").touch()
    (tmp_path / "link").symlink_to("dir")
    return tmp_path


@pytest.mark.parametrize("cls", [SLASH, OfSlash])
def test_a_bound_class_keeps_its_type_through_every_operation(
    cls: type[BoundPath], tree: Path
) -> None:
    found = list(_derived(cls(str(tree))))
    assert {type(path) for path in found} == {cls}
    assert {path.root_handle for path in found} == {SLASH("/").root_handle}


@pytest.mark.parametrize("cls", [RootedPath, OfUnbound])
def test_an_unbound_class_keeps_its_type_and_root(cls: type[RootedPath], tree: Path) -> None:
    path = cls("/", str(tree))
    found = list(_derived(path))
    assert {type(each) for each in found} == {cls}
    assert all(each.root_handle is path.root_handle for each in found)


@pytest.mark.parametrize("cls", [Counted, Mixed])
def test_a_subclass_keeps_what_its_constructor_keeps(cls: Any, tree: Path) -> None:
    found = list(_derived(cls(str(tree), session_id=42)))
    assert {(type(path), path.session_id) for path in found} == {(cls, 42)}


def test_a_subclass_of_the_unbound_class_may_keep_more_too(tree: Path) -> None:
    found = list(_derived(CountedUnbound("/", str(tree), session_id=42)))
    assert {(type(path), path.session_id) for path in found} == {(CountedUnbound, 42)}


def test_binding_a_subclass_binds_what_it_adds(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    bound = OfUnbound.bind(tmp_path)
    assert issubclass(bound, OfUnbound)
    assert bound("f").exists()
    assert type(bound("f") / "g") is bound


def test_only_the_constructor_starts_at_the_root() -> None:
    path = RootedPath("/", "a", "b")
    assert str(path) == "/a/b"
    assert str(RootedPath("/")) == "/"
    assert str(RootedPath("/", "a", "/b")) == "/b"
    assert str(path.with_segments("a")) == "a"


def test_a_bound_class_takes_paths_of_its_root_and_pure_paths(tmp_path: Path) -> None:
    bound = RootedPath.bind(tmp_path)
    assert bound(bound("a"), RootedPath(tmp_path, "b")) == bound("/b")
    assert bound(PurePosixPath("a"), Path("b")) == bound("a/b")


@pytest.mark.parametrize("wrong", [b"a", None, 1, ["a"], Fake(b"a"), object()])
def test_what_is_no_segment_is_a_type_error(wrong: Any) -> None:
    for build in (
        lambda: SLASH(wrong),
        lambda: RootedPath("/", wrong),
        lambda: SLASH("a").joinpath(wrong),
        lambda: SLASH("a") / wrong,
        lambda: wrong / SLASH("a"),
        lambda: SLASH("a").with_segments(wrong),
    ):
        with pytest.raises(TypeError):
            build()


class Divisible:
    """Code that extends pathlib by division: it may stand on either side of a path."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __truediv__(self, other: object) -> Divisible:
        return Divisible(f"{self.text}/{other}")

    def __rtruediv__(self, other: object) -> Divisible:
        return Divisible(f"{other}/{self.text}")


def test_division_may_be_answered_by_the_other_side() -> None:
    path: Any = SLASH("a")
    right, left = path / Divisible("b"), Divisible("b") / path
    assert (right.text, left.text) == ("a/b", "b/a")


# Roots


@pytest.fixture
def two_roots(tmp_path: Path) -> tuple[RootedPath, RootedPath]:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    return RootedPath(tmp_path / "one"), RootedPath(tmp_path / "two")


def test_paths_of_two_roots_are_unequal_and_have_no_order(
    two_roots: tuple[RootedPath, RootedPath],
) -> None:
    one, two = two_roots
    assert one / "a" != two / "a"
    for compare in (
        lambda: one < two,
        lambda: one <= two,
        lambda: one > two,
        lambda: one >= two,
    ):
        with pytest.raises(TypeError):
            compare()


def test_paths_of_two_roots_cannot_be_mixed(
    two_roots: tuple[RootedPath, RootedPath],
) -> None:
    one, two = two_roots
    for mix in (
        lambda: one / two,
        lambda: one.joinpath("a", two),
        lambda: one.with_segments(two),
        lambda: RootedPath(one.root_handle, two),
        lambda: RootedPath.bind(one.root_handle)(two),
    ):
        with pytest.raises(ValueError, match="does not belong to the root"):
            mix()
    assert not (one / "a").is_relative_to(two)
    with pytest.raises(ValueError):
        (one / "a").relative_to(two)


def test_equality_is_that_of_the_held_directory(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "link").symlink_to("tree")
    path = RootedPath(tmp_path / "tree", "a")
    other = RootedPath(tmp_path / "link", "a")
    assert path == other
    assert hash(path) == hash(other)
    assert RootedPath.bind(tmp_path / "tree")("/a") == path
    assert len({path, other}) == 1
    assert path / other == other
    assert not path < other


def test_the_same_directory_by_another_mount_is_another_root(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "again").mkdir()
    assert private_mounts(_equal_by_two_mounts, tmp_path) == (False, True)


def _equal_by_two_mounts(tmp_path: Path) -> tuple[bool, bool]:
    linux.mount(bytes(tmp_path / "tree"), bytes(tmp_path / "again"), None, uapi.MS_BIND)
    first, second = RootedPath(tmp_path / "tree"), RootedPath(tmp_path / "again")
    return first == second, first.samefile(second)


def test_a_path_is_no_path_of_pathlib_and_not_equal_to_any() -> None:
    path: Any = SLASH("/a")
    assert not isinstance(path, (PurePath, os.PathLike))
    assert path != PurePosixPath("/a")
    assert PurePosixPath("/a") != path
    assert path != "/a"
    with pytest.raises(TypeError):
        assert path < PurePosixPath("/b")


def test_functions_of_the_host_refuse_it() -> None:
    path: Any = SLASH("/etc/passwd")
    for use in (open, os.stat, os.fspath, os.listdir, Path, PurePath):
        with pytest.raises(TypeError):
            use(path)


def test_repr_tells_the_root_and_the_name_of_the_class(tmp_path: Path) -> None:
    assert repr(RootedPath(tmp_path, "a'b")) == f'RootedPath("/a\'b", root={str(tmp_path)!r})'
    assert repr(OfSlash("a")) == "OfSlash('a', root='/')"


# Copies


def test_copies_of_a_path_are_equal_and_share_its_root(tmp_path: Path) -> None:
    path = RootedPath(tmp_path, "a")
    for twin in (copy.copy(path), copy.deepcopy(path), copy.deepcopy([path])[0]):
        assert twin == path
        assert twin.root_handle is path.root_handle


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_unpickled_path_is_equal_and_works(protocol: int, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("text")
    for path in (
        RootedPath(tmp_path, "f"),
        RootedPath.bind(tmp_path)("f"),
        OfSlash(str(tmp_path), "f"),
    ):
        twin = pickle.loads(pickle.dumps(path, protocol))
        assert type(twin) is type(path)
        assert twin == path
        assert hash(twin) == hash(path)
        assert str(twin) == str(path)
        assert twin.read_text() == "text"


def test_a_relative_path_is_relative_after_pickling_too(tmp_path: Path) -> None:
    path = RootedPath(tmp_path).with_segments("a/b")
    assert str(pickle.loads(pickle.dumps(path))) == "a/b"


def test_a_path_whose_directory_was_replaced_does_not_unpickle(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    dumped = pickle.dumps(RootedPath(tmp_path / "tree", "a"))
    (tmp_path / "tree").rename(tmp_path / "old")
    (tmp_path / "tree").mkdir()
    with pytest.raises(OSError, match="no longer the directory"):
        pickle.loads(dumped)
    (tmp_path / "tree").rmdir()
    with pytest.raises(FileNotFoundError):
        pickle.loads(dumped)


# Bookkeeping


def test_lexical_operations_need_no_open_root(tmp_path: Path) -> None:
    with Root.at(tmp_path) as root:
        path = RootedPath(root, "a/b.c")
    assert str(path.with_suffix(".d") / "e") == "/a/b.d/e"
    assert path.match("*.c")
    assert path.relative_to("/a").parts == ("b.c",)
    assert path == path.with_segments("/a/b.c")
    assert repr(path) == f"RootedPath('/a/b.c', root={str(tmp_path)!r})"


def test_parents_are_a_sequence_that_tells_whose_they_are() -> None:
    parents: Sequence[LexicalPath] = SLASH("a/b").parents
    assert isinstance(parents, Sequence)
    assert list(reversed(parents)) == [SLASH("."), SLASH("a")]
    assert parents.index(SLASH("a")) == 0
    assert repr(parents) == "<RootedPath.parents>"


def test_long_paths_are_joined_and_taken_apart() -> None:
    path = SLASH("/")
    for _ in range(3000):
        path = path / "d"
    assert len(path.parts) == 3001
    assert len(path.parents) == 3000
    assert str(path.parents[-1]) == "/"
    assert path.is_relative_to("/d")
