"""How long a line is run for, and what is counted: Ray's own rules, or shorter ones in proportion.

Ray's rules (`ray microbenchmark`, 2.60): sleep 10 s; call for at least 1 s to warm up and count
the calls; then 4 trials, each calling a tenth of that count plus one at a time until 2 s are over.
The rate is the mean of the trials, the deviation that of the population.
"""

import statistics
import time
from typing import Callable, NamedTuple, Optional


class Rules(NamedTuple):
    """Times in seconds, and how many trials."""

    settle: float
    warm_up: float
    trial: float
    trials: int
    #: A call that takes longer than this in the warm-up gets one trial only.
    patience: Optional[float]

    @staticmethod
    def ray() -> "Rules":
        """Exactly what Ray does."""
        return Rules(10.0, 1.0, 2.0, 4, None)

    @staticmethod
    def scaled(seconds: float) -> "Rules":
        """Two trials of `seconds`, and half of that to warm up."""
        return Rules(0.1, seconds / 2, seconds, 2, seconds * 4)


class Trials(NamedTuple):
    """What a line did in one round."""

    per_second: float
    deviation: float
    processor_microseconds: float
    calls: int
    seconds: float
    slow: bool


def measure(
    call: Callable[[], object], unit: float, rules: Rules, processor: Callable[[], float]
) -> Trials:
    """Runs `call`, which does `unit` of what is counted, by the rules."""
    time.sleep(rules.settle)
    start = time.perf_counter()
    count = 0
    slowest = 0.0
    while True:
        before = time.perf_counter()
        if before - start >= rules.warm_up and count > 0:
            break
        call()
        count += 1
        slowest = max(slowest, time.perf_counter() - before)
    step = count // 10 + 1
    slow = rules.patience is not None and slowest > rules.patience
    rates = []
    calls = 0
    elapsed = 0.0
    before_all = processor()
    for _ in range(1 if slow else rules.trials):
        start = time.perf_counter()
        count = 0
        while time.perf_counter() - start < rules.trial:
            for _ in range(step):
                call()
            count += step
        seconds = time.perf_counter() - start
        rates.append(unit * count / seconds)
        calls += count
        elapsed += seconds
    used = processor() - before_all
    return Trials(
        statistics.fmean(rates), statistics.pstdev(rates), used / (calls * unit) * 1e6, calls,
        elapsed, slow)
