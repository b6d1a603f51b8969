"""What runs in each container of this machine: its os-release and its installed packages.

    python container_inventory.py

A container is a mount namespace of its own. The databases of dpkg and apk are read through
RootedPath, so a container that makes `/var/lib/dpkg` a link to the host's shows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from procpath import ProcessDir, ProcessGoneError, Root, RootedPath, VerifiedProc


def containers() -> Iterator[ProcessDir]:
    """One living process of each mount namespace but our own."""
    proc = VerifiedProc.default()
    with proc.process() as ourselves:
        seen = {ourselves.mount_namespace}
    for pid in proc.pids():
        try:
            with proc.process(pid) as process:
                if process.mount_namespace not in seen:
                    seen.add(process.mount_namespace)
                    yield process
        except (ProcessGoneError, PermissionError):
            continue


def os_name(root: RootedPath) -> str:
    """PRETTY_NAME of os-release(5)."""
    for place in ("etc/os-release", "usr/lib/os-release"):
        try:
            lines = (root / place).read_text(errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip("\"'")
    return "unknown"


def packages(root: RootedPath) -> Iterator[tuple[str, str]]:
    """Name and version of each package that dpkg or apk has installed."""
    debian = [root / "var/lib/dpkg/status", *(root / "var/lib/dpkg/status.d").glob("*")]
    for database in debian:
        yield from entries(database, "Package: ", "Version: ", "Status: install ok installed")
    yield from entries(root / "lib/apk/db/installed", "P:", "V:", "")


def entries(
    database: RootedPath, name: str, version: str, needed: str
) -> Iterator[tuple[str, str]]:
    """The paragraphs of a database: fields at the beginnings of lines, empty lines between."""
    if not database.is_file():
        return
    for paragraph in database.read_text(errors="replace").split("\n\n"):
        lines = paragraph.splitlines()
        names = [line.removeprefix(name) for line in lines if line.startswith(name)]
        versions = [line.removeprefix(version) for line in lines if line.startswith(version)]
        installed = "status.d" in str(database) or not needed or needed in lines
        if names and versions and installed:
            yield names[0], versions[0]


def inventory(process: ProcessDir) -> list[str]:
    """The lines that tell of one container."""
    with Root.of_process(process, special_files="refuse") as held:
        root = RootedPath(held)
        return [
            f"{process.pid}: {os_name(root)}",
            *(f"    {name} {version}" for name, version in sorted(packages(root))),
        ]


def main() -> None:
    for process in containers():
        try:
            lines = inventory(process)
        except ProcessGoneError:
            continue
        except OSError as error:
            lines = [f"{process.pid}: {error}"]
        print("\n".join(lines))


if __name__ == "__main__":
    main()
