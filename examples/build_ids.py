"""The ELF build-id of every file that a process maps: what a profiler needs to symbolize.

    python build_ids.py PID

The names in /proc/PID/maps are those of the process's own root; read by the host's rules they
are other files, or none. Files that were deleted or replaced since are recognized by their
inode.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from typing import BinaryIO

from procpath import Root, RootedPath, VerifiedProc

PT_NOTE = 4
NT_GNU_BUILD_ID = 3


def mapped_files(maps: str) -> Iterator[tuple[str, int]]:
    """Path and inode of each file in /proc/PID/maps, once (proc_pid_maps(5))."""
    seen = set()
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith("/"):
            # The kernel writes a newline in a name as \012, and nothing else.
            path = fields[5].replace("\\012", "\n")
            if path not in seen:
                seen.add(path)
                yield path, int(fields[4])


def build_id(file: BinaryIO) -> str | None:
    """The GNU build-id among the notes of a 64-bit little-endian ELF file (elf(5))."""
    header = file.read(64)
    if len(header) < 64 or not header.startswith(b"\x7fELF\x02\x01"):
        return None
    table, entry_size, entries = struct.unpack_from("<Q14xHH", header, 32)
    for index in range(entries):
        file.seek(table + index * entry_size)
        entry = file.read(56)
        if len(entry) < 56:
            return None
        kind, offset, size = struct.unpack_from("<I4xQ16xQ", entry)
        if kind == PT_NOTE:
            file.seek(offset)
            found = build_id_note(file.read(min(size, 1 << 16)))
            if found:
                return found
    return None


def build_id_note(notes: bytes) -> str | None:
    """The build-id among ELF notes, each padded to four bytes."""
    while len(notes) >= 12:
        name_size, size, kind = struct.unpack_from("<III", notes)
        start = 12 + (name_size + 3) // 4 * 4
        if kind == NT_GNU_BUILD_ID and notes[12 : 12 + name_size] == b"GNU\0":
            return notes[start : start + size].hex()
        notes = notes[start + (size + 3) // 4 * 4 :]
    return None


def main(pid: int) -> None:
    with VerifiedProc.default().process(pid) as process:
        maps = process.read_text("maps")
        with Root.of_process(process, special_files="refuse") as held:
            root = RootedPath(held)
            for name, inode in mapped_files(maps):
                try:
                    with (root / name).open("rb") as file:
                        same = os.fstat(file.fileno()).st_ino == inode
                        found = build_id(file) if same else "replaced since it was mapped"
                except OSError as error:
                    found = error.strerror
                print(f"{found or 'no build-id'}  {name}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
