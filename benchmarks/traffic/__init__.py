"""Capture files of real TLS handshakes in made-up TCP connections, each with its truth."""
