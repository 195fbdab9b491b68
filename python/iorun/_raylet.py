"""What programs take from `ray._raylet` although it is private there."""

from __future__ import annotations

from iorun.exceptions import ObjectRefStreamEndOfStreamError
from iorun.ids import (
    ActorClassID,
    ActorID,
    BaseID,
    ClusterID,
    FunctionID,
    JobID,
    NodeID,
    PlacementGroupID,
    TaskID,
    UniqueID,
    WorkerID,
)
from iorun.object_ref import ObjectRef, ObjectRefGenerator

ObjectID = ObjectRef
StreamingObjectRefGenerator = ObjectRefGenerator
DynamicObjectRefGenerator = ObjectRefGenerator

__all__ = [
    "ActorClassID",
    "ActorID",
    "BaseID",
    "ClusterID",
    "DynamicObjectRefGenerator",
    "FunctionID",
    "JobID",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "ObjectRefGenerator",
    "ObjectRefStreamEndOfStreamError",
    "PlacementGroupID",
    "StreamingObjectRefGenerator",
    "TaskID",
    "UniqueID",
    "WorkerID",
]
