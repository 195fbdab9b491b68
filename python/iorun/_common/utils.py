"""Small functions that programs take from `ray._common.utils`."""

from __future__ import annotations

import asyncio

__all__ = ["get_or_create_event_loop"]


def get_or_create_event_loop() -> asyncio.AbstractEventLoop:
    """The running loop, else the thread's, else a new one that becomes the thread's."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    policy = asyncio.get_event_loop_policy()
    try:
        loop = policy.get_event_loop()
        if not loop.is_closed():
            return loop
    except RuntimeError:
        pass
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop
