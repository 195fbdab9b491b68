"""Asks the endpoint for the digits of digits.csv, many at a time, and measures it."""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import List, Tuple

import aiohttp

DIGITS = Path(__file__).resolve().parent.parent / "train-digits" / "digits.csv"


def read_digits(path: Path) -> List[Tuple[List[int], int]]:
    rows = (line.split(",") for line in path.read_text().splitlines())
    return [([int(pixel) for pixel in row[:-1]], int(row[-1])) for row in rows]


async def run(arguments: argparse.Namespace) -> dict:
    digits = read_digits(DIGITS)
    latencies: List[float] = []
    nodes: "set[str]" = set()
    right = failed = 0
    numbers = iter(range(arguments.requests))

    async def ask(session: aiohttp.ClientSession) -> None:
        nonlocal right, failed
        for number in numbers:
            pixels, label = digits[number % len(digits)]
            begun = time.perf_counter()
            async with session.post(arguments.url, json={"pixels": pixels}) as response:
                answer = await response.json()
                if response.status != 200:
                    failed += 1
                    continue
            latencies.append(time.perf_counter() - begun)
            nodes.add(answer["node"])
            right += answer["digit"] == label

    connector = aiohttp.TCPConnector(limit=arguments.concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:
        begun = time.perf_counter()
        await asyncio.gather(*(ask(session) for _ in range(arguments.concurrency)))
        seconds = time.perf_counter() - begun
    latencies.sort()
    return {
        "requests": arguments.requests,
        "failed": failed,
        "accuracy": round(right / max(1, len(latencies)), 4),
        "nodes": len(nodes),
        "requests_per_s": round(arguments.requests / seconds, 1),
        "p50_ms": round(1000 * latencies[len(latencies) // 2], 2) if latencies else None,
        "p99_ms": round(1000 * latencies[len(latencies) * 99 // 100], 2) if latencies else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000/predict")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    result = asyncio.run(run(parser.parse_args()))
    print(json.dumps(result))
    sys.exit(1 if result["failed"] else 0)


if __name__ == "__main__":
    main()
