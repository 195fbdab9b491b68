"""The names again, where Ray's programs may look for them."""

from __future__ import annotations

from iorun.util.accelerators import *  # noqa: F403
