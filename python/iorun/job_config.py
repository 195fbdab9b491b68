"""`JobConfig`: what `init(job_config=…)` takes."""

from __future__ import annotations

from typing import Any, Dict, Optional

__all__ = ["JobConfig"]


class JobConfig:
    """A namespace, a runtime environment and metadata of a job."""

    def __init__(
        self,
        runtime_env: Optional[Dict[str, Any]] = None,
        ray_namespace: Optional[str] = None,
        metadata: Optional[Dict[str, str]] = None,
        **_ignored: Any,
    ):
        self.runtime_env = runtime_env
        self.ray_namespace = ray_namespace
        self.metadata = dict(metadata or {})

    def set_runtime_env(self, runtime_env: Optional[Dict[str, Any]]) -> None:
        """Replaces the runtime environment."""
        self.runtime_env = runtime_env

    def set_ray_namespace(self, ray_namespace: str) -> None:
        """Replaces the namespace."""
        self.ray_namespace = ray_namespace

    def set_metadata(self, key: str, value: str) -> None:
        """Sets one entry of the metadata."""
        self.metadata[key] = value
