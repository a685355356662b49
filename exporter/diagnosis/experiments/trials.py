"""The experiments about one walk that failed, each made by walking again with one thing changed."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography.x509 import Certificate

from exporter.catalogue import Target
from exporter.clean import clean, raw_text
from exporter.diagnosis.experiment import Experiment, Kind
from exporter.diagnosis.experiments.budget import ExperimentBudget
from exporter.diagnosis.experiments.hello import ChangedTls, HelloChange, Listening, Then, Wrapping
from exporter.diagnosis.experiments.names import answered, ask_as_clients, ask_over_tcp, asking
from exporter.diagnosis.experiments.pace import HopPace
from exporter.diagnosis.experiments.pages import at_private_address
from exporter.diagnosis.experiments.sockets import AdjustedSockets, KernelAccount
from exporter.observations import PhaseResult
from exporter.probe.connect import Connecting
from exporter.probe.identity import parse_chain
from exporter.probe.vantage import SocketMaker
from exporter.probe.walk import HostWalk, Tools, Vantage, walk
from exporter.probe.way import Deadline
from exporter.vocabulary import Outcome, Phase

#: How long an experiment waits for one phase, seconds: what works elsewhere answers within less.
PATIENCE = 3.0
#: The whole of one experiment's walk ends within so many patiences.
_PHASES = 4
#: Handshakes that are counted for losses: how many at once, and how long each may take, seconds (a SYN sent thrice).
LOSS_AT_ONCE, LOSS_PATIENCE = 5, 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What experiments are about. `phase`: where the walk went wrong, and how; `address`: where it went."""

    target: Target
    host: str
    vantage: Vantage
    address: str | None
    phase: Phase
    outcome: Outcome

    @property
    def proxied(self) -> bool:
        """Whether a proxy's addresses stand before the target's."""
        return self.vantage.proxy is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An address that something of the round connected to."""

    target: Target
    host: str
    address: str
    port: int


@dataclass(slots=True, kw_only=True)
class Trials:
    """One subject's experiments. `until`: when all must be over (monotonic seconds)."""

    subject: Subject
    tools: Tools
    budget: ExperimentBudget
    pace: HopPace
    until: float
    randomness: random.Random
    made: list[Experiment] = field(default_factory=list)

    async def again(
        self,
        kind: Kind = Kind.AGAIN,
        *,
        patience: float = PATIENCE,
        address: str | None = None,
        token: str | None = None,
        phase: Phase | None = None,
        then: Then | None = None,
    ) -> Experiment | None:
        """The walk once more, to its end: nothing changed but patience, address, or the worthless token presented."""
        if not self._may(1):
            return None
        tls = self.tools.tls if then is None else Wrapping(self.tools.tls, then)
        tools = replace(self.tools, tls=tls, timeout=patience)
        found = await self._walk(self._vantage(AdjustedSockets(self._sockets()), address), tools, patience, token)
        return self._note(kind, self._phase_of(found, phase or self.subject.phase), found)

    async def hello(
        self,
        kind: Kind,
        change: HelloChange | None = None,
        *,
        mss: int | None = None,
        patience: float = PATIENCE,
    ) -> Experiment | None:
        """A handshake with a changed ClientHello (or the usual one), nothing after it."""
        change = change or HelloChange()
        if not await self._may_at(change.ttl):
            return None
        sockets = AdjustedSockets(self._sockets(), mss=mss)
        tls = ChangedTls(change, sockets, self.tools.clock)
        found = await self._walk(self._vantage(sockets, None), replace(self.tools, tls=tls, timeout=patience), patience)
        result = self._phase_of(found, Phase.TLS)
        return self._note(kind, result, found, tls.account, ttl=change.ttl, name=change.name)

    async def connect(
        self,
        kind: Kind,
        address: str,
        port: int,
        *,
        host: str | None = None,
        ttl: int | None = None,
        control: bool = False,
        patience: float = PATIENCE,
    ) -> Experiment | None:
        """TCP alone to an address, perhaps with packets that die on their way."""
        if not await self._may_at(ttl):
            return None
        sockets = AdjustedSockets(self._sockets(), ttl=ttl)
        connecting = Connecting([address], port, sockets, self.tools.clock, patience)
        try:
            (result,) = await connecting.results()
            keep = [address, *connecting.senders()]
        finally:
            connecting.close()
        experiment = self._experiment(
            kind, Phase.CONNECT, result.outcome, result.seconds, clean(result.detail or "", keep=keep) or None
        )
        changed = replace(
            experiment, host=host or self.subject.host, address=address, port=port, ttl=ttl, control=control
        )
        return self._add(changed)

    async def resolve(
        self, kind: Kind, resolver: tuple[str, int] | None = None, *, ttl: int | None = None, tcp: bool = False
    ) -> Experiment | None:
        """The name once more: by another resolver, over TCP, or by a query that dies on its way."""
        if not await self._may_at(ttl):
            return None
        vantage, began = self.subject.vantage, self.tools.clock()
        name = vantage.proxy.host if vantage.proxy is not None else self.subject.host
        names = asking(vantage.names, resolver, ttl)
        ask = (
            ask_over_tcp(name, names) if tcp else ask_as_clients(name, names, vantage.ip_version, self.subject.proxied)
        )
        answer = await answered(ask, names)
        experiment = self._experiment(kind, Phase.DNS, answer.outcome, None, answer.detail)
        seconds = round(self.tools.clock() - began, 6)
        return self._add(replace(experiment, seconds=seconds, addresses=answer.addresses, ttl=ttl))

    async def resolve_other(self, name: str) -> str | None:
        """An address of a neutral host, by the vantage's own resolver; None where it can't be found."""
        names = self.subject.vantage.names
        found = await answered(ask_as_clients(name, names, self.subject.vantage.ip_version, proxied=True), names)
        return found.addresses[0] if found.addresses else None

    async def page(self, token: str | None) -> Experiment | None:
        """The page once more: whether it is at a private address is read off its text before that is cleaned."""
        if not self._may(1):
            return None
        vantage = self._vantage(AdjustedSockets(self._sockets()), None)
        with raw_text(True):
            found = await self._walk(vantage, self.tools, PATIENCE, token)
        result = self._phase_of(found, self.subject.phase)
        private = at_private_address(result.detail or "", found.address, vantage.names.private_networks)
        detail = clean(result.detail or "", keep=[found.address or ""]) or None
        experiment = self._experiment(Kind.PAGE, result.phase, result.outcome, result.seconds, detail)
        return self._add(replace(experiment, address=found.address, private=private))

    async def loss(self, vantage: Vantage, address: str, port: int, count: int) -> Experiment | None:
        """So many TCP handshakes, and how many of them needed a segment sent again."""
        if not self._may(count):
            return None
        slots = asyncio.Semaphore(LOSS_AT_ONCE)

        async def lost_one() -> bool:
            async with slots:
                sockets = AdjustedSockets(vantage.names.sockets)
                connecting = Connecting([address], port, sockets, self.tools.clock, LOSS_PATIENCE)
                try:
                    (result,) = await connecting.results()
                    return result.outcome is Outcome.TIMEOUT or bool(sockets.account().retransmissions)
                finally:
                    connecting.close()

        lost = sum(await asyncio.gather(*(lost_one() for _ in range(count))))
        experiment = self._experiment(Kind.LOSS, Phase.CONNECT, Outcome.OK, None, None)
        return self._add(
            replace(experiment, vantage=vantage.name, address=address, tried=count, hit=lost, connections=count)
        )

    async def chains_with(self, intermediates: Sequence[Place], alike: Sequence[Place]) -> None:
        """Leaves that came without their intermediate, checked with those that other hosts present."""
        if not self._may(len(intermediates)):
            return
        theirs = [(place, await self._chain(place)) for place in intermediates]
        own = Place(
            target=self.subject.target,
            host=self.subject.host,
            address=self.subject.address or "",
            port=self.subject.target.port,
        )
        for place in (own, *alike):
            if not place.address or not self._may(1):
                break
            leaf = (await self._chain(place))[:1]
            whole = next((other for other, chain in theirs if leaf and self._leads_to_a_root([*leaf, *chain])), None)
            outcome = Outcome.OK if whole is not None else Outcome.CERTIFICATE_CHAIN_INCOMPLETE
            found = self._experiment(Kind.OTHER_CHAIN, Phase.TLS, outcome, None, None)
            found = replace(found, target=place.target.name, port=place.port, address=place.address)
            host = whole.host if whole is not None else place.host
            self._add(replace(found, host=host, genuine=whole is not None))

    def _leads_to_a_root(self, chain: Sequence[Certificate]) -> bool:
        return isinstance(self.tools.roots.verified_path(chain), list)

    async def _chain(self, place: Place) -> list[Certificate]:
        """What a host presents, leaf first."""
        tls = Listening(self.tools.tls)
        vantage = self._vantage(AdjustedSockets(self._sockets()), place.address)
        if not self.subject.proxied:
            vantage = replace(vantage, names=replace(vantage.names, hosts={place.host: [place.address]}))
        deadline = Deadline(self.tools.clock() + PATIENCE * 2)
        tools = replace(self.tools, tls=tls, timeout=PATIENCE)
        await walk(place.target, place.host, vantage, tools, deadline=deadline)
        return parse_chain(tls.chain)

    async def _may_at(self, ttl: int | None) -> bool:
        """One connection; where its packets die on their way, in their turn."""
        if ttl is not None and self.tools.clock() < self.until:
            await self.pace.turn()
        return self._may(1)

    def _may(self, connections: int) -> bool:
        now = self.tools.clock()
        return now < self.until and self.budget.take(connections, now)

    def _sockets(self) -> SocketMaker:
        return self.subject.vantage.names.sockets

    def _vantage(self, sockets: AdjustedSockets, address: str | None) -> Vantage:
        """The vantage with those sockets, and with one address only, where no proxy stands before it."""
        vantage = self.subject.vantage
        names = replace(vantage.names, sockets=sockets)
        pinned = address or self.subject.address
        if pinned is not None and not self.subject.proxied:
            names = replace(names, hosts={**names.hosts, self.subject.host: [pinned]})
        return replace(vantage, names=names)

    async def _walk(self, vantage: Vantage, tools: Tools, patience: float, token: str | None = None) -> HostWalk:
        deadline = Deadline(min(self.tools.clock() + patience * _PHASES, max(self.until, self.tools.clock() + 1.0)))
        return await walk(
            self.subject.target, self.subject.host, vantage, tools, deadline=deadline, offer_canary=lambda _path: token
        )

    @staticmethod
    def _phase_of(found: HostWalk, phase: Phase) -> PhaseResult:
        """The phase in question, or the one before it that kept the walk from coming so far."""
        asked = next((result for result in found.phases if result.phase is phase), None)
        if asked is not None and asked.outcome is not Outcome.SKIPPED:
            return asked
        ended = next((result for result in found.phases if result.outcome is not Outcome.OK), None)
        return ended or asked or PhaseResult(phase=phase, outcome=Outcome.SKIPPED)

    def _note(
        self,
        kind: Kind,
        result: PhaseResult,
        found: HostWalk,
        account: KernelAccount | None = None,
        ttl: int | None = None,
        name: str | None = None,
    ) -> Experiment:
        ours = found.tls.own_seconds if result.phase is Phase.TLS and found.tls is not None else None
        seconds = None if result.seconds is None else max(result.seconds - (ours or 0.0), 0.0)
        experiment = self._experiment(kind, result.phase, result.outcome, seconds, name or result.detail)
        account = account or KernelAccount()
        return self._add(
            replace(
                experiment,
                address=found.address or self.subject.address,
                ttl=ttl,
                genuine=found.tls.signatures_genuine if found.tls is not None else None,
                acknowledged=account.acknowledged,
                retransmissions=account.retransmissions,
                out_of_order=account.out_of_order,
            )
        )

    def _experiment(
        self, kind: Kind, phase: Phase, outcome: Outcome, seconds: float | None, detail: str | None
    ) -> Experiment:
        return Experiment(
            experiment=kind,
            time=self._now(),
            target=self.subject.target.name,
            vantage=self.subject.vantage.name,
            host=self.subject.host,
            port=self.subject.target.port,
            phase=phase,
            outcome=outcome,
            seconds=seconds,
            detail=detail,
        )

    def note_beside(self, other: Experiment, kind: Kind, outcome: Outcome) -> Experiment:
        """What was tried on another experiment's connection: it cost none of its own."""
        made = replace(other, experiment=kind, outcome=outcome, seconds=None, detail=None, connections=0)
        return self._add(made)

    def _now(self) -> datetime:
        return self.tools.wall_clock()

    def _add(self, experiment: Experiment) -> Experiment:
        self.made.append(experiment)
        return experiment
