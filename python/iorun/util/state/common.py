"""What programs import from Ray's module of this name: the rows' classes, kinds of rows, options."""

from __future__ import annotations

import dataclasses
import enum
from typing import List, Optional, Tuple, Union

from iorun.util.state import DEFAULT_LIMIT
from iorun.util.state.rows import (
    ActorState,
    ClusterEventState,
    JobState,
    NodeState,
    ObjectState,
    PlacementGroupState,
    RuntimeEnvState,
    TaskState,
    WorkerState,
)

__all__ = [
    "ActorState",
    "ClusterEventState",
    "DEFAULT_LIMIT",
    "DEFAULT_LOG_LIMIT",
    "DEFAULT_RPC_TIMEOUT",
    "GetApiOptions",
    "JobState",
    "ListApiOptions",
    "NodeState",
    "ObjectState",
    "PlacementGroupState",
    "RuntimeEnvState",
    "StateResource",
    "SummaryApiOptions",
    "SummaryResource",
    "TaskState",
    "WorkerState",
]

#: Seconds, and lines of a log; Ray's numbers.
DEFAULT_RPC_TIMEOUT = 30
DEFAULT_LOG_LIMIT = 1000

Filter = Tuple[str, str, Union[str, bool, int, float]]


class StateResource(enum.Enum):
    """What `StateApiClient.list` can list."""

    ACTORS = "actors"
    JOBS = "jobs"
    PLACEMENT_GROUPS = "placement_groups"
    NODES = "nodes"
    WORKERS = "workers"
    TASKS = "tasks"
    OBJECTS = "objects"
    RUNTIME_ENVS = "runtime_envs"
    CLUSTER_EVENTS = "cluster_events"


class SummaryResource(enum.Enum):
    """What `StateApiClient.summary` can count."""

    ACTORS = "actors"
    TASKS = "tasks"
    OBJECTS = "objects"


@dataclasses.dataclass
class ListApiOptions:
    """How `StateApiClient.list` lists: at most `limit` rows, of which all `filters` hold. The
    others are Ray's, and of no effect: every row has all its fields."""

    limit: int = DEFAULT_LIMIT
    timeout: int = DEFAULT_RPC_TIMEOUT
    detail: bool = False
    filters: Optional[List[Filter]] = dataclasses.field(default_factory=list)
    exclude_driver: bool = True

    def __post_init__(self) -> None:
        self.filters = list(self.filters or ())
        for _, operator, _ in self.filters:
            if operator not in ("=", "!="):
                raise ValueError(
                    f"Unsupported filter predicate {operator} is given. "
                    "Available predicates: =, !=."
                )


@dataclasses.dataclass
class GetApiOptions:
    """Ray's options of `StateApiClient.get`; of no effect."""

    timeout: int = DEFAULT_RPC_TIMEOUT


@dataclasses.dataclass
class SummaryApiOptions:
    """Ray's options of `StateApiClient.summary`; of no effect."""

    timeout: int = DEFAULT_RPC_TIMEOUT
    filters: Optional[List[Filter]] = dataclasses.field(default_factory=list)
    summary_by: Optional[str] = None
