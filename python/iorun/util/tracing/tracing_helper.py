"""Ray's module of this name, for programs that ask whether tracing is on."""

from __future__ import annotations

from iorun.util.tracing import is_tracing_enabled

__all__ = ["is_tracing_enabled"]
