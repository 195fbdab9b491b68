"""The lines of Ray's microbenchmark, written anew after their description, for any module with
Ray's interface. Names, payloads, numbers of calls and units are Ray's (2.60).

A line is a function that takes the module and what its group shares, and returns what is timed.
Lines of a group run in one session, in this order, and their actors stay alive until its end, as
in Ray.
"""

import os
from typing import Any, Callable, Dict, List, NamedTuple

#: Half of the cores, at least one: how many actors the lines "1:n" and "n:n" have.
SERVERS = max(1, (os.cpu_count() or 2) // 2)
BATCH = 1000


class Line(NamedTuple):
    """One line: `unit` is how much of what is counted one call does."""

    name: str
    group: str
    unit: float
    prepare: Callable[[Any, "Programs"], Callable[[], object]]


LINES: List[Line] = []


def line(name: str, group: str, unit: float = 1.0) -> Callable:
    """Adds the function below to the lines."""

    def add(prepare: Callable) -> Callable:
        LINES.append(Line(name, group, unit, prepare))
        return prepare

    return add


class Programs:
    """The remote functions and classes of all lines, made once a session."""

    def __init__(self, rt: Any) -> None:
        self.rt = rt
        self.actors: Dict[str, Any] = {}

        @rt.remote
        def small_value():
            return b"ok"

        @rt.remote(num_cpus=0)
        class Actor:
            def small_value(self):
                return b"ok"

            def small_value_arg(self, x):
                return b"ok"

            def small_value_batch(self, n):
                rt.get([small_value.remote() for _ in range(n)])

        @rt.remote
        class AsyncActor:
            async def small_value(self):
                return b"ok"

            async def small_value_with_arg(self, x):
                return b"ok"

        @rt.remote(num_cpus=0)
        class Client:
            def __init__(self, servers):
                self.servers = servers if isinstance(servers, list) else [servers]

            def small_value_batch(self, n):
                rt.get([s.small_value.remote() for s in self.servers for _ in range(n)])

            def small_value_batch_arg(self, n):
                x = rt.put(0)
                rt.get([s.small_value_arg.remote(x) for s in self.servers for _ in range(n)])

        self.small_value = small_value
        self.Actor = Actor
        self.AsyncActor = AsyncActor
        self.Client = Client

    def keep(self, line: str, *actors: Any) -> Any:
        """Keeps actors alive until the session ends; returns the first."""
        self.actors[line] = actors
        return actors[0]


# Objects


@line("single client get calls (Plasma Store)", "objects")
def get_calls(rt, _):
    value = rt.put(0)
    return lambda: rt.get(value)


@line("single client put calls (Plasma Store)", "objects")
def put_calls(rt, _):
    return lambda: rt.put(0)


@line("multi client put calls (Plasma Store)", "objects", BATCH)
def multi_put_calls(rt, _):
    @rt.remote
    def do_put_small():
        for _ in range(100):
            rt.put(0)

    return lambda: rt.get([do_put_small.remote() for _ in range(10)])


@line("single client put gigabytes", "objects", 0.8)
def put_gigabytes(rt, _):
    import numpy

    array = numpy.zeros(100 * 1024 * 1024, dtype=numpy.int64)
    return lambda: rt.put(array)


@line("multi client put gigabytes", "objects", 8.0)
def multi_put_gigabytes(rt, _):
    @rt.remote
    def do_put():
        import numpy

        for _ in range(10):
            rt.put(numpy.zeros(10 * 1024 * 1024, dtype=numpy.int64))

    return lambda: rt.get([do_put.remote() for _ in range(10)])


@line("single client get object containing 10k refs", "objects")
def get_10k_refs(rt, _):
    @rt.remote
    def create_object_containing_ref():
        return [rt.put(1) for _ in range(10000)]

    outer = create_object_containing_ref.remote()
    return lambda: rt.get(outer)


# Tasks


@line("single client tasks and get batch", "tasks")
def tasks_and_get_batch(rt, programs):
    small_value = programs.small_value

    def run():
        rt.get([small_value.remote() for _ in range(BATCH)])

    return run


@line("single client wait 1k refs", "tasks")
def wait_1k_refs(rt, programs):
    small_value = programs.small_value

    def run():
        waiting = [small_value.remote() for _ in range(BATCH)]
        # Asked for once: the fetch of the first call goes on after it.
        fetch_local = True
        for _ in range(BATCH):
            _, waiting = rt.wait(waiting, fetch_local=fetch_local)
            fetch_local = False

    return run


@line("single client tasks sync", "tasks")
def tasks_sync(rt, programs):
    small_value = programs.small_value
    return lambda: rt.get(small_value.remote())


@line("single client tasks async", "tasks", BATCH)
def tasks_async(rt, programs):
    small_value = programs.small_value
    return lambda: rt.get([small_value.remote() for _ in range(BATCH)])


@line("multi client tasks async", "tasks", 40000)
def multi_tasks_async(rt, programs):
    actors = [programs.Actor.remote() for _ in range(4)]
    programs.keep("multi", *actors)
    return lambda: rt.get([a.small_value_batch.remote(10000) for a in actors])


# Actors


@line("1:1 actor calls sync", "actors")
def actor_sync(rt, programs):
    a = programs.keep("sync", programs.Actor.remote())
    return lambda: rt.get(a.small_value.remote())


@line("1:1 actor calls async", "actors", BATCH)
def actor_async(rt, programs):
    a = programs.keep("async", programs.Actor.remote())
    return lambda: rt.get([a.small_value.remote() for _ in range(BATCH)])


@line("1:1 actor calls concurrent", "actors", BATCH)
def actor_concurrent(rt, programs):
    a = programs.keep("concurrent", programs.Actor.options(max_concurrency=16).remote())
    return lambda: rt.get([a.small_value.remote() for _ in range(BATCH)])


def _servers(programs, line, cls):
    actors = [cls.remote() for _ in range(SERVERS)]
    programs.keep(line, *actors)
    return actors


@line("1:n actor calls async", "actors n:n", 5000 * SERVERS)
def actor_1_to_n(rt, programs):
    servers = _servers(programs, "1:n servers", programs.Actor)
    client = programs.keep("1:n", programs.Client.remote(servers))
    return lambda: rt.get(client.small_value_batch.remote(5000))


def _all_to_all(rt, actors):
    servers = SERVERS

    @rt.remote
    def work(actors):
        rt.get([actors[i % servers].small_value.remote() for i in range(5000)])

    return lambda: rt.get([work.remote(actors) for _ in range(4)])


@line("n:n actor calls async", "actors n:n", 20000)
def actor_n_to_n(rt, programs):
    return _all_to_all(rt, _servers(programs, "n:n", programs.Actor))


@line("n:n actor calls with arg async", "actors n:n", 1000 * SERVERS)
def actor_n_to_n_argument(rt, programs):
    servers = _servers(programs, "n:n with arg servers", programs.Actor)
    clients = [programs.Client.remote(s) for s in servers]
    programs.keep("n:n with arg", *clients)
    return lambda: rt.get([c.small_value_batch_arg.remote(1000) for c in clients])


@line("1:1 async-actor calls sync", "async actors")
def async_actor_sync(rt, programs):
    a = programs.keep("async-actor sync", programs.AsyncActor.remote())
    return lambda: rt.get(a.small_value.remote())


@line("1:1 async-actor calls async", "async actors", BATCH)
def async_actor_async(rt, programs):
    a = programs.keep("async-actor async", programs.AsyncActor.remote())
    return lambda: rt.get([a.small_value.remote() for _ in range(BATCH)])


@line("1:1 async-actor calls with args async", "async actors", BATCH)
def async_actor_argument(rt, programs):
    a = programs.keep("async-actor args", programs.AsyncActor.remote())
    return lambda: rt.get([a.small_value_with_arg.remote(i) for i in range(BATCH)])


@line("1:n async-actor calls async", "async actors n:n", 5000 * SERVERS)
def async_actor_1_to_n(rt, programs):
    servers = _servers(programs, "1:n async servers", programs.AsyncActor)
    client = programs.keep("1:n async", programs.Client.remote(servers))
    return lambda: rt.get(client.small_value_batch.remote(5000))


@line("n:n async-actor calls async", "async actors n:n", 20000)
def async_actor_n_to_n(rt, programs):
    return _all_to_all(rt, _servers(programs, "n:n async", programs.AsyncActor))


# Placement groups


@line("placement group create/removal", "placement groups", 100)
def placement_groups(rt, _):
    def run():
        groups = [rt.util.placement_group(bundles=[{"custom": 0.001}]) for _ in range(100)]
        for group in groups:
            group.wait(timeout_seconds=30)
        # Without the removal every next call would be slower.
        for group in groups:
            rt.util.remove_placement_group(group)

    return run
