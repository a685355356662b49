"""What is told of a connection, to whom, and when."""

from collections.abc import Callable
from typing import Final

from exporter.catalogue import STARTTLS_PORTS
from exporter.observations import Connection
from exporter.vocabulary import AuthOutcome, ConnectionOutcome, Protocol
from exporter.wire.attempts import Attempts, failed
from exporter.wire.flow import Flow
from exporter.wire.observe import connection_of, goal_of, read_replies, server_name, sign_ins_of
from exporter.wire.outcome import closed_by, outcome_of
from exporter.wire.servers import Servers
from exporter.wire.sighting import Sighting, SightingCallback, sighting_of
from exporter.wire.tracker_config import TrackerConfig

#: Ports of TLS from the first byte (IANA): connections to them are told even when no hello was seen.
TLS_PORTS = frozenset({443, 465, 563, 636, 853, 989, 990, 992, 993, 994, 995, 5061, 5223, 8443})
WANTED_PORTS: Final = TLS_PORTS | STARTTLS_PORTS
#: Outcomes of plain HTTP that say something; what else happens there isn't TLS.
_UNREACHED = frozenset({ConnectionOutcome.NO_ANSWER, ConnectionOutcome.REFUSED, ConnectionOutcome.UNREACHABLE})
_HTTP: Final = 80
_MAIL: Final = frozenset({Protocol.IMAP, Protocol.POP, Protocol.SMTP})

Callback = Callable[[Connection], None]


class Reporter:
    """Makes observations of connections and hands them on."""

    def __init__(
        self,
        servers: Servers,
        config: TrackerConfig,
        finished: Callback,
        *,
        decided: Callback | None,
        signed_in: Callback | None,
        sighted: SightingCallback | None = None,
    ) -> None:
        self.servers = servers
        self.reported = 0
        self._targets = config.targets
        self._everything = config.everything
        self._filtered = config.filtered
        self._finished = finished
        self._decided = decided
        self._signed_in = signed_in
        self._sighted = sighted
        self._attempts = Attempts()

    def target(self, flow: Flow) -> str | None:
        """The target that the connection goes to."""
        hello = flow.tls.client_hello if flow.tls is not None else None
        family = hello.family if hello is not None else None
        return self.servers.target(server_name(flow), flow.server_address, flow.service_port, family)

    def is_mail(self, flow: Flow) -> bool:
        """Whether it goes to a port where its target speaks mail."""
        target = self._targets.get(self.target(flow) or "")
        return target is not None and target.protocol in _MAIL and target.port == flow.service_port

    def established(self, flow: Flow) -> None:
        """The handshake is complete."""
        if self._decided is not None and not flow.decided:
            flow.decided = True
            self._decided(self._observe(flow, ConnectionOutcome.ESTABLISHED))

    def settle(self, flow: Flow, now: int) -> None:
        """Enough of its records passed to say what they tell."""
        if flow.settled:
            return
        target = self.target(flow)
        flow.sign_ins = sign_ins_of(flow, now, self._targets.get(target) if target else None)
        read_replies(flow)
        flow.settled = True
        if flow.sign_ins and self._signed_in is not None and self._is_wanted(flow, ConnectionOutcome.ESTABLISHED):
            self._signed_in(self._observe(flow, ConnectionOutcome.ESTABLISHED))

    def settle_if_accepted(self, flow: Flow, now: int) -> None:
        """Settles a connection that goes on, where its client is signed in."""
        target = self.target(flow)
        sign_ins = sign_ins_of(flow, now, self._targets.get(target) if target else None)
        if sign_ins and sign_ins[-1].outcome is AuthOutcome.ACCEPTED:
            self.settle(flow, now)

    def over(self, flow: Flow, now: int) -> None:
        """It ended, or the capture did."""
        outcome = outcome_of(flow, now, filtered=self._filtered)
        flow.closed = closed_by(flow, outcome)
        if not self._is_wanted(flow, outcome):
            return
        self.settle(flow, now)
        connection = self._observe(flow, outcome)
        auth = connection.auth
        if failed(outcome, auth.outcome if auth is not None else None):
            self._attempts.remember(flow.client_address, goal_of(flow), flow.start)
        self.reported += 1
        if self._decided is not None and not flow.decided:
            self._decided(connection)
        if self._sighted is not None:
            self._sighted(sighting_of(flow, connection))
        self._finished(connection)

    def sight(self, flow: Flow, now: int) -> Sighting | None:
        """What is known by now of one that goes on; nothing is counted or told."""
        outcome = outcome_of(flow, now, filtered=self._filtered)
        return sighting_of(flow, self._observe(flow, outcome)) if self._is_wanted(flow, outcome) else None

    def _observe(self, flow: Flow, outcome: ConnectionOutcome) -> Connection:
        retry_of = self._attempts.earlier(flow.client_address, goal_of(flow), flow.start)
        return connection_of(flow, outcome, target=self.target(flow), retry_of=retry_of)

    def _is_wanted(self, flow: Flow, outcome: ConnectionOutcome) -> bool:
        """TLS, or mail, or what didn't get far enough to tell at one of their ports; live only ours."""
        if self._everything:
            if flow.tls is not None or flow.server_port in WANTED_PORTS:
                return True
            return self.target(flow) is not None and (flow.server_port != _HTTP or outcome in _UNREACHED)
        if not self.servers.is_ours(server_name(flow), flow.server_address):
            return False
        return flow.tls is not None or flow.server_port in WANTED_PORTS or outcome in _UNREACHED
