"""What the steps of an iterator of `util.iter` count, and which actor an item came from."""

from __future__ import annotations

import collections
from typing import Any, Dict, List, Optional

__all__ = ["MetricsContext", "SharedMetrics"]


class MetricsContext:
    """Counters, timers and further values that all steps of one local iterator share."""

    def __init__(self) -> None:
        self.counters: Dict[str, Any] = collections.defaultdict(int)
        self.timers: Dict[str, List[float]] = collections.defaultdict(list)
        self.info: Dict[str, Any] = {}
        #: The actor that made the item at hand; set by `gather_async`.
        self.current_actor: Any = None

    def save(self) -> Dict[str, Any]:
        """A copy that can be serialized."""
        return {"counters": dict(self.counters), "info": dict(self.info), "timers": None}

    def restore(self, values: Dict[str, Any]) -> None:
        """Puts back what `save` returned."""
        self.counters.clear()
        self.counters.update(values["counters"])
        self.timers.clear()
        self.info = values["info"]


class SharedMetrics:
    """A place for a context: united iterators put the same one into all of theirs."""

    def __init__(
        self,
        metrics: Optional[MetricsContext] = None,
        parents: Optional[List["SharedMetrics"]] = None,
    ) -> None:
        self.parents = parents or []
        self.set(metrics or MetricsContext())

    def set(self, metrics: MetricsContext) -> None:
        """Makes this place and those of all parents hold this context."""
        self.metrics = metrics
        for parent in self.parents:
            parent.set(metrics)

    def get(self) -> MetricsContext:
        """The context."""
        return self.metrics
