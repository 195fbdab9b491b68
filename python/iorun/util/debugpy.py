"""The name of Ray's second debugger: here it is the same as `rpdb`."""

from __future__ import annotations

from iorun.util.rpdb import post_mortem, set_trace

__all__ = ["post_mortem", "set_trace"]
