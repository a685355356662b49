"""Held out of the making of `exporter.wire.inference`: chosen before any of their traces was looked at.

Their traces are recorded like all others and reported apart (`python -m tests.wire.inference.report`); nothing in the
grammar may be tuned to them.
"""

#: JavaMail (Jakarta Mail, its TLS 1.3 pads) and s-nail (a C client with its own IMAP, POP and SMTP).
CLIENTS = frozenset({"javamail", "s-nail"})
#: pymap, an IMAP server in Python. Cyrus was held out first and judged as such by the commit that brought its corpus (200
#: sessions: 38 % right, 44.5 % unknown, 17.5 % wrong; half of that was a fault of the recorder, which took a second
#: ClientHello for the end of the handshake). The issue names Cyrus, so it was looked at then. OpenSMTPD (chosen too)
#: doesn't complete a handshake with this machine's OpenSSL.
SERVERS = frozenset({"pymap"})
