"""The errors of `util.state`, where Ray has them."""

__all__ = ["DataSourceUnavailable", "RayStateApiException", "ServerUnavailable"]


class RayStateApiException(Exception):
    """The state could not be read."""


class DataSourceUnavailable(Exception):
    """A node did not answer."""


class ServerUnavailable(Exception):
    """The head did not answer."""
