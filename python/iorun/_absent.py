"""What Ray has and this package has not: asking for it says so, and what there is instead."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from typing import Any, Optional, Sequence

__all__ = ["attribute", "install", "message"]

_INSTEAD = {
    "air": "Use tasks, actors and `iorun submit` of gangs.",
    "dashboard": "`iorun list`, `iorun timeline` and each node's /metrics show the state.",
    "data": "Use generator tasks with backpressure over references, `util.ActorPool`, or another "
    "library (Arrow, Polars, Spark) inside tasks.",
    "experimental.channel": "Graphs (`iorun.dag`) run as pipelined actor calls.",
    "experimental.rdt": "Tensors travel through shared memory; GPUs of a gang use torch's NCCL.",
    "experimental.sandbox": "Jobs are sandboxed by `iorun submit`.",
    "job_submission": "Use `iorun submit`, `iorun jobs`, `iorun logs`.",
    "llm": "Run the serving engine as a gang, or in actors.",
    "rllib": "Any RL library runs inside actors.",
    "serve": "See the serving example: replicas as actors behind an HTTP endpoint.",
    "train": "Run PyTorch DDP as a gang: `iorun submit --ranks N -- python train.py`.",
    "tune": "Run trials as tasks, and take what is ready by `wait`; any search library fits.",
    "util.client": "A program attaches to a node of its own machine; `iorun join` makes it one.",
    "util.dask": "Use tasks, or Dask itself.",
    "util.spark": "Use tasks, or Spark itself.",
    "workflow": "Ray has removed it, too.",
}


def message(name: str) -> str:
    """What a program is told that asks for a part that is not there."""
    return f"iorun has no `{name}` (Ray's library of that name). {_INSTEAD[name]}"


def attribute(name: str) -> Any:
    """A part of the package that nobody has imported yet: `iorun.dag` works without an import."""
    if name in _INSTEAD:
        raise AttributeError(message(name))
    if importlib.util.find_spec(f"iorun.{name}") is not None:
        return importlib.import_module(f"iorun.{name}")
    raise AttributeError(f"module 'iorun' has no attribute {name!r}")


class _Absent(importlib.abc.MetaPathFinder):
    """Raises ImportError, with a reason, where Python would only say that there is no module."""

    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]] = None, target: Any = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        if fullname.startswith("iorun."):
            name = fullname[len("iorun.") :]
            if name in _INSTEAD:
                # Not ModuleNotFoundError: `from iorun import data` would swallow its message.
                raise ImportError(message(name), name=fullname)
        return None


def install() -> None:
    """Asked last, and so only for what is really not there."""
    if not any(isinstance(finder, _Absent) for finder in sys.meta_path):
        sys.meta_path.append(_Absent())
