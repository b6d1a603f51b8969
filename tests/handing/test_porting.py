"""text_leaks() finds the places of a port where an in-root path would go to the host."""

from __future__ import annotations

import inspect
import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from handing.programs import elf_checker
from helpers.twins import Twins
from procpath import RootedPath, porting
from procpath.lexical import LexicalPath
from procpath.porting import Leak, TextLeakWarning, text_leaks

PORTED = {
    'open(str(path), "rb")': 'path.open("rb")',
    'os.access(f"{path}", os.X_OK)': "bool(path.stat().st_mode & 0o111)",
    "os.path.getsize(path.as_posix())": "path.stat().st_size",
    "os.readlink(bytes(path)).decode()": '"/".join(path.readlink().parts).replace("//", "/")',
}


def elf(kind: int, size: int) -> bytes:
    return (b"\x7fELF" + bytes(12) + kind.to_bytes(2, "little")).ljust(size, b"\0")


@pytest.fixture
def checked(twins: Twins) -> Twins:
    """Programs that are larger, and cannot be executed, on the host."""
    for directory, size in ((twins.inside, 100), (twins.host, 5000)):
        (directory / "bin").mkdir()
        (directory / "bin/tool").write_bytes(elf(3, size))
        (directory / "bin/tool").chmod(0o755 if size == 100 else 0o644)
        (directory / "bin/alias").symlink_to("tool")
        (directory / "bin/text").write_text("no ELF")
    return twins


def here() -> int:
    """The number of the line that calls this."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


@pytest.mark.filterwarnings("ignore::procpath.porting.TextLeakWarning")
def test_it_names_the_four_lines_of_a_checker(checked: Twins) -> None:
    """checksec.py ported by one line: every number was the host's."""
    with text_leaks() as leaks:
        findings = list(elf_checker.check(checked.inside / "bin"))
    assert {finding.size for finding in findings} == {5000}
    source = inspect.getsource(elf_checker).splitlines()
    marked = {number for number, line in enumerate(source, 1) if line.endswith("# leak")}
    assert len(marked) == 4
    assert {(leak.file, leak.line) for leak in leaks} == {
        (elf_checker.__file__, number) for number in marked
    }
    assert {leak.path.name for leak in leaks} == {"tool", "alias", "text"}
    assert all(leak.path.root_handle == checked.inside.root_handle for leak in leaks)


def test_without_them_the_answers_are_the_container_s(checked: Twins) -> None:
    source = inspect.getsource(elf_checker)
    for leak, instead in PORTED.items():
        assert source.count(leak) == 1
        source = source.replace(leak, instead)
    ported: Any = ModuleType("ported")
    sys.modules["ported"] = ported
    exec(compile(source, "ported.py", "exec"), ported.__dict__)
    del sys.modules["ported"]
    with text_leaks() as leaks:
        findings = list(ported.check(checked.inside / "bin"))
    assert leaks == []
    assert [tuple(finding) for finding in findings] == [
        ("alias", "DYN", True, 100, "tool"),
        ("tool", "DYN", True, 100, ""),
    ]


LOGGER = logging.Logger("of this test alone")
LOGGER.addHandler(logging.StreamHandler(io.StringIO()))

LEAKS: dict[str, Callable[[RootedPath], object]] = {
    "str": lambda p: str(p),
    "format": lambda p: f"{p}",
    "format with a width": lambda p: f"{p!s:>50}",
    "format()": lambda p: format(p),
    "%": lambda p: "%s" % p,  # noqa: UP031
    "bytes": lambda p: bytes(p),
    "as_posix": lambda p: p.as_posix(),
    "join": lambda p: "/".join(map(str, [p])),
    "print": lambda p: print(p, file=io.StringIO()),
    "logging": lambda p: LOGGER.warning("%s", p),
}


@pytest.mark.parametrize("way", LEAKS)
def test_each_way_to_a_text_is_told_once_at_its_line(way: str, tmp_path: Path) -> None:
    for path in (RootedPath(tmp_path, "f"), RootedPath.bind(tmp_path)("/f")):
        with pytest.warns(TextLeakWarning, match="becomes text") as warned, text_leaks() as leaks:
            LEAKS[way](path)
        line = LEAKS[way].__code__.co_firstlineno
        assert leaks == [Leak(__file__, line, path)]
        assert [(each.filename, each.lineno) for each in warned] == [(__file__, line)]
        assert str(leaks[0]) == f"{__file__}:{line}: {path!r} became text"


def test_what_procpath_does_itself_is_no_leak(tmp_path: Path) -> None:
    p = RootedPath(tmp_path)
    (tmp_path / "d").mkdir()
    with text_leaks() as leaks:
        (p / "d/f").write_text("x")
        assert [(p / "d").resolve(), *p.rglob("*"), *p.iterdir(), p.parent, *p.scan()]
        assert sorted([p / "b", p / "a"]) == [p / "a", p / "b"]
        assert len({p, p / "d", repr(p), f"{p!r}"}) == 3
        assert (p / "d/f").copy(tmp_path / "copy") == tmp_path / "copy"
        with pytest.raises(FileNotFoundError):
            (p / "nothing").read_text()
        with (p / "d/f").open() as file, (p / "d/f").as_file() as copy:
            assert file.read() == copy.read_text()
        with pytest.raises(TypeError):
            open(p)  # type: ignore[call-overload]
    assert leaks == []


@pytest.mark.filterwarnings("ignore::procpath.porting.TextLeakWarning")
def test_leaks_of_all_threads_are_collected(tmp_path: Path) -> None:
    paths = [RootedPath(tmp_path, f"{number}") for number in range(20)]
    with text_leaks() as leaks:
        thread = threading.Thread(target=lambda: [f"{path}" for path in paths])
        thread.start()
        thread.join()
        line = here() - 3
        assert leaks == [Leak(__file__, line, path) for path in paths]
        # A pool calls str() itself: no frame of the user's is on the stack.
        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(str, paths))) == 20
    assert len(leaks) == 40


def test_blocks_may_overlap_and_leave_nothing(tmp_path: Path) -> None:
    path = RootedPath(tmp_path, "f")
    methods = [LexicalPath.__str__, LexicalPath.__bytes__, LexicalPath.as_posix]
    first, second = text_leaks(), text_leaks()
    outer, inner = first.__enter__(), second.__enter__()
    with pytest.warns(TextLeakWarning) as warned:
        str(path)
    first.__exit__(None, None, None)
    with pytest.warns(TextLeakWarning):
        str(path)
    second.__exit__(None, None, None)
    str(path)
    assert (len(outer), len(inner), len(warned)) == (1, 2, 1)
    assert [LexicalPath.__str__, LexicalPath.__bytes__, LexicalPath.as_posix] == methods
    assert porting._collecting == []


def test_as_an_error_it_stops_at_the_place(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from procpath import RootedPath\n"
        "from procpath.porting import text_leaks\n"
        "with text_leaks():\n"
        "    open(str(RootedPath('/', 'etc/passwd')))\n"
    )
    options = ["-W", "error:RootedPath('/etc/passwd', root='/') becomes text"]
    done = subprocess.run(
        [sys.executable, *options, program],
        env={**os.environ, "PYTHONPATH": str(Path(porting.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert 'program.py", line 4' in done.stderr
    assert "TextLeakWarning: RootedPath('/etc/passwd', root='/') becomes text" in done.stderr


def test_the_fixture_fails_a_test_with_a_leak(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from procpath import RootedPath

        def test_leaks(no_text_leaks):
            print(RootedPath("/", "etc"))
            print(RootedPath("/", "etc"))

        @pytest.mark.usefixtures("no_text_leaks")
        class TestMore:
            def test_leaks_too(self):
                str(RootedPath("/", "etc"))

            def test_is_clean(self):
                RootedPath("/", "etc").stat()

        def test_may(): str(RootedPath("/"))
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly")
    result.assert_outcomes(failed=2, passed=2, warnings=3)
    result.stdout.fnmatch_lines(
        [
            "2 texts were made of paths in a root:",
            "*_with_a_leak.py:5: RootedPath('/etc', root='/') became text",
            "*_with_a_leak.py:6: RootedPath('/etc', root='/') became text",
        ]
    )
