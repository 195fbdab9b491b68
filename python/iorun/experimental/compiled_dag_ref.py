"""What graphs give back: references like any other."""

from __future__ import annotations

from iorun.object_ref import ObjectRef

CompiledDAGRef = CompiledDAGFuture = ObjectRef

__all__ = ["CompiledDAGFuture", "CompiledDAGRef"]
