"""A second site, for what the demo has none of: real clients, and results of yesterday.

Its inspector's metrics are the program's own: connections are told to `WireState` anew at each scrape, so that every
counter grows, and shown by the program's own exposition. What no state of a program of today can be (probed long ago,
a secret that ends) is made from the catalogue.
"""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from exporter.metrics.catalogue import METRICS, Kind, Metric
from exporter.metrics.exposition import Exposition
from exporter.metrics.wire import InterfaceCounts, WireState
from exporter.observations import Connection, TamperingSeen, WireAlert, WireAuth
from exporter.state import State
from exporter.vocabulary import AuthOutcome, ClientFamily, ConnectionOutcome, Mechanism, Tampering

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
GOOD = Connection(
    start=NOON, end=NOON, client="192.0.2.7", client_port=50_000, server="203.0.113.1", server_port=993, ip_version=4,
    interface="eth1", target="imap", sni="imap-mail.outlook.com", outcome=ConnectionOutcome.ESTABLISHED,
    client_family=ClientFamily.NSS, tcp_handshake_seconds=0.02, tls_handshake_seconds=0.09, first_reply_seconds=0.03,
    auth=WireAuth(mechanism=Mechanism.TOKEN, outcome=AuthOutcome.ACCEPTED, seconds=0.4), retransmissions=2,
)  # fmt: skip
ON_PASSWORDS = replace(
    GOOD,
    client_family=ClientFamily.APPLE,
    auth=WireAuth(mechanism=Mechanism.PASSWORD, outcome=AuthOutcome.REFUSED, seconds=1.0),
)
INTERCEPTED = replace(
    GOOD,
    outcome=ConnectionOutcome.HANDSHAKE_FAILED,
    auth=None,
    alert=WireAlert(name="unknown_ca", level="fatal", sender="client", encrypted=False),
    tampering=(TamperingSeen(kind=Tampering.CERTIFICATE_REPLACED),),
)
SIGN_IN = replace(GOOD, target="sign_in_work", server_port=443, reply_seconds=0.3)
CLIENTS = {"good": GOOD, "on passwords": ON_PASSWORDS, "intercepted": INTERCEPTED, "at sign-in": SIGN_IN}

#: Made from the catalogue: nothing of the demo's is old or about to end, and its tokens outlive the test.
MADE = (
    "probe_last_run_timestamp_seconds",
    "account_credential_expiry_timestamp_seconds",
    "token_request_seconds",
    "account_auth_seconds",
    "exporter_inspector_up",
)
LABELS = {"target": "imap", "vantage": "clients"}
_BUCKETS = ("0.1", "1.0", "+Inf")


def tell(wire: WireState, scrapes: int) -> None:
    """Each client's connection once more, and the interface's totals."""
    for client, connection in CLIENTS.items():
        wire.decided(connection)
        if connection.auth is not None:
            wire.signed_in(connection)
        wire.finished(connection, client)
    totals = InterfaceCounts(
        packets=100 * scrapes,
        dropped=scrapes,
        evicted=scrapes,
        let_go=scrapes,
        tracked=4,
        max_tracked=16_384,
        held=100,
        max_held=64 << 20,
        open={"imap": 3},
    )
    wire.counters("eth1", totals)


def _lines(metric: Metric, scrapes: int) -> Iterator[str]:
    labels = ",".join(f'{label}="{LABELS.get(label, "made")}"' for label in metric.labels)
    yield f"# TYPE {metric.name} {metric.kind}"
    if metric.kind is Kind.HISTOGRAM:
        for number, bound in enumerate(_BUCKETS, start=1):
            yield f'{metric.name}_bucket{{{labels},le="{bound}"}} {scrapes * number}'
        yield f"{metric.name}_count{{{labels}}} {scrapes * len(_BUCKETS)}"
        yield f"{metric.name}_sum{{{labels}}} {scrapes}"
    else:
        yield f"{metric.name}{{{labels}}} {scrapes}"


class _Pages:
    """The text format, another at each scrape."""

    def __init__(self) -> None:
        self._wire = WireState()
        state = State()
        state.sources["wire"] = self._wire
        self._exposition = Exposition(state)
        self._scrapes = itertools.count(1)

    def next(self) -> bytes:
        scrapes = next(self._scrapes)
        tell(self._wire, scrapes)
        made = "\n".join(line for name in MADE for line in _lines(METRICS[f"outlook_{name}"], scrapes))
        return self._exposition.page("").body + made.encode() + b"\n"


@contextmanager
def made_site() -> Iterator[str]:
    """A server of those pages; yields its address."""
    pages = _Pages()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.next()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
