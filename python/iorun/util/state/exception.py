"""The errors of `util.state`, where Ray has them."""

__all__ = ["RayStateApiException"]


class RayStateApiException(Exception):
    """The state could not be read."""
