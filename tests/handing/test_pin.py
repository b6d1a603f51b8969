"""A pinned path says what it is, and for whom it is wrong."""

from __future__ import annotations

import os
import pathlib
import shutil
import sqlite3
import subprocess

import pytest

from helpers.twins import Twins
from procpath import ClosedRootError, PinnedPath, RootedPath


def test_its_text_is_its_name(twins: Twins) -> None:
    """``str(pinned)`` was the in-root path: an HTTP client went to the host's socket by it."""
    with (twins.inside / "f").pin() as pinned:
        assert str(pinned) == f"{pinned}" == os.fspath(pinned) == f"/proc/self/fd/{pinned.fileno()}"
        assert pathlib.Path(str(pinned)).read_text() == "inside"
    with pytest.raises(ClosedRootError, match=r"'.*/app/f', root='/proc/\d+/root'\) is closed"):
        str(pinned)


def test_a_directory_s_name_ends_in_a_slash(twins: Twins) -> None:
    """find, du and cp -a then look into the directory, not at a link to the host."""
    with twins.inside.pin() as pinned:
        assert str(pinned) == os.fspath(pinned) == f"/proc/self/fd/{pinned.fileno()}/"
        found = subprocess.check_output(
            ["find", pinned, "-type", "f"], pass_fds=[pinned.fileno()], text=True
        )
        assert found == f"{pinned}f\n"


def test_its_repr_has_the_path_and_the_root(twins: Twins) -> None:
    with twins.inside.pin() as pinned:
        assert repr(pinned) == f"<PinnedPath of {twins.inside!r} at {pinned}>"
    assert repr(pinned) == f"<PinnedPath of {twins.inside!r} closed>"


def test_what_its_docstring_warns_of_is_true(twins: Twins) -> None:
    for directory in twins:
        database = sqlite3.connect(":memory:")
        database.execute("create table t as select ? as word", [(directory / "f").read_text()])
        (directory / "db").write_bytes(database.serialize())
        database.close()
    with (twins.inside / "db").pin() as pinned:
        database = sqlite3.connect(pinned)
        answer = database.execute("select word from t").fetchall()
        database.close()
        assert os.path.realpath(pinned) == str(twins.host / "db")
        assert os.path.islink(pinned)
    with twins.inside.pin() as directory, pytest.raises(OSError):
        shutil.rmtree(str(directory).rstrip("/"))
    assert (twins.inside / "f").exists()
    assert answer == [("HOST",)]
    warned = str(PinnedPath.__doc__)
    for consumer in ("SQLite", "os.path.realpath()", "shutil.rmtree()"):
        assert consumer in warned
    assert "as_file" in warned
    assert "as_file" in str(RootedPath.pin.__doc__)
