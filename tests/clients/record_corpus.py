"""Records the corpus anew: `python -m tests.clients.record_corpus [SERVER…]`, as root, in about twenty minutes.

Every run is one client against one real server on loopback; what passed goes into tests/wire/inference/corpus, a file
for each server. Programs that aren't installed are named and left out.
"""

import asyncio
import itertools
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from exporter.vocabulary import Mechanism, Protocol
from tests.clients import corpus, tls_policy
from tests.clients.courier import courier
from tests.clients.cyrus import cyrus
from tests.clients.dovecot import dovecot, postfix
from tests.clients.exim import exim
from tests.clients.microsoft import Microsoft, Words, microsoft
from tests.clients.place import Place
from tests.clients.pymap import pymap
from tests.clients.runs import runs
from tests.clients.session import Run, Session, record
from tests.real.certificates import Authority, Files, make_authority

#: Runs under way at once: refusals take seconds in which nothing is computed.
_AT_ONCE = 8
_PASSWORD = "Winter-2019-Rome"
_TOKEN = "EwB" + "wA4kQ7ZsT1mXb9vLhYc2" * 60

Places = AbstractAsyncContextManager[list[Place]]


@asynccontextmanager
async def dovecot_places(authority: Authority, policy: str) -> AsyncIterator[list[Place]]:
    with dovecot(authority.leaf(f"dovecot-{policy}"), policy) as (places, _, _):
        yield places


def plain_places(
    start: Callable[[Files, str], AbstractContextManager[list[Place]]],
) -> Callable[[Authority, str], Places]:
    """Of a server that needs no other."""

    @asynccontextmanager
    async def places(authority: Authority, policy: str) -> AsyncIterator[list[Place]]:
        with start(authority.leaf(f"{start.__name__}-{policy}"), policy) as found:
            yield found

    return places


@asynccontextmanager
async def postfix_places(authority: Authority, policy: str) -> AsyncIterator[list[Place]]:
    with (
        dovecot(authority.leaf(f"dovecot-{policy}"), policy) as (_, sasl, token),
        postfix(authority.leaf(f"postfix-{policy}"), sasl, token, policy) as places,
    ):
        yield places


def microsoft_places(year: str, **switches: object) -> Callable[[Authority, str], Places]:
    @asynccontextmanager
    async def places(authority: Authority, policy: str) -> AsyncIterator[list[Place]]:
        context = tls_policy.context(policy, authority.leaf(f"microsoft-{policy}"))
        async with AsyncExitStack() as stack:
            yield [
                await _microsoft_place(stack, year, policy, context, protocol, starttls, switches)
                for protocol, starttls in (
                    (Protocol.IMAP, False), (Protocol.POP, False), (Protocol.SMTP, True), (Protocol.IMAP, True),
                )
            ]  # fmt: skip

    return places


async def _microsoft_place(
    stack: AsyncExitStack, year: str, policy: str, context: ssl.SSLContext, protocol: Protocol, starttls: bool,
    switches: dict[str, object],
) -> Place:  # fmt: skip
    taken = _PASSWORD if year == "2023" or protocol is Protocol.SMTP else None
    words = Words(year=year, token=_TOKEN, password=taken, delay=0.2, switches=switches)
    server, port = await stack.enter_async_context(microsoft(protocol, words, context, starttls=starttls))
    return Place(
        server=f"microsoft-{year}", protocol=protocol, port=port, starttls=starttls, tls=policy, microsoft=True,
        truth=lambda source: tuple(_log(server, source)), secrets={Mechanism.PASSWORD: _PASSWORD, Mechanism.TOKEN: _TOKEN},
        refusals_only=frozenset() if taken else frozenset({Mechanism.PASSWORD}),
    )  # fmt: skip


def _log(server: Microsoft, source: str) -> list:  # type: ignore[type-arg]
    return server.logs.get(source, [])


#: By server's name: how its places are made, and which TLS policies it is recorded with (the first one in full).
SERVERS: dict[str, tuple[Callable[[Authority, str], Places], tuple[str, ...]]] = {
    "dovecot": (dovecot_places, ("1.3", "1.2-gcm", "1.2-chacha", "1.2-cbc")),
    "postfix": (postfix_places, ("1.3", "1.2-gcm", "1.2-cbc")),
    "exim": (plain_places(exim), ("1.3", "1.2-gcm", "1.2-cbc")),
    "courier": (plain_places(courier), ("1.3", "1.2-gcm", "1.2-cbc")),
    "cyrus": (plain_places(cyrus), ("1.3", "1.2-gcm", "1.2-cbc")),
    "pymap": (plain_places(pymap), ("1.3", "1.2-gcm")),
    "microsoft-2026": (microsoft_places("2026"), ("1.3", "1.2-gcm", "1.2-chacha", "1.2-cbc", "1.2-cbc-sha1")),
    "microsoft-2024": (microsoft_places("2024"), ("1.2-gcm", "1.3")),
    "microsoft-2023": (microsoft_places("2023"), ("1.2-gcm", "1.3")),
    "microsoft-throttled": (microsoft_places("2026", throttled=True), ("1.3", "1.2-gcm")),
    "microsoft-not-connected": (microsoft_places("2024", not_connected=True), ("1.2-gcm", "1.3")),
}
#: Of the policies behind the first, and of STARTTLS on 143 and 110, only every so many-th run is made: the words are
#: the same, only lengths differ.
_THINNED = 4
#: These are thinned throughout.
_THIN = frozenset({"microsoft-throttled", "microsoft-not-connected"})


async def record_place(place: Place, chosen: list[Run], base: Path, numbers: "itertools.count[int]") -> list[Session]:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(run: Run) -> list[Session]:
        async with limit:
            sessions = await record(place, run, base / f"run{next(numbers)}")
            if not sessions:
                print(f"no connection: {place.server} {place.protocol} {run}", file=sys.stderr)
            return sessions

    return [each for found in await asyncio.gather(*(one(run) for run in chosen)) for each in found]


async def record_server(name: str, base: Path, numbers: "itertools.count[int]") -> list[Session]:
    make, policies = SERVERS[name]
    authority = make_authority(base / f"pki-{name}")
    (base / "root.pem").write_bytes(authority.root.pem)
    found = []
    for policy in policies:
        async with make(authority, policy) as places:
            for place in places:
                chosen = list(runs(place))
                if policy != policies[0] or name in _THIN or (place.starttls and place.protocol is not Protocol.SMTP):
                    chosen = chosen[policies.index(policy) % _THINNED :: _THINNED]
                sessions = await record_place(place, chosen, base, numbers)
                print(f"{name} {policy} {place.protocol} starttls={place.starttls}: {len(sessions)}", file=sys.stderr)
                found += sessions
    return found


def main() -> None:
    names = sys.argv[1:] or list(SERVERS)
    with tempfile.TemporaryDirectory(prefix="corpus-") as directory:
        base = Path(directory)
        base.chmod(0o755)
        numbers = itertools.count(1)
        for name in names:
            corpus.write(name, asyncio.run(record_server(name, base, numbers)))


if __name__ == "__main__":
    main()
