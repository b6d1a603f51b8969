"""A checker of ELF files, in the manner of checksec: written for pathlib, with four texts in it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

_TYPES = {2: "EXEC", 3: "DYN"}


class Finding(NamedTuple):
    name: str
    kind: str
    executable: bool
    size: int
    leads_to: str


def is_elf(path: Any) -> bool:
    with open(str(path), "rb") as file:  # leak
        return file.read(4) == b"\x7fELF"


def kind(path: Any) -> str:
    with path.open("rb") as file:
        (number,) = struct.unpack("16xH", file.read(18))
    return _TYPES.get(number, "other")


def check(top: Any) -> Iterator[Finding]:
    for path in sorted(top.rglob("*")):
        if path.is_file() and is_elf(path):
            yield Finding(
                path.name,
                kind(path),
                os.access(f"{path}", os.X_OK),  # leak
                os.path.getsize(path.as_posix()),  # leak
                os.readlink(bytes(path)).decode() if path.is_symlink() else "",  # leak
            )
