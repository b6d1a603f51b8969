"""``procpath resolve``: print where a path leads and, with ``--trace``, by which way."""

from __future__ import annotations

import argparse
from typing import Any

from procpath import Step, Trace
from procpath.commands.output import Cell, printable
from procpath.commands.session import Address, Session, add_addresses, add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_addresses(parser)
    parser.add_argument(
        "--trace", action="store_true", help="show every step of the way, then where it ended"
    )
    add_json(parser)


def run(args: argparse.Namespace, session: Session) -> None:
    """Print the in-root path that each address leads to."""
    if args.json:
        _print_json(args, session)
        return
    out = session.out
    for address, path in session.paths(args.addresses):
        with session.telling(address):
            if not args.trace:
                out.print(out.name(str(path.resolve(strict=True))))
                continue
            trace = path.trace()
            out.table([_row(step) for step in trace])
            if trace.result is not None:
                out.print(out.name(trace.result))
            if trace.error is not None:
                raise trace.error


def _print_json(args: argparse.Namespace, session: Session) -> None:
    with session.out.json_array() as emit:
        for address, path in session.paths(args.addresses):
            with session.telling(address):
                if not args.trace:
                    emit(_record(address, str(path.resolve(strict=True))))
                    continue
                trace = path.trace()
                emit(_record(address, trace.result) | _trace_record(trace))
                if trace.error is not None:
                    raise trace.error


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
            "error": step.error.strerror if step.error else None,
        }
        for step in trace
    ]
    return {"steps": steps, "error": trace.error.strerror if trace.error else None}
