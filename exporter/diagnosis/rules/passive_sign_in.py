"""How real clients fare at signing in, and how long they wait: from lengths, directions and times of their records."""

from collections.abc import Iterator, Sequence
from statistics import median

from exporter.diagnosis.rules.common import LATE, listed
from exporter.diagnosis.rules.passive import ENOUGH, claim_of
from exporter.diagnosis.rules.speed import LONG_TLS, MANY_TIMES, SLOW_CONNECT, SLOW_TLS
from exporter.diagnosis.tap import Tap
from exporter.diagnosis.weigh import Claim, Scales
from exporter.observations import Connection, WireAuth
from exporter.protocols.ja4 import stack_of
from exporter.vocabulary import AuthOutcome, Cause, ClosedBy, ConnectionOutcome, Mechanism, Phase

#: Ages at which idle connections end differ so little where a clock of somebody's ends them, and are at least, seconds.
SAME_AGE, IDLE = 0.1, 55.0
#: Clients whose tokens are all refused, from so many on, have no fault in common but the service.
MANY_CLIENTS = 3
#: Retries in a short time that are a loop.
LOOP = 3
#: Segments sent again for each connection that are more than bad luck.
LOSSY = 3.0

_CUT = frozenset({ClosedBy.RESET_SERVER, ClosedBy.TIMEOUT})
_SIGN_IN = frozenset({"sign_in_work", "sign_in_personal"})


def passwords(tap: Tap) -> Iterator[Claim]:
    """password_refused: clients still present one, or read that none is taken and leave, again and again.

    Overturned by: the attempts are seen to be by token; those who leave do it once, to look.
    """
    refused = _of(tap, Mechanism.PASSWORD, AuthOutcome.REFUSED)
    leaving = [each for each in tap.established if _last(each, AuthOutcome.ABANDONED) and each.retry_of >= LOOP]
    if not refused and not leaving:
        return
    scales = Scales(Cause.PASSWORD_REFUSED)
    if refused:
        scales.add(0.9, f"sign-ins by password are refused: {len(refused)} ({_clients(refused)})")
    if any(each.retry_of >= LOOP for each in refused):
        scales.add(0.1, "they try again and again with what was refused")
    if leaving:
        text = f"{_clients(leaving)} read what is offered and leave, again and again, as clients set to a password do"
        scales.add(0.65, text)
    yield scales.claim("sign-in by password", Phase.AUTH, confirmed=True)


def tokens(tap: Tap) -> Iterator[Claim]:
    """token_expired for some clients, service_outage where every one of many is refused.

    Overturned by: tokens of several clients are refused and none accepted (and the other way round).
    """
    all_refused, accepted = (_of(tap, Mechanism.TOKEN, each) for each in (AuthOutcome.REFUSED, AuthOutcome.ACCEPTED))
    refused = [each for each in all_refused if not _is_ours(tap, each)]  # our canary is refused on purpose
    if not refused:
        return
    clients = {each.client for each in refused} - {None}
    if not accepted and not clients and len(refused) >= MANY_CLIENTS:
        yield from _tokens_of_nobody(refused)
        return
    everyone = not accepted and len(clients) >= MANY_CLIENTS
    scales = Scales(Cause.SERVICE_OUTAGE if everyone else Cause.TOKEN_EXPIRED)
    text = f"sign-ins by token are refused: {len(refused)} ({_clients(refused)})"
    scales.add(0.65, f"{text}, and none is accepted" if everyone else text)
    if any(each.retry_of >= LOOP for each in refused):
        scales.add(0.1, "they try again and again with what was refused")
    if accepted:
        scales.add(0.3, f"others' are accepted ({_clients(accepted)}): the way carries authentication")
    yield scales.claim("sign-in by token", Phase.AUTH, confirmed=len(refused) >= ENOUGH)


def _is_ours(tap: Tap, connection: Connection) -> bool:
    return tap.own_stack is not None and stack_of(connection.ja4) == tap.own_stack


def _tokens_of_nobody(refused: Sequence[Connection]) -> Iterator[Claim]:
    """Without clients' addresses one account's refusals and everybody's look the same."""
    scales = Scales(Cause.UNKNOWN)
    text = f"{len(refused)} sign-ins by token are refused, none is accepted, and whose they are isn't known"
    scales.add(0.3, text)
    hint = "tell clients apart: `privacy: {client_addresses: hashed}`; or configure an account, which is tried here too"
    yield scales.claim("sign-in by token", Phase.AUTH, confirmed=True, hint=hint)


def throttled(tap: Tap) -> Iterator[Claim]:
    """throttled, as the conversation's form tells. Overturned by: the same sign-ins are refused at any pace."""
    slowed = [each for each in tap.established if _last(each, AuthOutcome.THROTTLED)]
    if slowed:
        scales = Scales(Cause.THROTTLED)
        scales.add(0.7, f"{len(slowed)} sign-ins are told to wait")
        yield claim_of(scales, Phase.AUTH, slowed)


def cut_at_sign_in(tap: Tap) -> Iterator[Claim]:
    """auth_dropped: reset or silence behind a token, without an answer.

    Overturned by: an answer to the token; most sign-ins by token get one.
    """
    cut = [
        each for each in tap.established
        if each.closed_by in _CUT and each.auth is not None and each.auth.mechanism is Mechanism.TOKEN
        and each.auth.outcome in (AuthOutcome.UNKNOWN, AuthOutcome.ABANDONED)
    ]  # fmt: skip
    if weight := tap.count(cut):
        scales = Scales(Cause.AUTH_DROPPED)
        scales.add(
            weight, f"{len(cut)} connections die when the token is sent ({listed(str(e.closed_by) for e in cut)})"
        )
        yield claim_of(scales, Phase.AUTH, cut)


def idle_cut(tap: Tap) -> Iterator[Claim]:
    """idle_cut: signed-in connections that end by reset or silence at one and the same age.

    Overturned by: ends at different ages, or by the client.
    """
    cut = [each for each in tap.established if each.closed_by in _CUT and _age(each) >= IDLE]
    ages = [_age(each) for each in cut]
    if len(cut) < ENOUGH:
        return
    middle = median(ages)
    alike = [age for age in ages if abs(age - middle) <= SAME_AGE * middle]
    if len(alike) >= ENOUGH and len(alike) * 2 > len(ages):
        scales = Scales(Cause.IDLE_CUT)
        scales.add(0.8, f"{len(alike)} connections are cut at an age of some {middle:.0f} s, without a word")
        yield scales.claim("hold", Phase.SESSION, confirmed=True)


def slow(tap: Tap) -> Iterator[Claim]:
    """slow_path by handshakes; slow_sign_in and slow_service by answers over quick handshakes.

    Overturned by: each is the other's rival: late answers over quick handshakes are the service's.
    """
    whole = [each for each in tap.established if not each.retransmissions]  # a lost segment is waited for, too
    connect = _median(each.tcp_handshake_seconds for each in whole)
    handshake = _median(each.tls_handshake_seconds for each in whole)
    if connect is None:
        return
    handshake = handshake or 0.0
    if (
        connect >= SLOW_CONNECT
        or handshake >= SLOW_TLS
        or (handshake >= LONG_TLS and handshake >= MANY_TIMES * connect)
    ):
        scales = Scales(Cause.SLOW_PATH)
        scales.add(0.75, f"TCP handshakes take {connect:.2f} s in the median, TLS handshakes {handshake:.2f} s")
        yield claim_of(scales, Phase.CONNECT, tap.established, "speed")
        return
    sign_in = tap.target in _SIGN_IN
    answer = _median((each.reply_seconds if sign_in else each.first_reply_seconds) for each in tap.established)
    if answer is not None and answer >= LATE:
        scales = Scales(Cause.SLOW_SIGN_IN if sign_in else Cause.SLOW_SERVICE)
        scales.add(0.75, f"answers take {answer:.1f} s in the median, TCP handshakes {connect:.3f} s")
        yield claim_of(scales, Phase.TOKEN if sign_in else Phase.GREETING, tap.established, "speed")


def lossy(tap: Tap) -> Iterator[Claim]:
    """packet_loss: many segments sent again, on connections that stand all the same.

    Overturned by: few of many connections need a segment again.
    """
    again = sum(each.retransmissions for each in tap.established)
    if len(tap.established) >= ENOUGH and again >= LOSSY * len(tap.established):
        scales = Scales(Cause.PACKET_LOSS)
        scales.add(0.65, f"{again} segments were sent again on {len(tap.established)} connections")
        yield claim_of(scales, Phase.CONNECT, tap.established, "speed")


def _of(tap: Tap, mechanism: Mechanism, outcome: AuthOutcome) -> list[Connection]:
    """Connections with such an attempt; one that stays in clear counts too."""
    told = tap.ended(ConnectionOutcome.ESTABLISHED, ConnectionOutcome.NOT_TLS)
    return [each for each in told if any((a.mechanism, a.outcome) == (mechanism, outcome) for a in _attempts(each))]


def _attempts(connection: Connection) -> Sequence[WireAuth]:
    return connection.attempts or ((connection.auth,) if connection.auth is not None else ())


def _last(connection: Connection, outcome: AuthOutcome) -> bool:
    return connection.auth is not None and connection.auth.outcome is outcome


def _clients(connections: Sequence[Connection]) -> str:
    """How many clients, never who."""
    known = len({each.client for each in connections} - {None})
    return "one client" if known == 1 else f"{known} clients" if known else "clients"


def _age(connection: Connection) -> float:
    return (connection.end - connection.start).total_seconds()


def _median(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
