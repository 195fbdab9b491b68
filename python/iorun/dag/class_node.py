"""`ClassNode` and `ClassMethodNode`: an actor that the graph makes, and calls of actors' methods."""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

from iorun.dag import scanning
from iorun.dag.dag_node import DAGNode
from iorun.dag.input_node import InputAttributeNode, InputNode

__all__ = [
    "PARENT_CLASS_NODE_KEY",
    "PREV_CLASS_METHOD_CALL_KEY",
    "ClassMethodNode",
    "ClassNode",
]

PARENT_CLASS_NODE_KEY = "parent_class_node"
PREV_CLASS_METHOD_CALL_KEY = "prev_class_method_call"
_OUTPUT_OF = "output_of"


class ClassNode(DAGNode):
    """What `A.bind(...)` makes: an actor, made anew by each execution."""

    def __init__(
        self,
        actor_class: Any,
        args: Tuple[Any, ...],
        kwargs: Dict[str, Any],
        options: Dict[str, Any],
    ):
        super().__init__(args, kwargs, options)
        self._actor_class = actor_class
        self._last_call: Optional[ClassMethodNode] = None
        inputs = (InputNode, InputAttributeNode)
        if any(isinstance(child, inputs) for child in scanning.find([args, kwargs], DAGNode)):
            raise ValueError(
                "InputNode handles user dynamic input the the DAG, and cannot be used as args, "
                "kwargs, or other_args_to_resolve in ClassNode constructor because it is not "
                "available at class construction or binding time."
            )

    def _copy_impl(self, args: Any, kwargs: Any, options: Any, other: Any) -> DAGNode:
        return ClassNode(self._actor_class, args, kwargs, options)

    def _execute_impl(self, *_: Any, **__: Any) -> Any:
        return self._actor_class.options(**self._bound_options).remote(
            *self._bound_args, **self._bound_kwargs
        )

    def __getattribute__(self, name: str) -> Any:
        # As an attribute that is not there at all; Ray's programs ask for it in this way.
        if name == "remote":
            raise AttributeError(f"'{self._actor_class.__name__}' has no attribute 'remote'")
        return super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._actor_class._methods:
            raise AttributeError(f"'{self._actor_class.__name__}' has no attribute '{name}'")
        return _UnboundMethod(self, name, {})

    def _name(self) -> str:
        return f"ClassNode, {self._actor_class.__name__}"


class _UnboundMethod:
    """A method of an actor that the graph makes."""

    def __init__(self, owner: ClassNode, name: str, options: Dict[str, Any]):
        self._owner = owner
        self._method = name
        self._options = options

    def options(self, **options: Any) -> "_UnboundMethod":
        """The same method with options."""
        return _UnboundMethod(self._owner, self._method, options)

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """A call of the method; calls run in the order in which they were bound."""
        owner = self._owner
        node = ClassMethodNode(
            self._method,
            args,
            kwargs,
            self._options,
            {
                PARENT_CLASS_NODE_KEY: owner,
                PREV_CLASS_METHOD_CALL_KEY: owner._last_call,
            },
        )
        owner._last_call = node
        returns = self._options.get("num_returns") or owner._actor_class._methods[self._method].get(
            "returns"
        )
        return node._outputs(returns)

    def __getattr__(self, name: str) -> Any:
        if name == "remote":
            raise AttributeError(
                ".remote() cannot be used on ClassMethodNodes. Use .bind() instead to express a "
                "symbolic call."
            )
        raise AttributeError(name)


class ClassMethodNode(DAGNode):
    """What `actor.method.bind(...)` makes, of an actor of the graph or of one that exists."""

    def __init__(
        self,
        method_name: str,
        args: Tuple[Any, ...],
        kwargs: Dict[str, Any],
        options: Dict[str, Any],
        other_args_to_resolve: Dict[str, Any],
    ):
        super().__init__(args, kwargs, options, other_args_to_resolve)
        self._method_name = method_name

    def _outputs(self, returns: Any) -> Any:
        """The node itself, or a node for each of its results."""
        if not isinstance(returns, int) or returns <= 1:
            return self
        return tuple(_ResultNode(self, index) for index in range(returns))

    def get_method_name(self) -> str:
        """The method."""
        return self._method_name

    def _copy_impl(self, args: Any, kwargs: Any, options: Any, other: Any) -> DAGNode:
        return ClassMethodNode(self._method_name, args, kwargs, options, other)

    def _execute_impl(self, *_: Any, **__: Any) -> Any:
        actor = self._bound_other_args_to_resolve[PARENT_CLASS_NODE_KEY]
        method = getattr(actor, self._method_name)
        if self._bound_options:
            method = method.options(**self._bound_options)
        return method.remote(*self._bound_args, **self._bound_kwargs)

    def _name(self) -> str:
        return f"ClassMethodNode, {self._method_name}"


class _ResultNode(ClassMethodNode):
    """One of several results of a call."""

    def __init__(self, call: Any, index: int):
        DAGNode.__init__(self, (), {}, {}, {_OUTPUT_OF: call})
        self._index = index

    def _copy_impl(self, args: Any, kwargs: Any, options: Any, other: Any) -> DAGNode:
        return _ResultNode(other[_OUTPUT_OF], self._index)

    def _execute_impl(self, *_: Any, **__: Any) -> Any:
        return self._bound_other_args_to_resolve[_OUTPUT_OF][self._index]

    def _name(self) -> str:
        return f"ClassMethodNode, result {self._index}"
