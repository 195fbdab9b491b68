"""Names of worker processes in `ps` and `top`: of what they run, where `setproctitle` is installed."""

from __future__ import annotations

from typing import Any, Optional


class ProcessTitle:
    """The title of this process."""

    def __init__(self, set_title: Any):
        self._set = set_title
        self._shown = ""
        #: What is shown between calls.
        self.idle = "ray::IDLE"

    @classmethod
    def installed(cls) -> Optional["ProcessTitle"]:
        """None where the package is not installed."""
        try:
            from setproctitle import setproctitle
        except ImportError:
            return None
        return cls(setproctitle)

    def show(self, title: str) -> None:
        """Shows it; the same one again costs nothing."""
        if title != self._shown:
            self._shown = title
            self._set(title)


__all__ = ["ProcessTitle"]
