"""A stopwatch with a running mean."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Deque, Optional

__all__ = ["_Timer"]


class _Timer:
    """`with timer:` measures a block; `mean` is that of the last ones, in seconds."""

    def __init__(self, window_size: int = 10):
        self._samples: Deque[float] = deque(maxlen=window_size)
        self._units: Deque[float] = deque(maxlen=window_size)
        self._began: Optional[float] = None
        self.count = 0

    def __enter__(self) -> "_Timer":
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._began is not None:
            self.push(time.monotonic() - self._began)
        self._began = None

    def push(self, time_delta: float) -> None:
        """One more duration."""
        self._samples.append(time_delta)
        self.count += 1

    def push_units_processed(self, n: float) -> None:
        """How much was done in it."""
        self._units.append(n)

    def has_units_processed(self) -> bool:
        """Whether that was ever said."""
        return bool(self._units)

    @property
    def mean(self) -> float:
        """The mean duration, in seconds."""
        return sum(self._samples) / len(self._samples) if self._samples else 0.0

    @property
    def mean_units_processed(self) -> float:
        """The mean of what was done."""
        return sum(self._units) / len(self._units) if self._units else 0.0

    @property
    def mean_throughput(self) -> float:
        """What was done a second."""
        total = sum(self._samples)
        return sum(self._units) / total if total else 0.0
