"""Graphs of calls that are written once and executed often: `bind` instead of `remote`."""

from __future__ import annotations

from iorun.dag.class_node import (
    PARENT_CLASS_NODE_KEY,
    PREV_CLASS_METHOD_CALL_KEY,
    ClassMethodNode,
    ClassNode,
)
from iorun.dag.compiled import CompiledDAG
from iorun.dag.dag_node import DAGNode
from iorun.dag.function_node import FunctionNode
from iorun.dag.input_node import DAGInputData, InputAttributeNode, InputNode
from iorun.dag.output_node import MultiOutputNode

__all__ = [
    "PARENT_CLASS_NODE_KEY",
    "PREV_CLASS_METHOD_CALL_KEY",
    "ClassMethodNode",
    "ClassNode",
    "CompiledDAG",
    "DAGInputData",
    "DAGNode",
    "FunctionNode",
    "InputAttributeNode",
    "InputNode",
    "MultiOutputNode",
]
