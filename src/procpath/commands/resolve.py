"""``procpath resolve``: where a path leads, and with ``--trace`` by which way."""

from __future__ import annotations

import argparse
from typing import Any, Final

from procpath import RootedPath, Step, Trace
from procpath.commands.output import Cell, printable
from procpath.commands.session import Address, Session, add_addresses, add_json

SUMMARY: Final = "print where a path leads, without links, as realpath(1) does inside"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell the parser what the command takes."""
    add_addresses(parser)
    parser.add_argument(
        "--trace", action="store_true", help="show every step of the way, then where it ended"
    )
    add_json(parser)


def run(args: argparse.Namespace, session: Session) -> None:
    """Print the in-root path that each address leads to."""
    out = session.out

    def show(address: Address, path: RootedPath) -> None:
        out.print(out.name(str(path.resolve(strict=True))))

    def show_trace(address: Address, path: RootedPath) -> None:
        trace = path.trace()
        out.table([_row(step) for step in trace])
        if trace.result is not None:
            out.print(out.name(trace.result))
        if trace.error is not None:
            raise trace.error

    if args.json:
        _print_json(args, session)
    else:
        session.each(args.addresses, show_trace if args.trace else show)


def _print_json(args: argparse.Namespace, session: Session) -> None:
    with session.out.json_array() as emit:

        def record(address: Address, path: RootedPath) -> None:
            emit(_record(address, str(path.resolve(strict=True))))

        def record_trace(address: Address, path: RootedPath) -> None:
            trace = path.trace()
            emit(_record(address, trace.result) | _trace_record(trace))
            if trace.error is not None:
                raise trace.error

        session.each(args.addresses, record_trace if args.trace else record)


def _row(step: Step) -> list[Cell]:
    words = str(step).removeprefix(step.directory).strip()
    style = "bad" if step.error else "symlink" if step.kind == "link" else ""
    return [Cell(printable(step.directory), "note"), Cell(printable(words), style)]


def _record(address: Address, result: str | None) -> dict[str, Any]:
    return {"address": str(address), "path": address.path, "resolved": result}


def _trace_record(trace: Trace) -> dict[str, Any]:
    steps = [
        {
            "kind": step.kind,
            "directory": step.directory,
            "name": step.name,
            "target": step.target,
            "crosses_mount": step.crosses_mount,
            "error": _words(step.error),
        }
        for step in trace
    ]
    return {"steps": steps, "error": _words(trace.error)}


def _words(error: OSError | None) -> str | None:
    return None if error is None else error.strerror
