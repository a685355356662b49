"""Clients' connections, read from packets: capture, decode, follow, infer. No secret ever enters this package."""

from exporter.compiled import load_from

load_from(__name__, __path__)
