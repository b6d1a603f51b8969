"""Owning descriptors: shared by several users, just opened, or until the end of a block."""

from __future__ import annotations

import os
from itertools import starmap
from types import TracebackType
from typing import Self

from procpath import linux
from procpath.linux import Descriptor, openat


def open_number(dirfd: int, name: str, flags: int, mode: int = 0) -> int:
    """Do as ``linux.openat``; the number is the caller's to close, as ``linux.bare_openat`` says.

    For a tree with thousands of files, where an owner for each costs as much as the call.
    """
    fd: int
    path = os.fsencode(name)
    if b"\0" not in path:
        (fd,) = starmap(linux.bare_openat, ((dirfd, path, flags | linux.OF_OUR_OWN, mode),))
        if fd >= 0:
            return fd
    return openat(dirfd, path, flags, mode).detach()


class closed_on_error:
    """A context manager that closes a descriptor if its block fails.

    Otherwise the traceback would keep it open, for as long as somebody keeps the error.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> int:
        return self._descriptor.value

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._descriptor.close()


class Closing:
    """A context manager that calls ``close()`` at the end of its block."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what is held."""
        raise NotImplementedError


class Held:
    """A descriptor that stays open until its last user lets go.

    Whoever acts on the descriptor calls :meth:`descriptor` and keeps the result while it
    acts: :meth:`close` then takes effect from the next call on, and the number is not used
    again under an operation that another thread has begun.
    """

    __slots__ = ("_descriptor", "_what")

    def __init__(self, descriptor: Descriptor, what: str) -> None:
        """Take over ``descriptor``; ``what`` names it in errors."""
        self._descriptor: Descriptor | None = descriptor
        self._what = what

    def descriptor(self) -> Descriptor:
        """Return the descriptor. Raises ``ValueError`` when it is closed, as a file does."""
        descriptor = self._descriptor
        if descriptor is None:
            raise ValueError(f"{self._what} is closed")
        return descriptor

    def fileno(self) -> int:
        """Return the number. It stays valid while this object is open."""
        return self.descriptor().value

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._descriptor is None

    def close(self) -> None:
        """Let the descriptor go; do nothing if that was done before."""
        # Only the reference goes: who acts on the descriptor still has one.
        self._descriptor = None
