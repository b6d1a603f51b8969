"""Extract a layer of an image, which may be hostile, into a directory.

    python extract_layer.py layer.tar directory

A layer can make a name a link and then write through it. Here every name is resolved inside
the directory, as the container that will live there would resolve it; nothing outside
can be created or changed, whatever the layer holds. (Ownership and whiteouts are left out.)
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile

from procpath import RootedPath


def extract(archive: tarfile.TarFile, root: RootedPath) -> None:
    """Extract what is in ``archive`` below ``root``."""
    for member in archive:
        # Only the last component may be replaced; those before it are followed, inside.
        path = root / member.name.lstrip("/")
        if not path.name or path.name == "..":
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.isdir():
            path.mkdir(exist_ok=True)
            path.chmod(member.mode & 0o7777)
            continue
        path.unlink(missing_ok=True)
        if member.issym():
            path.symlink_to(member.linkname)
        elif member.islnk():
            path.hardlink_to(root / member.linkname.lstrip("/"))
        elif member.isfile():
            content = archive.extractfile(member)
            assert content is not None
            with content, path.open("xb") as file:
                shutil.copyfileobj(content, file)
                os.fchmod(file.fileno(), member.mode & 0o7777)
        else:
            print(f"left out: {member.name} is a special file", file=sys.stderr)


def main(layer: str, directory: str) -> None:
    with tarfile.open(layer) as archive:
        extract(archive, RootedPath(directory))


if __name__ == "__main__":
    main(*sys.argv[1:])
