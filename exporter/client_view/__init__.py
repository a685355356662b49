"""`vantage create|remove`: a client's view of the gateway, as a network namespace on the inside network."""

from exporter.client_view.command import ClientViewError
from exporter.client_view.view import create, remove

__all__ = ["ClientViewError", "create", "remove"]
