"""`free`: takes objects' values away before their references are gone."""

from __future__ import annotations

from typing import Any, List, Union

from iorun import exceptions
from iorun._core import global_state, serialization
from iorun.object_ref import ObjectRef

__all__ = ["free", "global_gc", "memory_summary"]


def free(object_refs: Union[ObjectRef, List[ObjectRef]], local_only: bool = False) -> None:
    """Frees the values; whoever still has a reference gets `ObjectFreedError`.

    Only the owner can: the process that put the object or called the task. Values that are not
    there yet, and those of other owners, are left alone. `local_only` is taken and ignored.
    """
    refs: List[Any] = [object_refs] if isinstance(object_refs, ObjectRef) else object_refs
    if not isinstance(refs, list) or not all(isinstance(ref, ObjectRef) for ref in refs):
        raise TypeError(f"free takes a list of ObjectRefs, not {type(object_refs)}.")
    core = global_state.require()
    for ref in refs:
        error = serialization.dump_error(exceptions.ObjectFreedError(ref.hex()))
        with core.loop.lock:
            core.objects.free_value(ref.binary(), error)


def global_gc() -> None:
    """Collects what only cycles keep, in this process."""
    import gc

    gc.collect()


def memory_summary(*_: Any, **__: Any) -> str:
    """The objects in shared memory, one a line."""
    from iorun.util.state import MAXIMUM_LIMIT, list_objects

    rows = list_objects(limit=MAXIMUM_LIMIT)
    lines = [f"{row['object_id']}  {row['object_size']} B  {row['state'] or ''}" for row in rows]
    return "\n".join([f"{len(rows)} objects in shared memory", *lines])
