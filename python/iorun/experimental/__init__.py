"""The few of Ray's experimental tools that programs use."""

from __future__ import annotations

from iorun.experimental.dynamic_resources import set_resource
from iorun.experimental.locations import get_local_object_locations, get_object_locations

__all__ = ["get_local_object_locations", "get_object_locations", "set_resource"]
