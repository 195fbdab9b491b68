"""Serialisers of the user's own, for types that do not pickle by themselves."""

from __future__ import annotations

import copyreg
from typing import Any, Callable

__all__ = ["deregister_serializer", "register_serializer"]


def register_serializer(
    cls: type, *, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]
) -> None:
    """From now on this process sends instances of `cls` as `serializer(instance)`.

    The other side calls `deserializer` with that; it travels along, and must itself be picklable.
    Subclasses are not covered.
    """
    if not isinstance(cls, type):
        raise TypeError(f"register_serializer takes a class, not {cls!r}.")

    def reduce(instance: Any) -> tuple:
        return deserializer, (serializer(instance),)

    # Both of the picklers that the runtime uses look here.
    copyreg.pickle(cls, reduce)  # type: ignore[arg-type]


def deregister_serializer(cls: type) -> None:
    """Takes `register_serializer` back; nothing happens where there was none."""
    copyreg.dispatch_table.pop(cls, None)
