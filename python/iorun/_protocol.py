"""Which versions of the local protocol (proto/local.md) this SDK speaks. Nothing is imported here that a
zygote must not know."""

from __future__ import annotations

from typing import Any, Dict

NEWEST = 1
OLDEST = 1


def versions() -> Dict[str, int]:
    """What every `hello` says of them."""
    return {"protocol": NEWEST, "oldestProtocol": OLDEST}


def objection(answer: Dict[str, Any]) -> str:
    """Why this SDK cannot speak the version that the agent has chosen; empty where it can."""
    chosen = answer.get("protocol")
    if isinstance(chosen, int) and OLDEST <= chosen <= NEWEST:
        return ""
    own = str(NEWEST) if OLDEST == NEWEST else f"{OLDEST} to {NEWEST}"
    return (
        f"the node's agent speaks version {chosen} of the local protocol, this SDK {own}: install "
        "the same release of iorun for the program and for the node"
    )
