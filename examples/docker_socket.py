"""Where a container's docker.sock really is, and what listens there.

    python docker_socket.py PID [/var/run/docker.sock]

Shows every step from the name to the socket, and says GET /version to whoever listens at
it, inside that container.
"""

from __future__ import annotations

import http.client
import socket
import sys

from procpath import RootedPath


class UnixHTTPConnection(http.client.HTTPConnection):
    """HTTP over the UNIX socket at a path inside a root."""

    def __init__(self, path: RootedPath) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock: socket.socket = self._path.connect()


def main(pid: int, name: str = "/var/run/docker.sock") -> None:
    path = RootedPath(pid) / name
    print(path.trace())
    print(f"{path} is {path.resolve(strict=True)}")
    connection = UnixHTTPConnection(path)
    connection.request("GET", "/version")
    response = connection.getresponse()
    print(response.status, response.reason)
    print(response.read().decode())
    connection.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
