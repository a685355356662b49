"""Experiments: the way of a probe once more, with one thing changed. Only this package of the diagnosis does I/O."""
