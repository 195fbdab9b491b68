"""Finds and replaces the nodes of a graph in whatever data they are."""

from __future__ import annotations

import io
import pickle
from typing import Any, Callable, List

import cloudpickle


__all__ = ["find", "replace"]

_LEAVES = (str, bytes, int, float, bool, type(None), type)


def find(value: Any, kind: type) -> List[Any]:
    """All instances of the kind in the data, in order."""
    found: List[Any] = []
    replace(value, kind, lambda node: found.append(node) or node)  # type: ignore[func-returns-value]
    return found


def replace(value: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """The data with what the function makes of each instance of the kind."""
    if isinstance(value, kind):
        return function(value)
    if isinstance(value, _LEAVES):
        return value
    if type(value) in (list, tuple):
        return type(value)([replace(item, kind, function) for item in value])
    if type(value) is dict:
        return {key: replace(item, kind, function) for key, item in value.items()}
    if type(value).__module__.startswith("iorun.") or not hasattr(value, "__dict__"):
        # References and handles are what they are; so is what numpy and others made.
        return value
    return _rebuilt(value, kind, function)


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, things: List[Any]):
        super().__init__(io.BytesIO(data))
        self.things = things

    def persistent_load(self, index: Any) -> Any:
        return self.things[index]


def _rebuilt(value: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """An object of the user's own, taken apart by pickling it; itself where no node is in it."""
    nodes: List[Any] = []
    things: List[Any] = []

    class _Pickler(cloudpickle.CloudPickler):
        def persistent_id(self, item: Any) -> Any:
            if isinstance(item, kind):
                nodes.append(item)
                things.append(function(item))
            elif type(item).__module__.startswith("iorun.") or callable(item):
                # Not looked into, and the same object afterwards.
                things.append(item)
            else:
                return None
            return len(things) - 1

    buffer = io.BytesIO()
    try:
        _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    except (TypeError, AttributeError, pickle.PicklingError, RecursionError):
        # What cannot be taken apart cannot be sent either: `remote` says so in its own words.
        return value
    if not nodes:
        return value
    return _Unpickler(buffer.getvalue(), things).load()
