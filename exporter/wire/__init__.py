"""Clients' connections, read from packets: capture, decode, follow, infer. No secret ever enters this package."""
