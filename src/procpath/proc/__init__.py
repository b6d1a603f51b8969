"""A procfs handle whose answers can be trusted, and the processes that it shows.

:class:`VerifiedProc` opens and checks a procfs, :class:`ProcessDir` is one process in it. The
rooms within: ``checks`` (one function a check), ``lookup`` (a name -> a verified descriptor),
``process``, ``handle``; each imports only from those before it.
"""

from __future__ import annotations

from procpath.proc.checks import Check
from procpath.proc.handle import SelfFd, VerifiedProc
from procpath.proc.process import IdMapping, ProcessDir

__all__ = ["Check", "IdMapping", "ProcessDir", "SelfFd", "VerifiedProc"]
