"""Settings of Ray's that programs give in `_system_config`, or as `RAY_NAME` in the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Dict, List, Optional

__all__ = ["VARIABLE", "SystemConfig"]

#: What a driver was given, as JSON, in the environment of its workers.
VARIABLE = "_IORUN_SYSTEM_CONFIG"

#: Those that mean something here, and their defaults.
_DEFAULTS: Dict[str, Any] = {
    "memory_usage_threshold": 0.95,
    "memory_monitor_refresh_ms": 250,
    "min_memory_free_bytes": -1,
    "task_oom_retries": -1,
    "task_oom_retry_delay_base_ms": 1000,
    "kill_child_processes_on_worker_exit": True,
    "kill_child_processes_on_worker_exit_with_raylet_subreaper": False,
}

#: What a node must be told when it starts.
_OF_NODES = {
    "memory_usage_threshold": "--memory-usage-threshold",
    "memory_monitor_refresh_ms": "--memory-monitor-refresh-ms",
    "min_memory_free_bytes": "--min-memory-free-bytes",
}


#: Of the `cluster_utils.Cluster` that this process has started.
of_cluster: Dict[str, Any] = {}


class SystemConfig:
    """What was given comes first, then the environment, then the default.

    Raises ValueError where one of them is no number.
    """

    def __init__(
        self, given: Optional[Mapping] = None, environment: Mapping[str, str] = os.environ
    ):
        given = {**of_cluster, **(given or {})}
        self.given = {name: value for name, value in given.items() if name in _DEFAULTS}
        self._values: Dict[str, Any] = {}
        for name in _DEFAULTS:
            value = self.given.get(name)
            if value is None:
                value = environment.get(f"RAY_{name}")
            if value is not None:
                self._values[name] = _parsed(name, value)

    @classmethod
    def inherited(cls) -> "SystemConfig":
        """Of a worker: as its driver's."""
        try:
            return cls(json.loads(os.environ.get(VARIABLE, "") or "{}"))
        except ValueError:
            # Of the worker's own environment: nobody is there to be told.
            return cls(environment={})

    def text(self) -> str:
        """What was given, as JSON; empty where nothing was."""
        return json.dumps(self.given) if self.given else ""

    def __getitem__(self, name: str) -> Any:
        return self._values.get(name, _DEFAULTS[name])

    def node_options(self) -> List[str]:
        """Of `iorun up` and `iorun join`: what differs from the defaults."""
        options: List[str] = []
        for name, option in _OF_NODES.items():
            value = self._values.get(name)
            if value is not None and value != _DEFAULTS[name]:
                # One text: a number below zero would be taken for an option.
                options.append(f"{option}={value}")
        return options


def _parsed(name: str, value: Any) -> Any:
    default = _DEFAULTS[name]
    try:
        if isinstance(default, bool):
            return str(value).strip().lower() in ("1", "true")
        return type(default)(float(value)) if isinstance(default, int) else float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"{name} takes a number, not {value!r}: it was given in _system_config or as "
            f"RAY_{name} in the environment."
        ) from None
