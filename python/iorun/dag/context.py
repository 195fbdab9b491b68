"""`DAGContext`: Ray's settings of compiled graphs. They are kept; graphs here need none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

__all__ = ["DAGContext"]


@dataclass
class DAGContext:
    """Times in seconds, sizes in bytes."""

    submit_timeout: int = 10
    get_timeout: int = 10
    teardown_timeout: int = 30
    read_iteration_timeout: float = 0.1
    buffer_size_bytes: int = 1_000_000
    max_inflight_executions: int = 10
    max_buffered_results: int = 1000
    overlap_gpu_communication: bool = False

    @staticmethod
    def get_current() -> "DAGContext":
        """This process's."""
        global _current
        if _current is None:
            _current = DAGContext()
        return _current


_current: Optional[DAGContext] = None
