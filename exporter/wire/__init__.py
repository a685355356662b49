"""Clients' connections, read from packets: capture, decode, follow, infer. No secret ever enters this package."""

from exporter.wire.compiled import directory

if (_compiled := directory()) is not None:
    __path__.insert(0, str(_compiled / "exporter" / "wire"))
