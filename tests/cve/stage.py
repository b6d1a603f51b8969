"""Where the vulnerabilities are played again: a container's tree, and the host around it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from procpath import Root, RootedPath, linux, uapi

Resolver = Literal["walk", "openat2"]

SECRET = "secret of the host"


@dataclass(frozen=True)
class Stage:
    """``container`` is what an attacker rules; nothing in ``host`` is to be seen or changed."""

    container: Path
    host: Path

    @property
    def secret(self) -> Path:
        """A file of the host that says :data:`SECRET`."""
        return self.host / "file"

    @contextmanager
    def rooted(self, resolver: Resolver, **options: Any) -> Iterator[RootedPath]:
        """The container's root.

        Who wants to mount by a pinned path must hold the root in the mount namespace to mount in.
        """
        with Root.at(self.container, resolver=resolver, **options) as root:
            yield RootedPath(root)

    def host_is_untouched(self) -> bool:
        return os.listdir(self.host) == ["file"] and self.secret.read_text() == SECRET


def build(base: Path) -> Stage:
    """A container with the directory ``dir`` and a ``file`` in it, and a host with one too."""
    stage = Stage(base / "container", base / "host")
    (stage.container / "dir").mkdir(parents=True)
    (stage.container / "dir/file").write_text("of the container")
    stage.host.mkdir()
    stage.secret.write_text(SECRET)
    return stage


def swap_for_link(path: Path, target: Path) -> None:
    """Put a link to ``target`` at ``path``, at once; what was there is kept beside it."""
    aside = path.with_name(f"{path.name}.aside")
    aside.symlink_to(target)
    one, other = os.fsencode(path), os.fsencode(aside)
    linux.renameat2(uapi.AT_FDCWD, one, uapi.AT_FDCWD, other, uapi.RENAME_EXCHANGE)


def bind(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Mount ``source`` over ``target`` by mount(2), which follows links at both ends."""
    linux.mount(os.fsencode(source), os.fsencode(target), None, uapi.MS_BIND)
