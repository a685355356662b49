"""Metrics, pages and API over HTTP, on a thread of their own."""
