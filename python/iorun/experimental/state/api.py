"""An older name of `iorun.util.state`."""

from iorun.util.state import *  # noqa: F403
