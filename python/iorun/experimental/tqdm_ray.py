"""Progress bars of tasks and actors: lines in the driver's output, a few a second at most."""

from __future__ import annotations

import sys
import time
from typing import Any, Iterable, Iterator, Optional

__all__ = ["instance", "safe_print", "tqdm"]

_INTERVAL = 0.5


class tqdm:  # noqa: N801 - the name that programs know
    """The part of tqdm's interface that programs use in tasks."""

    def __init__(
        self,
        iterable: Optional[Iterable[Any]] = None,
        desc: Optional[str] = None,
        total: Optional[int] = None,
        unit: Optional[str] = None,
        position: Optional[int] = None,
        flush_interval_s: Optional[float] = None,
        **_ignored: Any,
    ):
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)  # type: ignore[arg-type]
        self._iterable = iterable
        self.desc = desc or ""
        self.total = total
        self.unit = unit or "it"
        self.n = 0
        self._interval = _INTERVAL if flush_interval_s is None else flush_interval_s
        self._shown = 0.0
        self._last = -1

    def set_description(self, desc: str) -> None:
        """Another text before the bar."""
        self.desc = desc
        self._show()

    def update(self, n: int = 1) -> None:
        """So many more are done."""
        self.n += n
        self._show()

    def refresh(self) -> None:
        """Shows the bar now."""
        self._show(True)

    def close(self) -> None:
        """Shows the end."""
        self._show(True)

    def _show(self, now: bool = False) -> None:
        if _manager.is_hidden:
            return
        moment = time.monotonic()
        if self.n == self._last or not (now or moment - self._shown >= self._interval):
            return
        self._shown, self._last = moment, self.n
        of = f"/{self.total}" if self.total is not None else ""
        safe_print(f"{self.desc}: {self.n}{of} {self.unit}", file=sys.stderr)

    def __iter__(self) -> Iterator[Any]:
        if self._iterable is None:
            raise ValueError("This bar was made without something to iterate over.")
        for item in self._iterable:
            yield item
            self.update()
        self.close()

    def __enter__(self) -> "tqdm":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def safe_print(*args: Any, **kwargs: Any) -> None:
    """`print`, one write a line."""
    kwargs.setdefault("flush", True)
    print(*args, **kwargs)


class _BarManager:
    """The bars of this process."""

    def __init__(self) -> None:
        self.is_hidden = False

    def hide_bars(self) -> None:
        """Shows none until `unhide_bars`."""
        self.is_hidden = True

    def unhide_bars(self) -> None:
        """Shows them again."""
        self.is_hidden = False


_manager = _BarManager()


def instance() -> _BarManager:
    """What holds the bars of this process."""
    return _manager
