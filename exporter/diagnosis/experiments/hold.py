"""Phase `hold`: a connection kept idle, as push mail keeps it, then asked something: who has forgotten it?

Signed in where an account allows, for a server leaves those who never sign in after a minute; then the last command is
the session's. Without one it is the first command behind the greeting.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from exporter.accounts.attempt import sign_in
from exporter.accounts.configured import Account
from exporter.accounts.token import Resource
from exporter.catalogue import Target
from exporter.diagnosis.experiment import Experiment, Kind
from exporter.diagnosis.experiments.hello import Wrapping
from exporter.observations import PhaseResult
from exporter.probe.tls import TlsStream
from exporter.probe.walk import Tools, Vantage, walk
from exporter.probe.way import Deadline
from exporter.vocabulary import AuthOutcome, Outcome, Phase, Protocol

#: How long the answer to the last command may take, seconds.
PATIENCE = 5.0
#: Everything around the idle time ends within so many seconds.
AROUND = 25.0
#: A server may leave one who hasn't signed in after a minute; held shorter than this, seconds, that isn't in question.
UNSIGNED = 50.0

#: Outcomes that show a connection dead; any words are an answer.
CUT = frozenset({Outcome.RESET, Outcome.TIMEOUT, Outcome.CLOSED, Outcome.UNREACHABLE})

_MAIL = frozenset({Protocol.IMAP, Protocol.POP, Protocol.SMTP})


@dataclass(frozen=True, slots=True)
class Held:
    """How an idle connection fared. `signed_in`: by whom; `idle`: seconds."""

    result: PhaseResult
    idle: float
    address: str | None
    signed_in: str | None = None


class IdleBefore(TlsStream):
    """Stays silent for so many seconds before the first line that `is_it` tells."""

    def __init__(self, secured: TlsStream, seconds: float, is_it: Callable[[bytes], bool]) -> None:
        super().__init__(secured._connection, secured._stream)
        self._seconds, self._is_it, self._waits = seconds, is_it, True

    async def send(self, data: bytes) -> float:
        if self._waits and self._is_it(data):
            self._waits = False
            await asyncio.sleep(self._seconds)
        return await super().send(data)


async def hold_all(
    targets: Sequence[Target],
    vantages: Sequence[Vantage],
    tools: Tools,
    seconds: float,
    accounts: Sequence[Account] = (),
    skew: float = 0.0,
) -> list[Experiment]:
    """Every target kept idle from every vantage, side by side."""

    def account_for(target: Target, vantage: Vantage) -> Account | None:
        return next((a for a in accounts if target.name in a.targets and vantage.name in a.vantages), None)

    runs = [
        hold(target, vantage, tools, seconds, account_for(target, vantage), skew)
        for target in targets
        for vantage in vantages
    ]
    return [held for held in await asyncio.gather(*runs) if held is not None]


async def hold(
    target: Target, vantage: Vantage, tools: Tools, seconds: float, account: Account | None = None, skew: float = 0.0
) -> Experiment | None:
    """Keeps one connection idle, then uses it. None where the target has no such connection, or none could be had."""
    if target.protocol not in _MAIL:
        return None
    held = None
    if account is not None and account.tokens is not None and target.protocol is Protocol.IMAP:
        held = await _signed_in(target, vantage, tools, seconds, account, skew)
    held = held or await _unsigned(target, vantage, tools, seconds)
    if held is None:
        return None
    return Experiment(
        experiment=Kind.HOLD,
        time=tools.wall_clock(),
        target=target.name,
        vantage=vantage.name,
        host=target.host,
        port=target.port,
        phase=Phase.SESSION,
        outcome=held.result.outcome if held.result.outcome in CUT else Outcome.OK,
        seconds=held.result.seconds,
        detail=held.result.detail,
        address=held.address,
        idle=held.idle,
    )


async def _unsigned(target: Target, vantage: Vantage, tools: Tools, seconds: float) -> Held | None:
    """Idle behind the greeting (behind EHLO's answer over TLS, where that comes first)."""
    idle = min(seconds, UNSIGNED)
    tls = Wrapping(tools.tls, lambda secured: IdleBefore(secured, idle, lambda _line: True))
    patient = replace(tools, tls=tls, timeout=idle + PATIENCE)
    found = await walk(target, target.host, vantage, patient, deadline=Deadline(tools.clock() + idle + AROUND))
    result = next((each for each in found.phases if each.phase is Phase.CAPABILITY), None)
    if result is None or result.outcome is Outcome.SKIPPED:
        return None
    return Held(_without_idle(result, idle), idle, found.address)


async def _signed_in(
    target: Target, vantage: Vantage, tools: Tools, seconds: float, account: Account, skew: float
) -> Held | None:
    """Idle between the sign-in and the session's first command."""
    assert account.tokens is not None
    token = await account.tokens.token(vantage, Resource.EXCHANGE, ahead=False)
    if token.secret is None:
        return None
    tls = Wrapping(tools.tls, lambda secured: IdleBefore(secured, seconds, _is_session_command))
    patient = replace(tools, tls=tls, timeout=seconds + PATIENCE)
    deadline = Deadline(tools.clock() + seconds + AROUND)
    result = await sign_in(account.settings, target, vantage, patient, token.secret, deadline=deadline, skew=skew)
    session = next((each for each in result.phases if each.phase is Phase.SESSION), None)
    if result.outcome is not AuthOutcome.ACCEPTED or session is None or session.outcome is Outcome.SKIPPED:
        return None
    return Held(_without_idle(session, seconds), seconds, None, account.name)


def _is_session_command(line: bytes) -> bool:
    return b" LIST " in line.upper() or b" NOOP" in line.upper()


def _without_idle(result: PhaseResult, idle: float) -> PhaseResult:
    return replace(result, seconds=None if result.seconds is None else round(max(result.seconds - idle, 0.0), 6))
