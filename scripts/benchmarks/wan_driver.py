"""The driver of the WAN benchmark: runs beside the head, its tasks and actors on the far side.

Started by benchmark_wan.py for either system; speaks JSON lines as contender.py does.
"""

import argparse
import faulthandler
import importlib
import json
import signal
import statistics
import sys
import time
from typing import Any, Callable, Dict, List

from contender import keep_standard_output

SAMPLES = 7
#: More calls than that are not submitted at once.
MOST = 800_000


def _milliseconds(body: Callable[[], Any]) -> float:
    start = time.perf_counter()
    body()
    return (time.perf_counter() - start) * 1e3


def _median(body: Callable[[], Any], samples: int = SAMPLES) -> float:
    return statistics.median(_milliseconds(body) for _ in range(samples))


def wait_for_nodes(rt: Any, count: int, seconds: float) -> float:
    """Waits until so many nodes are alive, or (-1) only one; returns the monotonic time then."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        alive = sum(1 for node in rt.nodes() if node["Alive"])
        if alive >= count > 0 or alive == -count:
            return time.monotonic()
        time.sleep(0.001)
    raise TimeoutError(f"no {count} nodes were alive within {seconds:g} s: {rt.nodes()}")


def _rate(make: Callable[[int], List[Any]], rt: Any, seconds: float) -> Dict[str, float]:
    """Calls a second over a stretch long enough for ramp-up and the last answer not to matter."""
    start = time.perf_counter()
    rt.get(make(1000))
    thousand = 1000 / (time.perf_counter() - start)
    count = 1000
    while True:
        start = time.perf_counter()
        rt.get(make(count))
        elapsed = time.perf_counter() - start
        if elapsed >= seconds or count >= MOST:
            return {"thousand": thousand, "steady": count / elapsed, "count": count}
        # Never more than four times as many at once: the first figures are of a cold pipeline.
        wanted = int(count * min(4.0, 1.2 * seconds / elapsed))
        count = min(MOST, max(wanted, count + 1000))


def measure(rt: Any, rtt_ms: float, seconds: float) -> Dict[str, Any]:
    """All figures of one round-trip time."""
    result: Dict[str, Any] = {}

    @rt.remote(num_cpus=1)
    def small_value():
        return b"ok"

    @rt.remote(num_cpus=1)
    def where():
        return rt.get_runtime_context().get_node_id()

    @rt.remote(num_cpus=1)
    def mebibyte():
        import numpy

        return numpy.zeros(1024 * 1024, dtype=numpy.uint8)

    @rt.remote(num_cpus=0, resources={"far": 0.001})
    class Actor:
        def small_value(self):
            return b"ok"

    here = rt.get_runtime_context().get_node_id()
    result["first_task_ms"] = _milliseconds(lambda: rt.get(small_value.remote()))
    if rt.get(where.remote()) == here:
        raise RuntimeError("a task ran on the driver's side: nothing crossed the link")
    result["task_sync_ms"] = _median(lambda: rt.get(small_value.remote()))
    rate = _rate(
        lambda count: [small_value.remote() for _ in range(count)], rt,
        max(seconds, 20 * rtt_ms / 1e3))
    result["tasks_async_per_s"] = rate["steady"]
    result["tasks_async_count"] = rate["count"]
    result["tasks_async_first_1000_per_s"] = rate["thousand"]

    def create() -> float:
        start = time.perf_counter()
        actor = Actor.remote()
        rt.get(actor.small_value.remote())
        elapsed = (time.perf_counter() - start) * 1e3
        rt.kill(actor)
        return elapsed

    creations = [create() for _ in range(SAMPLES)]
    result["actor_create_ms"] = statistics.median(creations)
    result["actor_create_first_ms"] = creations[0]
    actor = Actor.remote()
    rt.get(actor.small_value.remote())
    result["actor_call_ms"] = _median(lambda: rt.get(actor.small_value.remote()))
    rate = _rate(
        lambda count: [actor.small_value.remote() for _ in range(count)], rt,
        max(seconds / 2, 10 * rtt_ms / 1e3))
    result["actor_calls_async_per_s"] = rate["steady"]

    def fetch() -> float:
        ref = mebibyte.remote()
        rt.wait([ref], fetch_local=False)
        # What announces the object may still be on its way behind what made it ready.
        time.sleep(rtt_ms / 1e3)
        start = time.perf_counter()
        array = rt.get(ref)
        elapsed = (time.perf_counter() - start) * 1e3
        if array.nbytes != 1024 * 1024:
            raise RuntimeError(f"1 MiB came back as {array.nbytes} bytes")
        return elapsed

    fetches = [fetch() for _ in range(SAMPLES)]
    result["get_1mib_ms"] = statistics.median(fetches)
    result["get_1mib_first_ms"] = fetches[0]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", required=True)
    parser.add_argument("--address", required=True)
    arguments = parser.parse_args()
    answers = keep_standard_output()
    faulthandler.register(signal.SIGUSR1)

    def answer(document: Dict[str, Any]) -> None:
        answers.write(json.dumps(document) + "\n")
        answers.flush()

    rt = importlib.import_module(arguments.module)
    rt.init(address=arguments.address, logging_level="ERROR", log_to_driver=False)
    answer({"version": rt.__version__})
    for text in sys.stdin:
        order = json.loads(text)
        if order.get("end"):
            break
        try:
            if "nodes" in order:
                answer({"at": wait_for_nodes(rt, order["nodes"], order["seconds"])})
            else:
                answer(measure(rt, order["rtt_ms"], order["seconds"]))
        except Exception as error:  # noqa: BLE001 - told to the coordinator, which prints it
            faulthandler.dump_traceback(all_threads=False)
            answer({"error": f"{type(error).__name__}: {error}"})
    rt.shutdown()
    answer({"ended": True})


if __name__ == "__main__":
    main()
