"""checksec.py, which walks a tree and says how its programs are hardened, by LIEF."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.twins import Twins
from ports.ground import Ground
from procpath import BoundPath, RootedPath

lief: Any = pytest.importorskip("lief")
elf: Any = pytest.importorskip("checksec.elf")
from checksec.__main__ import walk_filepath_list  # noqa: E402

PLACES = ("usr/bin", "opt/app", "opt/app/lib", "opt/tool")


class RootedSecurity(elf.ELFSecurity):
    """Parses what it is given, not the file of the host that has its name."""

    def __init__(self, path: RootedPath) -> None:
        self.bin = lief.parse(path.read_bytes())
        if not self.bin:
            raise elf.ErrorParsingFailed(path)
        # Without it fortified functions are not counted: the libc is sought by ldconfig(8).
        self._libc = None


def told(security: Any) -> str:
    return repr((security.checksec_state, sorted(security.set_dyn_syms)))


def stock(root: str) -> dict[str, str]:
    elf.get_libc = lambda path=None: None
    found = {}
    for place in PLACES:
        top = Path(root, place)
        for path in walk_filepath_list([top], recursive=True):
            if elf.is_elf(path):
                found[os.path.relpath(path, root)] = told(elf.ELFSecurity(path))
    return found


def files_of(top: RootedPath) -> Iterator[RootedPath]:
    """What ``walk_filepath_list()`` does with ``os.scandir()`` and ``Path``."""
    if top.is_dir() and not top.is_symlink():
        for path in top.iterdir():
            yield from files_of(path)
    elif top.is_file():
        yield top


def ported(P: type[BoundPath]) -> dict[str, str]:
    found = {}
    for place in PLACES:
        for path in files_of(P("/", place)):
            with path.open("rb") as file:
                is_elf = file.read(4) == b"\x7fELF"
            if is_elf:
                found[str(path.relative_to("/"))] = told(RootedSecurity(path))
    return found


def test_it_tells_of_the_programs_of_the_root(ground: Ground) -> None:
    expected = ground.compare(stock, ported)
    assert {"opt/tool"} <= expected.keys()


def test_lief_parses_the_content_and_refuses_the_path(
    twins: Twins, capfd: pytest.CaptureFixture[str]
) -> None:
    for directory, program in ((twins.inside, "/bin/tar"), (twins.host, "/bin/ls")):
        (directory / "program").write_bytes(Path(program).read_bytes())
    program = twins.inside / "program"
    expected = symbols(lief.parse("/bin/tar"))
    assert symbols(lief.parse(program.read_bytes())) == expected
    with program.open("rb") as file:
        assert symbols(lief.parse(file)) == expected
    with program.pin() as pinned:
        assert symbols(lief.parse(os.fspath(pinned))) == expected
    assert lief.parse(program) is None
    assert "does not support Python object" in capfd.readouterr().err


def symbols(binary: Any) -> list[str]:
    return [each.name for each in binary.dynamic_symbols]
