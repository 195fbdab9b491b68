"""`ray.internal`: `free`."""

from iorun._private.internal_api import free

__all__ = ["free"]
