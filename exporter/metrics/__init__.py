"""Prometheus metrics: the catalogue as data, and its exposition from the current state."""
