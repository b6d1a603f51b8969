"""The options of a root."""

from __future__ import annotations

from errno import ELOOP, EXDEV
from typing import Any, Literal, NamedTuple, Self, TypedDict

from procpath.resolve.interface import Rules


class OptionArguments(TypedDict, total=False):
    """The keyword arguments that every way to make a :class:`procpath.Root` takes."""

    resolver: Literal["auto", "openat2", "walk"]
    on_escape: Literal["clamp", "raise"]
    symlinks: bool
    cross_mounts: bool
    special_files: Literal["allow", "refuse"]


class _Options(NamedTuple):
    resolver: Literal["auto", "openat2", "walk"] = "auto"
    on_escape: Literal["clamp", "raise"] = "clamp"
    symlinks: bool = True
    cross_mounts: bool = True
    special_files: Literal["allow", "refuse"] = "refuse"


class Options(_Options):
    """How a root resolves paths; see :class:`procpath.Root`."""

    __slots__ = ()

    def __new__(cls, **options: Any) -> Self:
        """Raise ``ValueError`` and ``TypeError`` for an unknown option or an invalid value."""
        self = super().__new__(cls, **options)
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if value not in allowed:
                expected = " or ".join(repr(choice) for choice in allowed)
                raise ValueError(f"{name} must be {expected}, not {value!r}")
        for name in ("symlinks", "cross_mounts"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, not {getattr(self, name)!r}")
        return self

    def refusals(self) -> dict[int, str]:
        """Return the note that names an option, by the errno with which it refuses."""
        refusals = {}
        if not self.symlinks:
            refusals[ELOOP] = "this root has symlinks=False: no symbolic link is followed"
        if not self.cross_mounts:
            refusals[EXDEV] = "this root has cross_mounts=False: no mount point is entered"
        return refusals

    def rules(self) -> Rules:
        """Return those that the resolvers follow."""
        return Rules(
            clamp=self.on_escape == "clamp",
            symlinks=self.symlinks,
            cross_mounts=self.cross_mounts,
            special_files=self.special_files == "allow",
        )


_ALLOWED = {
    "resolver": ("auto", "openat2", "walk"),
    "on_escape": ("clamp", "raise"),
    "special_files": ("allow", "refuse"),
}
