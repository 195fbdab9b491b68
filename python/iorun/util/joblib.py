"""Lets joblib (and with it scikit-learn) run on the network: `with parallel_backend("ray")`."""

from __future__ import annotations

from typing import Any

__all__ = ["register_ray"]


def register_ray() -> None:
    """Makes the names `ray` and `iorun` known to `joblib.parallel_backend`."""
    try:
        from joblib._parallel_backends import MultiprocessingBackend
        from joblib.parallel import register_parallel_backend
        from joblib.pool import PicklingPool  # noqa: F401  (says early that joblib is too old)
    except ImportError as error:
        raise ImportError("register_ray needs joblib 1.0 or newer: pip install joblib.") from error
    import iorun
    from iorun.util.multiprocessing.pool import Pool

    class NetworkBackend(MultiprocessingBackend):
        """joblib's multiprocessing backend on the network's pool."""

        def __init__(self, *args: Any, ray_remote_args: Any = None, **options: Any):
            self._ray_remote_args = ray_remote_args
            super().__init__(*args, **options)

        def configure(
            self, n_jobs: int = 1, parallel: Any = None, prefer: Any = None, **_: Any
        ) -> int:
            n_jobs = self.effective_n_jobs(n_jobs)
            self._pool = Pool(n_jobs, ray_remote_args=self._ray_remote_args)
            self.parallel = parallel
            return n_jobs

        def effective_n_jobs(self, n_jobs: int) -> int:
            if not iorun.is_initialized():
                iorun.init()
            cpus = max(1, int(iorun.cluster_resources().get("CPU", 1)))
            if n_jobs is None or n_jobs < 0:
                return cpus
            return max(1, min(n_jobs, cpus))

    register_parallel_backend("ray", NetworkBackend)
    register_parallel_backend("iorun", NetworkBackend)
