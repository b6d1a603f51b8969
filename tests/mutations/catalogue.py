"""Safeguards of the resolvers, and the edits that take each of them away."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

PROJECT = pathlib.Path(__file__).parent.parent.parent
SOURCES = PROJECT / "src/procpath"
WALK, STACK = "resolve/walk.py", "resolve/stack.py"
LINKS, KERNEL = "resolve/links.py", "resolve/kernel.py"


class Mutation(NamedTuple):
    """One safeguard taken away: ``old`` stands once in the file, and becomes ``new``."""

    name: str
    file: str
    old: str
    new: str


MUTATIONS = [
    Mutation(
        "`..` at the root leaves it",
        WALK,
        'self._observe("clamp", b"..", None, self._stack.dirfd)',
        'self._stack.enter(openat(self._stack.dirfd, b"..", FIND_DIRECTORY_NOFOLLOW))',
    ),
    Mutation(
        "on_escape is ignored",
        WALK,
        "if not self._rules.clamp:\n            raise",
        "if False:\n            raise",
    ),
    Mutation("one link too many is followed", WALK, "> MAXSYMLINKS", "> MAXSYMLINKS + 1"),
    Mutation("one link too few is followed", WALK, "> MAXSYMLINKS", ">= MAXSYMLINKS"),
    Mutation(
        "an absolute link does not start at the root",
        WALK,
        'if text.startswith(b"/"):',
        "if False:",
    ),
    Mutation(
        "the kernel follows links on the way",
        WALK,
        "directory = openat(self._stack.dirfd, name, FIND_DIRECTORY_NOFOLLOW)",
        "directory = openat(self._stack.dirfd, name, FIND_DIRECTORY_NOFOLLOW & ~os.O_NOFOLLOW)",
    ),
    Mutation(
        "the kernel follows a link at the end", WALK, "once = flags | os.O_NOFOLLOW", "once = flags"
    ),
    Mutation(
        "a link at the end of an O_PATH open is not followed",
        WALK,
        "is_link = self._follow_if_link(name, fd)",
        "is_link = False",
    ),
    Mutation(
        "a slash at the end of the path is forgotten",
        WALK,
        'self._must_be_directory = path.endswith(b"/")',
        "self._must_be_directory = False",
    ),
    Mutation(
        "a slash at the end of a link is forgotten",
        WALK,
        'if trailing and text.endswith(b"/"):',
        "if False:",
    ),
    Mutation(
        "O_CREAT with a slash at the end creates",
        WALK,
        "if flags & os.O_CREAT:\n                    require_search",
        "if False:\n                    require_search",
    ),
    Mutation(
        "the right to search is not asked for",
        WALK,
        "def _go_up(self) -> None:\n        require_search(self._stack.dirfd)",
        "def _go_up(self) -> None:",
    ),
    Mutation(
        "a directory come back to need not be the same",
        STACK,
        "if birth(found.value) != above.birth:",
        "if False:",
    ),
    Mutation("every directory stays open", WALK, "MOST_HELD = 32", "MOST_HELD = 32_000"),
    Mutation(
        "a link that O_CREAT may not touch is not followed",
        WALK,
        "if not flags & os.O_CREAT or not self._follow_where_link(name):",
        "if True:",
    ),
    Mutation(
        "mounts are crossed", WALK, "if self._mount and mount_id(fd) != self._mount:", "if False:"
    ),
    Mutation("symlinks=False is ignored", WALK, "if not self._rules.symlinks:", "if False:"),
    Mutation(
        "protected_symlinks is ignored",
        LINKS,
        'and sysctl_fs("protected_symlinks")',
        "and False",
    ),
    Mutation(
        "protected_symlinks holds in the middle too",
        WALK,
        "if trailing:\n            require",
        "if True:\n            require",
    ),
    Mutation(
        "nosymfollow is ignored", LINKS, "if file_system.flags & ST_NOSYMFOLLOW:", "if False:"
    ),
    Mutation(
        "magic links are followed by their text",
        LINKS,
        "if file_system.type == PROC_SUPER_MAGIC and not _is_plain(os.fstat(link), text):",
        "if False:",
    ),
    Mutation("plain links of procfs are refused", LINKS, "return as_made or", "return False and"),
    Mutation(
        "openat2 does not get the root",
        KERNEL,
        "resolve |= RESOLVE_IN_ROOT if rules.clamp else RESOLVE_BENEATH",
        "resolve |= 0",
    ),
    Mutation("openat2 does not refuse links", KERNEL, "resolve |= RESOLVE_NO_SYMLINKS", "pass"),
    Mutation("openat2 does not keep to the mount", KERNEL, "resolve |= RESOLVE_NO_XDEV", "pass"),
]


def caught(mutation: Mutation | None) -> bool:
    """Whether the tests fail on a copy of the package with the mutation."""
    with tempfile.TemporaryDirectory(prefix="procpath-mutation-") as directory:
        copy = pathlib.Path(directory) / "procpath"
        shutil.copytree(SOURCES, copy)
        if mutation is not None:
            file = copy / mutation.file
            file.write_text(file.read_text().replace(mutation.old, mutation.new))
        return not tests_pass(directory)


def tests_pass(package_directory: str) -> bool:
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    # In place of the project's own, which puts the package as it is in front of all others.
    path = f"pythonpath={package_directory} tests"
    done = subprocess.run(
        [*pytest, "-o", path, "tests/resolve"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": package_directory, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"the tests could not be run:\n{done.stdout}")
    return done.returncode == 0
