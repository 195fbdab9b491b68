"""Where a task or an actor may run: values for the option `scheduling_strategy`."""

from __future__ import annotations

import re
from typing import Any, Dict, Optional, Union

__all__ = [
    "DoesNotExist",
    "Exists",
    "In",
    "NodeAffinitySchedulingStrategy",
    "NodeLabelSchedulingStrategy",
    "NotIn",
    "PlacementGroupSchedulingStrategy",
    "SchedulingStrategyT",
]


class PlacementGroupSchedulingStrategy:
    """Runs in a bundle of a placement group; `-1` means any bundle that has room."""

    def __init__(
        self,
        placement_group: Any,
        placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: Optional[bool] = None,
    ):
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks


class NodeAffinitySchedulingStrategy:
    """Runs on one node. A soft one goes elsewhere when the node is gone or can never hold it;
    with `_spill_on_unavailable` also while it has no room. With `_fail_on_unavailable` it is an
    error where the node has no room."""

    def __init__(
        self,
        node_id: Any,
        soft: bool,
        _spill_on_unavailable: bool = False,
        _fail_on_unavailable: bool = False,
    ):
        # `NodeID` values and their hexadecimal text are both taken.
        self.node_id = node_id.hex() if not isinstance(node_id, str) else node_id
        self.soft = soft
        if _fail_on_unavailable and soft:
            raise ValueError("_fail_on_unavailable cannot be set when soft is True.")
        if _spill_on_unavailable and not soft:
            raise ValueError("_spill_on_unavailable cannot be set when soft is False.")
        if not re.fullmatch("[0-9a-fA-F]{32}", self.node_id):
            raise ValueError(
                f"Invalid node_id {self.node_id!r}: the id of a node has 32 hexadecimal digits; "
                "nodes() and get_runtime_context().get_node_id() say which there are."
            )
        self._spill_on_unavailable = _spill_on_unavailable
        self._fail_on_unavailable = _fail_on_unavailable


class _LabelMatch:
    """A condition on the value of one label, with a text that the scheduler understands."""

    def __init__(self, *values: str):
        for value in values:
            if not isinstance(value, str):
                raise ValueError(
                    f"{type(self).__name__} takes texts, not {type(value).__name__}: {value!r}."
                )
        self.values = list(values)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.values == other.values

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.values))})"

    def selector(self) -> str:
        """The condition in the notation of `label_selector`."""
        raise NotImplementedError


class In(_LabelMatch):
    """The label has one of these values."""

    def selector(self) -> str:
        return f"in({','.join(self.values)})"


class NotIn(_LabelMatch):
    """The label has none of these values."""

    def selector(self) -> str:
        return f"!in({','.join(self.values)})"


class Exists(_LabelMatch):
    """The label exists."""

    def __init__(self) -> None:
        super().__init__()

    def selector(self) -> str:
        return "*"


class DoesNotExist(_LabelMatch):
    """The label does not exist."""

    def __init__(self) -> None:
        super().__init__()

    def selector(self) -> str:
        return "!*"


LabelMatchExpressions = Dict[str, Union[In, NotIn, Exists, DoesNotExist]]


class NodeLabelSchedulingStrategy:
    """Runs on a node whose labels match all of `hard`, if possible also all of `soft`."""

    def __init__(
        self, hard: LabelMatchExpressions, *, soft: Optional[LabelMatchExpressions] = None
    ):
        self.hard = _checked("hard", hard)
        self.soft = _checked("soft", soft)
        if not self.hard and not self.soft:
            raise ValueError(
                "The `hard` and `soft` parameter of NodeLabelSchedulingStrategy cannot both be "
                "empty."
            )

    def selectors(self) -> tuple:
        """The strictest selector first and, where `soft` says more than `hard`, what may follow."""
        hard = {key: match.selector() for key, match in self.hard.items()}
        if not self.soft:
            return hard, []
        both = {**hard, **{key: match.selector() for key, match in self.soft.items()}}
        return both, [{"label_selector": hard}]


def _checked(name: str, matches: Optional[LabelMatchExpressions]) -> LabelMatchExpressions:
    if matches is None:
        return {}
    if not isinstance(matches, dict):
        raise ValueError(
            f"The {name} parameter of NodeLabelSchedulingStrategy must be a map (e.g. "
            f'{{"key1": In("value1")}}), got type {type(matches)}.'
        )
    for key, match in matches.items():
        if not isinstance(key, str):
            raise ValueError(f"A key of the {name} parameter must be a text, not {key!r}.")
        if not isinstance(match, _LabelMatch):
            raise ValueError(
                f"The value of {key!r} in the {name} parameter must be In, NotIn, Exists or "
                f"DoesNotExist, not {match!r}."
            )
        if isinstance(match, (In, NotIn)) and not match.values:
            raise ValueError(f"{match!r} for {key!r} in the {name} parameter has no values.")
    return dict(matches)


SchedulingStrategyT = Union[
    None,
    str,
    PlacementGroupSchedulingStrategy,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
]
