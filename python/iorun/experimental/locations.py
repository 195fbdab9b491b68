"""Where objects are."""

from __future__ import annotations

from typing import Any, Dict, List

from iorun import _init
from iorun._core.objects import ARENA

__all__ = ["get_local_object_locations", "get_object_locations"]


def get_local_object_locations(obj_refs: List[Any]) -> Dict[Any, Dict[str, Any]]:
    """As `get_object_locations`, of what this process knows already."""
    core = _init.connected_worker()
    found = {}
    for ref in obj_refs:
        with core.loop.lock:
            entry = core.objects.entries.get(ref.binary())
            if entry is None or not entry.state:
                continue
            place = entry.data if entry.state == ARENA else None
            found[ref] = {
                "node_ids": [node.hex() for node in place.locations] if place else [],
                "object_size": place.size if place else len(entry.data or b""),
                "did_spill": False,
            }
    return found


def get_object_locations(obj_refs: List[Any], timeout_ms: int = -1) -> Dict[Any, Dict[str, Any]]:
    """Per reference "node_ids" (none for a small object, which is in its owner's memory), and
    "object_size" in bytes. Waits for objects that are not there yet, at most `timeout_ms`."""
    if not obj_refs:
        raise ValueError("obj_refs cannot be empty.")
    core = _init.connected_worker()
    core.wait(list(obj_refs), len(obj_refs), None if timeout_ms < 0 else timeout_ms / 1000, False)
    return get_local_object_locations(obj_refs)
