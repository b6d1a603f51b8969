"""What cannot be explored is refused with a clear error, before anything runs."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Callable
from errno import EINVAL, ENOSYS, EPERM
from pathlib import Path
from typing import NoReturn

import pytest

from helpers.processes import become_user
from helpers.seccomp import forbid
from helpers.support import run_in_child
from procpath.testing import Directory, File, Tree
from procpath.testing.races import (
    Exchange,
    Fail,
    Mount,
    Move,
    RaceError,
    Remove,
    Replace,
    Signal,
    assert_confined,
    explore,
    mounts,
    moves_of,
    victim,
)
from races.test_explore import TREE, read_checked


@pytest.mark.parametrize(
    ("move", "message"),
    [
        (Remove("/none"), "'/none' is not in the tree"),
        (Remove("/"), "the root itself"),
        (Exchange("/app", "/app/conf"), "neither path may be in the other"),
        (Replace("/app", Directory(mount=True)), "mounts cannot be created"),
        (Fail(100_000), "not an errno"),
        (Signal(1_000), "not a signal"),
    ],
)
def test_an_impossible_move_is_refused_before_anything_runs(move: Move, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explore(_never, TREE, [move])
    with pytest.raises(ValueError, match=message):
        assert_confined(_never, TREE, [(1, move)])


def _never(_: Path) -> None:
    raise AssertionError("the victim was run")


def test_programs_that_cannot_run_are_refused(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF\x01")
    program.chmod(0o755)
    with pytest.raises(RaceError, match="32-bit program"):
        explore([program], TREE)
    with pytest.raises(FileNotFoundError):
        explore([tmp_path / "none"], TREE)
    with pytest.raises(ValueError, match="empty"):
        explore([], TREE)
    with pytest.raises(ValueError, match="at least one"):
        explore(_never, TREE, most=0)


# A program for the i386 that exits with status 7: mov eax, 1; mov ebx, 7; int 0x80.
_CODE = bytes.fromhex("b801000000 bb07000000 cd80")


_I386 = (
    b"\x7fELF\1\1\1".ljust(16, b"\0")
    + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x08048054, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    + struct.pack("<8I", 1, 0, 0x08048000, 0x08048000, 84 + len(_CODE), 84 + len(_CODE), 5, 4096)
    + _CODE
)


def test_a_victim_cannot_hide_behind_a_32_bit_program(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(_I386)
    program.chmod(0o755)
    try:
        runs = subprocess.run([program], check=False).returncode == 7
    except OSError:
        runs = False  # a kernel without the 32-bit system calls, or another machine
    victim = ["sh", "-c", f"exec {program}"]
    if runs:
        with pytest.raises(RaceError, match="runs a 32-bit program"):
            explore(victim, TREE)
    else:
        assert explore(victim, TREE).calls == ()


def test_too_many_calls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(victim, "MOST_CALLS", 2)
    with pytest.raises(RaceError, match="more than 2 calls"):
        explore(read_checked, TREE)


def fails(number: int) -> Callable[..., NoReturn]:
    def fail(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("call", "number", "message"),
    [
        # Before Linux 5.0; before 5.5.
        ("procpath.linux.seccomp_listener", EINVAL, r"need Linux 5\.5"),
        ("procpath.linux.seccomp_continue", EINVAL, r"need Linux 5\.5"),
        ("os.pidfd_open", EPERM, "look into a child, which failed: .*not permitted"),
    ],
)
def test_an_old_kernel_or_a_filter_is_told(
    monkeypatch: pytest.MonkeyPatch, call: str, number: int, message: str
) -> None:
    monkeypatch.setattr(call, fails(number))
    victim.require_support.cache_clear()
    for act in (explore, lambda *given: assert_confined(*given, [])):
        with pytest.raises(RaceError, match=message):
            act(_never, TREE)


@pytest.mark.parametrize(("number", "message"), [(EPERM, "forbids it"), (ENOSYS, "has no seccomp")])
def test_a_filter_that_forbids_it_is_told(number: int, message: str) -> None:
    def refused() -> None:
        victim.require_support.cache_clear()
        forbid({"seccomp": number})
        explore(_never, TREE)

    with pytest.raises(RaceError, match=message):
        run_in_child(refused)


def test_a_mount_without_privileges_is_refused_before_anything_runs() -> None:
    def as_user() -> bool:
        become_user(65534)
        mounts.refusal.cache_clear()
        tree = Tree({"/app/conf": File()})
        assert not any(isinstance(move, Mount) for move in moves_of(tree))
        explore(_never, tree, [Mount("/app")])
        return True

    with pytest.raises(RaceError, match="needs CAP_SYS_ADMIN"):
        run_in_child(as_user)


def test_a_process_that_is_watched_already_is_told() -> None:
    def nested(_: Path) -> None:
        victim.require_support.cache_clear()
        explore(_never, TREE)

    (outcome,) = explore(nested, TREE, [])
    assert isinstance(outcome.result, RaceError)
    assert "has a listener already" in str(outcome.result)
