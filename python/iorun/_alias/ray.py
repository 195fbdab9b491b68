"""`import ray` where this folder is on the path: `iorun` takes the name."""

from iorun import as_ray

as_ray.install()
