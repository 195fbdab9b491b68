"""Small functions that programs take from `ray._private.utils`."""

from __future__ import annotations

import inspect
import os
from typing import Any

from iorun._common.utils import get_or_create_event_loop

__all__ = [
    "binary_to_hex",
    "get_num_cpus",
    "get_or_create_event_loop",
    "get_system_memory",
    "get_used_memory",
    "hex_to_binary",
    "is_async_func",
    "random_string",
]


def hex_to_binary(hex_identifier: str) -> bytes:
    """The bytes of hexadecimal text."""
    return bytes.fromhex(hex_identifier)


def binary_to_hex(identifier: bytes) -> str:
    """Hexadecimal text of bytes."""
    return bytes(identifier).hex()


def random_string() -> bytes:
    """28 random bytes."""
    return os.urandom(28)


def get_num_cpus() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def get_system_memory() -> int:
    """The machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def get_used_memory() -> int:
    """Of the machine's memory what could not be had, in bytes."""
    with open("/proc/meminfo", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    total, available = (int(lines[key].split()[0]) for key in ("MemTotal", "MemAvailable"))
    return (total - available) * 1024


def is_async_func(func: Any) -> bool:
    """Whether it is a coroutine function."""
    return inspect.iscoroutinefunction(func)
