"""`request_resources`, which programs call before they need many machines."""

from __future__ import annotations

import logging
from typing import Any, Dict, List, Optional

__all__ = ["request_resources"]

logger = logging.getLogger("iorun")


def request_resources(
    num_cpus: Optional[int] = None,
    bundles: Optional[List[Dict[str, Any]]] = None,
    bundle_label_selectors: Optional[List[Dict[str, str]]] = None,
) -> None:
    """Takes the wish and says that nobody starts machines for it: nodes join by `iorun join`.

    Raises TypeError where the arguments have no meaning to Ray either.
    """
    if num_cpus is not None and not isinstance(num_cpus, int):
        raise TypeError(f"num_cpus should be of type int, not {type(num_cpus).__name__}.")
    for name, given in (("bundles", bundles), ("bundle_label_selectors", bundle_label_selectors)):
        if given is not None and not (
            isinstance(given, list) and all(isinstance(entry, dict) for entry in given)
        ):
            raise TypeError(f"{name} should be of type List[Dict].")
    logger.info("request_resources: nodes join by `iorun join`; nobody starts machines for this.")
