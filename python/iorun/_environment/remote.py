"""Archives of the web as packages: fetched once by the program that names them.

Nodes fetch nothing: they get the package from the program, by its content, as they get its folders.
"""

from __future__ import annotations

import functools
import os
import time
import urllib.parse
import zipfile
from typing import Any

from iorun._environment import cache, packing

__all__ = ["fetch", "is_remote"]

_TIMEOUT_SECONDS = 30.0
#: The longest that one archive may take to come.
_DEADLINE_SECONDS = 600.0
_BLOCK = 1 << 20


def is_remote(path: Any) -> bool:
    """Whether it is the address of an archive on the web."""
    return isinstance(path, str) and path.startswith(("http://", "https://"))


def check(uri: str, field: str) -> str:
    """The address as it is. Raises ValueError where it cannot be one of an archive."""
    parts = urllib.parse.urlsplit(uri)
    if not parts.hostname:
        raise ValueError(f"runtime_env[{field!r}]: {uri!r} names no host.")
    if not parts.path.endswith((".zip", ".whl")):
        raise ValueError(
            f"runtime_env[{field!r}]: {uri!r} must be the address of a .zip or .whl file."
        )
    return uri


@functools.lru_cache(maxsize=64)
def fetch(uri: str) -> str:
    """The file on this machine; once in a program. As in Ray, a zip whose content is one folder is
    what is in that folder. Raises ValueError where it does not come, is too large or no archive."""
    suffix = ".whl" if urllib.parse.urlsplit(uri).path.endswith(".whl") else ".zip"
    folder = cache.folder("downloads")
    target = os.path.join(folder, f"{os.getpid()}-{time.time_ns()}{suffix}")
    try:
        _download(uri, target)
        if not zipfile.is_zipfile(target):
            raise ValueError(f"{uri} of a runtime_env is no zip archive.")
        if suffix == ".zip":
            _strip(uri, target)
        package = packing.pack(target, [], as_module=False)
    finally:
        if os.path.exists(target):
            os.unlink(target)
    return package.file


def _opener() -> Any:
    # Here, because they are slow to load and hardly ever wanted.
    import urllib.request

    class NoOtherSchemes(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, request: Any, *arguments: Any) -> Any:
            target = str(arguments[-1])
            # Nor from a secure connection to one that is none.
            if not target.startswith("https://") and (
                request.type == "https" or not target.startswith("http://")
            ):
                raise ValueError(f"{request.full_url} of a runtime_env leads to {target}.")
            return super().redirect_request(request, *arguments)

    return urllib.request.build_opener(NoOtherSchemes)


def _download(uri: str, target: str) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    opener = _opener()
    size = 0
    try:
        with opener.open(uri, timeout=_TIMEOUT_SECONDS) as answer, open(target, "wb") as file:
            while True:
                block = answer.read(_BLOCK)
                if not block:
                    break
                size += len(block)
                if size > packing.SIZE_LIMIT:
                    raise ValueError(
                        f"{uri} of a runtime_env is larger than {packing.SIZE_LIMIT >> 20} MiB."
                    )
                if time.monotonic() > deadline:
                    raise ValueError(f"{uri} did not come within {_DEADLINE_SECONDS:.0f} s.")
                file.write(block)
            wanted = answer.headers.get("Content-Length")
    except OSError as error:
        raise ValueError(f"{uri} of a runtime_env cannot be fetched: {error}") from error
    if wanted is not None and wanted.isdigit() and int(wanted) != size:
        raise ValueError(f"{uri} ended after {size} of {wanted} bytes.")


def _strip(uri: str, path: str) -> None:
    """Takes the one folder away in which all content of an archive is; else leaves it."""
    with zipfile.ZipFile(path) as source:
        entries = source.infolist()
        tops = {entry.filename.split("/")[0] for entry in entries}
        inside = [entry for entry in entries if "/" in entry.filename]
        if len(tops) != 1 or len(inside) != len(entries):
            return
        packing.check(path, entries, uri)
        with open(path + ".part", "wb") as out, zipfile.ZipFile(out, "w") as archive:
            for entry in inside:
                name = entry.filename.split("/", 1)[1]
                if not name or entry.is_dir():
                    continue
                copy = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                copy.external_attr = entry.external_attr
                copy.compress_type = zipfile.ZIP_DEFLATED
                with source.open(entry) as file, archive.open(copy, "w") as inner:
                    while True:
                        block = file.read(_BLOCK)
                        if not block:
                            break
                        inner.write(block)
    os.replace(path + ".part", path)
