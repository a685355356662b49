"""The same connection inside and outside the gateway: matched through NAT and proxies, and what was done to it. Pure.

Addresses and ports of the client, sequence numbers, windows and options may all be rewritten. What passes is the
ClientHello's random (RFC 8446 4.1.2), unless somebody terminates TLS; else server, name and time must do. The two
captures' clocks may differ: the randoms that match tell by how much.

A client that asks a proxy (CONNECT) has a connection to that, and the proxy another to the server: the same way all the
same, known by the random, or by the name where the proxy ends TLS. What differs because there are two isn't tampering.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from statistics import median

from exporter.observations import Connection, TamperingSeen
from exporter.vocabulary import ClosedBy, ConnectionOutcome, Tampering
from exporter.wire.clear_text import StartTls
from exporter.wire.sighting import Sighting

#: A connection without a common random is the same if it began so close, seconds by the common clock.
CLOSE = 3.0
#: What a gateway may take longer for a handshake, or a first reply, before it is told, seconds.
DELAY = 0.25
#: Silence of so long in front of a cut makes it one of idle connections, seconds.
IDLE = 30.0
#: How long nothing may pass at one side before or behind its capture's packets and it still be captured, seconds.
STILL = 60.0
#: Connections of each side by whose rhythm clocks are compared, and how exactly they must agree, seconds.
MAX_COMPARED, RHYTHM, MAX_TRIED = 60, 0.5, 20
#: Payload that may still be on its way when one side is cut, bytes.
SLACK = 0

TO_SERVER, TO_CLIENT = "to_server", "to_client"
_UNBORN = frozenset({ConnectionOutcome.NO_ANSWER, ConnectionOutcome.REFUSED, ConnectionOutcome.UNREACHABLE})
#: Outcomes in which the client said its hello and the server nothing.
_UNHEARD = frozenset({ConnectionOutcome.HELLO_RESET, ConnectionOutcome.HELLO_UNANSWERED})


def compared(
    inside: Sequence[Sighting], outside: Sequence[Sighting], *, covered: bool = True,
    span: tuple[float, float] | None = None,
) -> Iterator[Connection]:  # fmt: skip
    """The inside's connections with what the gateway did to each, then the outside's that none of them is.

    `covered`: both captures are of the same time; else nothing can be told of a connection that is missing outside.
    `span`: of the outside's packets, by the inside's clock in seconds; what is far from it wasn't captured there.
    """
    pairs, alone = matched(inside, outside)
    for own, other in pairs:
        if other is not None:
            captured = span is None or own.closed_at is None or own.closed_at <= span[1] + STILL
            yield replace(own.connection, tampering=tuple(_tampering(own, other, captured=captured)))
        elif covered and (span is None or span[0] - STILL <= _start(own) <= span[1] + STILL):
            yield replace(own.connection, tampering=tuple(_without_counterpart(own)))
        else:
            yield own.connection
    for other in alone:
        yield other.connection


def matched(
    inside: Sequence[Sighting], outside: Sequence[Sighting], *, one_clock: bool = False
) -> tuple[list[tuple[Sighting, Sighting | None]], list[Sighting]]:
    """Each of the inside with its counterpart, None where there is none; and those of the outside that are left."""
    left = dict(enumerate(outside))
    by_random: dict[bytes, list[int]] = {}
    for number, other in left.items():
        if other.random is not None:
            by_random.setdefault(other.random, []).append(number)
    found: dict[int, Sighting] = {}
    for number, own in enumerate(inside):
        if own.random is not None and (others := by_random.get(own.random)):
            found[number] = left.pop(others.pop(0))
    ahead = _by_randoms((inside[number], other) for number, other in found.items())
    if ahead is None:
        ahead = 0.0 if one_clock else _by_rhythm(inside, outside)
    for number, own in enumerate(inside):
        if number not in found and (best := _nearest(own, left, ahead)) is not None:
            found[number] = left.pop(best)
    return [(own, found.get(number)) for number, own in enumerate(inside)], list(left.values())


def clocks_apart(inside: Sequence[Sighting], outside: Sequence[Sighting]) -> float:
    """By how much the outside's clock is ahead, seconds; 0 where nothing tells."""
    by_random = {each.random: each for each in outside if each.random is not None}
    ahead = _by_randoms((own, by_random[own.random]) for own in inside if own.random in by_random)
    return _by_rhythm(inside, outside) if ahead is None else ahead


def _by_randoms(pairs: Iterable[tuple[Sighting, Sighting]]) -> float | None:
    differences = [_start(other) - _start(own) for own, other in pairs]
    return median(differences) if differences else None


def _by_rhythm(inside: Sequence[Sighting], outside: Sequence[Sighting]) -> float:
    """Where somebody terminates every connection, many to the same servers still begin in the same rhythm."""
    pairs = [
        (own, other)
        for own in inside[:MAX_COMPARED] for other in outside[:MAX_COMPARED] if _may_be(own, other)
    ]  # fmt: skip
    rounded = Counter(round((_start(other) - _start(own)) / RHYTHM) * RHYTHM for own, other in pairs)
    best, most = 0.0, _agreeing(0.0, pairs)
    for difference, _ in rounded.most_common(MAX_TRIED):
        if (count := _agreeing(difference, pairs)) > most:
            best, most = difference, count
    return best if most >= 2 and 2 * most >= len({id(own) for own, _ in pairs}) else 0.0


def _agreeing(difference: float, pairs: Iterable[tuple[Sighting, Sighting]]) -> int:
    """How many of the inside have another of the outside that began so much later."""
    near = [(own, other) for own, other in pairs if abs(_start(other) - _start(own) - difference) < RHYTHM]
    return min(len({id(own) for own, _ in near}), len({id(other) for _, other in near}))


def _may_be(own: Sighting, other: Sighting) -> bool:
    """To the same server, of a name that doesn't contradict; a proxy leads to whichever address it finds for it."""
    mine, its = own.connection, other.connection
    if _by_proxy(own, other):
        return mine.sni is not None and (mine.sni, own.asked_port) == (its.sni, its.server_port)
    if (mine.server, mine.server_port) != (its.server, its.server_port):
        return False
    return None in (mine.sni, its.sni) or mine.sni == its.sni


def _by_proxy(own: Sighting, other: Sighting) -> bool:
    """Whether the inside asked a proxy, which is on the way to the outside: not where both ask another one beyond."""
    return own.asked_port is not None and other.asked_port is None


def _is_one_stream(own: Sighting, other: Sighting) -> bool:
    """Whether the same segments are seen on both sides, as far as they come through: what each side said first is the
    same, in TLS or in clear."""
    if _by_proxy(own, other) or own.random != other.random:
        return False
    if own.random is not None:
        return True
    said = own.banner_length, own.ehlo_reply_length
    return None not in said and said == (other.banner_length, other.ehlo_reply_length)


def _nearest(own: Sighting, left: dict[int, Sighting], ahead: float) -> int | None:
    """The one to the same server, of a name that doesn't contradict, that began closest; both can't have the random."""
    best, distance = None, CLOSE
    for number, other in left.items():
        if not _may_be(own, other):
            continue
        apart = abs(_start(other) - ahead - _start(own))
        if apart < distance:
            best, distance = number, apart
    return best


def _start(sighting: Sighting) -> float:
    return sighting.connection.start.timestamp()


def _without_counterpart(own: Sighting) -> Iterator[TamperingSeen]:
    """Nothing of it left the gateway."""
    mine = own.connection
    if mine.outcome in _UNBORN:
        yield TamperingSeen(kind=Tampering.SYN_NOT_FORWARDED, direction=TO_SERVER, detail=f"{mine.outcome}")
    elif mine.outcome is not ConnectionOutcome.INCOMPLETE:
        words = "answered by the gateway itself, without a connection of its own"
        yield TamperingSeen(kind=Tampering.TERMINATED, direction=None, detail=words)
        if mine.outcome in _UNHEARD:
            detail = f"a ClientHello of {own.hello_size or 0} bytes for {mine.sni or 'no name'}; nothing left"
            yield TamperingSeen(kind=Tampering.HELLO_NOT_FORWARDED, direction=TO_SERVER, detail=detail)
        if own.spoken and own.received:
            yield _injected(own)


def _injected(own: Sighting) -> TamperingSeen:
    detail = f"{own.received} bytes of clear text that the server never sent"
    return TamperingSeen(kind=Tampering.BANNER_INJECTED, direction=TO_CLIENT, detail=detail)


def _tampering(own: Sighting, other: Sighting, *, captured: bool = True) -> Iterator[TamperingSeen]:
    """`captured`: the outside was still captured when the inside ended."""
    yield from _handshake(own, other)
    yield from _text(own, other)
    yield from _end(own, other, captured=captured)
    yield from _time(own, other)


def _has_client(sighting: Sighting) -> bool:
    """Whether the client's direction was captured from its beginning: else what isn't there says nothing."""
    return sighting.connection.tcp_handshake_seconds is not None or (
        sighting.connection.outcome in _UNBORN and not sighting.received
    )


def _has_server(sighting: Sighting) -> bool:
    """Whether anything of the server's direction was captured."""
    return sighting.connection.tcp_handshake_seconds is not None or sighting.received > 0


def _handshake(own: Sighting, other: Sighting) -> Iterator[TamperingSeen]:
    mine, its = own.connection, other.connection
    if mine.outcome is ConnectionOutcome.NO_ANSWER and own.server_mss is None and other.server_mss is not None:
        detail = "the server's answer to the SYN came, and went no further"
        yield TamperingSeen(kind=Tampering.SYN_NOT_FORWARDED, direction=TO_CLIENT, detail=detail)
    if _is_one_stream(own, other) and own.server_mss and other.server_mss and own.server_mss < other.server_mss:
        detail = f"{other.server_mss} bytes became {own.server_mss}"
        yield TamperingSeen(kind=Tampering.MSS_CLAMPED, direction=TO_CLIENT, detail=detail)
    if own.hello_size is not None and other.hello_size is None and not other.spoken and _has_client(other):
        detail = f"a ClientHello of {own.hello_size} bytes for {mine.sni or 'no name'}; {other.sent} bytes left"
        yield TamperingSeen(kind=Tampering.HELLO_NOT_FORWARDED, direction=TO_SERVER, detail=detail)
    if None in (own.random, other.random):
        return
    if own.random != other.random:
        issuers = f": {mine.certificate_issuer} instead of {its.certificate_issuer}" if _differ(own, other) else ""
        yield TamperingSeen(kind=Tampering.TERMINATED, direction=None, detail=f"another ClientHello left{issuers}")
        if issuers:
            yield TamperingSeen(kind=Tampering.CERTIFICATE_REPLACED, direction=TO_CLIENT, detail=issuers[2:])
    else:
        if own.hello_size != other.hello_size or mine.sni != its.sni or mine.ja4 != its.ja4:
            detail = f"{own.hello_size} bytes became {other.hello_size}"
            yield TamperingSeen(kind=Tampering.HELLO_REWRITTEN, direction=TO_SERVER, detail=detail)
        if _differ(own, other):
            detail = f"{mine.certificate_issuer} instead of {its.certificate_issuer}"
            yield TamperingSeen(kind=Tampering.CERTIFICATE_REPLACED, direction=TO_CLIENT, detail=detail)


def _differ(own: Sighting, other: Sighting) -> bool:
    issuers = own.connection.certificate_issuer, other.connection.certificate_issuer
    return None not in issuers and issuers[0] != issuers[1]


def _text(own: Sighting, other: Sighting) -> Iterator[TamperingSeen]:
    """Mail in clear, before STARTTLS."""
    offered = (StartTls.OFFERED, StartTls.ASKED, StartTls.ACCEPTED, StartTls.REFUSED)
    refused = own.starttls is StartTls.REFUSED and other.starttls is not StartTls.REFUSED
    if refused or (own.starttls is StartTls.ABSENT and other.starttls in offered):
        detail = "refused to the client" if refused else "offered by the server, not to the client"
        yield TamperingSeen(kind=Tampering.STARTTLS_REMOVED, direction=TO_CLIENT, detail=detail)
    if own.spoken and not other.spoken and other.received == 0:
        yield _injected(own)
    elif None not in (own.banner_length, other.banner_length) and own.banner_length != other.banner_length:
        detail = f"{other.banner_length} bytes became {own.banner_length}"
        yield TamperingSeen(kind=Tampering.GREETING_REWRITTEN, direction=TO_CLIENT, detail=detail)


def _end(own: Sighting, other: Sighting, *, captured: bool) -> Iterator[TamperingSeen]:
    """Who ended it, on each side; and what didn't get through before."""
    mine, its = own.connection, other.connection
    quiet = _silence(own)
    passed_on = _by_proxy(own, other) and its.closed_by is ClosedBy.SERVER  # a proxy with unread bytes says it so
    if mine.closed_by is ClosedBy.RESET_SERVER and its.closed_by is not ClosedBy.RESET_SERVER and not passed_on:
        if quiet >= IDLE:
            yield TamperingSeen(
                kind=Tampering.IDLE_CUT, direction=TO_CLIENT, detail=f"reset after {quiet:.0f} s of silence"
            )
        elif captured and _has_server(other):
            yield TamperingSeen(kind=Tampering.RESET_FORGED, direction=TO_CLIENT, detail=_after(own))
    elif (
        its.closed_by is ClosedBy.RESET_CLIENT
        and mine.closed_by is not ClosedBy.RESET_CLIENT
        and quiet < IDLE
        and _has_client(own)
        and not _by_proxy(own, other)
    ):
        yield TamperingSeen(kind=Tampering.RESET_FORGED, direction=TO_SERVER, detail=_after(other))
    unheard = its.closed_by is ClosedBy.RESET_SERVER and mine.closed_by in (None, ClosedBy.TIMEOUT, ClosedBy.CLIENT)
    if unheard and _has_server(own) and not _by_proxy(own, other):
        yield TamperingSeen(kind=Tampering.RESET_NOT_FORWARDED, direction=TO_CLIENT, detail=_after(other))
    if _is_one_stream(own, other):
        yield from _losses(own, other, quiet)


def _losses(own: Sighting, other: Sighting, quiet: float) -> Iterator[TamperingSeen]:
    """Payload that one side saw and the other didn't, where it is the same byte stream."""
    if not (_has_client(own) and _has_client(other)):
        return
    lost = own.sent - max(other.sent, own.acknowledged or 0)  # what was acknowledged came to somebody
    if lost > SLACK and other.client_spoke <= own.client_spoke:
        gap = own.client_spoke - max(other.client_spoke, other.server_spoke)
        if gap >= IDLE:
            detail = f"{lost} bytes after {gap:.0f} s of silence went nowhere"
            yield TamperingSeen(kind=Tampering.IDLE_CUT, direction=TO_SERVER, detail=detail)
        else:
            detail = f"{lost} bytes after the first {other.sent}"
            yield TamperingSeen(kind=Tampering.PAYLOAD_DROPPED, direction=TO_SERVER, detail=detail)
    lost = other.received - own.received
    if lost > SLACK:
        detail = f"{lost} bytes after the first {own.received}"
        yield TamperingSeen(kind=Tampering.PAYLOAD_DROPPED, direction=TO_CLIENT, detail=detail)


def _silence(sighting: Sighting) -> float:
    """How long nothing was said before the end, seconds."""
    if sighting.closed_at is None:
        return 0.0
    return sighting.closed_at - max(sighting.client_spoke, sighting.server_spoke)


def _after(sighting: Sighting) -> str:
    mine = sighting.connection
    place = "behind the ClientHello" if mine.outcome in _UNHEARD else f"as {mine.outcome}"
    words = f"{place}, after {sighting.sent} bytes sent and {sighting.received} received"
    if sighting.closed_at is not None:
        words += f", {max(sighting.closed_at - _start(sighting), 0.0):.3f} s after its beginning"
    return words


def _time(own: Sighting, other: Sighting) -> Iterator[TamperingSeen]:
    """What took longer inside, but for waiting for a segment to be sent again."""
    mine, its = own.connection, other.connection
    if mine.retransmissions:
        return
    for what, inner, outer in (
        ("the answer to the SYN", mine.tcp_handshake_seconds, its.tcp_handshake_seconds),
        ("the handshake", mine.tls_handshake_seconds, its.tls_handshake_seconds),
        ("the first reply", mine.first_reply_seconds, its.first_reply_seconds),
    ):
        if inner is not None and outer is not None and inner - outer >= DELAY:
            detail = f"{what} took {inner:.3f} s inside and {outer:.3f} s outside"
            yield TamperingSeen(kind=Tampering.DELAY_ADDED, direction=None, detail=detail)
            return
