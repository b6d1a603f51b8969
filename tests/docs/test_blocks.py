"""Every Python and shell block of the documentation runs, against a real container.

A page is one session: its blocks share their names and a working directory. The documentation
says 23309 and c0ffee123456 where a reader has the PID and the ID of a container. What needs a
program that is not here has sybil's comment ``<!--- skip: next "why" -->`` before it.
"""

from __future__ import annotations

import doctest
import inspect
import io
import os
import pathlib
import re
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from unittest import SkipTest

import hypothesis
import pytest
from hypothesis import strategies
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

import procpath.testing
from helpers.containers import RuncContainer
from helpers.public import PUBLIC
from procpath import RootedPath

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
PAGES = [
    PROJECT / "README.md",
    # The links lead to files of the project, such as CONTRIBUTING.md, which are about a clone.
    *sorted(page for page in DOCS.rglob("*.md") if not page.is_symlink()),
]
SESSIONS = [
    page for page in PAGES if re.search(r"^```(python|sh)$", page.read_text(), re.MULTILINE)
]

PID = "23309"
ID = "c0ffee123456"


@pytest.fixture
def served(start_container: Callable[..., RuncContainer]) -> Iterator[tuple[RuncContainer, str]]:
    """A container with what the pages read, and its ID. An application answers at its socket."""
    number = (uuid.uuid4().hex * 2)[: 64 - len("c0")] + "c0"
    container = start_container(cgroup=f"/docker/{number}")
    root = RootedPath(container.pid)
    for name, text in {
        "etc/app/app.conf": "port = 8080\n",
        "etc/app/conf.d/cache.conf": "cache = on\n",
        "var/log/app/app.log": "started\nlistening on 8080\n",
        "srv/data.csv": "name,amount\nred,3\nwhite,9\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    database = root / "var/lib/app/app.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(_database())
    with container.listen("/run/app/app.sock") as listener:
        server = threading.Thread(target=_serve, args=[listener])
        server.start()
        try:
            yield container, number
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()


def _database() -> bytes:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE visits (name TEXT)")
        connection.execute("INSERT INTO visits VALUES ('a visitor')")
        connection.commit()
        return connection.serialize()


def _serve(listener: socket.socket) -> None:
    """Answer each HTTP request, until the listener is shut down."""
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nup\n")


@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: str(page.relative_to(PROJECT)))
def test_page_runs(
    page: Path,
    served: tuple[RuncContainer, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    container, number = served
    copy = tmp_path / page.name
    copy.write_text(_in(container, number, page.read_text()))
    commands = tmp_path / "bin"
    commands.mkdir()
    command = commands / "procpath"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m procpath "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    desk = tmp_path / "desk"
    desk.mkdir()
    monkeypatch.chdir(desk)
    python, shell = PythonCodeBlockParser(), CodeBlockParser("sh", _run_shell)
    for example in Document.parse(str(copy), python, shell, SkipParser()):
        with suppress(SkipTest):
            example.evaluate()


def _in(container: RuncContainer, number: str, text: str) -> str:
    """Return ``text`` with the PID and the ID of the container."""
    return text.replace(PID, str(container.pid)).replace(ID, number[: len(ID)])


def _run_shell(example: Example) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.parsed],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    where = f"{Path(example.path).name}, line {example.line}"
    assert done.returncode == 0, f"{where}:\n{example.parsed}{done.stdout}{done.stderr}"


def test_examples_in_docstrings_run(
    served: tuple[RuncContainer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container, number = served
    monkeypatch.chdir(tmp_path)
    faces = [procpath, procpath.testing, procpath.testing.races]
    names = {name: getattr(face, name) for face in faces for name in face.__all__}
    for module in (io, os, pathlib, stat, subprocess):
        names[module.__name__] = module
    names |= {"given": hypothesis.given, "settings": hypothesis.settings, "st": strategies}
    parser = doctest.DocTestParser()
    # Not every Python has UnsupportedOperation in the same module.
    runner = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    report: list[str] = []
    # A class that inherits a member has the same one.
    for member, name in {member: name for name, member in PUBLIC.items()}.items():
        text = _in(container, number, inspect.getdoc(member) or "")
        runner.run(parser.get_doctest(text, names.copy(), name, None, None), out=report.append)
    assert runner.tries > 10
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_to_files(page: Path) -> None:
    """mkdocs looks at the links within docs/ alone."""
    targets = re.findall(r"\]\(([^)#]+)", page.read_text())
    relative = [target for target in targets if "://" not in target]
    assert [target for target in relative if not (page.parent / target).exists()] == []
