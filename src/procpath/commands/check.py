"""``procpath check``: report what procfs, kernel and privileges offer here, and how it is used.

Everything is tried, nothing concluded from a version: seccomp filters, security modules and
backports make those wrong. Fails if something is unsafe: a ``/proc`` that is none, or another
distribution whose files replace ours.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from errno import ENOSYS, EPERM
from typing import NamedTuple, get_args

from procpath import Root, VerifiedProc, linux, uapi
from procpath.commands.output import Cell, printable
from procpath.commands.session import Session, add_json
from procpath.errors import UnverifiedProcError
from procpath.proc.source import Source
from procpath.resolve.kernel import openat2_refusal

_CAPABILITIES = {
    # include/uapi/linux/capability.h
    "CAP_SYS_PTRACE": (19, "to look into processes of other users and containers"),
    "CAP_SYS_ADMIN": (21, "for a procfs that nobody else can mount on"),
    "CAP_DAC_READ_SEARCH": (2, "to read files whatever their permissions are"),
}

_ANY_MNT_ID = uapi.STATX_MNT_ID | uapi.STATX_MNT_ID_UNIQUE
"""Asked for both, the kernel gives the better one (statx(2))."""

_INITIAL_USER_NAMESPACE = "user:[4026531837]"
"""``PROC_USER_INIT_INO`` of ``include/linux/proc_ns.h``. Its ID map may be that of others too."""

_WHY = {
    ENOSYS: "ENOSYS, this kernel lacks it",
    EPERM: "EPERM, a seccomp filter forbids it",
}
"""Why openat2 is refused. systemd-nspawn and old Docker do the second (cap-std #147)."""

_ALONE = "no other procpath"

_STYLES = {"yes": "good", "no": "bad", "passed": "good", "unavailable": "note"}


class Finding(NamedTuple):
    """Whether something is available here."""

    name: str
    available: bool
    detail: str
    """how it was found, what is missing, or what it is good for"""
    unsafe: bool = False
    """whether it is missing because somebody tampered with it"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_json(parser)


def run(args: argparse.Namespace, session: Session) -> None:
    """Print what was found."""
    findings = [*_kernel(), *_sources(session.proc_path), _other_distribution()]
    proc = session.proc
    if proc is not None:
        try:
            # Its own directories are checked when they are first used.
            proc.self_fd().fileno()
            findings += _privileges(proc)
        except OSError as error:
            session.complain(session.proc_path, error)
    if args.json:
        _print_json(findings, proc, session)
    else:
        _print(findings, proc, session)
    for finding in findings:
        # Without any procfs that has been reported already.
        if finding.unsafe and (proc is not None or finding.name == _ALONE):
            session.complain(finding.name, finding.detail)


def _kernel() -> Iterator[Finding]:
    refusal = openat2_refusal()
    detail = "resolves a path in one system call (Linux 5.6)"
    yield Finding("openat2", not refusal, _WHY[refusal] if refusal else detail)
    with Root.at("/") as root:
        try:
            facts = linux.statx(root.fileno(), b"", uapi.AT_EMPTY_PATH, _ANY_MNT_ID)
        except OSError as error:
            yield Finding("statx", False, error.strerror or str(error))
            return
    for name, given, purpose in (
        ("mount id", facts.mask & _ANY_MNT_ID, "distinguishes mounts (Linux 5.8)"),
        (
            "unique mount id",
            facts.mask & uapi.STATX_MNT_ID_UNIQUE,
            "distinguishes mounts for good (Linux 6.8)",
        ),
        (
            "mount root",
            facts.attributes_mask & uapi.STATX_ATTR_MOUNT_ROOT,
            "shows where a mount begins (Linux 5.8)",
        ),
    ):
        yield Finding(f"statx {name}", bool(given), purpose)


def _sources(path: str) -> Iterator[Finding]:
    """Open and check each source of a procfs."""
    source: Source
    for source in get_args(Source):
        name = f"procfs by {source}"
        try:
            with VerifiedProc(path, source=source) as proc:
                chosen = next(check for check in proc.checks if check.name == f"source {source}")
                yield Finding(name, True, chosen.detail)
        except OSError as error:
            unsafe = isinstance(error, UnverifiedProcError)
            yield Finding(name, False, error.strerror or str(error), unsafe)
        except ValueError as error:
            yield Finding(name, False, str(error))


def _other_distribution() -> Finding:
    """Look for PyPI's project procpath, which has the same import and command as ours."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        other = version("procpath")
    except PackageNotFoundError:
        detail = "PyPI's project procpath, which excludes rootedpath, is not installed"
        return Finding(_ALONE, True, detail)
    return Finding(
        _ALONE,
        False,
        f"PyPI's procpath {other} is installed too, and the files of one replace the other's: "
        "uninstall both, then install rootedpath",
        True,
    )


def _privileges(proc: VerifiedProc) -> Iterator[Finding]:
    with proc.self_status() as status:
        effective = next(int(line.split()[1], 16) for line in status if line.startswith(b"CapEff:"))
    for name, (number, purpose) in _CAPABILITIES.items():
        yield Finding(name, bool(effective >> number & 1), purpose)
    with proc.process() as process:
        initial = process.readlink("ns/user") == _INITIAL_USER_NAMESPACE
    detail = "capabilities count everywhere" if initial else "capabilities count in this one alone"
    yield Finding("initial user namespace", initial, detail)
    try:
        with proc.open("sys/fs/protected_symlinks") as file:
            setting = file.read().strip()
        yield Finding("fs.protected_symlinks", True, f"can be read, and is {setting}")
    except OSError as error:
        detail = f"cannot be read, so taken as 1: {error.strerror}"
        yield Finding("fs.protected_symlinks", False, detail)


def _print(findings: list[Finding], proc: VerifiedProc | None, session: Session) -> None:
    out = session.out
    out.print(f"Linux {platform.release()} on {platform.machine()}, Python {_python()}\n")
    out.table(
        [
            _row(("FEATURE", "HERE", "DETAIL"), "heading"),
            *(
                _row((each.name, "yes" if each.available else "no", each.detail))
                for each in findings
            ),
        ],
        wrapped=2,
    )
    if proc is not None:
        out.print(f"\nprocfs: {proc.path}, by {proc.source}")
        out.table(
            [_row((each.entry, each.outcome, each.name, each.detail)) for each in proc.checks],
            wrapped=3,
        )
    name, why = _resolver()
    out.print(f"\nresolver: {name}, because {why}")


def _print_json(findings: list[Finding], proc: VerifiedProc | None, session: Session) -> None:
    name, why = _resolver()
    session.out.json(
        {
            "linux": platform.release(),
            "machine": platform.machine(),
            "python": _python(),
            "findings": [finding._asdict() for finding in findings],
            "procfs": None
            if proc is None
            else {
                "path": proc.path,
                "source": proc.source,
                "checks": [check._asdict() for check in proc.checks],
            },
            "resolver": {"name": name, "reason": why},
        }
    )


def _row(texts: tuple[str, ...], style: str = "") -> list[Cell]:
    return [Cell(printable(text), style or _STYLES.get(text, "")) for text in texts]


def _resolver() -> tuple[str, str]:
    """Return the resolver that a new root takes, and why."""
    with Root.at("/") as root:
        name = root.resolver.name
    refusal = openat2_refusal()
    return name, f"openat2 does not work here: {_WHY[refusal]}" if refusal else "openat2 works here"


def _python() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"
