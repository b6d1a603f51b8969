"""What the faces of the package name: functions, classes, and the members of these."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import procpath
from procpath import testing
from procpath.testing import races


def _public() -> Iterator[tuple[str, Any]]:
    for face in (procpath, testing, races):
        for name in face.__all__:
            found = getattr(face, name)
            if inspect.isclass(found) and found.__module__.startswith("procpath"):
                yield name, found
                for member in sorted(dir(found)):
                    static = inspect.getattr_static(found, member)
                    function = getattr(static, "__func__", static)
                    if not member.startswith("_") and _is_ours(function):
                        yield f"{name}.{member}", function
            elif inspect.isfunction(found):
                yield name, found


def _is_ours(member: Any) -> bool:
    code = member.fget if isinstance(member, property) else member
    return isinstance(code, FunctionType) and code.__module__.startswith("procpath")


PUBLIC = dict(_public())
