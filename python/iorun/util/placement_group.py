"""Placement groups: bundles of resources that are reserved on one or several nodes, all or none."""

from __future__ import annotations

import logging
import warnings
from typing import Any, Dict, List, Optional

import iorun
from iorun._init import connected_worker
from iorun.ids import PlacementGroupID
from iorun.util import _group_requests as requests

__all__ = [
    "PlacementGroup",
    "get_current_placement_group",
    "get_placement_group",
    "placement_group",
    "placement_group_table",
    "remove_placement_group",
    "validate_placement_group",
]

logger = logging.getLogger(__name__)

VALID_PLACEMENT_GROUP_STRATEGIES = {"PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD", "SITE"}

_ONE_NODE_DOES = {"PACK", "SPREAD", "STRICT_PACK"}

_NODE_ID_LABEL = "ray.io/node-id"


class PlacementGroup:
    """A handle to a placement group; it can be passed to tasks and actors."""

    def __init__(
        self,
        id: PlacementGroupID,
        bundle_cache: Optional[List[Dict]] = None,
        _creation: Optional[requests.Asked] = None,
        _about: Optional[Dict[str, str]] = None,
    ):
        self._id = id
        self.bundle_cache = bundle_cache
        # Until the head has heard of it.
        self._creation = _creation
        # Its name and strategy, which the head forgets with a removed group.
        self._about = _about or {}

    @property
    def id(self) -> PlacementGroupID:
        """Its id; whoever has it may name the group to the head, which knows it by then."""
        if self._creation is not None:
            self._created(None)
        return self._id

    def _created(self, timeout: Optional[float]) -> bool:
        """Waits until the head has answered; whether all bundles were reserved by then."""
        creation = self._creation
        if creation is None:
            return False
        answer = creation.answer(timeout)
        if answer is None:
            return False
        self._creation = None
        return answer.get("state") == "CREATED"

    def __reduce__(self) -> tuple:
        return PlacementGroup, (self.id, self.bundle_cache, None, self._about)

    @staticmethod
    def empty() -> "PlacementGroup":
        """The group of no bundles: as an option it means "no group"."""
        return PlacementGroup(PlacementGroupID.nil())

    @property
    def is_empty(self) -> bool:
        """Whether this is `empty()`."""
        return self._id.is_nil()

    def ready(self) -> Any:
        """A ref that is ready when all bundles are reserved; its value is the group.

        Where no set of today's nodes can hold them it waits for a node to join, as Ray's does.
        """
        if self.is_empty:
            return iorun.put(self)
        # A task inside the group: it runs as soon as the group has its bundles, and fails with
        # it. It needs no resources of its own.
        return _when_ready.options(
            num_cpus=0,
            max_retries=0,
            name="PlacementGroup.ready",
            scheduling_strategy=iorun.util.scheduling_strategies.PlacementGroupSchedulingStrategy(
                self, -1
            ),
        ).remote(self)

    def wait(self, timeout_seconds: Optional[float] = 30) -> bool:
        """Whether the bundles were reserved within that time (None or negative: however long)."""
        if self.is_empty:
            return True
        forever = timeout_seconds is None or timeout_seconds < 0
        if self._created(None if forever else timeout_seconds):
            return True
        if self._creation is not None:
            return False
        answer = requests.ask(
            requests.WAIT,
            {
                "group": self.id.hex(),
                "timeoutMilliseconds": -1 if forever else int(timeout_seconds * 1000),
            },
        )
        return answer.get("state") == "CREATED"

    @property
    def bundle_specs(self) -> List[Dict]:
        """The resources of each bundle."""
        if self.bundle_cache is None:
            if self.is_empty:
                return []
            groups = requests.ask(requests.TABLE, {"group": self.id.hex()}).get("groups", [])
            if not groups:
                raise ValueError(f"The placement group {self.id.hex()} does not exist any more.")
            self.bundle_cache = [dict(bundle["resources"]) for bundle in groups[0]["bundles"]]
        return self.bundle_cache

    @property
    def bundle_count(self) -> int:
        """How many bundles there are."""
        return len(self.bundle_specs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"PlacementGroup({self.id.hex()})"


def validate_placement_group(
    bundles: List[Dict[str, float]],
    strategy: Optional[str] = None,
    lifetime: Optional[str] = None,
    _soft_target_node_id: Optional[str] = None,
    bundle_label_selector: Optional[List[Dict[str, str]]] = None,
    topology_strategy: Optional[Dict[str, str]] = None,
) -> bool:
    """Raises ValueError where `placement_group` would; else True."""
    strategy = _node_strategy(strategy, topology_strategy)
    _validate(bundles, strategy, lifetime, _soft_target_node_id, bundle_label_selector)
    return True


def _validate(
    bundles: List[Dict[str, float]],
    strategy: str,
    lifetime: Optional[str],
    _soft_target_node_id: Optional[str],
    labels: Optional[List[Dict[str, str]]],
) -> None:
    if _soft_target_node_id and strategy != "STRICT_PACK":
        raise ValueError(
            f"_soft_target_node_id currently only works with STRICT_PACK but got {strategy}"
        )
    _validate_bundles(bundles)
    if lifetime not in (None, "detached"):
        raise ValueError(
            "Placement group `lifetime` argument must be either `None` or 'detached'. Got "
            f"{lifetime}."
        )
    if labels and len(labels) != len(bundles):
        raise ValueError(
            f"Invalid bundle label selector {labels}. The length of `bundle_label_selector` "
            "should equal the length of `bundles`."
        )


def placement_group(
    bundles: List[Dict[str, float]],
    strategy: Optional[str] = None,
    name: str = "",
    lifetime: Optional[str] = None,
    _soft_target_node_id: Optional[str] = None,
    bundle_label_selector: Optional[List[Dict[str, str]]] = None,
    topology_strategy: Optional[Dict[str, str]] = None,
    max_round_trip_ms: Optional[float] = None,
) -> PlacementGroup:
    """Asks for a placement group, and returns its handle at once.

    `strategy`: PACK (few nodes), SPREAD (many nodes), STRICT_PACK (one node), STRICT_SPREAD (a
    node of its own for each bundle), or SITE (nodes whose measured round trips to each other are
    at most `max_round_trip_ms`). The group ends with the job unless `lifetime="detached"`.
    With `_soft_target_node_id` a STRICT_PACK group is made on that node where it has room now.
    Where no set of the nodes there are can hold it, a warning says what comes nearest, and the
    group stays pending until a node joins that makes it possible.
    """
    strategy = _node_strategy(strategy, topology_strategy)
    _validate(bundles, strategy, lifetime, _soft_target_node_id, bundle_label_selector)
    labels = bundle_label_selector or []
    about = {"name": name or "", "strategy": strategy}
    group = PlacementGroupID.from_random()
    specs = [{key: float(value) for key, value in bundle.items()} for bundle in bundles]
    request: Dict[str, Any] = {
        "group": group.hex(),
        "bundles": specs,
        "strategy": strategy,
        "labels": labels,
        "name": name or "",
        "detached": lifetime == "detached",
    }
    if max_round_trip_ms is not None:
        request["maxRoundTripMilliseconds"] = max_round_trip_ms
    if _soft_target_node_id and _is_made_on(request, _soft_target_node_id):
        return PlacementGroup(group, specs, None, about)
    group = PlacementGroupID.from_hex(request["group"])
    # A group that one node like this can hold is no impossible one, and needs no answer yet.
    if not name and not labels and strategy in _ONE_NODE_DOES and requests.fits_here(specs):
        return PlacementGroup(group, specs, requests.Asked(requests.CREATE, request), about)
    answer = requests.ask(requests.CREATE, request)
    if answer.get("state") == "INFEASIBLE":
        logger.warning(
            "Placement group %s waits for a node to join: no set of today's nodes can hold it. %s",
            name or group.hex(),
            answer.get("reason", ""),
        )
    return PlacementGroup(group, specs, None, about)


def _is_made_on(request: Dict[str, Any], node: str) -> bool:
    """Whether the group could be made on this node at once; else nothing is left of the attempt."""
    wanted = {_NODE_ID_LABEL: node}
    labels = [
        {**label, **wanted} for label in request["labels"] or [{} for _ in request["bundles"]]
    ]
    answer = requests.ask(requests.CREATE, {**request, "labels": labels})
    if answer.get("state") == "CREATED":
        return True
    requests.remove(request["group"])
    # The head keeps the ids of those that were removed.
    request["group"] = PlacementGroupID.from_random().hex()
    return False


def remove_placement_group(placement_group: PlacementGroup) -> None:
    """Gives the bundles back; tasks and actors in the group end with an error."""
    if placement_group is None:
        raise ValueError("remove_placement_group needs a placement group, not None.")
    if not placement_group.is_empty:
        requests.remove(placement_group.id.hex())


def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """The group of this name; `ValueError` where there is none."""
    if not placement_group_name:
        raise ValueError("Please supply a non-empty value to get_placement_group")
    try:
        found = requests.ask(requests.NAMED, {"name": placement_group_name})
    except Exception as error:
        if getattr(error, "code", None) != "IOR-1305":
            raise
        raise ValueError(
            f"Failed to look up placement group with name: {placement_group_name}"
        ) from None
    return PlacementGroup(
        PlacementGroupID.from_hex(found["group"]),
        [dict(bundle["resources"]) for bundle in found["bundles"]],
        None,
        {"name": found.get("name", ""), "strategy": found.get("strategy", "")},
    )


def placement_group_table(placement_group: Optional[PlacementGroup] = None) -> dict:
    """What is known of one group, or of all of them by id."""
    if placement_group is None:
        groups = requests.ask(requests.TABLE, {}).get("groups", [])
        return {group["group"]: _table_row(group) for group in groups}
    try:
        groups = requests.ask(requests.TABLE, {"group": placement_group.id.hex()}).get("groups", [])
    except Exception as error:
        if getattr(error, "code", None) != "IOR-1305":
            raise
        groups = []
    if groups:
        return _table_row(groups[0])
    # The head forgets a removed group; who holds its handle knows that it existed.
    bundles = [{"resources": bundle} for bundle in placement_group.bundle_cache or []]
    known = {"group": placement_group.id.hex(), "state": "REMOVED", "bundles": bundles}
    return _table_row({**placement_group._about, **known})


def get_current_placement_group() -> Optional[PlacementGroup]:
    """The group that this task or actor runs in; None where there is none, and in drivers."""
    context = connected_worker().context()
    group = getattr(context, "group", None)
    return None if group is None else PlacementGroup(PlacementGroupID(bytes(group)))


def check_placement_group_index(placement_group: PlacementGroup, bundle_index: int) -> None:
    """Raises `ValueError` where the group has no such bundle (-1: any)."""
    if placement_group.is_empty:
        if bundle_index != -1:
            raise ValueError("If placement group is not set, the value of bundle index must be -1.")
    elif not -1 <= bundle_index < placement_group.bundle_count:
        raise ValueError(
            f"placement group bundle index {bundle_index} is invalid. Valid placement group "
            f"indexes: 0-{placement_group.bundle_count - 1}"
        )


@iorun.remote
def _when_ready(group: PlacementGroup) -> PlacementGroup:
    return group


#: The head's words -> Ray's.
_STATES = {"CREATED": "FINISHED", "PENDING": "NO_RESOURCES"}


def _table_row(group: dict) -> dict:
    bundles = group.get("bundles", [])
    state = group.get("state", "")
    return {
        "placement_group_id": group["group"],
        "name": group.get("name", ""),
        "bundles": {
            index: {name: float(amount) for name, amount in bundle["resources"].items()}
            for index, bundle in enumerate(bundles)
        },
        "bundles_to_node_id": {
            index: bundle.get("node") or "" for index, bundle in enumerate(bundles)
        },
        "strategy": group.get("strategy", ""),
        # One that no set of today's nodes can hold waits for others.
        "state": "PENDING" if state == "INFEASIBLE" else state,
        "stats": {"scheduling_state": _STATES.get(state, state)},
    }


def _node_strategy(strategy: Optional[str], topology: Optional[Dict[str, str]]) -> str:
    if topology is not None:
        if strategy is not None:
            raise ValueError("`strategy` and `topology_strategy` cannot both be specified.")
        others = [label for label in topology if label != _NODE_ID_LABEL]
        if others:
            raise ValueError(
                f"topology_strategy takes {_NODE_ID_LABEL} alone, not {others}; use the strategy "
                "SITE for nodes that are close to each other."
            )
        strategy = topology.get(_NODE_ID_LABEL)
    strategy = strategy or "PACK"
    if strategy not in VALID_PLACEMENT_GROUP_STRATEGIES:
        raise ValueError(
            f"Invalid placement group strategy {strategy}. Supported strategies are: "
            f"{sorted(VALID_PLACEMENT_GROUP_STRATEGIES)}."
        )
    return strategy


def _validate_bundles(bundles: Any) -> None:
    if not isinstance(bundles, list):
        raise ValueError(f"Placement group bundles must be a list, got {type(bundles)}.")
    if not bundles:
        raise ValueError(
            "Bundles must be a non-empty list of resource dictionaries. For example: "
            '`[{"CPU": 1.0}, {"GPU": 1.0}]`. Got empty list instead.'
        )
    for bundle in bundles:
        if (
            not isinstance(bundle, dict)
            or not all(isinstance(key, str) for key in bundle)
            or not all(isinstance(amount, (int, float)) for amount in bundle.values())
        ):
            raise ValueError(
                "Bundles must be a non-empty list of resource dictionaries. For example: "
                f'`[{{"CPU": 1.0}}, {{"GPU": 1.0}}]`. Got {bundle!r} instead.'
            )
        if "bundle" in bundle:
            raise ValueError(f"A bundle cannot ask for the resource 'bundle': {bundle}.")
        if not any(amount > 0 for amount in bundle.values()):
            raise ValueError(
                "Bundles cannot be an empty dictionary or resources with only 0 values. Bundles: "
                f"{bundles}"
            )
        if "object_store_memory" in bundle:
            warnings.warn(
                "Setting 'object_store_memory' for bundles is deprecated since it doesn't actually "
                "reserve the required object store memory: objects that do not fit are spilled.",
                DeprecationWarning,
                stacklevel=4,
            )
        if any(amount < 0 for amount in bundle.values()):
            raise ValueError(f"A bundle cannot have less than nothing of a resource: {bundle}.")
