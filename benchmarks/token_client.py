"""Makes token requests, and walks beside them, from within the client's namespace:

`python -m benchmarks.token_client tokens|walks|both COUNT DIRECTORY`; JSON on stdout: {"tokens": [[local port, token
seconds]], "walks": [[local port, connect seconds, tls seconds]]}. The product's own code, with MSAL and its threads.
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path

from benchmarks.clients import PATIENCE, Measured, NotedSockets
from benchmarks.network import SERVER
from exporter.accounts.authority import Authority
from exporter.accounts.msal_bridge import Credentials
from exporter.accounts.token_file import TokenFile
from exporter.accounts.tokens import TokenSource
from exporter.prepare import make_prober
from exporter.probe.resolve import NameService
from exporter.probe.walk import Tools, Vantage, walk
from exporter.probe.way import Deadline
from exporter.secret_files import Secret
from exporter.service import SWITCH_INTERVAL
from exporter.settings import AccountSettings, Settings
from exporter.settings_file import load
from exporter.vocabulary import Phase

#: Where the lab's identity provider listens there.
SIGN_IN_PORT = 444
#: Walks, and token requests, side by side: as many as two vantages of a site make at most moments.
AT_ONCE = 4

Token = tuple[int, float]


async def tokens(settings: Settings, tools: Tools, count: int, directory: Path) -> list[Token]:
    """Each by an account of its own, so that no policy or cache is in the way."""
    found: list[Token] = []

    async def some(numbers: range) -> None:
        for number in numbers:
            found.append(await _token(settings.accounts[0], tools, directory / f"{number}.token"))

    await asyncio.gather(*(some(range(start, count, AT_ONCE)) for start in range(AT_ONCE)))
    return found


async def _token(own: AccountSettings, tools: Tools, cache: Path) -> Token:
    sockets = NotedSockets()
    vantage = Vantage(name="client", names=NameService(hosts={}, resolvers=[], sockets=sockets))
    credentials = Credentials(client_secret=Secret(b"bench-secret"))
    source = TokenSource(own, TokenFile(cache, own.name), credentials, tools, randomness=random.Random(1))
    result = await source.token(vantage)
    if result.seconds is None or result.secret is None:
        raise RuntimeError(f"a token request failed: {result}")
    return sockets.port, result.seconds


async def walks(settings: Settings, tools: Tools, until: asyncio.Event, count: int) -> list[Measured]:
    """At least so many, and until the tokens are done."""
    found: list[Measured] = []
    target = settings.targets()["server"]

    async def one() -> Measured:
        sockets = NotedSockets()
        vantage = Vantage(name="client", names=NameService(hosts={}, resolvers=[], sockets=sockets))
        deadline = Deadline(tools.clock() + PATIENCE)
        walked = await walk(target, target.host, vantage, tools, deadline=deadline)
        if walked.failed is not None:
            raise RuntimeError(f"a walk failed: {walked.failed}")
        seconds = {result.phase: result.seconds or 0.0 for result in walked.phases}
        return sockets.port, seconds[Phase.CONNECT], seconds[Phase.TLS]

    while len(found) < count or not until.is_set():
        found += await asyncio.gather(*(one() for _ in range(AT_ONCE)))
        await asyncio.sleep(0.02)
    return found


async def _measure(what: str, count: int, directory: Path) -> dict[str, object]:
    sys.setswitchinterval(SWITCH_INTERVAL)  # as `run` does
    settings = load(directory / "accounts.yml", os.environ)
    tools = make_prober(settings, once=True).tools
    assert Authority.of(settings.accounts[0]).host == SERVER
    done = asyncio.Event()
    walking = asyncio.create_task(walks(settings, tools, done, count)) if what in ("walks", "both") else None
    given = await tokens(settings, tools, count, directory / what) if what in ("tokens", "both") else []
    done.set()
    return {"tokens": given, "walks": await walking if walking is not None else []}


def main() -> None:
    """See the module."""
    what, count, directory = sys.argv[1:]
    print(json.dumps(asyncio.run(_measure(what, int(count), Path(directory)))))


if __name__ == "__main__":
    main()
