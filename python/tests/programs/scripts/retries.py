"""Tasks and methods that fail at first: which are tried again, and what the caller sees of others."""

import os
import tempfile

import ray

ray.init(num_cpus=2)
folder = tempfile.mkdtemp()


def times(name):
    """How often it was called with this name, in all processes."""
    with open(os.path.join(folder, name), "a") as file:
        file.write("x")
    return os.path.getsize(os.path.join(folder, name))


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(code, text)
        self.code = code


@ray.remote(max_retries=3, retry_exceptions=True)
def flaky():
    if times("flaky") < 3:
        raise Refused(503, "later")
    return "flaky"


@ray.remote(max_retries=2, retry_exceptions=[ValueError])
def another_error():
    times("another_error")
    raise KeyError("missing")


@ray.remote(max_retries=1)
def crash():
    if times("crash") < 2:
        os._exit(1)
    return "crash"


@ray.remote
def refuse():
    raise Refused(403, "never")


@ray.remote
def depends(_):
    return "not reached"


@ray.remote(max_restarts=2, max_task_retries=-1)
class Server:
    def __init__(self):
        self.life = times("life")

    def serve(self):
        if times("serve") == 3:
            os._exit(1)
        return self.life


assert ray.get(flaky.remote()) == "flaky"
try:
    ray.get(another_error.remote())
    raise AssertionError("it fails")
except KeyError as error:
    assert isinstance(error, ray.exceptions.RayTaskError)
assert times("another_error") == 2, "it was tried once"
assert ray.get(crash.remote()) == "crash"
for ref in (refuse.remote(), depends.remote(refuse.remote())):
    try:
        ray.get(ref)
        raise AssertionError("it fails")
    except Refused as error:
        assert error.code == 403 and "never" in str(error)
server = Server.remote()
lives = ray.get([server.serve.remote() for _ in range(5)])
assert lives[-1] == 2 and sorted(lives) == lives
print("lives of the server by call:", lives)
