"""IMAP, SMTP, POP, SASL and HTTP as bytes in, replies out.

Nothing here opens a socket, waits, or reads a clock (a test checks the imports): so the same readers serve the prober,
replays of recorded rounds and the fuzzing tests, and a reply cut at any byte means the same as the whole.
"""

from exporter.compiled import load_from

load_from(__name__, __path__)
