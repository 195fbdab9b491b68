"""What Ray has taken away."""

from __future__ import annotations

from typing import Any

__all__ = ["set_resource"]


def set_resource(resource_name: str, capacity: float, node_id: Any = None) -> None:
    """Raises, as Ray's does."""
    raise DeprecationWarning(
        "Dynamic custom resources are deprecated. Consider using placement groups instead, or give "
        "resources to a node when it starts (`iorun join --resources`)."
    )
