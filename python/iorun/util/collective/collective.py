"""The functions of `util.collective` under the name of their module in Ray."""

from __future__ import annotations

from iorun.util.collective import *  # noqa: F403
from iorun.util.collective import gloo_available, nccl_available  # noqa: F401
from iorun.util.collective.types import *  # noqa: F403
