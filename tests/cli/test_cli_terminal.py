"""The command line on a terminal: quoting, colours, columns."""

from __future__ import annotations

import os
import random
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from helpers.commandline import HOSTILE, OBEYED, printed, shown
from procpath.commands.output import printable, quoted

# On a terminal


@pytest.mark.parametrize(
    "arguments",
    [
        *(["ls"], ["ls", "-l"], ["ls", "-la"], ["ls", "-1R"], ["ls", "-lt"], ["ls", "-d"]),
        *(["tree"], ["find"], ["find", "-print0"], ["stat", "-L"]),
    ],
    ids=shlex.join,
)
@pytest.mark.parametrize("path", ["/", "/d", "/link", f"/d/{HOSTILE}", f"/{HOSTILE}"])
def test_no_name_reaches_a_terminal_unquoted(
    hostile: Path, arguments: list[str], path: str
) -> None:
    text = shown(*arguments, f"{hostile}:{path}", TERM="xterm", NO_COLOR="1")
    assert not OBEYED.search(text.replace("\0", "")), text
    assert not any(0xDC80 <= ord(char) <= 0xDCFF for char in text)


def test_no_account_reaches_a_terminal_unquoted(tree: Path) -> None:
    (tree / "etc/passwd").write_text("\33[31malice:x:1234:1234::/:/bin/sh\n")
    (tree / "etc/group").write_text("\33]0;alices\7:x:1234:\n")
    for command in (["ls", "-l"], ["stat"]):
        text = shown(*command, f"{tree}:/run/x", TERM="xterm", NO_COLOR="1")
        assert "alices" in text
        assert not OBEYED.search(text), text


@pytest.mark.parametrize("option", ["--trace", "--json"])
def test_no_trace_reaches_a_terminal_unquoted(hostile: Path, option: str) -> None:
    for path in ("/link", f"/link/{HOSTILE}"):
        text = shown("resolve", option, f"{hostile}:{path}", TERM="xterm", NO_COLOR="1")
        assert "pwned" in text
        assert not OBEYED.search(text), text


def test_a_quoted_name_is_what_a_shell_reads_back() -> None:
    chance = random.Random(0)
    names = [bytes([byte]) for byte in range(1, 256) if byte != ord("/")]
    names += [
        bytes(chance.choices([byte for byte in range(1, 256) if byte != ord("/")], k=12))
        for _ in range(500)
    ]
    names += [
        name.encode() for name in ("café", "a b", "~", "\u202eabc", "'", "$'x'", "\x1b7", "日")
    ]
    for name in names:
        assert quoted(os.fsdecode(name)).isprintable()
    script = "printf '%s\\0' " + " ".join(quoted(os.fsdecode(name)) for name in names)
    assert subprocess.check_output(["bash", "-c", os.fsencode(script)]).split(b"\0")[:-1] == names


def test_a_plain_name_is_not_quoted() -> None:
    for name in ("a.txt", "café", "日本", "a-b_c+d@e:f,g=h%", "/run/x"):
        assert quoted(name) == printable(name) == name


def test_colours_are_for_terminals_that_have_some(tree: Path) -> None:
    listing = ["ls", f"{tree}:/"]
    colored = shown(*listing, TERM="xterm")
    assert "\033[1;34metc\033[0m" in colored
    # Nothing but colours, so that they can be taken away again.
    plain = re.sub(r"\033\[[0-9;]*m", "", colored)
    assert plain == shown(*listing, TERM="xterm", NO_COLOR="1")
    assert plain == shown(*listing, TERM="dumb")
    assert plain == shown(*listing)
    assert shown(*listing, TERM="xterm", NO_COLOR="") == colored
    assert "\033" not in "".join(printed(*listing))


def test_ls_fills_the_columns_of_a_terminal(tmp_path: Path) -> None:
    for number in range(1, 12):
        (tmp_path / f"name-{number:02}").touch()
    # Wide characters take two columns each.
    (tmp_path / "日本日本").touch()
    assert shown("ls", f"{tmp_path}:/", columns=40, TERM="dumb").splitlines() == [
        "name-01  name-04  name-07  name-10",
        "name-02  name-05  name-08  name-11",
        "name-03  name-06  name-09  日本日本",
    ]
    narrow = shown("ls", f"{tmp_path}:/", columns=5, TERM="dumb").splitlines()
    assert narrow == [*(f"name-{number:02}" for number in range(1, 12)), "日本日本"]


@pytest.mark.parametrize("columns", [80, 180])
@pytest.mark.parametrize("command", ["roots", "check"])
def test_tables_are_as_wide_as_the_terminal(command: str, columns: int) -> None:
    lines = shown(command, columns=columns, TERM="dumb").splitlines()
    # What goes to standard error is a message, not a table.
    table = [line for line in lines if not line.startswith("procpath: ")]
    assert max(map(len, table)) <= columns


def test_wrapped_text_loses_no_word() -> None:
    wide, narrow = (shown("check", columns=columns, TERM="dumb") for columns in (500, 80))
    changing = re.compile(r"[0-9]+")  # devices, processes, what is open
    words = [changing.sub("#", text).split() for text in (wide, narrow)]
    assert words[0] == words[1]
    assert len(narrow.splitlines()) > len(wide.splitlines())


def test_colours_survive_wrapping() -> None:
    colored = shown("check", columns=60, TERM="xterm")
    plain = shown("check", columns=60, TERM="xterm", NO_COLOR="1")
    changing = re.compile(r"\033\[[0-9;]*m|[0-9]+")
    assert changing.sub("", colored).split() == changing.sub("", plain).split()
