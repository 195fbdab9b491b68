"""One session of one system: starts it, runs the lines it is told to, and says what they did.

Started by benchmark_ray.py. Reads one JSON object a line from standard input and answers with one;
what the system itself prints goes to standard error.
"""

import argparse
import faulthandler
import importlib
import json
import os
import signal
import sys
import time
import traceback
from contextlib import contextmanager
from typing import Any, Dict, Iterator

from lines import LINES, Programs
from lines_client import SAMPLES
from processes import processor_seconds
from timing import Rules, measure


def keep_standard_output() -> Any:
    """Keeps standard output for answers, whatever the systems print."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


@contextmanager
def session(module: str, group: str, address: str) -> Iterator[Any]:
    """The system's module, initialised as the group of lines wants it."""
    rt = importlib.import_module(module)
    importlib.import_module(module + ".util")
    settings: Dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if group == "client" and module == "ray":
        from ray.util.client.ray_client_helpers import ray_start_client_server

        settings["address"] = address

        def connect(job_config=None, **_):
            from ray._private.client_mode_hook import disable_client_hook

            with disable_client_hook():
                if not rt.is_initialized():
                    rt.init(**settings)

        with ray_start_client_server(ray_connect_handler=connect) as client:
            yield client
        return
    if address:
        settings["address"] = address
    if group == "placement groups":
        settings["resources"] = {"custom": 100}
    rt.init(**settings)
    try:
        yield rt
    finally:
        rt.shutdown()


def run_line(rt: Any, programs: Programs, order: Dict[str, Any], root: int) -> Dict[str, Any]:
    """Runs one line or sample and returns what it did."""
    for each in LINES:
        if each.name == order["line"] and each.group == order["group"]:
            rules = Rules.ray() if order["ray_timing"] else Rules.scaled(order["seconds"])
            trials = measure(
                each.prepare(rt, programs), each.unit, rules, lambda: processor_seconds(root))
            return {
                "value": trials.per_second, "stdev": trials.deviation,
                "cpu_us": trials.processor_microseconds, "slow": trials.slow,
            }
    for sample in SAMPLES:
        if sample.name == order["line"]:
            before = processor_seconds(root)
            result = sample.take(rt, programs, order)
            used = processor_seconds(root) - before
            result["cpu_us"] = used / result.get("tasks", 1) * 1e6
            return result
    raise KeyError(f"there is no line {order['line']!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--address", default="")
    arguments = parser.parse_args()
    answers = keep_standard_output()
    faulthandler.register(signal.SIGUSR1)
    root = os.getppid()

    def answer(document: Dict[str, Any]) -> None:
        answers.write(json.dumps(document) + "\n")
        answers.flush()

    start = time.perf_counter()
    with session(arguments.module, arguments.group, arguments.address) as rt:
        version = getattr(rt, "__version__", None)
        if version is None:
            version = importlib.import_module(arguments.module).__version__
        programs = Programs(rt)
        answer({"ready": time.perf_counter() - start, "version": version})
        for text in sys.stdin:
            order = json.loads(text)
            if order.get("end"):
                break
            try:
                answer(run_line(rt, programs, order, root))
            except Exception as error:  # noqa: BLE001 - told to the coordinator, which prints it
                traceback.print_exc()
                answer({"error": f"{type(error).__name__}: {error}"})
    answer({"ended": True})


if __name__ == "__main__":
    main()
