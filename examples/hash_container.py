# /// script
# requires-python = ">=3.11"
# dependencies = ["rootedpath", "tqdm"]
# ///
"""The SHA-256 of every regular file of a container, by a pool of threads, with a progress bar.

    python hash_container.py PID [DIRECTORY]

Prints an object of JSON for each file. Each is opened in the loop, on the held directory that it
was listed in: from then on it is that file, whatever the container renames. Nothing special is
opened, and no kernel file system entered. Needs tqdm.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, NamedTuple

from tqdm import tqdm

from procpath import RootedPath

MOST_OPEN = 64


class Digest(NamedTuple):
    sha256: str
    size: int


def digest(file: BinaryIO) -> Digest:
    """Hash a file as far as it went when it was opened: one that grows may never end."""
    hashed = hashlib.sha256()
    with file:
        size = left = os.fstat(file.fileno()).st_size
        while left and (data := file.read(min(left, 1 << 20))):
            hashed.update(data)
            left -= len(data)
    return Digest(hashed.hexdigest(), size - left)


def complain(error: OSError) -> None:
    # JSON too: a name may hold what a terminal obeys.
    tqdm.write(json.dumps({"path": str(error.filename), "error": error.strerror}), sys.stderr)


def main() -> None:
    pid, *directory = sys.argv[1:]
    top = RootedPath(int(pid), *directory)
    hashing: deque[tuple[str, Future[Digest]]] = deque()
    # No bar where stderr is not a terminal.
    bar = tqdm(unit="B", unit_scale=True, disable=None)

    def finish_one() -> None:
        path, future = hashing.popleft()
        try:
            done = future.result()
        except OSError as error:
            error.filename = path
            complain(error)
            return
        bar.update(done.size)
        tqdm.write(json.dumps({"path": path, **done._asdict()}))

    with bar, ThreadPoolExecutor() as pool:
        for entry in top.scan(on_error=complain):
            if not entry.is_file():
                continue
            try:
                file = entry.open("rb")
            except OSError as error:
                complain(error)
                continue
            hashing.append((str(entry.path), pool.submit(digest, file)))
            if len(hashing) == MOST_OPEN:
                finish_one()
        while hashing:
            finish_one()


if __name__ == "__main__":
    main()
