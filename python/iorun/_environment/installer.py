"""Packages of `pip` and `uv`: installed once a machine, and kept by content."""

from __future__ import annotations

import hashlib
import json
import os
import select
import shutil
import site
import subprocess
import sys
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, NoReturn

from iorun._environment import cache

Progress = Callable[[str], None]
_LAST_LINES = 20
_LINE_LIMIT = 1000


class InstallError(Exception):
    """The packages could not be installed; the text ends with the installer's last lines."""


def install(kind: str, wanted: Dict[str, Any], timeout: float, progress: Progress) -> str:
    """The folder of a virtual environment with the packages; built unless it is kept already.

    `kind` is `pip` or `uv`, `wanted` the checked field of the runtime environment. Raises
    InstallError.
    """
    packages = list(wanted.get("packages", ()))
    path = os.path.join(cache.folder("environments"), _digest(kind, wanted))
    deadline = time.monotonic() + timeout
    lock = cache.Lock(path + ".lock")
    marker = os.path.join(path, ".complete")
    # Shared first: environments that are in use cannot be locked exclusively, and need not be.
    if not (lock.try_acquire(shared=True) and os.path.exists(marker)):
        lock.release()
        progress(f"Installing {', '.join(packages)[:200]} with {kind}.")
        while True:
            try:
                if lock.try_acquire():
                    if not os.path.exists(marker):
                        _build(kind, wanted, path, deadline, progress)
                    # An exclusive lock becomes a shared one in two steps: somebody may trim
                    # between them, which the test at the loop's end sees.
                lock.acquire(deadline, shared=True)
            except TimeoutError as error:
                raise InstallError(f"Gave up after {timeout:g} s: {error}.") from None
            if os.path.exists(marker):
                break
            lock.release()
        cache.trim_environments()
    os.utime(path)
    cache.hold(lock)
    return path


def site_packages(path: str) -> str:
    """Where a virtual environment has its packages."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return os.path.join(path, "lib", version, "site-packages")


def _digest(kind: str, wanted: Dict[str, Any]) -> str:
    content = {
        "kind": kind,
        **wanted,
        "packages": sorted(wanted.get("packages", ())),
        "python": [sys.version, sys.executable, sys.prefix],
        "find": {
            name: os.environ[name]
            for name in sorted(os.environ)
            if name.startswith(("PIP_", "UV_"))
        },
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:40]


def _build(
    kind: str, wanted: Dict[str, Any], path: str, deadline: float, progress: Progress
) -> None:
    shutil.rmtree(path, ignore_errors=True)
    try:
        _create(path)
        command = _pip_command if kind == "pip" else _uv_command
        command(wanted, path, deadline, progress)
        with open(os.path.join(path, ".complete"), "w") as marker:
            json.dump(wanted, marker)
    except BaseException:
        # Half an environment is none.
        shutil.rmtree(path, ignore_errors=True)
        raise


def _create(path: str) -> None:
    import venv

    venv.EnvBuilder(system_site_packages=True, symlinks=True, with_pip=False).create(path)
    # Where this interpreter is in a virtual environment itself, "system" means the one below;
    # what is installed here shall be seen, too.
    paths = [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    if site.ENABLE_USER_SITE:
        paths.append(site.getusersitepackages())
    own = site_packages(path)
    with open(os.path.join(own, "_iorun_parent.pth"), "w") as file:
        file.writelines(f"{entry}\n" for entry in dict.fromkeys(paths) if entry != own)


def _pip_command(wanted: Dict[str, Any], path: str, deadline: float, progress: Progress) -> None:
    python = os.path.join(path, "bin", "python")
    pip = [python, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True).returncode != 0:
        _run([python, "-m", "ensurepip"], deadline, progress)
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    version = wanted.get("pip_version")
    if version:
        requirement = "pip" + (version if version[0] in "=<>!~" else f"=={version}")
        _run([*pip, "install", *options, "--ignore-installed", requirement], deadline, progress)
    options += wanted.get("pip_install_options", [])
    _run([*pip, "install", *options, "-r", _listed(wanted, path)], deadline, progress)
    if wanted.get("pip_check"):
        _run([*pip, "check"], deadline, progress)


def _uv_command(wanted: Dict[str, Any], path: str, deadline: float, progress: Progress) -> None:
    python = os.path.join(path, "bin", "python")
    version = wanted.get("uv_version")
    uv = shutil.which("uv") or shutil.which("uv", path=os.path.dirname(sys.executable))
    if version or uv is None:
        requirement = "uv"
        if version:
            requirement += version if version[0] in "=<>!~" else f"=={version}"
        # One that the base has would satisfy pip, and leave none here.
        wish = {"packages": [requirement], "pip_install_options": ["--ignore-installed"]}
        _pip_command(wish, path, deadline, progress)
        uv = os.path.join(path, "bin", "uv")
    options = list(wanted.get("uv_pip_install_options", []))
    links = os.environ.get("PIP_FIND_LINKS")
    if links and "UV_FIND_LINKS" not in os.environ:
        options += ["--find-links", links]
    install = [uv, "pip", "install", "--python", python, *options]
    install += ["-r", _listed(wanted, path)]
    _run(install, deadline, progress)
    if wanted.get("uv_check"):
        _run([uv, "pip", "check", "--python", python], deadline, progress)


def _listed(wanted: Dict[str, Any], path: str) -> str:
    """A requirements file: a line may have options and markers that arguments may not."""
    listed = os.path.join(path, "requirements.txt")
    with open(listed, "w", encoding="utf-8") as file:
        file.writelines(f"{package}\n" for package in wanted["packages"])
    return listed


def _run(command: List[str], deadline: float, progress: Progress) -> None:
    """Runs a command and shows its lines. Raises InstallError where it fails or takes too long."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    last: Deque[str] = deque(maxlen=_LAST_LINES)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
    )
    assert process.stdout is not None
    try:
        rest = b""
        fd = process.stdout.fileno()
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                _fail(command, "took longer than setup_timeout_seconds allows", last)
            if not select.select([fd], [], [], min(left, 5))[0]:
                continue
            data = os.read(fd, 1 << 16)
            lines = (rest + data).split(b"\n")
            rest = lines.pop()[-_LINE_LIMIT:]
            if not data:
                lines.append(rest)
            for line in lines:
                text = line.decode("utf-8", "replace").strip()[:_LINE_LIMIT]
                if text:
                    last.append(text)
                    progress(text)
            if not data:
                break
        try:
            # All who could print have closed their output: it is about to end.
            status = process.wait(30)
        except subprocess.TimeoutExpired:
            _fail(command, "did not end after it closed its output", last)
        if status != 0:
            _fail(command, f"failed with status {status}", last)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def _fail(command: List[str], what: str, last: Deque[str]) -> NoReturn:
    lines = "\n".join(last)
    raise InstallError(f"`{' '.join(command)[:500]}` {what}. Its last lines:\n{lines}")
