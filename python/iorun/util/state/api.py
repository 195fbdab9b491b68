"""`util.state` under the name of its module in Ray."""

from iorun.util.state import *  # noqa: F401,F403
from iorun.util.state import __all__  # noqa: F401
