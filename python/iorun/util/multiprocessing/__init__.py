"""The standard library's `multiprocessing.Pool`, whose processes may be on any node."""

from multiprocessing import JoinableQueue, TimeoutError

from .pool import Pool

__all__ = ["JoinableQueue", "Pool", "TimeoutError"]
