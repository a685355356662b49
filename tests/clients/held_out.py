"""Held out of the making of `exporter.wire.inference`: chosen before any of their traces was looked at.

Their traces are recorded like all others and reported apart (`python -m tests.wire.inference.report`); nothing in the
grammar may be tuned to them.
"""

#: JavaMail (Jakarta Mail, its TLS 1.3 pads) and s-nail (a C client with its own IMAP, POP and SMTP).
CLIENTS = frozenset({"javamail", "s-nail"})
#: Cyrus IMAP's words and records. (OpenSMTPD was chosen too, and never recorded.)
SERVERS = frozenset({"cyrus"})
