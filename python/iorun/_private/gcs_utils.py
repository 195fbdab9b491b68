"""Names of states that tests compare with those of `util.state`: texts, here as there."""

from __future__ import annotations

__all__ = ["ActorTableData", "PlacementGroupTableData"]


class ActorTableData:
    """States of actors."""

    DEPENDENCIES_UNREADY = "DEPENDENCIES_UNREADY"
    PENDING_CREATION = "PENDING_CREATION"
    ALIVE = "ALIVE"
    RESTARTING = "RESTARTING"
    DEAD = "DEAD"


class PlacementGroupTableData:
    """States of placement groups."""

    PENDING = "PENDING"
    PREPARED = "PREPARED"
    CREATED = "CREATED"
    REMOVED = "REMOVED"
    RESCHEDULING = "RESCHEDULING"
