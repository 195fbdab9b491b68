"""Packages on their way to other machines: as objects of the driver.

Small packages travel in the document. A larger one is put as an object where the network has more
than one node; on a node that lacks it, the first worker fetches it, because a zygote, which has one
thread and no part in the objects, cannot.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from iorun._core import ops
from iorun._environment import cache, packing

if TYPE_CHECKING:
    from iorun._core.core_worker import CoreWorker

#: Seconds that a package may take to come.
PATIENCE = 600

# The references that this process has put into documents, by core and package.
_references: Dict[Tuple[bytes, str], List[str]] = {}
# What this process's zygote could not unpack: the package's entry, and the folder it belongs in.
_missing: List[Tuple[Mapping, str]] = []


def share(document: Dict[str, Any], core: "CoreWorker") -> Dict[str, Any]:
    """The document, its large packages with references where other nodes may need them."""
    entries = [*document.get("py_modules", ()), document.get("working_dir") or {}]
    large = [entry for entry in entries if "file" in entry and "reference" not in entry]
    if not large or not _is_needed_elsewhere(core):
        return document

    def shared(entry: Mapping) -> Mapping:
        return {**entry, "reference": _reference(entry, core)} if entry in large else entry

    document = dict(document)
    if "py_modules" in document:
        document["py_modules"] = [shared(entry) for entry in document["py_modules"]]
    if "working_dir" in document:
        document["working_dir"] = shared(document["working_dir"])
    return document


def _is_needed_elsewhere(core: "CoreWorker") -> bool:
    # A driver in a sandbox inherits its arena; no worker sees its files, not even on its own node.
    if str((core.hello.get("arena") or {}).get("path", "")).startswith("/proc/"):
        return True
    return len(core.request(ops.NODES, {})[0].get("nodes", ())) > 1


def _reference(entry: Mapping, core: "CoreWorker") -> List[str]:
    key = (core.worker_id, entry["package"])
    words = _references.get(key)
    if words is None:
        with open(entry["file"], "rb") as file:
            reference = core.put(file.read())
        # Nobody can count who has the text: the object stays for as long as its owner.
        node = core.objects.pin_for_ever(reference.binary())
        words = _references[key] = [reference.hex(), node.hex()]
    return words


def postpone(entry: Mapping, folder: str) -> None:
    """Leaves a package for `complete`: in the zygote."""
    _missing.append((entry, folder))


def is_complete() -> bool:
    """Whether nothing was postponed."""
    return not _missing


def complete(core: "CoreWorker") -> None:
    """Fetches and unpacks what the zygote could not: in a worker, before its first task.

    Raises what fetching and unpacking raise.
    """
    for entry, folder in _missing:
        # Of the workers of one zygote, which share the folder, one does it.
        lock = cache.Lock(folder + ".unpacking")
        lock.acquire(time.monotonic() + PATIENCE)
        try:
            done = folder + ".complete"
            if not os.path.exists(done):
                packing.unpack(_fetched(entry, core), folder)
                open(done, "w").close()
        finally:
            lock.release()
    if _missing:
        importlib.invalidate_caches()


def _fetched(entry: Mapping, core: "CoreWorker") -> str:
    archive = packing.package_file(entry["package"], entry["kind"])
    if not os.path.exists(archive):
        id, node = (bytes.fromhex(word) for word in entry["reference"])
        reference = core.objects.adopt(id, node)
        packing.store(archive, core.get([reference], PATIENCE)[0])
    return archive
