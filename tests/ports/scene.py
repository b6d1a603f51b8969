"""What leads a program out of a root: links to paths that the host has, too, with other files."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
from pathlib import Path

DISTRIBUTIONS = ("hypothesis", "pluggy", "pytest")
_LEGACY = {
    "PKG-INFO": "Metadata-Version: 1.1\nName: legacy\nVersion: {}\nRequires-Dist: pluggy\n",
    "installed-files.txt": "../legacy.py\n../gone.py\n",
    "top_level.txt": "legacy\n",
}


def plant(tree: Path, twin: Path) -> None:
    """Make ``twin`` on the host and inside ``tree``, and links in the root to the latter."""
    for directory, version in ((tree / os.fspath(twin)[1:], "1.0"), (twin, "HOST")):
        directory.mkdir(parents=True)
        (directory / "os-release").write_text(
            f'ID=debian\nNAME=Cellar\nVERSION_ID="{version}"\nPRETTY_NAME="Cellar {version}"\n'
        )
        _write_packages(directory / "dpkg", version)
        _write_distributions(directory / "dist-packages", version)
        _write_programs(directory / "app", version)
        (directory / "accounts").mkdir()
        (directory / "accounts/passwd").write_text(f"{version}:x:0:0::/root:/bin/sh\n")
    (tree / "usr/lib/python3").mkdir(parents=True)
    (tree / "opt").mkdir(exist_ok=True)
    up = "../" * 20
    for name, target in {
        "etc/os-release": f"{twin}/os-release",
        "var/lib/dpkg": f"{up}{os.fspath(twin)[1:]}/dpkg",
        "usr/lib/python3/dist-packages": f"{twin}/dist-packages",
        "opt/app": f"{up}{os.fspath(twin)[1:]}/app",
        "opt/tool": f"{twin}/app/tool",
        "etc/accounts": f"{twin}/accounts",
    }.items():
        link = tree / name
        if link.is_symlink():
            link.unlink()
        elif link.is_dir():
            shutil.copytree(link, tree / os.fspath(twin)[1:] / Path(name).name, dirs_exist_ok=True)
            shutil.rmtree(link)
        link.symlink_to(target)


def _write_packages(database: Path, version: str) -> None:
    (database / "info").mkdir(parents=True)
    (database / "info/app.list").write_text(f"/.\n/opt\n/opt/{version}\n")
    (database / "status").write_text(
        f"Package: app\nStatus: install ok installed\nVersion: {version}\nArchitecture: all\n\n"
    )


def _write_distributions(directory: Path, version: str) -> None:
    (directory / "legacy.egg-info").mkdir(parents=True)
    (directory / "legacy.py").write_text(f"VERSION = {version!r}\n")
    for name, text in _LEGACY.items():
        (directory / "legacy.egg-info" / name).write_text(text.format(version))
    for name in DISTRIBUTIONS:
        [dist_info] = {
            Path(str(file.locate())).parent
            for file in importlib.metadata.files(name) or []
            if file.match("*.dist-info/METADATA")
        }
        shutil.copytree(dist_info, directory / dist_info.name)
        metadata = directory / dist_info.name / "METADATA"
        if version == "HOST":
            text = metadata.read_text().replace("\nVersion: ", f"\nVersion: 9+{version}.", 1)
            metadata.write_text(text)


def _write_programs(directory: Path, version: str) -> None:
    """A program and a library, which on the host are others that need another one more."""
    (directory / "lib").mkdir(parents=True)
    program = "/bin/tar" if version != "HOST" else "/bin/ls"
    shutil.copy(os.path.realpath(program), directory / "tool")
    [acl] = [
        line.split()[2]
        for line in subprocess.check_output(["ldd", "/bin/tar"], text=True).splitlines()
        if "libacl" in line
    ]
    shutil.copy(acl, directory / "lib/libacl.so.1")
    run_path = "$ORIGIN/lib" if version != "HOST" else "$ORIGIN/lib:/HOST"
    subprocess.check_call(["patchelf", "--set-rpath", run_path, directory / "tool"])
    if version == "HOST":
        needed = ["--add-needed", "libHOST.so.1"]
        for name in ("tool", "lib/libacl.so.1"):
            subprocess.check_call(["patchelf", *needed, directory / name])
