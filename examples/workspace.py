"""A workspace: file tools that an agent, a file server or a plugin gets, kept in one directory.

    python examples/workspace.py DIRECTORY < REQUESTS

Each line of the input is a request in JSON, such as {"tool": "read", "path": "notes/today.md"};
each line of the output is the answer. A path may be anything: what leads out of the directory, by
"..", by an absolute link or by one that is swapped in meanwhile, is an error or stays inside.

Not only containers have roots: any directory can be one. With on_escape="raise" a ".." above it is
an error instead of staying at the top, so the client learns that it is wrong.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from procpath import BoundPath, RootedPath

LARGEST = 1 << 20


def read(path: BoundPath) -> str:
    return path.read_text(encoding="utf-8", limit=LARGEST)


def write(path: BoundPath, text: str) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_text(text, encoding="utf-8")


def listing(path: BoundPath) -> list[str]:
    return sorted(each.name + "/" * each.is_dir() for each in path.iterdir())


def find(path: BoundPath, pattern: str) -> list[str]:
    return sorted(map(str, path.rglob(pattern)))


TOOLS: dict[str, Callable[..., Any]] = {"read": read, "write": write, "list": listing, "find": find}


def answer(workspace: type[BoundPath], request: dict[str, str]) -> dict[str, Any]:
    """Do what a request asks for. What it gets wrong is said, not raised."""
    arguments = dict(request)
    try:
        tool = TOOLS[arguments.pop("tool")]
        return {"result": tool(workspace(arguments.pop("path")), **arguments)}
    except OSError as error:
        return {"error": f"{error.filename}: {error.strerror}"}
    except (KeyError, TypeError, ValueError, NotImplementedError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    workspace = RootedPath.bind(sys.argv[1], on_escape="raise")
    for line in sys.stdin:
        print(json.dumps(answer(workspace, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
