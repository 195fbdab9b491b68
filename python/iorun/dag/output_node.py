"""`MultiOutputNode`: several results of one graph."""

from __future__ import annotations

from typing import Any, List, Tuple, Union

from iorun.dag.dag_node import DAGNode

__all__ = ["MultiOutputNode"]


class MultiOutputNode(DAGNode):
    """The end of a graph with several results: `execute` returns a list of references."""

    def __init__(self, outputs: Union[List[Any], Tuple[Any, ...]]):
        if not isinstance(outputs, (list, tuple)):
            raise ValueError(f"Invalid input type for `outputs`, {type(outputs)}: a list of nodes.")
        super().__init__((list(outputs),), {}, {})

    def _copy_impl(self, args: Any, kwargs: Any, options: Any, other: Any) -> DAGNode:
        return MultiOutputNode(args[0])

    def _execute_impl(self, *_: Any, **__: Any) -> Any:
        return self._bound_args[0]
