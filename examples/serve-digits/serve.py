"""Serves the digits model over HTTP, from replicas on several nodes.

    python3 serve.py --model model.bin --replicas 3 --port 8000
    curl -s localhost:8000/predict -d '{"pixels": [0, 0, 5, 13, …]}'
"""

import argparse
import asyncio
import json
import signal
import tempfile
from typing import Any, Dict, Tuple

import numpy as np
from aiohttp import web
from batching import Batcher, Overloaded
from model import DigitsModel

import iorun

PIXELS = 64
DARKEST = 16


@iorun.remote(num_cpus=0.25, max_restarts=-1)
class Replica:
    """One copy of the model, on whichever node has room."""

    def __init__(self, model: bytes):
        # Replicas on one node share the working folder: a file of its own for each.
        with tempfile.NamedTemporaryFile(suffix=".bin") as file:
            file.write(model)
            file.flush()
            self._model = DigitsModel(file.name)
        self._node = iorun.get_runtime_context().get_node_id()[:8]

    def predict(self, images: np.ndarray) -> "Tuple[np.ndarray, np.ndarray, str]":
        return (*self._model.predict(images), self._node)


class Endpoint:
    """What the HTTP routes do."""

    def __init__(self, batcher: Batcher, replicas: int):
        self._batcher = batcher
        self._replicas = replicas

    async def predict(self, request: web.Request) -> web.Response:
        try:
            image = read_image(await request.json())
        except (json.JSONDecodeError, UnicodeDecodeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        try:
            digit, probability, node = await self._batcher.predict(image)
        except Overloaded as error:
            return web.json_response({"error": str(error)}, status=503)
        except iorun.exceptions.RayError as error:
            return web.json_response({"error": f"the replicas failed: {error}"}, status=502)
        return web.json_response({"digit": digit, "probability": probability, "node": node})

    async def health(self, _: web.Request) -> web.Response:
        status: Dict[str, Any] = {
            "replicas": self._replicas,
            "requests": self._batcher.requests,
            "batches": self._batcher.batches,
        }
        return web.json_response(status)


def read_image(body: Any) -> np.ndarray:
    """64 grey values from 0 to 16, as digits.csv has them; anything else is a ValueError."""
    pixels = body.get("pixels") if isinstance(body, dict) else None
    if not isinstance(pixels, list) or len(pixels) != PIXELS:
        raise ValueError(f'send {{"pixels": [...]}} with {PIXELS} numbers')
    if not all(isinstance(p, (int, float)) and 0 <= p <= DARKEST for p in pixels):
        raise ValueError(f"each pixel is a number from 0 to {DARKEST}")
    return np.asarray(pixels, dtype=np.float32) / DARKEST


async def serve(arguments: argparse.Namespace) -> None:
    with open(arguments.model, "rb") as file:
        model = file.read()
    # Fails here, with a clear word, and not in every replica.
    DigitsModel(arguments.model)
    strategy = "SPREAD"
    replicas = [
        Replica.options(scheduling_strategy=strategy).remote(model)
        for _ in range(arguments.replicas)
    ]
    endpoint = Endpoint(Batcher(replicas), len(replicas))
    application = web.Application(client_max_size=64 << 10)
    application.add_routes(
        [web.post("/predict", endpoint.predict), web.get("/health", endpoint.health)]
    )
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, arguments.host, arguments.port)
    await site.start()
    port = runner.addresses[0][1]
    print(f"serving on http://{arguments.host}:{port} from {len(replicas)} replicas", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    # Lets the requests that are under way be answered.
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="model.bin", help="what train-digits left")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 for any free one")
    arguments = parser.parse_args()
    iorun.init(address="auto", runtime_env={"working_dir": "."})
    asyncio.run(serve(arguments))


if __name__ == "__main__":
    main()
