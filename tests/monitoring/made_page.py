"""A second site whose page is made from the catalogue: what the demo has none of (real clients, old results).

Every counter grows with each scrape, so that rates are above 0. Values are plain; what is tested is names and labels.
"""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from exporter.metrics.catalogue import METRICS, Kind, Metric, Part
from exporter.vocabulary import ClientFamily, ClientState, ConnectionOutcome, Mechanism, Tampering

#: Values of labels, few each; a label that isn't here gets one plain value.
VALUES = {
    "target": ("imap", "sign_in_work"),
    "interface": ("eth1",),
    "outcome": (*ConnectionOutcome, "accepted", "refused"),
    "mechanism": (Mechanism.PASSWORD, Mechanism.TOKEN),
    "family": tuple(ClientFamily),
    "state": tuple(ClientState),
    "kind": tuple(Tampering),
    "alert": ("unknown_ca",),
    "from": ("client", "server"),
    "vantage": ("clients",),
}
#: Of other parts, these too: nothing of the demo's is old or about to end, and its tokens outlive the test.
ALSO = (
    "exporter_inspector_up",
    "probe_last_run_timestamp_seconds",
    "account_credential_expiry_timestamp_seconds",
    "token_request_seconds",
    "account_auth_seconds",
)
_BUCKETS = ("0.01", "0.1", "1.0", "+Inf")


def made_page(scrapes: int) -> str:
    """The text format after so many scrapes."""
    metrics = [metric for metric in METRICS.values() if metric.part is Part.INSPECTOR]
    metrics += [METRICS[f"outlook_{name}"] for name in ALSO]
    return "\n".join(line for metric in metrics for line in _lines(metric, scrapes)) + "\n"


def _lines(metric: Metric, scrapes: int) -> Iterator[str]:
    yield f"# TYPE {metric.name} {metric.kind}"
    for values in itertools.product(*(VALUES.get(label, ("some",)) for label in metric.labels)):
        labels = ",".join(f'{label}="{value}"' for label, value in zip(metric.labels, values, strict=True))
        if metric.kind is Kind.HISTOGRAM:
            for number, bound in enumerate(_BUCKETS, start=1):
                yield f'{metric.name}_bucket{{{labels},le="{bound}"}} {scrapes * number}'
            yield f"{metric.name}_count{{{labels}}} {scrapes * len(_BUCKETS)}"
            yield f"{metric.name}_sum{{{labels}}} {scrapes}"
        else:
            yield f"{metric.name}{{{labels}}} {scrapes}"


@contextmanager
def made_site() -> Iterator[str]:
    """A server of that page; yields its address."""
    count = itertools.count(1)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = made_page(next(count)).encode()
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
