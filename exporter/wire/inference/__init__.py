"""Who signed in how, and with what result, told from the lengths, directions and times of TLS records alone."""

from exporter.compiled import load_from

load_from(__name__, __path__)
