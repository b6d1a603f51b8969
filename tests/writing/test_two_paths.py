"""Operations on two paths refuse in the order of the kernel's."""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import EACCES, ENOTDIR
from pathlib import Path
from typing import Any

import pytest

from helpers.processes import become_user
from helpers.support import run_in_child
from procpath import Root, RootedPath, VerifiedProc


def _errno_as_user(act: Callable[[RootedPath], object], root: Root) -> int | None:
    if os.geteuid() == 0:
        become_user(1000)
    with pytest.raises(OSError) as caught:
        act(RootedPath(root))
    return caught.value.errno


@pytest.mark.parametrize("resolver", ["openat2", "walk"])
@pytest.mark.parametrize("name", ["rename", "replace", "exchange"])
def test_the_first_parent_must_be_searchable(name: str, resolver: Any, tmp_path: Path) -> None:
    for above in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        above.chmod(0o755)
    for directory in ("closed", "open"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "file").touch()
    (tmp_path / "closed").chmod(0o600)
    VerifiedProc.default()
    with Root.at(tmp_path, resolver=resolver) as root:
        for one, errno in (("closed/file", EACCES), ("open/file", ENOTDIR)):
            said = run_in_child(
                _errno_as_user, lambda p, one=one: getattr(p / one, name)(p / "open/file/x"), root
            )
            assert said == errno
    (tmp_path / "closed").chmod(0o700)
