"""What a mistaken address was perhaps meant to be, as a question behind the error."""

from __future__ import annotations

import os
from difflib import get_close_matches

from procpath import VerifiedProc, containers
from procpath.commands.session import Address

_NAME_LENGTH = 15
"""bytes of a process's name that the kernel keeps (TASK_COMM_LEN, proc_pid_comm(5))"""


def similar_container(proc: VerifiedProc, address: Address) -> str:
    """Return a question with the ID of a running container like that of the address, if any."""
    wanted = str(address.holder)
    if os.path.isdir(wanted):
        return f"; the directory of that name is ./{address}"
    beginnings = {each.id[: len(wanted)] for each in containers(proc=proc) if each.id is not None}
    return _question(address, get_close_matches(wanted, sorted(beginnings), 1))


def process_of_name(proc: VerifiedProc, address: Address) -> str:
    """Return a question with the process or container that is called as the address, if any.

    The first process of a container comes before other processes of the same name.
    """
    wanted = str(address.holder)
    name = os.fsencode(wanted)[:_NAME_LENGTH]
    for container in containers(proc=proc):
        if container.id == wanted or os.fsencode(container.name) == name:
            return _question(address, [str(container.pid)])
    for pid in proc.pids():
        try:
            with proc.process(pid) as process:
                found = process.read_bytes("comm")
        except OSError:
            continue
        if found == name + b"\n":
            return _question(address, [str(pid)])
    return ""


def _question(address: Address, holders: list[str]) -> str:
    return f"; did you mean {holders[0]}:{address.path}?" if holders else ""
