"""`StateApiClient`: the functions of `util.state` as methods."""

from __future__ import annotations

from typing import Any, List, Optional

from iorun.util import state

__all__ = ["StateApiClient"]


def _name(resource: Any) -> str:
    # Ray's `StateResource` is an enumeration of these words.
    return str(getattr(resource, "value", resource)).replace("-", "_")


class StateApiClient:
    """Reads the state of the network that this process is attached to."""

    def __init__(self, address: Optional[str] = None, cookies: Any = None, headers: Any = None):
        self.address = address

    def list(self, resource: Any, options: Any = None, **_: Any) -> List[Any]:
        """`list_actors` and the like: `resource` is "actors", "tasks", "nodes" and so on."""
        filters = list(getattr(options, "filters", None) or ())
        limit = getattr(options, "limit", state.DEFAULT_LIMIT)
        return list(getattr(state, f"list_{_name(resource)}")(filters=filters, limit=limit))

    def get(self, resource: Any, id: str, options: Any = None, **_: Any) -> Any:
        """`get_actor` and the like."""
        return getattr(state, f"get_{_name(resource).rstrip('s')}")(id)

    def summary(self, resource: Any, **_: Any) -> Any:
        """`summarize_tasks` and the like."""
        return getattr(state, f"summarize_{_name(resource)}")()
