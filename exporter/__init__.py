"""Outlook auth exporter: is it the gateway, Microsoft, or the client?"""

__version__ = "0.1.0"
