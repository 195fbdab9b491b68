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
        default_actor_lifetime: str = "non_detached",
        **_ignored: Any,
    ):
        self.runtime_env = runtime_env
        self.ray_namespace = ray_namespace
        self.metadata = dict(metadata or {})
        self.set_default_actor_lifetime(default_actor_lifetime)

    def set_default_actor_lifetime(self, default_actor_lifetime: str) -> None:
        """ "detached" or "non_detached": of the actors that the driver makes without a lifetime."""
        if default_actor_lifetime not in ("detached", "non_detached"):
            raise ValueError(
                "Default actor lifetime must be one of `detached`, `non_detached`, got "
                f"{default_actor_lifetime!r}."
            )
        self.default_actor_lifetime = default_actor_lifetime

    def set_runtime_env(self, runtime_env: Optional[Dict[str, Any]]) -> None:
        """Replaces the runtime environment."""
        self.runtime_env = runtime_env

    def set_ray_namespace(self, ray_namespace: str) -> None:
        """Replaces the namespace."""
        self.ray_namespace = ray_namespace

    def set_metadata(self, key: str, value: str) -> None:
        """Sets one entry of the metadata."""
        self.metadata[key] = value

    @classmethod
    def from_json(cls, job_config_json: Dict[str, Any]) -> "JobConfig":
        """One of a dict's "runtime_env", "metadata" and "ray_namespace"."""
        known = ("runtime_env", "metadata", "ray_namespace", "default_actor_lifetime")
        return cls(**{key: job_config_json[key] for key in known if job_config_json.get(key)})
