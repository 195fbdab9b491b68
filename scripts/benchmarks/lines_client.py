"""Ray's "client:" lines, and lines that Ray's microbenchmark lacks but the project's targets name.

"client:" is Ray's remote driver: a proxy that runs a driver for it. iorun has no such proxy: a
driver attaches to the agent of a network that already runs, and these lines measure that.
"""

import statistics
import time
from typing import Any, Callable, Dict, List, NamedTuple

from lines import BATCH, LINES, Line

CLIENT = "client"


def _as_client(source: str) -> None:
    original = next(each for each in LINES if each.name == source)
    name = "client: " + {
        "single client get calls (Plasma Store)": "get calls",
        "single client put calls (Plasma Store)": "put calls",
        "single client put gigabytes": "put gigabytes",
        "single client tasks and get batch": "tasks and get batch",
        "multi client put calls (Plasma Store)": "tasks and put batch",
    }.get(source, source)
    LINES.append(Line(name, CLIENT, original.unit, original.prepare))


for _source in (
    "single client get calls (Plasma Store)",
    "single client put calls (Plasma Store)",
    "single client put gigabytes",
    "single client tasks and get batch",
    "multi client put calls (Plasma Store)",
    "1:1 actor calls sync",
    "1:1 actor calls async",
    "1:1 actor calls concurrent",
):
    _as_client(_source)


class Sample(NamedTuple):
    """A line that is one figure and no rate."""

    name: str
    group: str
    unit: str
    #: Takes the module, the programs and options; returns the figure and what else is to be said.
    take: Callable[[Any, Any, Dict[str, Any]], Dict[str, Any]]
    #: Left out unless it is asked for by name or by --all.
    long: bool = False


def queued_tasks(rt: Any, programs: Any, options: Dict[str, Any]) -> Dict[str, Any]:
    """Queues tasks behind ones that hold every core, lets them go, and waits for the last.

    The figure is tasks a second from the first submission to the last result; `bytes_per_task` is
    what the driver's resident memory grew by while all were queued.
    """
    count = options["tasks"]
    # An actor would do as a gate, but so does a file, and it costs neither system anything.
    gate = options["scratch"] + "/gate"
    cores = int(rt.cluster_resources()["CPU"])

    @rt.remote
    def hold(path):
        import os
        import time

        while not os.path.exists(path):
            time.sleep(0.01)

    small_value = programs.small_value
    rt.get([small_value.remote() for _ in range(BATCH)])
    holders = [hold.remote(gate) for _ in range(cores)]
    before = _resident()
    start = time.perf_counter()
    refs: List[Any] = [small_value.remote() for _ in range(count)]
    submitted = time.perf_counter()
    grown = _resident() - before
    with open(gate, "w", encoding="utf-8"):
        pass
    rt.get(holders)
    for first in range(0, count, 10000):
        rt.get(refs[first : first + 10000])
    end = time.perf_counter()
    return {
        "value": count / (end - start),
        "tasks": count,
        "submit_seconds": submitted - start,
        "seconds": end - start,
        "bytes_per_task": grown / count,
    }


def new_actor(rt: Any, programs: Any, options: Dict[str, Any]) -> Dict[str, Any]:
    """Creates an actor and calls it once, again and again; the one before has been killed.

    The figure is one over the median; the end of an actor is not counted in.
    """
    times = []
    until = time.perf_counter() + 2 * options["seconds"]
    while time.perf_counter() < until or len(times) < 6:
        start = time.perf_counter()
        actor = programs.Actor.remote()
        rt.get(actor.small_value.remote())
        times.append(time.perf_counter() - start)
        rt.kill(actor)
    # The first one pays for what only happens once: a first process, the class on its way.
    median = statistics.median(times[1:])
    return {
        "value": 1 / median, "milliseconds": median * 1e3, "first_milliseconds": times[0] * 1e3,
        "tasks": len(times),
    }


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


SAMPLES = [
    Sample("new actor to first reply", "start", "actors/s", new_actor),
    Sample("1M tasks queued", "queue", "tasks/s", queued_tasks, long=True),
]
#: Measured by the coordinator from outside, in a session in which nothing was run.
IDLE_LINE = "idle head and node, resident"
