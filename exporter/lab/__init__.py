"""An embedded Outlook.com behind a gateway that misbehaves, on loopback, without root; for `demo` and for tests.

Written from the facts about Microsoft's servers. It shares no parser with the prober.
"""
