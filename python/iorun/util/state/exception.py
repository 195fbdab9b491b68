"""The errors of `util.state`, where Ray has them."""

from iorun.util.state import RayStateApiException

__all__ = ["RayStateApiException"]
