"""The web side: metrics, pages and JSON, on a thread of its own."""
