"""Calls of programs in other languages: not there, and saying so."""

from __future__ import annotations

from enum import Enum
from typing import Any

__all__ = ["Language", "cpp_function", "java_actor_class", "java_function"]


class Language(Enum):
    """In which language something is written."""

    PYTHON = 0
    JAVA = 1
    CPP = 2


def _refuse(what: str) -> Any:
    raise NotImplementedError(
        f"There are no {what} workers. Python and Swift programs are separate jobs; call other "
        "languages through ctypes, or a process of their own, inside a task."
    )


def java_function(class_name: str, function_name: str) -> Any:
    """Raises NotImplementedError."""
    return _refuse("Java")


def java_actor_class(class_name: str) -> Any:
    """Raises NotImplementedError."""
    return _refuse("Java")


def cpp_function(function_name: str) -> Any:
    """Raises NotImplementedError."""
    return _refuse("C++")
