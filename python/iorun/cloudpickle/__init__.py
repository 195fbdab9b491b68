"""`cloudpickle` under the name that programs import it by."""

from typing import Any, Optional

from cloudpickle import *  # noqa: F401,F403
from cloudpickle import CloudPickler, dump, dumps, load, loads  # noqa: F401


def dumps_debug(obj: Any, protocol: Optional[int] = None) -> bytes:
    """`dumps`, which says what in the object cannot be pickled."""
    from iorun.util.check_serialize import inspect_serializability

    try:
        return dumps(obj, protocol)
    except Exception as error:
        inspect_serializability(obj, depth=3)
        raise TypeError(f"Could not serialize {type(obj).__qualname__}: {error}") from error
