"""Tasks, actors and objects on a network of machines, with the names that Ray gave them.

`import iorun as ray` runs programs that were written for Ray Core:

    import iorun as ray

    @ray.remote
    def square(x):
        return x * x

    print(ray.get([square.remote(i) for i in range(4)]))
"""

from __future__ import annotations

from iorun import exceptions, ids
from iorun._init import RayContext, init, is_initialized, shutdown
from iorun._version import __version__
from iorun.ids import (
    ActorClassID,
    ActorID,
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
from iorun import actor, remote_function
from iorun.actor import method
from iorun._api import (
    available_resources,
    cancel,
    cluster_resources,
    get,
    get_actor,
    get_gpu_ids,
    kill,
    nodes,
    put,
    remote,
    timeline,
    wait,
)
from iorun.logging_config import LoggingConfig
from iorun import runtime_context, runtime_env, types
from iorun.runtime_context import get_runtime_context
from iorun.job_config import JobConfig
from iorun import util
from iorun import cloudpickle, internal
from iorun.client_builder import ClientBuilder, client
from iorun.cross_language import Language, cpp_function, java_actor_class, java_function
from iorun import _absent

_absent.install()
__getattr__ = _absent.attribute

ObjectID = ObjectRef
DynamicObjectRefGenerator = ObjectRefGenerator

#: Ray's modes of a process.
SCRIPT_MODE = 0
WORKER_MODE = 1
LOCAL_MODE = 2

__commit__ = ""

__all__ = [
    "ActorClassID",
    "ActorID",
    "ClientBuilder",
    "ClusterID",
    "DynamicObjectRefGenerator",
    "FunctionID",
    "JobConfig",
    "JobID",
    "LOCAL_MODE",
    "Language",
    "LoggingConfig",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "ObjectRefGenerator",
    "PlacementGroupID",
    "RayContext",
    "SCRIPT_MODE",
    "TaskID",
    "UniqueID",
    "WORKER_MODE",
    "WorkerID",
    "__version__",
    "actor",
    "available_resources",
    "cancel",
    "client",
    "cloudpickle",
    "cluster_resources",
    "cpp_function",
    "exceptions",
    "get",
    "get_actor",
    "get_gpu_ids",
    "get_runtime_context",
    "ids",
    "init",
    "internal",
    "is_initialized",
    "java_actor_class",
    "java_function",
    "kill",
    "method",
    "nodes",
    "put",
    "remote",
    "remote_function",
    "runtime_context",
    "runtime_env",
    "shutdown",
    "timeline",
    "types",
    "util",
    "wait",
]
