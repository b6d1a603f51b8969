"""Hypothesis strategies for trees that try to lead a reader out, and for paths into them.

``names()``, ``targets()``, ``trees()``, ``hostile_trees()`` and ``in_root_paths(tree)``
shrink towards few entries, short names and plain symlinks, so that what a failing test
prints is a :class:`~procpath.testing.Tree` small enough to see the hole in. Needs
Hypothesis (the extra ``testing``).
"""

from __future__ import annotations

import operator
import os
import posixpath
from collections.abc import Callable, Sequence

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as _error:
    if _error.name != "hypothesis":
        raise
    raise ImportError(
        "the strategies of procpath.testing need Hypothesis: pip install 'rootedpath[testing]'"
    ) from None

from procpath.testing.model import MAX_LINKS, NAME_MAX, PATH_MAX
from procpath.testing.surroundings import HOST
from procpath.testing.tree import (
    Directory,
    Fifo,
    File,
    Node,
    Socket,
    Symlink,
    Tree,
    child_of,
    name_of,
    parent_of,
)

__all__ = ["hostile_trees", "in_root_paths", "names", "targets", "trees"]

# Few plain names, so that names met by chance are often the same and paths lead somewhere.
_PLAIN = ("a", "b", "c", "d")
# Names that code has tripped over: dots that are no `.` or `..`, names that look like
# options, patterns, several lines or something of the host, and bytes that are not UTF-8.
_ODD = (
    "...",
    "..a",
    ".a",
    "a.",
    " ",
    "-",
    "-rf",
    "~",
    "*",
    "[a]",
    "?",
    "\\",
    "a\nb",
    "%2e%2e",
    "etc",
    "proc",
    "passwd",
    "\u00e9",
    "e\u0301",
    os.fsdecode(b"\xff"),
    os.fsdecode(b"a\xc3"),
    os.fsdecode(b"\xe2\x80"),
    "n" * NAME_MAX,
)
_MODES = (0o755, 0o700, 0o711, 0o744, 0o555, 0o311, 0o000, 0o777, 0o1777, 0o1775)
_FILE_MODES = (0o644, 0o600, 0o666, 0o444, 0o222, 0o000, 0o640)


# Steps of paths that are no names; "n" * 256 is one too long for a name.
_DOTS = ("..", ".", "../..", "a/..", "../../../../a", "", "n" * (NAME_MAX + 1))

# Strategies are made once where that is possible: making one costs more than drawing from it.
_LISTED_NAMES = st.sampled_from((*_PLAIN * 40, *_ODD, *[None] * 8))
_ANY_NAMES = (
    st.binary(min_size=1, max_size=8)
    .map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))
    .filter(lambda name: name not in (b".", b".."))
    .map(os.fsdecode)
)
_STEPS = st.sampled_from((*_PLAIN * 3, *_DOTS, None))
_KINDS_OF_STEPS = st.sampled_from(("one of those", "known", "known, relative"))
_ONE_TO_FOUR = st.integers(1, 4)
_ONE_TO_SIX = st.integers(1, 6)
_BEFORE = st.sampled_from(("", "/", "", "//", "/../"))
_AFTER = st.sampled_from(("", "", "", "/", "/.", "/..", "//"))
_OFTEN = st.sampled_from((True, True, True, False))
_SELDOM = st.sampled_from((False, False, True))
# Symlinks are what resolution is about, so there are more of them than of the others.
_KINDS_OF_LEAVES = st.sampled_from((Symlink, File, Symlink, Symlink, File, Fifo, Socket))


@st.composite
def _any_name(draw: st.DrawFn) -> str:
    name = draw(_LISTED_NAMES)
    return draw(_ANY_NAMES) if name is None else name


_NAMES = _any_name()


def names() -> st.SearchStrategy[str]:
    """Names of directory entries: never empty, ``.`` or ``..``, at most 255 bytes, bytes that
    are not UTF-8 by ``surrogateescape``. Mostly one of a few letters; shrinks to ``"a"``."""
    return _NAMES


def targets(known: Sequence[str] = (), *, here: str = "/") -> st.SearchStrategy[str]:
    """Texts of symlinks: absolute and relative, climbing, with ``.``, doubled and trailing
    slashes, at most 4,095 bytes.

    Given in-root paths that are ``known``, half of them lead straight to one of those from a
    link in the directory ``here``, and others have parts of them. Shrinks to ``"a"``, or to
    the first that is known.
    """
    texts = _path_texts(known)
    if known:
        straight = st.sampled_from(known)
        relative = straight.map(lambda path: posixpath.relpath(path, here))
        texts = st.one_of(straight, relative, texts, texts)
    return texts.filter(lambda target: 0 < len(os.fsencode(target)) < PATH_MAX)


def in_root_paths(tree: Tree) -> st.SearchStrategy[str]:
    """Paths to hand to something that works in ``tree``: mostly such as lead to what is
    there, through its links, with ``.``, ``..``, doubled and trailing slashes; some that
    lead nowhere. Most are absolute. Shrinks to ``"/"``."""
    known = tuple(tree)
    # Links that do not lead within the tree are the likeliest holes, so they are tried often.
    files = [path for path, node in tree.items() if isinstance(node, File)]
    outward = [path for path, node in tree.items() if _leads_out(path, node)]
    return st.one_of(
        st.just("/"),
        st.sampled_from(known),
        st.sampled_from(outward or known),
        st.builds(operator.add, st.sampled_from(outward or known), st.sampled_from(files or known)),
        st.builds(operator.add, st.sampled_from(outward or known), st.sampled_from(files or known)),
        _walked(tree),
        _path_texts(known).map(lambda text: "/" + text),
        _path_texts(known),
    )


def _leads_out(path: str, node: Node) -> bool:
    """Whether a link leads out by itself, or is one of the links to such."""
    if not isinstance(node, Symlink):
        return False
    depth = path.count("/") - 1
    climbs = node.target.split("/").count("..") > depth
    return climbs or node.target.startswith(HOST) or name_of(path) == "hop"


@st.composite
def trees(
    draw: st.DrawFn, *, max_size: int = 10, owners: Sequence[int] = (), mounts: bool = False
) -> Tree:
    """Trees of files, directories, symlinks, FIFOs and sockets, of up to ``max_size`` entries.

    Symlinks lead up, down, across, in circles and nowhere. With ``owners``, a choice of
    uids, entries belong to one of those (gid the same) and modes vary, else all are the
    materializing user's and accessible; to materialize foreign owners one must be root.
    With ``mounts`` some directories are mounts of their own, for which one needs
    CAP_SYS_ADMIN. Shrinks towards the empty tree.
    """
    nodes: dict[str, Node] = {}
    for _ in range(draw(st.integers(0, max_size))):
        _add(draw, nodes, owners, mounts)
    if owners:
        nodes["/"] = draw(_directories(owners))
    return Tree(nodes)


@st.composite
def hostile_trees(
    draw: st.DrawFn, *, max_size: int = 10, owners: Sequence[int] = (), mounts: bool = False
) -> Tree:
    """Trees as of :func:`trees`, each with some of the shapes by which readers are led out of
    a root or astray: links that climb above it or lead to a place of the host (one that starts
    with ``HOST`` leads to a canary, once the tree is materialized), links to those, loops, chains
    of 39 to 41 links, links that expand into one another, links with a trailing slash, links
    to ``.`` and ``..``, deep ``..``, and links in a sticky directory (foreign ones with
    ``owners``). Parameters as of :func:`trees`.
    """
    nodes = dict(draw(trees(max_size=max_size, owners=owners, mounts=mounts)))
    shapes = draw(st.lists(st.sampled_from(_SHAPES), min_size=1, max_size=3, unique=True))
    if draw(st.booleans()):
        draw(_OUTWARD)(draw, nodes, owners)
    for shape in shapes:
        shape(draw, nodes, owners)
    return Tree(nodes)


def _directories_of(nodes: dict[str, Node]) -> list[str]:
    return ["/", *(p for p, node in nodes.items() if isinstance(node, Directory) and p != "/")]


def _owned(owners: Sequence[int]) -> st.SearchStrategy[int | None]:
    return st.sampled_from(owners) if owners else st.none()


def _directories(owners: Sequence[int]) -> st.SearchStrategy[Directory]:
    if not owners:
        return st.just(Directory())
    return st.builds(
        lambda mode, owner: Directory(mode, owner, owner), st.sampled_from(_MODES), _owned(owners)
    )


@st.composite
def _leaves(draw: st.DrawFn, here: str, known: Sequence[str], owners: Sequence[int]) -> Node:
    kind = draw(_KINDS_OF_LEAVES)
    owner = draw(_owned(owners))
    if kind is Symlink:
        return Symlink(draw(targets(known, here=here)), owner, owner)
    mode = draw(st.sampled_from(_FILE_MODES)) if owners else 0o644
    if kind is File:
        return File(None, mode, owner, owner)
    return Fifo(mode, owner, owner) if kind is Fifo else Socket(mode, owner, owner)


def _add(draw: st.DrawFn, nodes: dict[str, Node], owners: Sequence[int], mounts: bool) -> None:
    here = draw(st.sampled_from(_directories_of(nodes)))
    path = child_of(here, draw(_NAMES))
    if path in nodes:
        return
    if not draw(_SELDOM):
        nodes[path] = draw(_leaves(here, ("/", *nodes), owners))
        return
    directory = draw(_directories(owners))
    if mounts and draw(st.booleans()):
        nosymfollow = draw(st.booleans())
        directory = Directory(directory.mode, directory.uid, directory.gid, True, nosymfollow)
    nodes[path] = directory


@st.composite
def _path_texts(draw: st.DrawFn, known: Sequence[str]) -> str:
    """A few steps with slashes between them, as people and attackers write paths."""
    text = "/".join([_step(draw, known) for _ in range(draw(_ONE_TO_FOUR))])
    return (draw(_BEFORE) + text + draw(_AFTER)) or "a"


def _step(draw: st.DrawFn, known: Sequence[str]) -> str:
    kind = draw(_KINDS_OF_STEPS) if known else "one of those"
    if kind == "one of those":
        step = draw(_STEPS)
        return draw(_NAMES) if step is None else step
    path = draw(st.sampled_from(known))
    if kind == "known":
        return path[1:]
    return posixpath.relpath(path, draw(st.sampled_from(known)))


@st.composite
def _walked(draw: st.DrawFn, tree: Tree) -> str:
    """Goes down from the root entry by entry, through links as if they were directories."""
    here, text = "/", ""
    for _ in range(draw(_ONE_TO_SIX)):
        node = tree[here]
        below = tree.children(here) if isinstance(node, Directory) else []
        deeper = draw(_OFTEN)
        if below and deeper:
            here = draw(st.sampled_from(below))
            text += "/" + name_of(here)
            here = _landing(tree, here)
        else:
            step = draw(_STEPS)
            text += f"/{draw(_NAMES) if step is None else step}"
            here = parent_of(here) if step == ".." else here
    return text + draw(_AFTER)


def _landing(tree: Tree, path: str) -> str:
    """Roughly where the link at ``path`` leads; anything else is there itself."""
    node = tree[path]
    if not isinstance(node, Symlink):
        return path
    landing = posixpath.normpath(posixpath.join(parent_of(path), node.target))
    landing = "/" + landing.lstrip("/")
    return landing if landing in tree else "/"


def _put(
    draw: st.DrawFn, nodes: dict[str, Node], links: dict[str, str], owners: Sequence[int]
) -> None:
    """Adds links, by name, to one directory, unless something has their name."""
    place = draw(st.sampled_from(_directories_of(nodes)))
    for name, target in links.items():
        owner = draw(_owned(owners))
        nodes.setdefault(child_of(place, name), Symlink(target, owner, owner))


def _climb(draw: st.DrawFn, nodes: dict[str, Node], owners: Sequence[int]) -> None:
    """A link that climbs out, to where the canaries of a materialized tree lie."""
    place = draw(st.sampled_from(_directories_of(nodes)))
    _link(draw, nodes, {child_of(place, "up"): _climbing(draw, nodes, place)}, owners)


def _two_hops(draw: st.DrawFn, nodes: dict[str, Node], owners: Sequence[int]) -> None:
    """A link to a link that leads out: it does not show what it is at the first look."""
    place = draw(st.sampled_from(_directories_of(nodes)))
    far = draw(st.sampled_from((place, place, *_directories_of(nodes))))
    second = child_of(far, "out")
    climbs = draw(st.booleans())
    out = _climbing(draw, nodes, far) if climbs else HOST + _goal(draw, nodes)
    hop = {child_of(place, "hop"): posixpath.relpath(second, place), second: out}
    _link(draw, nodes, hop, owners)


def _climbing(draw: st.DrawFn, nodes: dict[str, Node], here: str) -> str:
    """Return the text of a link in ``here`` to a file above the root."""
    depth = 0 if here == "/" else here.count("/")
    return "../" * (depth + draw(st.integers(1, 2))) + _goal(draw, nodes)[1:]


def _goal(draw: st.DrawFn, nodes: dict[str, Node]) -> str:
    """Return what an outward link leads to: a file, or the directory that all of them are in."""
    file = _some_file(draw, nodes)
    return file if draw(st.booleans()) else ""


def _some_file(draw: st.DrawFn, nodes: dict[str, Node]) -> str:
    """Return the path of a file of the tree, which gets one if it has none."""
    files = [path for path, node in nodes.items() if isinstance(node, File)]
    if files:
        return draw(st.sampled_from(files))
    path = next(path for n in range(9) if (path := f"/{'f' * (n + 1)}") not in nodes)
    nodes[path] = File()
    return path


def _link(
    draw: st.DrawFn, nodes: dict[str, Node], links: dict[str, str], owners: Sequence[int]
) -> None:
    for path, target in links.items():
        owner = draw(_owned(owners))
        nodes.setdefault(path, Symlink(target, owner, owner))


def _host(draw: st.DrawFn, nodes: dict[str, Node], owners: Sequence[int]) -> None:
    """A link to a canary on the host, or to what every host has."""
    canary = HOST + _goal(draw, nodes)
    place = st.sampled_from(
        (canary, canary, canary, HOST, "/etc/passwd", "/proc/1/root", "/proc/self/root/etc")
    )
    _put(draw, nodes, {"host": draw(place)}, owners)


def _loop(draw: st.DrawFn, nodes: dict[str, Node], owners: Sequence[int]) -> None:
    loop = st.sampled_from(
        ({"l": "l"}, {"l": "m", "m": "l"}, {"l": "l/a"}, {"l": "./l/"}, {"l": "m/..", "m": "l/"})
    )
    _put(draw, nodes, draw(loop), owners)


def _chain(draw: st.DrawFn, nodes: dict[str, Node], owners: Sequence[int]) -> None:
    length = draw(st.integers(MAX_LINKS - 1, MAX_LINKS + 1))
    end = draw(st.sampled_from((".", "/", "a", "/a", "..", "missing", "a/")))
    slash = draw(st.sampled_from(("", "", "/", "/.")))
    links = {f"k{n}": f"k{n + 1}{slash}" for n in range(1, length)}
    place = draw(st.sampled_from(_directories_of(nodes)))
    for name, target in {**links, f"k{length}": end}.items():
        nodes.setdefault(child_of(place, name), Symlink(target))


def _expand(draw: st.DrawFn, nodes: dict[str, Node], owners: Sequence[int]) -> None:
    """Each link names the next one twice: 2 to the n steps, were there no limit."""
    depth = draw(st.integers(2, 7))
    links = {f"x{n}": f"x{n + 1}/x{n + 1}" for n in range(depth)}
    _put(draw, nodes, {**links, f"x{depth}": "."}, owners)


def _slashed(draw: st.DrawFn, nodes: dict[str, Node], owners: Sequence[int]) -> None:
    known = tuple(nodes) or ("/a",)
    target = draw(st.sampled_from(known)) + draw(st.sampled_from(("/", "/.", "//", "/..")))
    _put(draw, nodes, {"s": target}, owners)


def _dots(draw: st.DrawFn, nodes: dict[str, Node], owners: Sequence[int]) -> None:
    _put(draw, nodes, {"here": ".", "parent": "..", "root": "/"}, owners)


def _deep(draw: st.DrawFn, nodes: dict[str, Node], owners: Sequence[int]) -> None:
    place = draw(st.sampled_from(_directories_of(nodes)))
    for _ in range(draw(st.integers(2, 12))):
        place = child_of(place, "d")
        if not isinstance(nodes.setdefault(place, Directory()), Directory):
            return
    nodes.setdefault(child_of(place, "up"), Symlink("../" * draw(st.integers(1, 15)) + "a"))


def _sticky(draw: st.DrawFn, nodes: dict[str, Node], owners: Sequence[int]) -> None:
    place = child_of(draw(st.sampled_from(_directories_of(nodes))), "tmp")
    owner = draw(_owned(owners))
    if place not in nodes:
        nodes[place] = Directory(draw(st.sampled_from((0o1777, 0o1775, 0o777))), owner, owner)
        target = draw(targets(tuple(nodes), here=place))
        for name in ("t", "u"):
            other = draw(_owned(owners))
            nodes[child_of(place, name)] = Symlink(target, other, other)
        other = draw(_owned(owners))
        nodes[child_of(place, "f")] = File(None, 0o666, other, other)


_Shape = Callable[[st.DrawFn, dict[str, Node], Sequence[int]], None]
_SHAPES: tuple[_Shape, ...] = (
    _climb,
    _host,
    _two_hops,
    _loop,
    _chain,
    _expand,
    _slashed,
    _dots,
    _deep,
    _sticky,
)
# The holes that most readers have, so half of the trees get one of these besides.
_OUTWARD: st.SearchStrategy[_Shape] = st.sampled_from((_climb, _host, _two_hops))
