"""Held out of the making of `exporter.wire.inference`: chosen before any of their traces was looked at.

Their traces are recorded like all others and reported apart (`python -m tests.wire.inference.report`); nothing in the
grammar may be tuned to them.
"""

#: JavaMail (Jakarta Mail, its TLS 1.3 pads) and s-nail (a C client with its own IMAP, POP and SMTP).
CLIENTS = frozenset({"javamail", "s-nail"})
#: OpenSMTPD, and GNU Mailutils for IMAP and POP. Cyrus was held out first, and judged as such by the commit that brought
#: its corpus (200 sessions: 38 % right, 44.5 % unknown, 17.5 % wrong); the issue names it, so it was looked at then.
SERVERS = frozenset({"opensmtpd", "mailutils"})
