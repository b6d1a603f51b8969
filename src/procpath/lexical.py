"""The lexical half of a path inside a root: names, joining, matching, order.

It does what ``pathlib.PurePath`` of Python 3.14 does, on every Python from 3.11 on, and never
looks at a file system. A ``PurePosixPath`` does the parsing.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar, overload

from procpath.errors import noted
from procpath.patterns import compile_name, compile_path
from procpath.pin import PinnedPath
from procpath.root import Root

if TYPE_CHECKING:
    from typing import Self

P = TypeVar("P", bound="LexicalPath")

Segment: TypeAlias = "str | os.PathLike[str] | LexicalPath"
"""What a path can be joined of: strings, paths of the same root, and pure paths of pathlib"""

_HOST_PATHS = (Path, PinnedPath, os.DirEntry)

_new = object.__new__


class LexicalPath:
    """A path inside a root, without a file system. See :class:`procpath.RootedPath`."""

    __slots__ = ("_given", "_hash_", "_pure_", "_raw_", "_root", "_str_")

    _root: Root
    _given: tuple[str, ...]
    """the segments as they were given; they are joined when that is first needed"""
    _pure_: PurePosixPath
    _str_: str
    _raw_: bytes
    _hash_: int

    _is_library_class: ClassVar[bool] = True
    _is_plain: ClassVar[bool] = True
    """Subclasses override no construction, so no constructor needs to be called."""

    parser: ClassVar[ModuleType] = posixpath
    """The module that knows the path's syntax, always ``posixpath``."""

    def __init__(self, root: Root, *segments: Segment) -> None:
        self._root = root
        self._given = tuple(_flat(root, segments))

    def __init_subclass__(cls, *, from_segments: bool = False, **kwargs: Any) -> None:
        """``from_segments`` marks a class of this library, whose constructor keeps nothing more."""
        super().__init_subclass__(**kwargs)
        cls._is_library_class = from_segments
        cls._is_plain = not any(
            name in base.__dict__
            for base in cls.__mro__
            if base is not object and not base.__dict__.get("_is_library_class")
            for name in ("__init__", "__new__", "with_segments")
        )

    def _construct(self, segments: tuple[Segment, ...]) -> Self:
        """Make a path of this root by the class's own constructor."""
        return type(self)(self._root, *segments)

    def with_segments(self, *segments: Segment) -> Self:
        """Return a path of the same type and root from ``segments``. All derived paths are made so.

        Override it, as for ``pathlib``, in a subclass that keeps more than the path. Unlike
        the constructor of an unbound :class:`RootedPath` it does not start at ``/``.

        Examples:
            >>> RootedPath(23309).with_segments("etc", "passwd")
            RootedPath('etc/passwd', root='/proc/23309/root')
        """
        if self._is_plain:
            path = _new(type(self))
            path._root = self._root
        else:
            path = self._construct(segments)
        path._given = tuple(_flat(self._root, segments))
        return path

    def _normalized(self, text: str) -> Self:
        """Return ``with_segments(text)``, for a text that ``str()`` of some path has given."""
        if self._is_plain:
            path = _new(type(self))
            path._root = self._root
            path._given = (text,)
        else:
            path = self.with_segments(text)
        path._str_ = text
        return path

    def _all_normalized(self, texts: Iterable[str]) -> Iterator[Self]:
        """:meth:`_normalized` of many, in less time. Errors note the root."""
        cls, root = type(self), self._root
        with noted(root.note):
            if not self._is_plain:
                yield from map(self._normalized, texts)
                return
            for text in texts:
                path = _new(cls)
                path._root = root
                path._str_ = text
                path._given = (text,)
                yield path

    @property
    def _pure(self) -> PurePosixPath:
        try:
            return self._pure_
        except AttributeError:
            self._pure_ = pure = PurePosixPath(str(self))
            return pure

    @property
    def _raw(self) -> bytes:
        """The path for system calls. Raises ``ValueError`` for a NUL."""
        try:
            return self._raw_
        except AttributeError:
            raw = os.fsencode(str(self))
            if b"\0" in raw:
                raise ValueError("embedded null byte") from None
            self._raw_ = raw
            return raw

    @property
    def root_handle(self) -> Root:
        """The :class:`Root` that the path lives in.

        Examples:
            >>> RootedPath(23309).root_handle
            <Root '/proc/23309/root'>
        """
        return self._root

    def __str__(self) -> str:
        """The in-root path, as a process chrooted into the root would write it."""
        try:
            return self._str_
        except AttributeError:
            self._str_ = text = _joined(self._given)
            return text

    def __bytes__(self) -> bytes:
        return os.fsencode(str(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r}, root={self._root.origin!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LexicalPath):
            return NotImplemented
        return str(self) == str(other) and self._root == other._root

    def __hash__(self) -> int:
        try:
            return self._hash_
        except AttributeError:
            self._hash_ = value = hash((str(self), self._root))
            return value

    @property
    def _order(self) -> list[str]:
        return str(self).split("/")

    def _is_ordered_with(self, other: object) -> bool:
        return isinstance(other, LexicalPath) and self._root == other._root

    def __lt__(self, other: LexicalPath) -> bool:
        return self._order < other._order if self._is_ordered_with(other) else NotImplemented

    def __le__(self, other: LexicalPath) -> bool:
        return self._order <= other._order if self._is_ordered_with(other) else NotImplemented

    def __gt__(self, other: LexicalPath) -> bool:
        return self._order > other._order if self._is_ordered_with(other) else NotImplemented

    def __ge__(self, other: LexicalPath) -> bool:
        return self._order >= other._order if self._is_ordered_with(other) else NotImplemented

    def joinpath(self, *segments: Segment) -> Self:
        """Return the path with ``segments`` joined on. An absolute one starts again at the root.

        Examples:
            >>> str(RootedPath(23309, "etc").joinpath("app", "app.conf"))
            '/etc/app/app.conf'
        """
        return self.with_segments(self, *segments)

    def __truediv__(self, key: Segment) -> Self:
        if type(key) is str and self._is_plain:
            path = _new(type(self))
            path._root = self._root
            path._given = (*self._given, key)
            return path
        try:
            return self.with_segments(self, key)
        except TypeError:
            if isinstance(key, _HOST_PATHS):
                raise
            return NotImplemented

    def __rtruediv__(self, key: str | PurePosixPath) -> Self:
        if isinstance(key, _HOST_PATHS):
            raise TypeError(
                f"cannot join {self!r} to the host path {key!r}: write "
                "host.joinpath(*rooted.relative_to('/').parts) for the same names on the host, and "
                "rooted.copy(host) to copy the file"
            )
        try:
            return self.with_segments(key, self)
        except TypeError:
            return NotImplemented

    @property
    def parts(self) -> tuple[str, ...]:
        """The components; the first is ``/`` if the path is absolute.

        Examples:
            >>> RootedPath(23309, "srv/backup.tar.gz").parts
            ('/', 'srv', 'backup.tar.gz')
        """
        return self._pure.parts

    @property
    def drive(self) -> str:
        """Always empty, as on every POSIX system.

        Examples:
            >>> RootedPath(23309, "srv/backup.tar.gz").drive
            ''
        """
        return ""

    @property
    def root(self) -> str:
        """``/`` if the path is absolute, else empty.

        For the :class:`Root` see :attr:`root_handle`.

        Examples:
            >>> RootedPath(23309, "srv/backup.tar.gz").root
            '/'
        """
        return self._pure.root

    @property
    def anchor(self) -> str:
        """As :attr:`root`.

        Examples:
            >>> RootedPath(23309, "srv/backup.tar.gz").anchor
            '/'
        """
        return self._pure.root

    @property
    def name(self) -> str:
        """The last component, or empty.

        Examples:
            >>> RootedPath(23309, "srv/backup.tar.gz").name
            'backup.tar.gz'
        """
        return self._pure.name

    @property
    def suffix(self) -> str:
        """The last component's last suffix with its dot, or empty.

        Examples:
            >>> RootedPath(23309, "srv/backup.tar.gz").suffix
            '.gz'
        """
        name = self.name.lstrip(".")
        dot = name.rfind(".")
        return name[dot:] if dot >= 0 else ""

    @property
    def suffixes(self) -> list[str]:
        """The last component's suffixes, each with its dot.

        Examples:
            >>> RootedPath(23309, "srv/backup.tar.gz").suffixes
            ['.tar', '.gz']
        """
        return ["." + suffix for suffix in self.name.lstrip(".").split(".")[1:]]

    @property
    def stem(self) -> str:
        """The last component without its last suffix.

        Examples:
            >>> RootedPath(23309, "srv/backup.tar.gz").stem
            'backup.tar'
        """
        suffix = self.suffix
        return self.name[: -len(suffix)] if suffix else self.name

    @property
    def parent(self) -> Self:
        """The path without its last component. Links are not looked at.

        Examples:
            >>> str(RootedPath(23309, "srv/backup.tar.gz").parent)
            '/srv'
        """
        pure = self._pure
        parent = pure.parent
        return self if parent is pure else self._normalized(str(parent))

    @property
    def parents(self) -> Sequence[Self]:
        """The paths above, nearest first.

        Examples:
            >>> [str(path) for path in RootedPath(23309, "srv/backup.tar.gz").parents]
            ['/srv', '/']
        """
        return _Parents(self)

    def as_posix(self) -> str:
        """Return ``str(self)``.

        Examples:
            >>> RootedPath(23309, "srv/backup.tar.gz").as_posix()
            '/srv/backup.tar.gz'
        """
        return str(self)

    def is_absolute(self) -> bool:
        """Return whether the path begins with ``/``. A relative path counts from there too.

        Examples:
            >>> RootedPath(23309, "srv/backup.tar.gz").is_absolute()
            True
        """
        return self._pure.is_absolute()

    def with_name(self, name: str) -> Self:
        """Return the path with another last component.

        Raises ``ValueError`` if it has none, or ``name`` is not a component.

        Examples:
            >>> str(RootedPath(23309, "srv/backup.tar.gz").with_name("data.csv"))
            '/srv/data.csv'
        """
        if not name or "/" in name or name == ".":
            raise ValueError(f"Invalid name {name!r}")
        if not self.name:
            raise ValueError(f"{self!r} has an empty name")
        # A str enum counts by its value, which pathlib of Python 3.11 does not take.
        return self._normalized(str(self._pure.parent / str.__str__(name)))

    def with_stem(self, stem: str) -> Self:
        """Return the path with another :attr:`stem`.

        Examples:
            >>> str(RootedPath(23309, "srv/backup.tar.gz").with_stem("old"))
            '/srv/old.gz'
        """
        suffix = self.suffix
        if suffix and not stem:
            raise ValueError(f"{self!r} has a non-empty suffix")
        return self.with_name(stem + suffix)

    def with_suffix(self, suffix: str) -> Self:
        """Return the path with another :attr:`suffix`; an empty one removes it.

        Examples:
            >>> str(RootedPath(23309, "srv/backup.tar.gz").with_suffix(".xz"))
            '/srv/backup.tar.xz'
        """
        stem = self.stem
        if not stem:
            raise ValueError(f"{self!r} has an empty name")
        if suffix and not suffix.startswith("."):
            raise ValueError(f"Invalid suffix {suffix!r}")
        return self.with_name(stem + suffix)

    def is_relative_to(self, other: Segment) -> bool:
        """Return whether ``other`` is this path or one of its :attr:`parents`.

        Examples:
            >>> RootedPath(23309, "srv/backup.tar.gz").is_relative_to("/srv")
            True
        """
        path = self._own(other)
        return path == self or path in self.parents

    def relative_to(self, other: Segment, *, walk_up: bool = False) -> Self:
        """Return the relative path from ``other`` to this path; ``walk_up`` allows ``..`` in it.

        Raises ``ValueError`` if there is none. Links are not looked at.

        Examples:
            >>> str(RootedPath(23309, "srv/backup.tar.gz").relative_to("/srv"))
            'backup.tar.gz'
        """
        start = common = self._own(other)
        steps = 0
        while common != self and common not in self.parents:
            if not walk_up:
                raise ValueError(f"{str(self)!r} is not in the subpath of {str(start)!r}")
            if common.name == "..":
                raise ValueError(f"'..' segment in {str(start)!r} cannot be walked")
            if not common.parts or common.parts == (common.anchor,):
                raise ValueError(f"{str(self)!r} and {str(start)!r} have different anchors")
            common = common.parent
            steps += 1
        return self.with_segments(*[".."] * steps, *self.parts[len(common.parts) :])

    def match(self, path_pattern: Segment, *, case_sensitive: bool | None = None) -> bool:
        """Return whether the path matches ``path_pattern``, from the right if that is relative.

        ``**`` means ``*``. ``case_sensitive`` None is as True. Raises ``ValueError`` for an empty
        pattern.

        Examples:
            >>> RootedPath(23309, "srv/backup.tar.gz").match("*.gz")
            True
        """
        pattern = self._own(path_pattern)
        parts, patterns = self.parts[::-1], pattern.parts[::-1]
        if not patterns:
            raise ValueError("empty pattern")
        if len(parts) < len(patterns) or (len(parts) > len(patterns) and pattern.anchor):
            return False
        cased = case_sensitive is not False
        return all(
            compile_name(wanted, cased)(part) is not None
            for part, wanted in zip(parts, patterns, strict=False)
        )

    def full_match(self, pattern: Segment, *, case_sensitive: bool | None = None) -> bool:
        """Return whether the whole path matches ``pattern``.

        ``**`` is any number of components. ``case_sensitive`` None is as True.

        Examples:
            >>> RootedPath(23309, "srv/backup.tar.gz").full_match("/srv/**/*.gz")
            True
        """
        wanted = self._own(pattern)
        text = str(self) if self.parts else ""
        match = compile_path(str(wanted) if wanted.parts else "", case_sensitive is not False)
        return match(text) is not None

    def _own(self, other: Segment) -> LexicalPath:
        """Return ``other`` as a path."""
        return other if isinstance(other, LexicalPath) else self.with_segments(other)


def _joined(segments: tuple[str, ...]) -> str:
    """Return ``str(PurePosixPath(*segments))``, which takes five times as long."""
    text = ""
    for segment in segments:
        if segment.startswith("/") or not text:
            text = segment
        elif text.endswith("/"):
            text += segment
        else:
            text = f"{text}/{segment}"
    if (
        "//" in text
        or "/./" in text
        or text.endswith(("/", "/."))
        or text.startswith("./")
        or not text
    ):
        return str(PurePosixPath(text))
    return text


def _flat(root: Root, segments: tuple[Segment, ...]) -> list[str]:
    """Return the segments as strings.

    Raises ``ValueError`` for a path of another root, ``TypeError`` for a host path: by its text
    it would name another file.
    """
    flat: list[str] = []
    for segment in segments:
        if isinstance(segment, LexicalPath):
            if segment._root is not root and segment._root != root:
                raise ValueError(f"{segment!r} does not belong to the root {root.origin!r}")
            flat += segment._given
        elif isinstance(segment, str):
            # A member of a str enum formats as its name since Python 3.12.
            flat.append(segment if type(segment) is str else str.__str__(segment))
        elif isinstance(segment, _HOST_PATHS):
            flat.append(_relative_words(segment))
        elif isinstance(segment, PurePath):
            flat.append(segment.as_posix())
        else:
            text = os.fspath(segment) if hasattr(segment, "__fspath__") else segment
            if not isinstance(text, str):
                raise TypeError(
                    "a segment must be a str, a path of this root, or an os.PathLike object of "
                    f"a str, not {type(segment).__name__!r}"
                )
            flat.append(text)
    return flat


def _relative_words(path: Path | PinnedPath | os.DirEntry[str]) -> str:
    """Return a relative path of pathlib as text. Raises ``TypeError`` for another host path."""
    if isinstance(path, PinnedPath):
        instead = "pass the RootedPath that was pinned"
    elif isinstance(path, os.DirEntry):
        instead = "pass its name, or list the directory with iterdir() of a RootedPath"
    elif path.is_absolute():
        instead = "pass *path.parts for the same names in the root"
    else:
        return path.as_posix()
    raise TypeError(f"{path!r} is a host path, which cannot be part of a path in a root: {instead}")


class _Parents(Sequence[P], Generic[P]):
    """The parents of a path, made when they are asked for."""

    def __init__(self, path: P) -> None:
        self._path = path
        self._pures = path._pure.parents

    def __len__(self) -> int:
        return len(self._pures)

    @overload
    def __getitem__(self, index: int) -> P: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[P, ...]: ...
    def __getitem__(self, index: int | slice) -> P | tuple[P, ...]:
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(len(self))))
        return self._path._normalized(str(self._pures[index]))

    def __repr__(self) -> str:
        return f"<{type(self._path).__name__}.parents>"
