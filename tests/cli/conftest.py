"""Fixtures of the command line: two trees to act on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers.commandline import HOSTILE


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root file system with a bit of everything."""
    root = tmp_path / "rootfs"
    for directory in ("etc/app.d", "run", "srv/.hidden", "var"):
        (root / directory).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nalice:x:1234:1234::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nalices:x:1234:\n")
    (root / "etc/app.d/b.conf").write_text("b\n")
    (root / "etc/app.d/a.conf").write_text("a\n")
    (root / "etc/app.d/link.conf").symlink_to("/etc/app.d/a.conf")
    (root / "run/x").write_text("inside\n")
    (root / "var/run").symlink_to("/run")
    (root / "srv/dangling").symlink_to("/nowhere//at/all/")
    (root / "srv/loop").symlink_to("loop")
    (root / "srv/.secret").write_text("")
    os.mkfifo(root / "srv/fifo")
    os.chown(root / "run/x", 1234, 1234)
    (root / "run/x").chmod(0o4750)
    return root


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A directory with one file, of a hostile name, a link to it and a link of its name."""
    root = tmp_path / "hostile"
    (root / "d").mkdir(parents=True)
    (root / "d" / HOSTILE).write_text("harmless\n")
    (root / "link").symlink_to(f"d/{HOSTILE}")
    return root
