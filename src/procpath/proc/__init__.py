"""A procfs handle whose answers can be trusted, and the processes that it shows.

:class:`VerifiedProc` opens and checks a procfs, :class:`ProcessDir` is one process in it.
The modules, each of which imports only those before it: ``checks`` (one function a check),
``lookup`` (open a name beneath a held directory), ``source`` (where a procfs comes from),
``process``, ``own`` (this process and thread), ``handle``.
"""

from __future__ import annotations

from procpath.proc.checks import Check
from procpath.proc.handle import VerifiedProc
from procpath.proc.own import SelfFd
from procpath.proc.process import IdMapping, ProcessDir

__all__ = ["Check", "IdMapping", "ProcessDir", "SelfFd", "VerifiedProc"]
