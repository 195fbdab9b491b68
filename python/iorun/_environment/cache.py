"""The folder that keeps packages and installed environments between runs, and its locks."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from typing import Iterator, List, Optional

#: Installed environments that are kept beyond those in use.
KEPT_ENVIRONMENTS = 16
#: Packages that are kept.
KEPT_PACKAGES = 64


def folder(*names: str) -> str:
    """A folder of the cache, made where it is missing."""
    root = os.environ.get("IORUN_CACHE_DIR")
    if not root:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        root = os.path.join(home, "iorun")
    path = os.path.join(root, *names)
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError:
        # A home that cannot be written to, as in some containers.
        path = os.path.join(tempfile.gettempdir(), f"iorun-cache-{os.getuid()}", *names)
        os.makedirs(path, mode=0o700, exist_ok=True)
    if os.stat(path).st_uid != os.getuid():
        raise PermissionError(
            f"the cache folder {path} belongs to another user: set IORUN_CACHE_DIR to one of yours"
        )
    return path


class Lock:
    """A lock on a file, of this process; the kernel lets go of it when the process ends."""

    def __init__(self, path: str):
        self.path = path
        self.fd: Optional[int] = None

    def try_acquire(self, shared: bool = False) -> bool:
        """Takes it unless somebody else has it; one that is held already changes its kind."""
        if self.fd is None:
            self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self.fd, kind | fcntl.LOCK_NB)
            # Whoever removes what a lock protects removes the lock's file first: a lock on a file
            # that is no longer there is one that nobody else sees.
            if os.fstat(self.fd).st_ino == os.stat(self.path).st_ino:
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        self.release()
        return False

    def acquire(self, deadline: float, shared: bool = False) -> None:
        """Waits for it. Raises TimeoutError at the deadline (of the monotonic clock)."""
        pause = 0.01
        while not self.try_acquire(shared):
            if time.monotonic() > deadline:
                raise TimeoutError(f"another process has held {self.path} for too long")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.25)

    def release(self) -> None:
        """Lets go of it."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


def trim_packages() -> None:
    """Removes the packages whose last use is longest ago."""
    place = folder("packages")
    for name in _oldest_first(place)[:-KEPT_PACKAGES]:
        try:
            os.unlink(os.path.join(place, name))
        except OSError:
            # Somebody else trims, too.
            continue


def trim_environments() -> None:
    """Removes installed environments that nobody uses, the longest unused first."""
    place = folder("environments")
    names = [name for name in _oldest_first(place) if not name.endswith(".lock")]
    for name in names[:-KEPT_ENVIRONMENTS]:
        _remove_unless_held(place, name)


def sweep_running() -> None:
    """Removes the folders of zygotes that are gone."""
    place = folder("running")
    for name in os.listdir(place):
        if not name.endswith(".lock"):
            _remove_unless_held(place, name)


def _remove_unless_held(place: str, name: str) -> None:
    path = os.path.join(place, name)
    lock = Lock(path + ".lock")
    if lock.try_acquire():
        # Out of the way at once: who wants the name again need not wait until all is removed.
        trash = tempfile.mkdtemp(prefix="trash-", dir=folder())
        try:
            os.rename(path, os.path.join(trash, "removed"))
        except FileNotFoundError:
            pass
        os.unlink(lock.path)
        lock.release()
        shutil.rmtree(trash, ignore_errors=True)


def _oldest_first(place: str) -> List[str]:
    def used(name: str) -> float:
        try:
            return os.stat(os.path.join(place, name)).st_mtime
        except OSError:
            return 0.0

    return sorted(os.listdir(place), key=used)


def held_folder() -> str:
    """A new folder for this process alone; what it holds goes some time after its end."""
    path = os.path.join(folder("running"), f"{os.getpid()}-{os.urandom(6).hex()}")
    lock = Lock(path + ".lock")
    # Locked before it is there: `sweep_running` of another process never sees it unlocked.
    lock.acquire(time.monotonic() + 10, shared=True)
    _held.append(lock)
    os.mkdir(path, 0o700)
    return path


def hold(lock: Lock) -> None:
    """Keeps a lock until this process ends."""
    _held.append(lock)


def held_descriptors() -> Iterator[int]:
    """The descriptors of locks that are kept: a forked child has to close them."""
    return (lock.fd for lock in _held if lock.fd is not None)


_held: List[Lock] = []
