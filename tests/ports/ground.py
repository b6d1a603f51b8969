"""The comparison that a port must stand.

A package from PyPI is run three times: as it is below /proc/PID/root; as it is in a chroot, which
is the truth; and ported to paths in the root of the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from helpers.support import chrooted, run_in_child
from procpath import BoundPath, Root, RootedPath


class Ground(NamedTuple):
    """A root with links whose targets are the same paths on the host, where other files are."""

    name: str
    pid: int
    tree: str
    """the directory to chroot into"""

    def compare(self, stock: Callable[[str], Any], ported: Callable[[type[BoundPath]], Any]) -> Any:
        """Return what the package says in a chroot, which the port must say too.

        ``stock`` runs it on the root of this name, ``ported`` on paths of a bound class.
        """
        # It comes first because packages import parts of themselves late.
        astray = stock(f"/proc/{self.pid}/root")
        expected = chrooted(self.tree, stock, "/")
        with Root.of_process(self.pid) as root:
            assert run_in_child(ported, RootedPath.bind(root)) == expected
        assert astray != expected, "a leak would not change the answer"
        return expected
