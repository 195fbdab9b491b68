"""Metrics of the user's own: they are added up at the node's agent, which exports them."""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Sequence, Tuple

__all__ = ["Counter", "Gauge", "Histogram", "Metric"]

_NAME = re.compile(r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")


class Metric:
    """The base of the three kinds; not to be made directly."""

    _kind = ""

    def __init__(
        self, name: str, description: str = "", tag_keys: Optional[Tuple[str, ...]] = None
    ):
        if not name or not isinstance(name, str):
            raise ValueError(f"A metric needs a name that is a non-empty text, not {name!r}.")
        if not _NAME.match(name):
            raise ValueError(
                f"Invalid metric name {name!r}: letters, digits, _ and : only, no digit first."
            )
        tag_keys = tag_keys or ()
        if not isinstance(tag_keys, tuple) or not all(isinstance(key, str) for key in tag_keys):
            raise TypeError(f"tag_keys should be a tuple of texts, got {tag_keys!r}.")
        self._name = name
        self._description = description
        self._tag_keys = tag_keys
        self._default_tags: Dict[str, str] = {}

    @property
    def info(self) -> Dict[str, object]:
        """Name, description, tag keys and default tags."""
        return {
            "name": self._name,
            "description": self._description,
            "tag_keys": self._tag_keys,
            "default_tags": self._default_tags,
        }

    def set_default_tags(self, default_tags: Dict[str, str]) -> "Metric":
        """Tags that are added to each record; returns the metric."""
        self._default_tags = self._checked(default_tags)
        return self

    def _checked(self, tags: Dict[str, str]) -> Dict[str, str]:
        for key, value in tags.items():
            if key not in self._tag_keys:
                raise ValueError(
                    f"Unrecognized tag key {key!r} of metric {self._name}: it has {self._tag_keys}."
                )
            if not isinstance(value, str):
                raise TypeError(f"Tag values must be texts, got {type(value)} for {key!r}.")
        return dict(tags)

    def _record(self, value: float, tags: Optional[Dict[str, str]]) -> None:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise TypeError(f"A metric records numbers, not {type(value).__name__}.")
        from iorun._core import global_state

        all_tags = {**self._default_tags, **(self._checked(tags) if tags else {})}
        worker = global_state.worker()
        if worker is None:
            # Outside of `init` there is nobody to tell; Ray drops such records, too.
            return
        worker.note(
            54,
            {
                "name": self._name,
                "kind": self._kind,
                "value": float(value),
                "tags": all_tags,
                "description": self._description,
                **self._extra(),
            },
        )

    def _extra(self) -> dict:
        return {}


class Counter(Metric):
    """A number that only grows."""

    _kind = "counter"

    def inc(self, value: float = 1.0, tags: Optional[Dict[str, str]] = None) -> None:
        """Adds a positive number."""
        if value <= 0:
            raise ValueError(f"value must be >0, got {value}")
        self._record(value, tags)


class Gauge(Metric):
    """A number that is what was set last."""

    _kind = "gauge"

    def set(self, value: Optional[float], tags: Optional[Dict[str, str]] = None) -> None:
        """Sets it."""
        if value is None:
            return
        self._record(value, tags)


class Histogram(Metric):
    """How often values fell between boundaries."""

    _kind = "histogram"

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: Optional[Sequence[float]] = None,
        tag_keys: Optional[Tuple[str, ...]] = None,
    ):
        super().__init__(name, description, tag_keys)
        if not boundaries:
            raise ValueError(
                "boundaries argument should be provided when using the Histogram class, for "
                "example Histogram('name', boundaries=[0.0, 1.0, 10.0])."
            )
        self.boundaries: List[float] = [float(boundary) for boundary in boundaries]
        if self.boundaries[0] <= 0:
            raise ValueError(
                f"Invalid `boundaries` argument at index 0, {boundaries[0]}: use positive values."
            )
        if self.boundaries != sorted(self.boundaries):
            raise ValueError("boundaries must be in ascending order.")

    def observe(self, value: float, tags: Optional[Dict[str, str]] = None) -> None:
        """Counts a value."""
        self._record(value, tags)

    def _extra(self) -> dict:
        return {"boundaries": self.boundaries}
