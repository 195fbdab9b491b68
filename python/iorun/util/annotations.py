"""Ray's marks of stability, for programs that put them on their own functions. They do nothing."""

from __future__ import annotations

from typing import Any, Callable


def _mark(*args: Any, **_options: Any) -> Any:
    if len(args) == 1 and callable(args[0]):
        return args[0]

    def keep(target: Callable) -> Callable:
        return target

    return keep


PublicAPI = DeveloperAPI = Deprecated = _mark


class RayDeprecationWarning(DeprecationWarning):
    """Ray warns of old names with it; this package never does."""


__all__ = ["Deprecated", "DeveloperAPI", "PublicAPI", "RayDeprecationWarning"]
