"""Local folders and archives as packages: zip files that are named by their content."""

from __future__ import annotations

import hashlib
import os
import stat
import time
import zipfile
from typing import Dict, Iterator, List, NamedTuple, Tuple

from iorun._environment import cache, ignore

#: The most that a folder may hold, after exclusion; as much as Ray takes.
SIZE_LIMIT = 500 << 20
#: The most that a package may unpack to, and the most files it may have.
UNPACKED_LIMIT = 4 << 30
FILES_LIMIT = 100_000
#: How much larger than its file it may become, beyond what a folder may hold: programs and data
#: become two to ten times as large, zeros a thousand times.
RATIO_LIMIT = 200
#: How long unpacking may take.
UNPACK_SECONDS = 600.0

#: Left out unless IORUN_RUNTIME_ENV_DEFAULT_EXCLUDES (comma-separated) says otherwise.
DEFAULT_EXCLUDES = ".git,.venv,venv,__pycache__"


class Package(NamedTuple):
    """A package in the cache."""

    digest: str
    #: `folder`: its content is the content of a folder; `wheel`, `zip`: the user's own archive.
    kind: str
    file: str
    size: int


# What a path looked like when it was packed last, and the package: to pack it once in a program.
_known: Dict[Tuple[str, bool], Tuple[str, Package]] = {}


def pack(path: str, excludes: List[str], as_module: bool) -> Package:
    """The package of a folder, a module or an archive.

    `as_module`: a folder or .py file keeps its own name, so that it can be imported from where it
    is unpacked. Raises ValueError where it is missing or too large.
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    if not os.path.exists(path):
        raise ValueError(f"The path {path!r} of a runtime_env does not exist.")
    if os.path.isfile(path) and path.endswith((".zip", ".whl")):
        return _archive(path)
    files = list(_files(path, excludes, as_module))
    state = hashlib.sha256()
    total = 0
    for name, file, info in files:
        total += info.st_size
        line = f"{name}\0{file}\0{info.st_size}\0{info.st_mtime_ns}\0{info.st_mode}\n"
        state.update(os.fsencode(line))
    if total > SIZE_LIMIT:
        largest = sorted(files, key=lambda entry: -entry[2].st_size)[:3]
        raise ValueError(
            f"The folder {path} of a runtime_env holds {_mib(total)}; the maximum is "
            f"{_mib(SIZE_LIMIT)}. Its largest files: "
            + ", ".join(f"{name} ({_mib(info.st_size)})" for name, _, info in largest)
            + ". Leave files out with 'excludes' or a .gitignore, or pass data as objects."
        )
    present = _known.get((path, as_module))
    if present and present[0] == state.hexdigest() and os.path.exists(present[1].file):
        return present[1]
    package = _write(path, files)
    _known[(path, as_module)] = (state.hexdigest(), package)
    return package


def package_file(digest: str, kind: str) -> str:
    """Where a package lies in this machine's cache, if it is there."""
    return os.path.join(cache.folder("packages"), digest + (".whl" if kind == "wheel" else ".zip"))


def _archive(path: str) -> Package:
    size = os.path.getsize(path)
    if size > SIZE_LIMIT:
        raise ValueError(f"{path} is {_mib(size)} large; the maximum is {_mib(SIZE_LIMIT)}.")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} of a runtime_env is no zip archive.")
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            hasher.update(block)
    kind = "wheel" if path.endswith(".whl") else "zip"
    digest = hasher.hexdigest()
    target = package_file(digest, kind)
    if not _use(target):
        with open(path, "rb") as file, _new(target) as copy:
            for block in iter(lambda: file.read(1 << 20), b""):
                copy.write(block)
        _publish(target)
    return Package(digest, kind, target, size)


def _files(
    path: str, excludes: List[str], as_module: bool
) -> Iterator[Tuple[str, str, os.stat_result]]:
    """Name in the package, path and state of each file, in an order that never changes."""
    prefix = os.path.basename(path) + "/" if as_module and os.path.isdir(path) else ""
    if os.path.isfile(path):
        yield os.path.basename(path), path, os.stat(path)
        return
    defaults = os.environ.get("IORUN_RUNTIME_ENV_DEFAULT_EXCLUDES", DEFAULT_EXCLUDES)
    rules = ignore.parse(defaults.split(",") + list(excludes))
    count = 0
    seen = {os.path.realpath(path)}
    rules_of = {path: rules}
    for folder, folders, names in os.walk(path, followlinks=True):
        base = os.path.relpath(folder, path)
        base = "" if base == "." else base + "/"
        rules = rules_of.pop(folder)
        for ignorer in (".gitignore", ".rayignore"):
            if ignorer in names:
                with open(os.path.join(folder, ignorer), encoding="utf-8", errors="replace") as f:
                    rules = rules + ignore.parse(f, base)
        kept = []
        for name in sorted(folders):
            inner = os.path.join(folder, name)
            if ignore.is_ignored(base + name, True, rules):
                continue
            if os.path.islink(inner):
                # A link to a folder above would never end.
                real = os.path.realpath(inner)
                if real in seen:
                    continue
                seen.add(real)
            rules_of[inner] = rules
            kept.append(name)
        folders[:] = kept
        for name in sorted(names):
            inner = os.path.join(folder, name)
            if ignore.is_ignored(base + name, False, rules):
                continue
            try:
                info = os.stat(inner)
            except FileNotFoundError:
                # A link to nowhere.
                continue
            if not stat.S_ISREG(info.st_mode):
                continue
            count += 1
            if count > FILES_LIMIT:
                raise ValueError(
                    f"The folder {path} of a runtime_env has more than {FILES_LIMIT:,} files. "
                    "Leave some out with 'excludes' or a .gitignore."
                )
            yield prefix + base + name, inner, info


def _write(path: str, files: List[Tuple[str, str, os.stat_result]]) -> Package:
    hasher = hashlib.sha256()
    for name, file, info in files:
        content = hashlib.sha256()
        with open(file, "rb") as source:
            for block in iter(lambda: source.read(1 << 20), b""):
                content.update(block)
        executable = "x" if info.st_mode & 0o100 else "-"
        hasher.update(os.fsencode(f"{name}\0{executable}\0{content.hexdigest()}\n"))
    digest = hasher.hexdigest()
    target = package_file(digest, "folder")
    if not _use(target):
        with (
            _new(target) as out,
            zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        ):
            for name, file, info in files:
                entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (stat.S_IFREG | (info.st_mode & 0o777)) << 16
                with open(file, "rb") as source, archive.open(entry, "w") as inner:
                    for block in iter(lambda: source.read(1 << 20), b""):
                        inner.write(block)
        _publish(target)
        cache.trim_packages()
    return Package(digest, "folder", target, os.path.getsize(target))


def _use(target: str) -> bool:
    """Whether it is there; if so, it counts as used now."""
    try:
        os.utime(target)
        return True
    except FileNotFoundError:
        return False


def _new(target: str):
    return open(f"{target}.{os.getpid()}.part", "wb")


def _publish(target: str) -> None:
    os.replace(f"{target}.{os.getpid()}.part", target)


def store(target: str, content: bytes) -> None:
    """Writes a package that came from elsewhere into the cache."""
    with _new(target) as file:
        file.write(content)
    _publish(target)


def check(archive: str, entries: List[zipfile.ZipInfo], name: str = "") -> None:
    """Raises ValueError where an archive would unpack to more than it may.

    Its entries say how large they are, and no more than that is ever read of one.
    """
    total = sum(entry.file_size for entry in entries)
    limit = min(UNPACKED_LIMIT, max(SIZE_LIMIT, RATIO_LIMIT * os.path.getsize(archive)))
    if total > limit or len(entries) > 2 * FILES_LIMIT:
        raise ValueError(
            f"{name or archive} would unpack to {_mib(total)} in {len(entries):,} files; the "
            f"maximum is {_mib(limit)} in {2 * FILES_LIMIT:,}."
        )


def unpack(archive: str, folder: str) -> None:
    """Unpacks a package. Raises ValueError where it is malformed, unsafe or too large."""
    deadline = time.monotonic() + UNPACK_SECONDS
    try:
        with zipfile.ZipFile(archive) as source:
            entries = source.infolist()
            check(archive, entries)
            for entry in entries:
                if time.monotonic() > deadline:
                    raise ValueError(
                        f"{archive} could not be unpacked within {UNPACK_SECONDS:.0f} s."
                    )
                # `extract` keeps every entry below the folder.
                path = source.extract(entry, folder)
                mode = (entry.external_attr >> 16) & 0o777
                if mode and not entry.is_dir():
                    os.chmod(path, mode | 0o600)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive} is no zip archive: {error}") from error


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"
