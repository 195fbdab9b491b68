"""The names of backends and of reductions."""

from __future__ import annotations

from enum import Enum

__all__ = ["Backend", "ReduceOp"]


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
