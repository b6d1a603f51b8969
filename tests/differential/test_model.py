"""The model alone: what it says where a reader can check it, on a tree that fits a screen."""

from __future__ import annotations

import os
from errno import EACCES, ELOOP, ENAMETOOLONG, ENOENT, EXDEV

import pytest

from procpath import EscapeError, MagicLinkError
from procpath.testing import Directory, File, MagicLink, Symlink, Tree, model
from procpath.testing.model import Caller, Opened, Rules

USER = Caller(uid=1000, gid=1000, privileged=False)
TREE = Tree(
    {
        "/etc/os-release": Symlink("../usr/lib/os-release"),
        "/usr/lib/os-release": File(b"ID=cellar\n"),
        "/var/run": Symlink("/run"),
        "/run/app.sock.txt": File(),
        "/home/secret": Directory(0o700),
        "/home/secret/key": File(),
        "/tmp": Directory(0o1777),
        "/tmp/trap": Symlink("/run", 1000, 1000),
        "/mnt": Directory(mount=True, nosymfollow=True),
        "/mnt/link": Symlink("/run"),
        "/proc/self": Symlink("7"),
        "/proc/7/exe": MagicLink("/usr/bin/app"),
    }
)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/", "/"),
        ("/etc/os-release", "/usr/lib/os-release"),
        ("/var/run/app.sock.txt", "/run/app.sock.txt"),
        ("var//./run/../run/app.sock.txt", "/run/app.sock.txt"),
        ("/../../etc/../..", "/"),
        ("/var/run/..", "/"),
        ("/proc/self", "/proc/7"),
    ],
)
def test_a_path_leads_where_path_resolution_7_says(path: str, place: str) -> None:
    assert model.resolve(TREE, path) == place


def test_a_slash_follows_a_symlink_at_the_end() -> None:
    assert model.resolve(TREE, "/var/run", follow_last=False) == "/var/run"
    assert model.resolve(TREE, "/var/run/", follow_last=False) == "/run"
    assert model.open(TREE, "/var/run", os.O_PATH | os.O_NOFOLLOW) == Opened("/var/run")
    assert model.readlink(TREE, "/var/run") == "/run"


@pytest.mark.parametrize(
    ("path", "caller", "rules", "number"),
    [
        ("", Caller(), Rules(), ENOENT),
        ("/var/nothing", Caller(), Rules(), ENOENT),
        ("/home/secret/key", USER, Rules(), EACCES),
        ("/tmp/trap", Caller(), Rules(), EACCES),
        ("/mnt/link", Caller(), Rules(), ELOOP),
        ("/mnt/link", Caller(), Rules(cross_mounts=False), EXDEV),
        ("/var/run", Caller(), Rules(symlinks=False), ELOOP),
        ("/" * 4096, Caller(), Rules(), ENAMETOOLONG),
        ("/" + "n" * 256, Caller(), Rules(), ENAMETOOLONG),
    ],
)
def test_it_refuses_with_the_errno_of_linux(
    path: str, caller: Caller, rules: Rules, number: int
) -> None:
    with pytest.raises(OSError) as refused:
        model.resolve(TREE, path, caller=caller, rules=rules)
    assert (refused.value.errno, refused.value.filename) == (number, path)


def test_it_raises_the_errors_of_procpath() -> None:
    with pytest.raises(EscapeError):
        model.resolve(TREE, "/etc/../..", rules=Rules(on_escape="raise"))
    with pytest.raises(MagicLinkError):
        model.resolve(TREE, "/proc/self/exe")
    with pytest.raises(ValueError, match="null"):
        model.resolve(TREE, "/etc\0/passwd")


def test_a_magic_link_can_be_held_and_read_but_not_followed() -> None:
    held = model.open(TREE, "/proc/7/exe", os.O_PATH | os.O_NOFOLLOW)
    assert held == Opened("/proc/7/exe")
    assert model.readlink(TREE, "/proc/7/exe") == "/usr/bin/app"


def test_who_follows_a_protected_symlink() -> None:
    assert model.resolve(TREE, "/tmp/trap", caller=USER) == "/run"
    assert model.resolve(TREE, "/tmp/trap/.") == "/run"
    assert model.resolve(TREE, "/tmp/trap", rules=Rules(protected_symlinks=0)) == "/run"


def test_no_limit_of_a_path_is_a_rule_too() -> None:
    assert model.resolve(TREE, "/" * 5000, rules=Rules(path_max=None)) == "/"


def test_what_reading_gives_and_where_files_are_made() -> None:
    assert model.read(TREE, "/etc/os-release") == b"ID=cellar\n"
    assert model.read(TREE, "/var/run/app.sock.txt") == b"/run/app.sock.txt"
    created = model.open(TREE, "/var/run/new", os.O_WRONLY | os.O_CREAT)
    assert created == Opened("/run/new", "created")
