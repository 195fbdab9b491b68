"""Ray Client's older names: a program attaches to an agent of its own machine."""

from __future__ import annotations

from typing import Any, Dict, Optional

from iorun import _init

__all__ = ["connect", "disconnect"]


def connect(
    conn_str: str,
    secure: bool = False,
    metadata: Any = None,
    connection_retries: int = 3,
    job_config: Any = None,
    namespace: Optional[str] = None,
    *,
    ignore_version: bool = False,
    _credentials: Any = None,
    ray_init_kwargs: Optional[Dict[str, Any]] = None,
) -> Dict[str, Any]:
    """`init("ray://" + conn_str)`: for this machine; another one's is refused with what to do."""
    address = conn_str if "://" in conn_str else f"ray://{conn_str}"
    options = dict(ray_init_kwargs or {})
    context = _init.init(address, job_config=job_config, namespace=namespace, **options)
    return dict(context.address_info)


def disconnect() -> None:
    """`shutdown()`."""
    _init.shutdown()
