"""`InputNode`: what a graph is executed with."""

from __future__ import annotations

from typing import Any, Dict, Tuple, Union

from iorun.dag.dag_node import DAGNode

__all__ = ["DAGInputData", "InputAttributeNode", "InputNode"]


class DAGInputData:
    """Several arguments of `execute`, as one value: `data[0]`, `data["name"]`."""

    def __init__(self, *args: Any, **kwargs: Any):
        self._args = list(args)
        self._kwargs = kwargs

    def __getitem__(self, key: Union[int, str]) -> Any:
        if isinstance(key, int):
            return self._args[key]
        if isinstance(key, str):
            return self._kwargs[key]
        raise ValueError("Please only use int index or str as first-level key to access fields.")


class InputNode(DAGNode):
    """Stands for what `execute` is given; used as `with InputNode() as input:`.

    `input` is the only argument (or all of them, as `DAGInputData`); `input[0]`, `input["name"]`
    and `input.name` are parts of it.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        if args or kwargs:
            raise ValueError("InputNode should not take any args or kwargs.")
        super().__init__((), {}, {})
        self._in_context = False

    def __enter__(self) -> "InputNode":
        self._in_context = True
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def _copy_impl(self, args: Any, kwargs: Any, options: Any, other: Any) -> DAGNode:
        copy = InputNode()
        copy._in_context = self._in_context
        return copy

    def _check(self, fn: Any) -> None:
        if fn.input_uuid not in (None, self._stable_uuid):
            raise AssertionError("Each DAG should only have one unique InputNode.")
        fn.input_uuid = self._stable_uuid

    def _execute_impl(self, *args: Any, **kwargs: Any) -> Any:
        if not self._in_context:
            raise AssertionError(
                "InputNode is a singleton instance that should be only used in context manager "
                "for dag building and execution: `with InputNode() as input:`."
            )
        if len(args) == 1 and not kwargs:
            return args[0]
        return DAGInputData(*args, **kwargs)

    def __getitem__(self, key: Any) -> "InputAttributeNode":
        if not isinstance(key, (int, str)):
            raise AssertionError(
                "Please only use int index or str as first-level key to access fields of dag input."
            )
        return InputAttributeNode(self, key, "__getitem__")

    def __getattr__(self, name: str) -> "InputAttributeNode":
        if name.startswith("_"):
            raise AttributeError(name)
        return InputAttributeNode(self, name, "__getattr__")

    def __iter__(self) -> Any:
        raise TypeError("An InputNode is not iterable: use its parts, such as input[0].")


class InputAttributeNode(DAGNode):
    """One part of the input."""

    def __init__(self, input: Any, key: Any, accessor: str):
        super().__init__((), {}, {}, {"dag_input_node": input})
        self._key = key
        self._accessor = accessor

    def _copy_impl(
        self,
        args: Tuple[Any, ...],
        kwargs: Dict[str, Any],
        options: Dict[str, Any],
        other: Dict[str, Any],
    ) -> DAGNode:
        return InputAttributeNode(other["dag_input_node"], self._key, self._accessor)

    def _execute_impl(self, *_: Any, **__: Any) -> Any:
        data = self._bound_other_args_to_resolve["dag_input_node"]
        if isinstance(data, DAGInputData) or self._accessor == "__getitem__":
            return data[self._key]
        return getattr(data, self._key)

    def __getitem__(self, key: Any) -> "InputAttributeNode":
        return InputAttributeNode(self, key, "__getitem__")

    @property
    def key(self) -> Any:
        """Which part."""
        return self._key

    def _name(self) -> str:
        return f"InputAttributeNode, {self._key!r}"
