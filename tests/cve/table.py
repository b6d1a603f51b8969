"""The Markdown table of SECURITY.md. ``PYTHONPATH=tests python -m cve.table`` prints it."""

from __future__ import annotations

from cve.catalogue import VULNERABILITIES


def table() -> str:
    """A row for each vulnerability, in the order of the catalogue."""
    lines = ["| | in | shape | what happened |", "| --- | --- | --- | --- |"]
    lines += [f"| {v.id} | {v.project} | {v.shape} | {v.summary} |" for v in VULNERABILITIES]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
