"""Sessions for work on procpath: ``nox`` runs the quick tests and the linters.

    nox -s quick            the tests of an edit, in a few minutes
    nox -s full             every test in its long form, on every Python that is here
    nox -s lint             ruff, mypy and pyright
    nox -s docs             the documentation, into build/site
    nox -s release          the distributions: reproducible, valid, tested away from here
    nox -s races            the exhaustive and the random; ``-- -k PATTERN`` chooses

What follows ``--`` is passed on to pytest.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import nox

nox.options.sessions = ["lint", "quick"]
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True

CONSTRAINTS = str(Path(".ci/constraints.txt").resolve())
PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]


@nox.session
def quick(session: nox.Session) -> None:
    """Run the tests that need seconds, side by side."""
    _install(session)
    session.run("pytest", "-n", "auto", "-m", "not slow", *session.posargs)


@nox.session(python=PYTHONS)
def full(session: nox.Session) -> None:
    """Run every test in its long form; those that measure time run alone."""
    session.install("-c", CONSTRAINTS, "-e", ".[test,ports]")
    long_form = {"PYTEST_ADDOPTS": "--hypothesis-profile=ci"}
    session.run("pytest", "-n", "auto", "-m", "not alone", *session.posargs, env=long_form)
    session.run("pytest", "-m", "alone", *session.posargs, env=long_form)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and types, as CI does."""
    _install(session)
    session.run(".ci/lint", external=True)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; ``nox -s docs -- serve`` shows it while it is written."""
    session.install("-c", CONSTRAINTS, "-e", ".[docs]")
    session.run("mkdocs", *(session.posargs or ["build", "--strict"]))


@nox.session
def races(session: nox.Session) -> None:
    """Explore races exhaustively, then race attackers against every public operation."""
    _install(session)
    session.run("pytest", "tests/races", "tests/attackers", *session.posargs)


@nox.session
def release(session: nox.Session) -> None:
    """Build the distributions twice, check them, and run the tests of the one on the other."""
    # For what `build` installs, too.
    session.env["PIP_CONSTRAINT"] = session.env["PIP_BUILD_CONSTRAINT"] = CONSTRAINTS
    session.install("build", "twine")
    temporary = Path(session.create_tmp())
    first, second = temporary / "first", temporary / "second"
    for directory in (first, second):
        shutil.rmtree(directory, ignore_errors=True)
        session.run("python", "-m", "build", "--outdir", str(directory))
    built = sorted(first.iterdir())
    for each in built:
        if each.read_bytes() != (second / each.name).read_bytes():
            session.error(f"{each.name} is another one when it is built again")
    session.run("twine", "check", "--strict", *map(str, built))
    wheel, sdist = sorted(built, key=lambda each: each.suffix == ".gz")
    session.run("tar", "-xzf", str(sdist), "-C", str(second), external=True)
    [unpacked] = (each for each in second.iterdir() if each.is_dir())
    session.install(f"{wheel}[test]")
    session.chdir(unpacked)
    # Without src, so that the wheel is tested. The session's temporary directory would be too
    # long a path for sockets.
    wheel_alone = ["pytest", "-o", "pythonpath=tests", "-n", "auto", "-m", "not slow"]
    session.run(*wheel_alone, *session.posargs, env={"TMPDIR": tempfile.gettempdir()})


def _install(session: nox.Session) -> None:
    session.install("-c", CONSTRAINTS, "-e", ".[test]")
