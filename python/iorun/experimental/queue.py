"""An older name of `iorun.util.queue`."""

from __future__ import annotations

from iorun.util.queue import Empty, Full, Queue

__all__ = ["Empty", "Full", "Queue"]
