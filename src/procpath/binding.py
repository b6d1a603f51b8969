"""Classes of paths that have a root already: what ``RootedPath.bind()`` makes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import new_class
from typing import TYPE_CHECKING, Any, Never, TypeVar, overload
from weakref import WeakValueDictionary

from procpath.errors import UnsupportedOperation
from procpath.lexical import LexicalPath

if TYPE_CHECKING:
    from procpath.root import Root

P = TypeVar("P", bound=LexicalPath)
B = TypeVar("B", bound=LexicalPath)


class Anchored:
    """A method that needs the root alone: it can be called on a path and on a bound class."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, path: None, owner: type[P]) -> Callable[[], P]: ...
    @overload
    def __get__(self, path: P, owner: type[P]) -> Callable[[], P]: ...
    def __get__(self, path: Any, owner: type[Any]) -> Callable[[], Any]:
        if path is not None:
            return partial(self._function, path)
        if hasattr(owner, "_bound_root"):
            return partial(self._function, owner())
        return partial(_refuse_without_root, f"{owner.__name__}.{self._name}()")


def _refuse_without_root(call: str) -> Never:
    raise UnsupportedOperation(f"{call} needs a root: RootedPath.bind(root) makes a class with one")


_classes: WeakValueDictionary[tuple[type[LexicalPath], int], type[Any]] = WeakValueDictionary()
"""By class and ``id()`` of the root, which lives as long as the class that is bound to it."""


def bound_class(base: type[B], cls: type[LexicalPath], root: Root) -> type[B]:
    """Return the class of paths like ``cls`` in ``root``, a subclass of ``base``."""
    bound = _classes.get((cls, id(root)))
    if bound is None:
        bases = (base,) if issubclass(base, cls) else (base, cls)
        namespace = {
            "__slots__": (),
            "__doc__": cls.__doc__,
            "__module__": cls.__module__,
            "_bound_root": root,
            "_bound_class": cls,
        }
        made = new_class(
            cls.__name__, bases, {"from_segments": True}, lambda ns: ns.update(namespace)
        )
        bound = _classes.setdefault((cls, id(root)), made)
    return bound


def find_bound_class(cls: type[LexicalPath], root: Root) -> type[Any] | None:
    """Return a class like ``cls`` that is bound to this root already, if there is one."""
    for (bound_to, _), bound in list(_classes.items()):
        known = bound._bound_root
        same = bound_to is cls and known == root and known.origin == root.origin
        if same and known.options == root.options and not known.closed:
            return bound
    return None
