"""examples/serve-digits as its user runs it: three nodes, HTTP requests, a replica that is killed."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="the example serves with aiohttp")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "serve-digits"
DIGITS = EXAMPLE.parent / "train-digits" / "digits.csv"


def trained_model() -> bytes:
    """A network as train-digits leaves one, trained here in a second."""
    rows = np.array([[int(v) for v in line.split(",")] for line in DIGITS.read_text().split()])
    images, labels = rows[:, :-1].astype(np.float32) / 16, rows[:, -1]
    random = np.random.default_rng(1)
    parts = [
        random.normal(0, 0.2, (64, 64)),
        np.zeros(64),
        random.normal(0, 0.2, (64, 10)),
        np.zeros(10),
    ]
    for _ in range(300):
        hidden = np.maximum(images @ parts[0] + parts[1], 0)
        scores = hidden @ parts[2] + parts[3]
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        scores[np.arange(len(labels)), labels] -= 1
        scores /= len(labels)
        back = scores @ parts[2].T * (hidden > 0)
        steps = (images.T @ back, back.sum(axis=0), hidden.T @ scores, scores.sum(axis=0))
        for part, step in zip(parts, steps):
            part -= step
    header = b"DIGITS01" + np.array([64, 64, 10], "<u4").tobytes()
    return header + b"".join(part.astype("<f4").tobytes() for part in parts)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """The address of the served model, and the state folder of its network."""
    tmp_path = tmp_path_factory.mktemp("serve")
    state = tmp_path / "state"
    environment = {**os.environ, "IORUN_STATE_DIR": str(state)}
    binary = os.environ.get("IORUN_BIN", "iorun")
    (tmp_path / "model.bin").write_bytes(trained_model())
    subprocess.run([binary, "up", "--nodes", "3"], env=environment, check=True)
    server = subprocess.Popen(
        [sys.executable, "serve.py", "--model", str(tmp_path / "model.bin"), "--port", "0"],
        cwd=EXAMPLE,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in server.stdout:
            if line.startswith("serving on "):
                yield line.split()[2], state
                break
        else:
            pytest.fail("the server ended before it served")
    finally:
        server.send_signal(signal.SIGTERM)
        status = server.wait(timeout=20)
        subprocess.run([binary, "down"], env=environment, check=True)
        assert status == 0, "it does not end in order"


def load(url: str, requests: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "load.py", "--url", f"{url}/predict", "--requests", str(requests)]
    return subprocess.Popen(command, cwd=EXAMPLE, stdout=subprocess.PIPE, text=True)


def workers(state: Path) -> "list[int]":
    """The processes below the network in a state folder that are workers of a runtime job."""
    hubs = {json.loads(path.read_text())["socket"] for path in state.glob("*/hub.json")}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            pairs = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        variables = dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair)
        if variables.get(b"IORUN_HUB", b"").decode() in hubs:
            if variables.get(b"IORUN_ROLE") in (b"worker", b"zygote"):
                found.append(int(folder.name))
    return found


def test_it_serves_from_all_nodes_and_tells_digits(endpoint):
    url, _ = endpoint
    process = load(url, 2000)
    result = json.loads(process.communicate(timeout=60)[0])
    assert result["failed"] == 0
    assert result["accuracy"] > 0.95
    assert result["nodes"] == 3
    health = json.load(urllib.request.urlopen(f"{url}/health"))
    assert health["batches"] < health["requests"] / 2, "requests do not share batches"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"pixels": [1]}', b'{"pixels": "x"}', b"\xff"])
def test_a_wrong_request_is_told_what_is_wrong(endpoint, body):
    url, _ = endpoint
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{url}/predict", data=body)
    assert caught.value.code == 400
    assert json.load(caught.value)["error"]


def test_a_replica_that_is_killed_costs_no_request(endpoint):
    url, state = endpoint
    process = load(url, 3000)
    deadline = time.monotonic() + 30
    while json.load(urllib.request.urlopen(f"{url}/health"))["requests"] < 500:
        assert time.monotonic() < deadline, "the load does not arrive"
    victims = workers(state)
    assert victims
    # Forked workers keep their zygote's variables in /proc: any process of one node will do.
    os.kill(max(victims), signal.SIGKILL)
    result = json.loads(process.communicate(timeout=60)[0])
    assert result["failed"] == 0
    assert result["accuracy"] > 0.95
