"""What runs in each container of this machine: its os-release and its installed packages.

    python container_inventory.py

The databases of dpkg and apk are read through RootedPath, so a container that makes
`/var/lib/dpkg` a link to the host's shows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from procpath import Container, ProcessGoneError, RootedPath, containers


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


def inventory(container: Container) -> list[str]:
    """The lines that tell of one container."""
    with container.root() as held:
        name = container.os_release.get("PRETTY_NAME", "unknown")
        # What the name of its cgroup claims.
        claim = f" ({container.runtime or 'container'} {container.id})" if container.id else ""
        return [
            f"{container.pid}: {name}{claim}",
            *(f"    {name} {version}" for name, version in sorted(packages(RootedPath(held)))),
        ]


def main() -> None:
    for container in containers():
        try:
            lines = inventory(container)
        except ProcessGoneError:
            continue
        except OSError as error:
            lines = [f"{container.pid}: {error}"]
        print("\n".join(lines))


if __name__ == "__main__":
    main()
