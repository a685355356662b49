"""Captures that lie: segments cut differently, repeated, overtaken, lost. What is told may become less, never wrong."""

import random
import ssl
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.observations import Connection
from exporter.vocabulary import ClosedBy, ConnectionOutcome
from tests.wire.conversation import Conversation, Sent, inspect
from tests.wire.flights import Flight, Talk, client_context, healthy
from tests.wire.frames import ACK, FIN, PSH, RST

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
SMTP = [
    (False, b"220 mx.example ESMTP\r\n"), (True, b"EHLO me\r\n"), (False, b"250-mx\r\n250-SIZE\r\n250 STARTTLS\r\n"),
    (True, b"STARTTLS\r\n"), (False, b"220 2.0.0 go ahead\r\n"),
]  # fmt: skip


def _resumed(version: ssl.TLSVersion) -> list[Flight]:
    context = client_context()
    first = Talk(version, client=context).shake().says(False, b"ticket goes before\r\n")
    return Talk(version, client=context, session=first.established_session).shake().says(False, b"* OK\r\n").flights


def _refused(version: ssl.TLSVersion) -> list[Flight]:
    return Talk(version, client=client_context(trusting=False)).shake().flights


def _asked_again() -> list[Flight]:
    """By a server that wants another group than the client had guessed."""
    talk = Talk(client=_any_group(), curve="secp384r1").shake().says(False, b"* OK\r\n")
    return talk.flights


def _any_group() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


STORIES = {
    "healthy-1.2": (993, healthy(V12)), "healthy-1.3": (993, healthy(V13)),
    "resumed-1.2": (993, _resumed(V12)), "resumed-1.3": (993, _resumed(V13)),
    "refused-1.2": (443, _refused(V12)), "refused-1.3": (443, _refused(V13)),
    "asked-again": (993, _asked_again()),
    "starttls": (587, SMTP + healthy(V13)),
    "no-hello-answered": (443, healthy(V13)[:1]),
    "stripped": (587, [*SMTP[:4], (False, b"454 4.7.0 TLS not available\r\n"), (True, b"QUIT\r\n")]),
}  # fmt: skip


def conversation(story: str, mss: int = 1_448) -> Conversation:
    port, flights = STORIES[story]
    return Conversation(server=("192.0.2.1", port), mss=mss).opens().plays(flights).closes()


def told(made: Conversation, **config: object) -> Connection:
    (connection,) = inspect(made.frames(), **config)
    return connection


#: What must not depend on how segments were cut, repeated or ordered.
def essence(connection: Connection) -> Connection:
    return replace(
        connection, start=connection.end, tcp_handshake_seconds=None, tls_handshake_seconds=None,
        first_reply_seconds=None, retransmissions=0,
    )  # fmt: skip


def same(one: Connection, other: Connection) -> None:
    assert replace(essence(one), end=other.end, start=other.end) == replace(essence(other), end=other.end)


@pytest.mark.parametrize("story", STORIES)
def test_the_stories_are_what_they_are_called(story: str):
    outcome = {
        "refused": ConnectionOutcome.HANDSHAKE_FAILED, "no": ConnectionOutcome.HELLO_UNANSWERED,
        "stripped": ConnectionOutcome.NOT_TLS,
    }.get(story.partition("-")[0], ConnectionOutcome.ESTABLISHED)  # fmt: skip
    assert told(conversation(story)).outcome is outcome


@pytest.mark.parametrize("story", STORIES)
def test_what_both_hellos_tell(story: str):
    connection = told(conversation(story))
    if connection.outcome is ConnectionOutcome.ESTABLISHED or story.startswith("refused"):
        assert connection.resumed is story.startswith("resumed")
        assert connection.hello_retry is (story == "asked-again")
    else:
        assert (connection.resumed, connection.hello_retry) == (None, None)


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("mss", [1, 2, 3, 7, 50, 536, 60_000])
def test_segments_of_any_size(story: str, mss: int):
    same(told(conversation(story, mss)), told(conversation(story)))


@settings(max_examples=150, deadline=None)
@given(story=st.sampled_from(sorted(STORIES)), seed=st.integers(0, 2**32), mss=st.sampled_from([60, 300, 1_448]))
def test_repeated_and_overtaken_within_a_few_segments(story: str, seed: int, mss: int):
    """As parallel links and sloppy capture queues do it; times stay those of the places in the file."""
    chance = random.Random(seed)
    made = conversation(story, mss)
    sent = list(made.sent)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(3, len(sent))
        sent.insert(min(place + chance.randrange(1, 4), len(sent)), sent[place])
    for _ in range(chance.randrange(3)):
        place = chance.randrange(4, len(sent) - 4)
        if sent[place].from_client == sent[place + 1].from_client:
            sent[place], sent[place + 1] = sent[place + 1], sent[place]
    same(told(replace(made, sent=_timed(sent))), told(conversation(story)))


def _timed(sent: list[Sent]) -> list[Sent]:
    return [replace(each, time=sent[0].time + place * 1_000_000) for place, each in enumerate(sent)]


#: How a connection ends; none of them by both sides at once, of which nothing tells who was first.
ENDS = {
    "client": lambda made: made.closes(True),
    "server": lambda made: made.closes(False),
    "reset by the client": lambda made: made.resets(True),
    "reset by the server": lambda made: made.resets(False),
    "farewell, then reset by the same": lambda made: made.segment(True, FIN | ACK).segment(True, RST),
    "farewell, then reset by the other": lambda made: made.segment(True, FIN | ACK).segment(False, RST | ACK),
}


@settings(max_examples=300, deadline=None)
@given(story=st.sampled_from(sorted(STORIES)), end=st.sampled_from(sorted(ENDS)), seed=st.integers(0, 2**32))
def test_scrambled_within_three_milliseconds(story: str, end: str, seed: int):
    """As the queues of several cores do it. Sequence numbers tell what the order in the file doesn't.

    But a reset that overtook bytes of its own side isn't believed, for forged ones look like that.
    """
    chance = random.Random(seed)
    port, flights = STORIES[story]
    made = ENDS[end](Conversation(server=("192.0.2.1", port)).opens().plays(flights))
    sent = sorted((replace(each, time=each.time + chance.randrange(3_000_000)) for each in made.sent), key=_time)
    scrambled, plain = told(replace(made, sent=sent)), told(made)
    assert scrambled.retransmissions == 0
    overtook = "reset" in end and scrambled.closed_by is ClosedBy.TIMEOUT
    if scrambled.outcome is not ConnectionOutcome.INCOMPLETE and not overtook:
        assert scrambled.closed_by in (plain.closed_by, None)
        assert scrambled.outcome is plain.outcome


def _time(sent: Sent) -> int:
    return sent.time


@settings(max_examples=80, deadline=None)
@given(story=st.sampled_from(sorted(STORIES)), seed=st.integers(0, 2**32))
def test_lost_and_sent_again(story: str, seed: int):
    """A segment is lost on its way before the capture, and comes again behind those that follow it."""
    chance = random.Random(seed)
    made = conversation(story, 200)
    data = [place for place, sent in enumerate(made.sent) if sent.payload]
    place = chance.choice(data)
    sent = list(made.sent)
    lost = sent.pop(place)
    after = place
    while after < len(sent) and sent[after].from_client == lost.from_client and after < place + 5:
        after += 1
    sent.insert(after, replace(lost))
    same(told(replace(made, sent=_timed(sent))), told(conversation(story)))


@settings(max_examples=80, deadline=None)
@given(story=st.sampled_from(sorted(STORIES)), seed=st.integers(0, 2**32))
def test_overlapping_retransmissions_with_other_bytes(story: str, seed: int):
    """Of bytes that come twice the first count."""
    chance = random.Random(seed)
    made = conversation(story, 200)
    sent = list(made.sent)
    for _ in range(3):
        place = chance.choice([place for place, each in enumerate(sent) if each.payload])
        each = sent[place]
        back = chance.randrange(len(each.payload))
        lie = replace(each, sequence=each.sequence + back, payload=b"\xff" * (len(each.payload) - back))
        sent.insert(place + 1, lie)
    same(told(replace(made, sent=_timed(sent))), told(conversation(story)))


# ---- what the capture lacks --------------------------------------------------------------------------------------------


def less_or_equal(seen: Connection, whole: Connection) -> None:
    """What is told of a part is what is told of the whole, or that it isn't known."""
    assert seen.outcome in (whole.outcome, ConnectionOutcome.INCOMPLETE)
    for name in (
        "sni",
        "alert",
        "tls_version",
        "cipher",
        "group",
        "resumed",
        "hello_retry",
        "certificate_issuer",
        "bytes_sent",
        "bytes_received",
    ):
        assert getattr(seen, name) in (None, getattr(whole, name)), name


@settings(max_examples=200, deadline=None)
@given(story=st.sampled_from(sorted(STORIES)), data=st.data(), mss=st.sampled_from([100, 1_448]))
def test_segments_that_the_capture_lost(story: str, data: st.DataObject, mss: int):
    made = conversation(story, mss)
    places = data.draw(st.sets(st.integers(0, len(made.sent) - 1), min_size=1, max_size=4))
    whole = told(conversation(story))
    for connection in inspect(made.without(*places).frames()):
        less_or_equal(connection, whole)


def test_an_answer_whose_beginning_the_capture_lost_is_no_silence():
    """Found by the test above: the SYNs and the server's first segment aren't there."""
    (seen,) = inspect(conversation("refused-1.2", 100).without(0, 1, 10).frames())
    assert seen.outcome is ConnectionOutcome.INCOMPLETE


@settings(max_examples=150, deadline=None)
@given(story=st.sampled_from(sorted(STORIES)), data=st.data(), mss=st.sampled_from([100, 1_448]))
def test_captures_that_begin_and_end_inside(story: str, data: st.DataObject, mss: int):
    made = conversation(story, mss)
    begin = data.draw(st.integers(0, len(made.sent) - 1))
    end = data.draw(st.integers(begin, len(made.sent)))
    whole = told(conversation(story))
    for connection in inspect(replace(made, sent=made.sent[begin:end]).frames()):
        less_or_equal(connection, whole)


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("from_client", [True, False])
def test_one_direction_only(story: str, from_client: bool):
    made = conversation(story)
    half = replace(made, sent=[sent for sent in made.sent if sent.from_client == from_client])
    (connection,) = inspect(half.frames())
    less_or_equal(connection, told(made))
    if from_client and story != "stripped":
        assert connection.sni == "imap-mail.outlook.com"
    elif story.startswith(("healthy", "resumed")):
        assert connection.tls_version is not None


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("snap_length", [54, 60, 68, 96, 128, 300])
def test_cut_by_the_snap_length(story: str, snap_length: int):
    """Record heads stand in front, and lengths in the IP header."""
    made = conversation(story)
    frames = [(time, data[:snap_length], len(data)) for time, data in made.frames()]  # type: ignore[misc]
    (connection,) = inspect(frames)
    less_or_equal(connection, told(made))
    if snap_length >= 68:
        assert connection.bytes_sent == told(made).bytes_sent


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), story=st.sampled_from(sorted(STORIES)))
def test_everything_at_once_never_fails(seed: int, story: str):
    chance = random.Random(seed)
    made = conversation(story, chance.choice([40, 300, 1_448]))
    sent = [each for each in made.sent if chance.random() < 0.9 for _ in range(1 + (chance.random() < 0.1))]
    chance.shuffle(sent)
    sent = [
        replace(each, payload=chance.randbytes(len(each.payload))) if chance.random() < 0.1 else each for each in sent
    ]
    for connection in inspect(replace(made, sent=sent).frames()):
        assert connection.outcome in ConnectionOutcome
    assert PSH
