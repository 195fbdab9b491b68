"""Accelerators: how libraries learn which of them a task or actor may use."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional

from iorun._environment import DEVICES

#: Accelerators beside GPUs: Ray's names of their resources, and the variable that libraries read.
VARIABLES = {
    "TPU": "TPU_VISIBLE_CHIPS",
    "neuron_cores": "NEURON_RT_VISIBLE_CORES",
    "NPU": "ASCEND_RT_VISIBLE_DEVICES",
    "HPU": "HABANA_VISIBLE_MODULES",
    "RBLN": "RBLN_DEVICES",
    "FURIOSA": "FURIOSA_DEVICES",
    "TTNPU": "TT_VISIBLE_DEVICES",
    "MBLT": "QBRUNTIME_VISIBLE_DEVICES",
}
#: How the variables are called that forbid to set one, where it is not by the variable's own name.
_FORBIDDEN = {
    "RBLN": "RBLN_RT_VISIBLE_DEVICES",
    "TTNPU": "TENSTORRENT_VISIBLE_DEVICES",
    "MBLT": "MBLT_RT_VISIBLE_DEVICES",
}
_GPUS = "CUDA_VISIBLE_DEVICES"
#: The chips of a host that a TPU's library is to expect, by their number.
_TPU_BOUNDS = {1: "1,1,1", 2: "1,2,1"}
_CHIPS = "TPU_CHIPS_PER_HOST_BOUNDS"
_HOSTS = "TPU_HOST_BOUNDS"
_TPU_CHIPS = (1, 2, 4, 8)
#: Those of which nobody can have a part.
_WHOLE = frozenset(VARIABLES) - {"NPU", "TPU"}


def wrong_amount(name: str, amount: float) -> Optional[str]:
    """Why nobody can have that many; None where one can."""
    if not amount or name not in VARIABLES:
        return None
    if name == "TPU" and amount not in _TPU_CHIPS:
        return (
            f"The number of requested 'TPU' was set to {amount} which is not a supported chip "
            f"configuration. Supported configs: {_TPU_CHIPS}"
        )
    if amount != int(amount) and (name in _WHOLE or amount > 1):
        return (
            f"{name} resource quantity must be whole numbers. The specified quantity {amount} is "
            "invalid."
        )
    return None


def is_true(variable: str) -> bool:
    """Whether a variable of the environment says so."""
    return os.environ.get(variable, "").strip().lower() in ("1", "true")


def is_forbidden(variable: str) -> bool:
    """Whether the user wants to set the variable himself."""
    return is_true(f"RAY_EXPERIMENTAL_NOSET_{variable}")


class Devices:
    """What this process may use."""

    def __init__(self) -> None:
        self.gpus: List[Any] = []
        self.others: Dict[str, List[int]] = {}

    def set(self, gpus: List[int], others: Dict[str, List[int]]) -> None:
        """Libraries look at the variables when they start."""
        # The program that started the network may itself see only some of the machine's.
        seen = [name.strip() for name in os.environ.get(DEVICES, "").split(",") if name.strip()]
        named = [seen[gpu] if gpu < len(seen) else gpu for gpu in gpus]
        if not is_forbidden(_GPUS):
            if named:
                os.environ[_GPUS] = ",".join(map(str, named))
            elif self.gpus:
                os.environ[_GPUS] = ""
        for kind in self.others.keys() | others.keys():
            if not is_forbidden(_FORBIDDEN.get(kind, VARIABLES.get(kind, kind))):
                _show(kind, others.get(kind) or [])
        self.gpus, self.others = named, dict(others)

    def ids(self) -> Dict[str, List[str]]:
        """By kind, as texts."""
        found = {kind: [str(i) for i in self.others.get(kind, [])] for kind in VARIABLES}
        return {**found, "GPU": [str(gpu) for gpu in self.gpus]}


def _show(kind: str, indexes: List[int]) -> None:
    variable = VARIABLES.get(kind)
    if variable is None:
        # Of a node of a later release.
        return
    names = [f"npu:{index}" if kind == "FURIOSA" else str(index) for index in indexes]
    if kind == "TPU":
        _show_bounds(len(indexes))
    _put(variable, ",".join(names) if names else None)


def _show_bounds(chips: int) -> None:
    """Of a TPU: for one or two chips; what a whole host has is the user's own, or the library's."""
    bounds = _TPU_BOUNDS.get(chips)
    present = os.environ.get(_CHIPS)
    if bounds is None:
        if present in _TPU_BOUNDS.values():
            # Left from a task that had so many.
            _put(_CHIPS, None)
            _put(_HOSTS, None)
    elif present != bounds:
        _put(_CHIPS, bounds)
        _put(_HOSTS, "1,1,1")
    else:
        os.environ.setdefault(_HOSTS, "1,1,1")


def _put(variable: str, value: Optional[str]) -> None:
    if value is None:
        os.environ.pop(variable, None)
    else:
        os.environ[variable] = value
