"""`CompiledDAG`: a graph of actors' methods that was checked once and is then executed often.

Ray compiles such a graph into channels of its own. Here its calls are pipelined actor calls, which
cost one frame each, and results go from actor to actor without the driver's waiting for them.
"""

from __future__ import annotations

from typing import Any, List

from iorun import exceptions
from iorun.dag.class_node import ClassMethodNode, ClassNode
from iorun.dag.dag_node import DAGNode
from iorun.dag.function_node import FunctionNode
from iorun.dag.input_node import InputNode

__all__ = ["CompiledDAG"]

# Ray's options of channels; there are none here.
_IGNORED = {
    "_buffer_size_bytes",
    "_default_communicator",
    "_max_buffered_results",
    "_max_inflight_executions",
    "_overlap_gpu_communication",
    "_submit_timeout",
    "enable_asyncio",
}


class CompiledDAG:
    """A checked graph. `execute` returns references, for `get` and `await`."""

    def __init__(self, root: DAGNode, **options: Any):
        unknown = set(options) - _IGNORED
        if unknown:
            raise TypeError(f"experimental_compile has no option {', '.join(sorted(unknown))}.")
        nodes: List[DAGNode] = []
        root.apply_recursive(lambda node: nodes.append(node) or node)  # type: ignore[func-returns-value]
        if any(isinstance(node, FunctionNode) for node in nodes):
            raise NotImplementedError(
                "Compiled DAGs currently only support actor method nodes: a task has no process "
                "of its own. Execute the graph without compiling it."
            )
        if any(isinstance(node, ClassNode) for node in nodes):
            raise ValueError(
                "Compiled DAGs only support actors that exist: make them with .remote(), and bind "
                "their methods."
            )
        if not any(isinstance(node, InputNode) for node in nodes):
            raise NotImplementedError("Compiled DAGs currently require a InputNode.")
        self.actor_refs = {
            node.get_other_args_to_resolve()["parent_class_node"]
            for node in nodes
            if type(node) is ClassMethodNode
        }
        if not self.actor_refs:
            raise ValueError("A compiled DAG needs at least one actor's method.")
        self._root = root
        self._over = False

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Makes all calls of the graph; returns the reference (or the list of them)."""
        if self._over:
            raise exceptions.RayChannelError("The graph was torn down.")
        return self._root.execute(*args, **kwargs)

    async def execute_async(self, *args: Any, **kwargs: Any) -> Any:
        """As `execute`; what it returns can be awaited."""
        return self.execute(*args, **kwargs)

    def teardown(self, kill_actors: bool = False) -> None:
        """Ends the graph; `kill_actors` its actors, too."""
        self._over = True
        if kill_actors:
            import iorun

            for actor in self.actor_refs:
                iorun.kill(actor)

    def visualize(self, filename: str = "", format: str = "ascii", **_: Any) -> str:
        """The graph as text of the dot language, which Graphviz draws; written to a file if named."""
        lines = []

        def describe(node: DAGNode) -> DAGNode:
            lines.append(f'  "{node.get_stable_uuid()}" [label="{node._name()}"];')
            for child in node._get_all_child_nodes():
                lines.append(f'  "{child.get_stable_uuid()}" -> "{node.get_stable_uuid()}";')
            return node

        self._root.apply_recursive(describe)
        text = "\n".join(["digraph {", *lines, "}"])
        if filename:
            with open(f"{filename}.dot", "w") as file:
                file.write(text)
        return text
