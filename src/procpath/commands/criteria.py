"""What ``procpath find`` can ask of a file: the words of find(1), and the tests that they mean."""

from __future__ import annotations

import argparse
import re
import stat
import time
from collections.abc import Callable
from fnmatch import translate
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from procpath.commands.entry import Owners
    from procpath.commands.find import Found

Criterion: TypeAlias = "Callable[[Found], object]"

SIGNED_VALUE = re.compile(r"-[0-9]+[cwbkMG]?$|-[ugoa]*[-+=][-+=,ugoarwxXst]*$")
"""What begins like an option and is the value of one."""

_TYPES = {
    "f": stat.S_IFREG,
    "d": stat.S_IFDIR,
    "l": stat.S_IFLNK,
    "p": stat.S_IFIFO,
    "s": stat.S_IFSOCK,
    "c": stat.S_IFCHR,
    "b": stat.S_IFBLK,
}
_UNITS = {"": 512, "c": 1, "w": 2, "b": 512, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_DAY = 24 * 60 * 60

_NUMBER = re.compile(r"([-+]?)([0-9]{1,18})([cwbkMG]?)")
_OCTAL = re.compile("[0-7]{1,5}")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=][rwxXst]*)+)")
_ACTION = re.compile(r"([-+=])([rwxXst]*)")
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}
_WHAT = {"r": 0o444, "w": 0o222, "x": 0o111, "X": 0, "s": 0o6000, "t": 0o1000}


def name(pattern: str, flags: re.RegexFlag = re.NOFLAG) -> Criterion:
    """Test the name. A dot at its start is like any other character."""
    matches = re.compile(translate(pattern), flags).match
    return lambda found: matches(found.name)


def path(pattern: str) -> Criterion:
    """Test the whole in-root path."""
    matches = re.compile(translate(pattern)).match
    return lambda found: matches(str(found.path))


def types(text: str) -> Criterion:
    """Parse letters with commas between."""
    letters = text.split(",")
    unknown = [letter for letter in letters if letter not in _TYPES]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"not a file type: {unknown[0]!r}; use {', '.join(_TYPES)}"
        )
    wanted = frozenset(_TYPES[letter] for letter in letters)
    return lambda found: stat.S_IFMT(found.stat().st_mode) in wanted


def permissions(text: str) -> Criterion:
    """Parse MODE, -MODE or /MODE, with a mode as chmod(1) takes it."""
    how = text[:1] if text[:1] in ("-", "/") else ""
    wanted = _mode(text[len(how) :])
    if wanted is None:
        raise argparse.ArgumentTypeError(f"not a mode: {text!r}; use 4755, -u+s, /022")
    if how == "-":
        return lambda found: found.stat().st_mode & wanted == wanted
    if how == "/":
        # As find(1): any file has any of no bits.
        return lambda found: not wanted or found.stat().st_mode & wanted
    return lambda found: stat.S_IMODE(found.stat().st_mode) == wanted


def _mode(text: str) -> int | None:
    """Return the bits of an octal or symbolic mode, which begins with none. None if invalid."""
    if _OCTAL.fullmatch(text):
        mode = int(text, 8)
        return mode if mode <= 0o7777 else None
    mode = 0
    for clause in text.split(","):
        parsed = _CLAUSE.fullmatch(clause)
        if parsed is None:
            return None
        who = 0
        for letter in parsed[1] or "a":
            who |= _WHO[letter]
        for sign, letters in _ACTION.findall(parsed[2]):
            bits = 0
            for letter in letters:
                # t is nobody's, so anybody's: +t is o+t.
                bits |= _WHAT[letter] & (who | (0o1000 if letter == "t" else 0))
            if sign == "=":
                mode &= ~who
            mode = mode & ~bits if sign == "-" else mode | bits
    return mode


def size(text: str) -> Criterion:
    """Parse N, +N or -N with a unit, to which sizes are rounded up."""
    parsed = _NUMBER.fullmatch(text)
    if parsed is None:
        raise argparse.ArgumentTypeError(f"not a size: {text!r}; use 10k, +1M, -100c")
    unit = _UNITS[parsed[3]]
    is_wanted = _comparison(parsed[1], int(parsed[2]))
    return lambda found: is_wanted(-(-found.stat().st_size // unit))


def age(text: str) -> Criterion:
    """Parse a number of days, +N or -N."""
    parsed = _NUMBER.fullmatch(text)
    if parsed is None or parsed[3]:
        raise argparse.ArgumentTypeError(f"not a number of days: {text!r}; use 1, +7, -1")
    now = time.time_ns()
    is_wanted = _comparison(parsed[1], int(parsed[2]))
    return lambda found: is_wanted((now - found.stat().st_mtime_ns) // (_DAY * 1_000_000_000))


def _comparison(sign: str, number: int) -> Callable[[int], bool]:
    if sign == "+":
        return number.__lt__
    return number.__gt__ if sign == "-" else number.__eq__


def newer(mtime_ns: int) -> Criterion:
    """Test whether the file was modified after that."""
    return lambda found: found.stat().st_mtime_ns > mtime_ns


def user(wanted: str, owners: Owners) -> Criterion:
    """Test the owner, by his name or number in the container."""
    if wanted.isdecimal() and wanted.isascii():
        return lambda found: str(owners.user(found.stat().st_uid).inside) == wanted
    return lambda found: owners.user(found.stat().st_uid).name == wanted


def is_empty(found: Found) -> bool:
    """Test whether a file has no bytes, or a directory no entries."""
    status = found.stat()
    if stat.S_ISDIR(status.st_mode):
        return next(found.path.scan(max_depth=1), None) is None
    return stat.S_ISREG(status.st_mode) and status.st_size == 0
