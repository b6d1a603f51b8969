"""The packages in the rpm database of a container, and the tables of any SQLite database in it.

    python rpm_packages.py PID               # name, version and architecture of each package
    python rpm_packages.py PID DATABASE      # each table, and how many rows it has

SQLite resolves the name that it is given and opens files beside it: the log of what is not in the
database yet. So it gets a private copy of them all, by as_file(). With pin() it would open the
host's database. What is in it was written by the container: work and sizes are limited.
"""

from __future__ import annotations

import sqlite3
import struct
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

from procpath import RootedPath

# /usr/lib/sysimage is the newer place, and /var/lib/rpm then a link to it.
RPM_DATABASES = ("usr/lib/sysimage/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite")
NAME, VERSION, RELEASE, ARCHITECTURE = 1000, 1001, 1002, 1022
STRING = 6

MOST_BYTES = 1 << 28
MOST_STEPS = 10_000_000


@contextmanager
def database(path: RootedPath) -> Iterator[sqlite3.Connection]:
    """Open a copy of a database."""
    siblings = "{name}-wal", "{name}-shm"
    with (
        path.as_file(siblings=siblings, limit=MOST_BYTES) as copy,
        closing(sqlite3.connect(copy)) as connection,
    ):
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1 << 24)
        # A table can be a view, whose query never ends.
        connection.set_progress_handler(lambda: 1, MOST_STEPS)
        yield connection


def header(blob: bytes) -> dict[int, str]:
    """The strings in the header of a package: an index of 16 bytes each, then the values."""
    entries, size = struct.unpack_from(">II", blob)
    values = 8 + 16 * entries
    if len(blob) < values + size:
        raise ValueError("a header that is cut off")
    strings = {}
    for tag, kind, offset, _ in struct.iter_unpack(">IIII", blob[8:values]):
        if kind == STRING and offset < size:
            start = values + offset
            strings[tag] = blob[start : blob.index(b"\0", start)].decode(errors="replace")
    return strings


def packages(path: RootedPath) -> Iterator[str]:
    with database(path) as connection:
        for (blob,) in connection.execute("SELECT blob FROM Packages"):
            tags = header(blob)
            if tags.keys() >= {NAME, VERSION, RELEASE}:
                architecture = tags.get(ARCHITECTURE, "none")
                yield f"{tags[NAME]} {tags[VERSION]}-{tags[RELEASE]} {architecture}"


def tables(path: RootedPath) -> Iterator[str]:
    with database(path) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (name,) in names.fetchall():
            quoted = name.replace('"', '""')
            [count] = connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()
            yield f"{name} {count}"


def main() -> None:
    root = RootedPath(int(sys.argv[1]))
    try:
        if len(sys.argv) > 2:
            lines = tables(root / sys.argv[2])
        else:
            found = [root / name for name in RPM_DATABASES if (root / name).is_file()]
            lines = packages(found[0]) if found else iter(())
        for line in lines:
            # A name may hold what a terminal obeys.
            print(line if line.isprintable() else ascii(line))
    except (sqlite3.Error, struct.error, ValueError, OSError) as error:
        sys.exit(f"{sys.argv[1]}: {error}")


if __name__ == "__main__":
    main()
