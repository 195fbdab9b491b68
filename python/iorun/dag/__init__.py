"""Graphs of calls that are written once and executed often: `bind` instead of `remote`."""

from __future__ import annotations

from iorun.dag.class_node import (
    PARENT_CLASS_NODE_KEY,
    PREV_CLASS_METHOD_CALL_KEY,
    ClassMethodNode,
    ClassNode,
)
from iorun.dag.compiled import CompiledDAG
from iorun.dag.constants import (
    BIND_INDEX_KEY,
    COLLECTIVE_OPERATION_KEY,
    DAGNODE_TYPE_KEY,
    IS_CLASS_METHOD_OUTPUT_KEY,
)
from iorun.dag.context import DAGContext
from iorun.dag.dag_node import DAGNode
from iorun.dag.function_node import FunctionNode
from iorun.dag.input_node import DAGInputData, InputAttributeNode, InputNode
from iorun.dag.output_node import MultiOutputNode

__all__ = [
    "BIND_INDEX_KEY",
    "COLLECTIVE_OPERATION_KEY",
    "DAGContext",
    "DAGNODE_TYPE_KEY",
    "IS_CLASS_METHOD_OUTPUT_KEY",
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
