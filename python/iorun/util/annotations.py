"""Ray's marks of stability, for programs that put them on their own functions."""

from __future__ import annotations

import functools
import warnings
from enum import Enum
from typing import Any, Callable


class AnnotationType(Enum):
    """The kinds of marks."""

    PUBLIC_API = "PublicAPI"
    DEVELOPER_API = "DeveloperAPI"
    DEPRECATED = "Deprecated"
    UNKNOWN = "Unknown"


def _mark(*args: Any, **_options: Any) -> Any:
    if len(args) == 1 and callable(args[0]):
        return args[0]

    def keep(target: Callable) -> Callable:
        return target

    return keep


PublicAPI = DeveloperAPI = _mark


class RayDeprecationWarning(DeprecationWarning):
    """A use of an old name."""


def Deprecated(*args: Any, message: str = "", warning: bool = False) -> Any:  # noqa: N802
    """Marks a function as an old one; with `warning` its callers are warned."""
    if len(args) == 1 and callable(args[0]):
        return args[0]

    def wrap(target: Callable) -> Callable:
        if not warning:
            return target

        @functools.wraps(target)
        def warned(*given: Any, **named: Any) -> Any:
            warnings.warn(
                f"{target.__qualname__} is deprecated. {message}".strip(),
                RayDeprecationWarning,
                stacklevel=2,
            )
            return target(*given, **named)

        return warned

    return wrap


__all__ = ["AnnotationType", "Deprecated", "DeveloperAPI", "PublicAPI", "RayDeprecationWarning"]
