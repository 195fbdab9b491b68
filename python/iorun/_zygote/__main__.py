"""`python -m iorun._zygote`: started by a node's hub, which tells it the rest by variables."""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import List, Tuple

from iorun import _protocol
from iorun._environment import decode
from iorun._environment.build import BuildError, apply_variables, build
from iorun._version import __version__
from iorun._zygote import hub_link
from iorun._zygote.hub_link import HubGone, HubLink
from iorun._zygote.zygote import Zygote, fail


def main() -> int:
    """Runs until the hub goes or says stop."""
    sys_path, preload, alias = _arguments(sys.argv[1:])
    needed = ("IORUN_HUB", "IORUN_JOB_ID", "IORUN_TOKEN")
    missing = [name for name in needed if name not in os.environ]
    if missing:
        print(
            f"iorun._zygote is started by a node's agent; {', '.join(missing)} must be set.",
            file=sys.stderr,
        )
        return 2
    # Workers share the processors: a numeric library's own threads would only be in each other's
    # way. As with Ray, who wants more sets it in `env_vars`.
    # A worker may change it for a task with more CPUs, unless it is the user's.
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ.update(OMP_NUM_THREADS="1", IORUN_OWN_THREADS="0")
    document, malformed = {}, ""
    try:
        document = decode(os.environ.get("IORUN_ENVIRONMENT", ""))
        if "OMP_NUM_THREADS" in document.get("env_vars", {}):
            os.environ.pop("IORUN_OWN_THREADS", None)
        # May start this program anew: before there is a connection.
        apply_variables(document)
    except ValueError as error:
        malformed = f"The runtime environment's text is malformed: {error}"
    try:
        link = HubLink(os.environ["IORUN_HUB"])
        answer = link.greet(
            {
                **_protocol.versions(),
                "sdk": f"python/{__version__}",
                "role": "zygote",
                "environment": os.environ.get("IORUN_ENVIRONMENT_HASH", ""),
                "job": os.environ["IORUN_JOB_ID"],
                "token": os.environ["IORUN_TOKEN"],
                "pid": os.getpid(),
            }
        )
        # A worker listens in it before it says hello itself.
        os.environ["IORUN_DIRECTORY"] = str(answer.get("directory", ""))
        if malformed:
            fail(link, malformed)
        _extend_path(sys_path)
        if alias == "ray":
            importlib.import_module("iorun.as_ray")
        try:
            pid = os.getpid()
            build(document, lambda text: link.note(hub_link.PROGRESS, {"text": text, "pid": pid}))
        except BuildError as error:
            fail(link, str(error))
        _preload(preload)
        Zygote(link, document).run()
    except HubGone as error:
        print(f"The zygote ends: {error}.", file=sys.stderr)
        return 1
    return 0


def _arguments(arguments: List[str]) -> Tuple[List[str], List[str], str]:
    sys_path: List[str] = []
    alias = ""
    preload: List[str] = []
    rest = iter(arguments)
    for argument in rest:
        value = next(rest, "")
        if argument == "--sys-path":
            sys_path = [path for path in json.loads(value) if isinstance(path, str)]
        elif argument == "--preload":
            preload.append(value)
        elif argument == "--alias":
            alias = value
        # Options of a later release are skipped with their values.
    return sys_path, preload, alias


def _extend_path(driver: List[str]) -> None:
    """The driver's path first: what it could import, workers can, where the files are here."""
    own = [path for path in sys.path if path not in driver]
    sys.path[:] = driver + own


def _preload(modules: List[str]) -> None:
    """What every worker needs, and what the driver has a use for."""
    for name in ["iorun._core.worker_main", *modules]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            if name.startswith("iorun."):
                raise
            print(f"{name} is not preloaded: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
