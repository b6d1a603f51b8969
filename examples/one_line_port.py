"""A program written for pathlib, and the one line that lets it look into a container.

    python one_line_port.py          # this machine
    python one_line_port.py PID      # that container

It lists the users with a login shell, and which of them have SSH keys.
"""

from __future__ import annotations

import sys
from pathlib import Path

from procpath import RootedPath

if len(sys.argv) > 1:
    Path = RootedPath.bind(int(sys.argv[1]))  # type: ignore[misc]  # the one line


def main() -> None:
    shells = {
        line
        for line in Path("/etc/shells").read_text().splitlines()
        if line.startswith("/") and Path(line).exists()
    }
    for line in Path("/etc/passwd").read_text().splitlines():
        name, *_, home, shell = line.split(":")
        if shell in shells:
            keys = sorted((Path(home) / ".ssh").glob("*.pub"))
            print(name, shell, *(key.stem for key in keys))


if __name__ == "__main__":
    main()
