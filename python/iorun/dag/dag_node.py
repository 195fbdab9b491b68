"""`DAGNode`: one call in a graph, with the nodes among its arguments."""

from __future__ import annotations

import uuid
from typing import Any, Callable, Dict, List, Optional, Tuple

from iorun.dag import scanning

__all__ = ["DAGNode"]


class _Remembering:
    """Applies a function to each node once, however many others use the node."""

    def __init__(self, function: Callable[["DAGNode"], Any]):
        self.function = function
        self.results: Dict[str, Any] = {}
        #: The only input of the graph.
        self.input_uuid: Optional[str] = None

    def __call__(self, node: "DAGNode") -> Any:
        uuid = node._stable_uuid
        if uuid not in self.results:
            self.results[uuid] = self.function(node)
        return self.results[uuid]


class DAGNode:
    """A node: arguments in which other nodes stand for their results, and options of the call."""

    def __init__(
        self,
        args: Tuple[Any, ...],
        kwargs: Dict[str, Any],
        options: Dict[str, Any],
        other_args_to_resolve: Optional[Dict[str, Any]] = None,
    ):
        self._bound_args = tuple(args)
        self._bound_kwargs = dict(kwargs)
        self._bound_options = dict(options)
        self._bound_other_args_to_resolve = dict(other_args_to_resolve or {})
        # Copies of a node keep it: one node of the program is executed once.
        self._stable_uuid = uuid.uuid4().hex

    # What a node was made of

    def get_args(self) -> Tuple[Any, ...]:
        """The positional arguments."""
        return self._bound_args

    def get_kwargs(self) -> Dict[str, Any]:
        """The arguments by name."""
        return dict(self._bound_kwargs)

    def get_options(self) -> Dict[str, Any]:
        """The options of the call."""
        return dict(self._bound_options)

    def get_other_args_to_resolve(self) -> Dict[str, Any]:
        """What is resolved before the call and is no argument of it."""
        return dict(self._bound_other_args_to_resolve)

    def get_stable_uuid(self) -> str:
        """A text that names the node."""
        return self._stable_uuid

    # Walking

    def _get_toplevel_child_nodes(self) -> List["DAGNode"]:
        """The nodes that are arguments themselves."""
        given = (*self._bound_args, *self._bound_kwargs.values())
        children: List[DAGNode] = []
        for value in (*given, *self._bound_other_args_to_resolve.values()):
            if isinstance(value, DAGNode) and value not in children:
                children.append(value)
        return children

    def _parts(self) -> List[Any]:
        return [self._bound_args, self._bound_kwargs, self._bound_other_args_to_resolve]

    def _get_all_child_nodes(self) -> List["DAGNode"]:
        """The nodes in the arguments, however deep."""
        children: List[DAGNode] = []
        for node in scanning.find(self._parts(), DAGNode):
            if node not in children:
                children.append(node)
        return children

    def _apply_and_replace_all_child_nodes(self, fn: Callable[["DAGNode"], Any]) -> "DAGNode":
        """A copy whose child nodes are what the function makes of them."""
        args, kwargs, other = scanning.replace(self._parts(), DAGNode, fn)
        return self._copy(args, kwargs, self._bound_options, other)

    def apply_recursive(self, fn: Callable[["DAGNode"], Any]) -> Any:
        """Applies a function to all nodes below this one, children first, and then to this one."""
        if not isinstance(fn, _Remembering):
            fn = _Remembering(fn)
        elif self._stable_uuid in fn.results:
            return fn.results[self._stable_uuid]
        self._check(fn)
        return fn(self._apply_and_replace_all_child_nodes(lambda node: node.apply_recursive(fn)))

    def _check(self, fn: _Remembering) -> None:
        """Raises where the node is not allowed in the graph."""

    # Executing

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Makes all calls of the graph below this node; returns this node's reference.

        The arguments are what the graph's `InputNode` stands for. Nothing is waited for: results
        flow from one call to the next as references.
        """
        return self.apply_recursive(lambda node: node._execute_impl(*args, **kwargs))

    def _execute_impl(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _copy_impl(
        self,
        args: Tuple[Any, ...],
        kwargs: Dict[str, Any],
        options: Dict[str, Any],
        other: Dict[str, Any],
    ) -> "DAGNode":
        raise NotImplementedError

    def _copy(
        self,
        args: Tuple[Any, ...],
        kwargs: Dict[str, Any],
        options: Dict[str, Any],
        other: Dict[str, Any],
    ) -> "DAGNode":
        copy = self._copy_impl(args, kwargs, options, other)
        copy._stable_uuid = self._stable_uuid
        return copy

    def experimental_compile(self, **options: Any) -> Any:
        """The graph as a `CompiledDAG`."""
        from iorun.dag.compiled import CompiledDAG

        return CompiledDAG(self, **options)

    def with_tensor_transport(self, transport: Any = "auto", **_: Any) -> "DAGNode":
        """Taken and ignored: values travel through shared memory, or between the nodes."""
        return self

    with_type_hint = with_tensor_transport

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """A node is bound already."""
        raise AttributeError(f".bind() cannot be used again on {type(self).__name__}")

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """A node is executed, not called."""
        raise AttributeError(
            f".remote() cannot be used on {type(self).__name__}s. Use .bind() instead to express "
            "a symbolic call, and .execute() on the graph."
        )

    def _name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return f"({self._name()}, {self._stable_uuid})"

    def __reduce__(self) -> Any:
        raise ValueError(
            "A graph cannot be sent to another process: execute it, and send the references."
        )
