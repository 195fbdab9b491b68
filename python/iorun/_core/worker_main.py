"""The main program of a worker: attaches to the agent, and runs what comes."""

from __future__ import annotations

import logging
import os
import sys
from typing import Callable, Optional

from iorun._core import global_state
from iorun._core.core_worker import CoreWorker


def _configure_logging() -> None:
    from iorun._environment import LOGGING

    text = os.environ.pop(LOGGING, "")
    if text:
        import json

        from iorun.logging_config import LoggingConfig

        LoggingConfig.from_dict(json.loads(text))._apply()


def main(prepare: Optional[Callable[[CoreWorker], None]] = None) -> None:
    """Runs until the agent ends this process. SystemExit has its status.

    `prepare` is called before the first task.
    """
    # The root logger stays as it is: `logging.basicConfig` in a task has to have an effect.
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("iorun")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)
    core = CoreWorker.connect(
        os.environ["IORUN_HUB"],
        role="worker",
        worker=bytes.fromhex(os.environ["IORUN_WORKER"]),
    )
    global_state._worker = core
    core.executor.install_interrupt()
    _configure_logging()
    if prepare is not None:
        prepare(core)
    try:
        core.executor.run()
        if core.executor.exit_code:
            # A thread of an actor has called sys.exit.
            raise SystemExit(core.executor.exit_code)
    finally:
        core.drain_output(1.0)
