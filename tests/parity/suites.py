"""The interpreter's own tests of pathlib, run on paths inside a fresh root.

CPython ships its tests as ``test.test_pathlib``; they are imported from there, never copied. Each
test runs on a class that :meth:`RootedPath.bind` made for a new, empty root. Those that call
``os`` on the same paths run in a child chrooted into that root, where an in-root path and a
path of the process are one. Which tests there are depends on the interpreter: :data:`SUITES`
are those of the running one.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pathlib
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Literal, NamedTuple
from unittest import mock

# The chroot has no modules to load when they are used.
import procpath.accounts
import procpath.resolve.lenient
import procpath.resolve.trace
import procpath.tree.copy
import procpath.tree.moving  # noqa: F401
from helpers.support import chrooted
from procpath import Root, RootedPath
from procpath.path import BoundPath

if sys.version_info >= (3, 14):
    # Pickles of 3.13 name it.
    importlib.import_module("pathlib._local")

Resolver = Literal["openat2", "walk"]

_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
keeper:x:1:1:keeper:/var/keeper:/bin/false
guest:x:1000:1000:guest:/home/guest:/bin/sh
"""

_GROUP = "root:x:0:\nkeeper:x:1:\nguest:x:1000:\n"

_NULL_DEVICE = os.makedev(1, 3)


class Outcome(NamedTuple):
    """How one test of CPython's came out."""

    skipped: str
    """why it was, if it was"""
    failures: str
    """the tracebacks"""

    @property
    def passed(self) -> bool:
        return not self.skipped and not self.failures


class Suite(NamedTuple):
    """One class of CPython's tests."""

    module: str
    name: str
    in_chroot: bool
    """its tests call ``os`` on the paths, or hand paths to it"""

    def tests(self) -> list[str]:
        """The names of all its tests."""
        return list(unittest.TestLoader().getTestCaseNames(self._case()))

    def run(self, test: str, directory: Path, resolver: Resolver) -> Outcome:
        """Run one test on a fresh root at the empty ``directory``."""
        _furnish(directory)
        with Root.at(directory, resolver=resolver, special_files="allow") as root:
            bound = RootedPath.bind(root)
            if self.in_chroot:
                return chrooted(directory, self._run_at_slash, test, bound)
            return self._run(test, bound)

    def _case(self) -> type[unittest.TestCase]:
        case: type[unittest.TestCase] = getattr(importlib.import_module(self.module), self.name)
        return case

    def _run_at_slash(self, test: str, bound: type[BoundPath]) -> Outcome:
        # What the paths of this root find in its accounts, os.path finds here.
        os.environ["HOME"] = "/root"
        os.umask(0o022)
        # That test asks whether paths have __fspath__ themselves.
        cls = bound if test == "test_fspath_common" else _usable_by_os(bound)
        # Some tests of 3.12 allow so little recursion that pytest's own is too much.
        with ThreadPoolExecutor(1) as near_the_bottom:
            return near_the_bottom.submit(self._run, test, cls).result()

    def _run(self, test: str, cls: type[BoundPath]) -> Outcome:
        case = self._case()
        with ExitStack() as stack:
            overrides = {"cls": cls, **_grounds(case, cls)}
            if self.in_chroot:
                module = sys.modules[self.module]
                overrides["base"] = f"/{_name_of_base(module)}"
                # Before 3.13 the directory of the tests, and for some the class, were globals.
                stack.enter_context(
                    mock.patch.object(module, "BASE", overrides["base"], create=True)
                )
                if not hasattr(case, "cls") and not _grounds(case, cls):
                    stand_in = SimpleNamespace(Path=cls)
                    stack.enter_context(mock.patch.object(module, "pathlib", stand_in))
            elif hasattr(case, "tearDown"):
                # It would empty the dictionaries in which CPython's dummy paths keep their files.
                overrides["tearDown"] = unittest.TestCase.tearDown
            if hasattr(pathlib.PurePosixPath, "_flavour"):
                # Until 3.12 the tests took the separators from there.
                cls._flavour = pathlib.PurePosixPath._flavour
            return _outcome(type(case.__name__, (case,), overrides)(test))


def _suites() -> list[Suite]:
    package = "test.test_pathlib"
    if importlib.util.find_spec("test") is None or importlib.util.find_spec(package) is None:
        return []
    if sys.version_info < (3, 13):
        suites = [Suite(package, "PurePosixPathTest", False), Suite(package, "PosixPathTest", True)]
        if sys.version_info >= (3, 12):
            suites.append(Suite(package, "WalkTests", True))
        return suites
    concrete = f"{package}.test_pathlib"
    suites = [Suite(concrete, "PurePosixPathTest", False), Suite(concrete, "PosixPathTest", True)]
    if sys.version_info < (3, 14):
        abstract = f"{package}.test_pathlib_abc"
        return [
            Suite(abstract, "DummyPurePathTest", False),
            Suite(abstract, "DummyPathWithSymlinksTest", False),
            *suites,
        ]
    return [
        *suites,
        Suite(concrete, "PathWalkTest", True),
        Suite(f"{package}.test_join", "PathJoinTest", False),
        Suite(f"{package}.test_join_posix", "PosixPathJoinTest", False),
        Suite(f"{package}.test_read", "PathReadTest", True),
        Suite(f"{package}.test_write", "PathWriteTest", True),
        Suite(f"{package}.test_copy", "LocalToLocalPathCopyTest", True),
    ]


SUITES = _suites()
"""What the running interpreter has; empty where it came without its tests."""


def _name_of_base(module: ModuleType) -> str:
    """The relative name by which some tests reach the directory that ``base`` is."""
    os_helper: Any = importlib.import_module("test.support.os_helper")
    name: str = os_helper.TESTFN
    return name


def _grounds(case: type[unittest.TestCase], cls: type[BoundPath]) -> dict[str, Any]:
    """Since 3.14 some suites have the class in a `ground`, by which they look at the files."""
    grounds = ("ground", "source_ground", "target_ground")
    return {name: type(getattr(case, name))(cls) for name in grounds if hasattr(case, name)}


def _outcome(case: unittest.TestCase) -> Outcome:
    result = unittest.TestResult()
    case.run(result)
    skipped = "; ".join(reason for _, reason in result.skipped)
    failures = [*result.errors, *result.failures, *result.expectedFailures]
    return Outcome(skipped, "\n".join(text for _, text in failures))


def _usable_by_os(bound: type[BoundPath]) -> type[BoundPath]:
    """A subclass whose paths the functions of ``os`` take.

    CPython's tests hand theirs over in passing. In the chroot both mean the same file; anywhere
    else this would be the mistake that :class:`RootedPath` is there to prevent.
    """
    return type(bound.__name__, (bound,), {"__fspath__": lambda self: str(self)})


def _furnish(directory: Path) -> None:
    """What CPython's tests expect of any machine: accounts, and a null device."""
    (directory / "etc").mkdir()
    (directory / "etc/passwd").write_text(_PASSWD)
    (directory / "etc/group").write_text(_GROUP)
    (directory / "dev").mkdir()
    os.mknod(directory / "dev/null", 0o020666, _NULL_DEVICE)
