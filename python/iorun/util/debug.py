"""Says things once."""

from __future__ import annotations

import threading
import time
from typing import Optional

__all__ = ["disable_log_once_globally", "enable_periodic_logging", "log_once", "reset_log_once"]

_PERIOD_SECONDS = 60.0

_said: set = set()
_lock = threading.Lock()
_disabled = False
_periodic = False
_last_reset = time.monotonic()


def log_once(key: str) -> bool:
    """Whether a message of this key is to be logged: True the first time in this process.

    After `enable_periodic_logging()` it is True once a minute.
    """
    global _last_reset
    with _lock:
        if _disabled:
            return False
        now = time.monotonic()
        if _periodic and now - _last_reset > _PERIOD_SECONDS:
            _said.clear()
            _last_reset = now
        if key in _said:
            return False
        _said.add(key)
        return True


def disable_log_once_globally() -> None:
    """Makes `log_once` answer False from now on."""
    global _disabled
    _disabled = True


def reset_log_once(key: Optional[str] = None) -> None:
    """Makes `log_once` answer True again: of one key, or of all."""
    with _lock:
        if key is None:
            _said.clear()
        else:
            _said.discard(key)


def enable_periodic_logging() -> None:
    """Makes `log_once` answer True once a minute for each key."""
    global _periodic
    _periodic = True
