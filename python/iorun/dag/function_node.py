"""`FunctionNode`: the call of a remote function."""

from __future__ import annotations

from typing import Any, Dict, Tuple

from iorun.dag.dag_node import DAGNode

__all__ = ["FunctionNode"]


class FunctionNode(DAGNode):
    """What `f.bind(...)` makes."""

    def __init__(
        self, body: Any, args: Tuple[Any, ...], kwargs: Dict[str, Any], options: Dict[str, Any]
    ):
        super().__init__(args, kwargs, options)
        self._body = body

    def _copy_impl(self, args: Any, kwargs: Any, options: Any, other: Any) -> DAGNode:
        return FunctionNode(self._body, args, kwargs, options)

    def _execute_impl(self, *_: Any, **__: Any) -> Any:
        return self._body.remote(*self._bound_args, **self._bound_kwargs)

    def _name(self) -> str:
        return f"FunctionNode, {self._body._function_name}"
