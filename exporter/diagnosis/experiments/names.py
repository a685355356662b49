"""A name asked for once more, otherwise: another resolver, TCP, a TTL that runs out."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

from exporter.clean import clean
from exporter.diagnosis.experiments.sockets import AdjustedSockets
from exporter.probe.failures import PhaseFailure
from exporter.probe.resolve import NameService, Resolution, Resolver, _judge, _over_tcp, _query, resolve, where
from exporter.vocabulary import Outcome

#: How long an answer may take, seconds.
PATIENCE = 4.0


def asking(names: NameService, resolver: Resolver | None, ttl: int | None) -> NameService:
    """The name service of a vantage, asking that resolver alone and no hosts file, with a TTL."""
    resolvers = [resolver] if resolver is not None else list(names.resolvers)
    sockets = AdjustedSockets(names.sockets_to(resolvers[0][0]), ttl=ttl)
    return replace(names, hosts={}, resolvers=resolvers, sockets=sockets, resolver_sockets=sockets)


async def answered(asked: Awaitable[Resolution], names: NameService) -> Resolution:
    """What came back, as a result whatever it was; its text cleaned."""
    resolvers = [where(resolver) for resolver in names.resolvers]
    keep = [address for address, _ in names.resolvers]
    try:
        async with asyncio.timeout(PATIENCE):
            found = await asked
    except PhaseFailure as failure:
        found = Resolution(addresses=(), outcome=failure.outcome, detail=failure.detail)
    except TimeoutError:
        found = Resolution(addresses=(), outcome=Outcome.TIMEOUT, detail=f"no answer from {', '.join(resolvers)}")
    detail = clean(found.detail, keep=[*keep, *found.addresses]) if found.detail else None
    return replace(found, detail=detail)


async def ask_as_clients(name: str, names: NameService, ip_version: str, proxied: bool) -> Resolution:
    """As the prober asks. Raises PhaseFailure."""
    return await resolve(name, names, ip_version=ip_version, public=not proxied)


async def ask_over_tcp(name: str, names: NameService) -> Resolution:
    """A over TCP from the first resolver. Raises PhaseFailure."""
    resolver = names.resolvers[0]
    reply = await _over_tcp(_query(name, "A", edns=True), resolver, names.sockets)
    if reply is None:
        raise PhaseFailure(Outcome.TIMEOUT, f"no answer over TCP from {where(resolver)}")
    answer = _judge(reply, name)
    if answer.failure is not None:
        raise PhaseFailure(answer.failure.outcome, f"{answer.failure.detail}, says {where(resolver)} over TCP")
    return Resolution(addresses=answer.addresses, detail=f"{where(resolver)} over TCP")
