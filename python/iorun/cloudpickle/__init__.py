"""`cloudpickle` under the name that programs import it by."""

from cloudpickle import *  # noqa: F401,F403
from cloudpickle import CloudPickler, dump, dumps, load, loads  # noqa: F401
