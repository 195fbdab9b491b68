"""The names of backends and of reductions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

__all__ = [
    "AllGatherOptions",
    "AllReduceOptions",
    "Backend",
    "BarrierOptions",
    "BroadcastOptions",
    "RecvOptions",
    "ReduceOp",
    "ReduceOptions",
    "ReduceScatterOptions",
    "SendOptions",
    "cupy_available",
    "torch_available",
]

unset_timeout_ms = timedelta(milliseconds=-1)


class Backend:
    """The name of a backend, checked. Arrays of the CPU are "GLOO"; "NCCL" is not there."""

    NCCL = "NCCL"
    GLOO = "GLOO"
    UNRECOGNIZED = "unrecognized"

    def __new__(cls, name: str) -> str:  # type: ignore[misc]
        upper = str(name).upper()
        if upper == "TORCH_GLOO":
            upper = cls.GLOO
        if upper not in (cls.NCCL, cls.GLOO):
            raise ValueError(f"Unrecognized backend: '{name}'. Only NCCL and GLOO are supported")
        return upper


class ReduceOp(Enum):
    """How elements become one."""

    SUM = 0
    PRODUCT = 1
    MIN = 2
    MAX = 3


@dataclass
class _Options:
    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class AllReduceOptions(_Options):
    """Options of a sum over all."""

    reduceOp: ReduceOp = ReduceOp.SUM  # noqa: N815 - Ray's name


@dataclass
class BarrierOptions(_Options):
    """Options of a barrier."""


@dataclass
class ReduceOptions(AllReduceOptions):
    """Options of a sum at one rank."""

    root_rank: int = 0
    root_tensor: int = 0


@dataclass
class AllGatherOptions(_Options):
    """Options of a collection of all."""


@dataclass
class BroadcastOptions(_Options):
    """Options of a copy to all."""

    root_rank: int = 0
    root_tensor: int = 0


@dataclass
class ReduceScatterOptions(AllReduceOptions):
    """Options of a sum of which each rank gets a part."""


@dataclass
class SendOptions(_Options):
    """Options of a message."""

    dst_rank: int = 0
    dst_gpu_index: int = 0
    n_elements: int = 0


@dataclass
class RecvOptions(_Options):
    """Options of waiting for a message."""

    src_rank: int = 0
    src_gpu_index: int = 0
    n_elements: int = 0


def _is_there(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None


def torch_available() -> bool:
    """Whether torch is installed."""
    return _is_there("torch")


def cupy_available() -> bool:
    """Whether cupy is installed."""
    return _is_there("cupy")
