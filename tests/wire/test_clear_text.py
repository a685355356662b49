"""Mail in clear: what is read of it, and that no secret is left anywhere."""

import gc
import mmap
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.vocabulary import AuthOutcome, ConnectionOutcome, Mechanism, Protocol
from exporter.wire.clear_text import MAX_TEXT, ClearText, StartTls
from exporter.wire.tracker import Tracker, TrackerConfig
from tests.wire.conversation import Conversation, one
from tests.wire.flights import Flight, healthy
from tests.wire.frames import ETHERNET

SECRET = b"hunter2-correct-horse"
ENCODED = b"AGFsaWNlAGh1bnRlcjItY29ycmVjdC1ob3JzZQ=="


def talk(protocol: Protocol, script: str, **names: bytes) -> ClearText:
    """A script of lines, the client's behind `C: `, the server's behind `S: `."""
    text = ClearText(protocol)
    for time, line in enumerate(script.strip().splitlines()):
        side, _, said = line.strip().partition(": ")
        data = bytearray(said.format(**{name: value.decode() for name, value in names.items()}).encode() + b"\r\n")
        if side == "C":
            assert text.client(data, time) == len(data) or text.upgraded or text.over
        else:
            text.server(bytes(data), time)
    return text


# ---- STARTTLS ----------------------------------------------------------------------------------------------------------


def test_smtp_upgrades():
    text = talk(
        Protocol.SMTP,
        """
        S: 220-mx.example
        S: 220 ready
        C: EHLO me.example
        S: 250-mx.example
        S: 250-SIZE 1000
        S: 250 STARTTLS
        C: STARTTLS
        S: 220 2.0.0 go ahead
        """,
    )
    assert (text.starttls, text.upgraded, text.refusal) == (StartTls.ACCEPTED, True, None)
    assert (text.banner_length, text.ehlo_reply_length) == (16 + 11, 16 + 15 + 14)


def test_smtp_offers_nothing():
    text = talk(Protocol.SMTP, "S: 220 x\nC: EHLO me\nS: 250-mx\nS: 250-XXXXXXXA\nS: 250 HELP\nC: QUIT\nS: 221 bye")
    assert (text.starttls, text.upgraded, text.spoken) == (StartTls.ABSENT, False, True)


@pytest.mark.parametrize(
    ("answer", "code"), [("454 4.7.0 TLS not available", 454), ("421 4.3.2 later", 421), ("502 no", 502)]
)
def test_smtp_refuses(answer: str, code: int):
    text = talk(Protocol.SMTP, f"S: 220 x\nC: EHLO me\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: {answer}")
    assert (text.starttls, text.upgraded, text.refusal) == (StartTls.REFUSED, False, code)


def test_smtp_turns_away_at_the_door():
    assert talk(Protocol.SMTP, "S: 421 4.7.66 too many").refusal == 421
    assert talk(Protocol.SMTP, "S: 554 no service").refusal == 554


def test_imap():
    text = talk(Protocol.IMAP, "S: * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi\nC: a STARTTLS\nS: a OK begin")
    assert text.upgraded
    text = talk(Protocol.IMAP, "S: * OK hi\nC: 1 CAPABILITY\nS: * CAPABILITY IMAP4rev1 AUTH=PLAIN\nS: 1 OK done")
    assert text.starttls is StartTls.ABSENT
    text = talk(Protocol.IMAP, "S: * OK hi\nC: 1 STARTTLS\nS: 1 BAD what")
    assert (text.starttls, text.upgraded) == (StartTls.REFUSED, False)


def test_pop():
    text = talk(Protocol.POP, "S: +OK hi\nC: CAPA\nS: +OK list\nS: TOP\nS: STLS\nS: .\nC: STLS\nS: +OK begin")
    assert text.upgraded
    text = talk(Protocol.POP, "S: +OK hi\nC: CAPA\nS: +OK list\nS: TOP\nS: .\nC: STLS\nS: -ERR no")
    assert text.starttls is StartTls.REFUSED


def test_what_follows_starttls_waits_for_the_answer():
    text = talk(Protocol.SMTP, "S: 220 x\nC: EHLO me\nS: 250 STARTTLS")
    both = bytearray(b"STARTTLS\r\n\x16\x03\x01")
    assert text.client(both, 1) == len(b"STARTTLS\r\n")
    assert text.client(bytearray(b"\x16\x03\x01"), 1) == 0
    assert text.server(b"220 go\r\n\x16\x03\x03", 2) == len(b"220 go\r\n")
    assert text.upgraded


def test_tls_at_the_beginning_of_a_line_needs_no_answer():
    """The capture may lack it."""
    text = talk(Protocol.SMTP, "S: 220 x\nC: EHLO me")
    assert text.client(bytearray(b"\x16\x03\x01\x02\x00\x01"), 3) == 0
    assert text.upgraded


# ---- signing in without TLS --------------------------------------------------------------------------------------------

SIGN_INS = {
    "plain": (Protocol.SMTP, "C: AUTH PLAIN {encoded}\nS: {ok}", Mechanism.PASSWORD),
    "plain, no initial response": (Protocol.SMTP, "C: AUTH PLAIN\nS: 334 \nC: {encoded}\nS: {ok}", Mechanism.PASSWORD),
    "login": (Protocol.SMTP, "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: {secret}\nS: 334 x\nC: {encoded}\nS: {ok}", Mechanism.PASSWORD),
    "xoauth2": (Protocol.SMTP, "C: AUTH XOAUTH2 {encoded}\nS: {ok}", Mechanism.TOKEN),
    "imap login": (Protocol.IMAP, 'C: a1 LOGIN alice "{secret}"\nS: {ok}', Mechanism.PASSWORD),
    "imap literals": (Protocol.IMAP, "C: a1 LOGIN {{5}}\nS: + go\nC: {secret} {{21}}\nS: + go\nC: {secret}\nS: {ok}", Mechanism.PASSWORD),
    "imap authenticate": (Protocol.IMAP, "C: a1 AUTHENTICATE PLAIN\nS: + \nC: {encoded}\nS: {ok}", Mechanism.PASSWORD),
    "imap bearer": (Protocol.IMAP, "C: a1 AUTHENTICATE OAUTHBEARER {encoded}\nS: {ok}", Mechanism.TOKEN),
    "pop": (Protocol.POP, "C: USER {secret}\nS: +OK\nC: PASS {secret}\nS: {ok}", Mechanism.PASSWORD),
    "pop pipelined": (Protocol.POP, "C: USER {secret}\nC: PASS {secret}\nS: +OK\nS: {ok}", Mechanism.PASSWORD),
    "pop auth": (Protocol.POP, "C: AUTH PLAIN\nS: + \nC: {encoded}\nS: {ok}", Mechanism.PASSWORD),
}  # fmt: skip
_GREETINGS = {
    Protocol.SMTP: "S: 220 x\nC: EHLO {secret}\nS: 250-AUTH PLAIN\nS: 250 SIZE\n", Protocol.IMAP: "S: * OK x\n",
    Protocol.POP: "S: +OK x\n",
}  # fmt: skip
_GOOD = {Protocol.SMTP: b"235 2.7.0 welcome", Protocol.IMAP: b"a1 OK done", Protocol.POP: b"+OK done"}
_BAD = {Protocol.SMTP: b"535 5.7.3 no", Protocol.IMAP: b"a1 NO no", Protocol.POP: b"-ERR no"}


@pytest.mark.parametrize("name", SIGN_INS)
@pytest.mark.parametrize("accepted", [True, False])
def test_sign_ins_in_clear(name: str, accepted: bool):
    protocol, script, mechanism = SIGN_INS[name]
    answer = (_GOOD if accepted else _BAD)[protocol]
    text = talk(protocol, _GREETINGS[protocol] + script, secret=SECRET, encoded=ENCODED, ok=answer)
    (sign_in,) = text.sign_ins
    assert sign_in.mechanism is mechanism
    assert sign_in.outcome is (AuthOutcome.ACCEPTED if accepted else AuthOutcome.REFUSED)
    assert sign_in.answered == sign_in.asked + (2 if name == "pop pipelined" else 1)


def test_throttled_and_abandoned():
    text = talk(Protocol.SMTP, "S: 220 x\nC: AUTH LOGIN\nS: 334 x\nC: abc\nS: 454 4.7.0 later\nC: AUTH LOGIN\nS: 334 x")
    assert [sign_in.outcome for sign_in in text.sign_ins] == [AuthOutcome.THROTTLED, AuthOutcome.ABANDONED]


def test_capabilities_of_auth_asked_by_pop_are_no_sign_in():
    assert talk(Protocol.POP, "S: +OK x\nC: AUTH\nS: -ERR what").sign_ins == []


# ---- secrets -----------------------------------------------------------------------------------------------------------


def client_bytes(name: str) -> bytes:
    _, script, _ = SIGN_INS[name]
    lines = script.format(secret=SECRET.decode(), encoded=ENCODED.decode(), ok="").splitlines()
    return b"".join(line[3:].encode() + b"\r\n" for line in lines if line.startswith("C: "))


def holds(thing: object, secret: bytes) -> bool:
    """Whether anything that can be reached from it holds the secret, whole or a large part."""
    parts = [secret[start : start + 8] for start in range(0, len(secret) - 7, 4)]
    seen, queue = set(), [thing]
    while queue:
        each = queue.pop()
        if id(each) in seen or isinstance(each, type):
            continue
        seen.add(id(each))
        if isinstance(each, bytes | bytearray) and any(part in each for part in parts):
            return True
        queue += gc.get_referents(each)
    return False


@pytest.mark.parametrize("name", SIGN_INS)
@pytest.mark.parametrize("size", [1, 2, 5, 11, 1_000])
def test_nothing_is_left_of_what_the_client_sent(name: str, size: int):
    text = ClearText(SIGN_INS[name][0])
    data = client_bytes(name)
    for start in range(0, len(data), size):
        buffer = bytearray(data[start : start + size])
        text.client(buffer, start)
        assert set(buffer) <= set(b"x")
        for secret in (SECRET, ENCODED):
            assert not holds(text, secret)


@settings(max_examples=200, deadline=None)
@given(
    verb=st.sampled_from(["AUTH PLAIN", "AUTH", "LOGIN", "a LOGIN", "a AUTHENTICATE X", "PASS", "USER", "MAIL FROM:", "RCPT TO:", ""]),
    protocol=st.sampled_from([Protocol.SMTP, Protocol.IMAP, Protocol.POP]),
    cuts=st.lists(st.integers(0, 60), max_size=5),
)  # fmt: skip
def test_whatever_the_line_and_its_cuts_a_whole_line_leaves_nothing(verb: str, protocol: Protocol, cuts: list[int]):
    data = f"{verb} {SECRET.decode()}\r\n".encode()
    text = ClearText(protocol)
    bounds = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(bounds):
        text.client(bytearray(data[start:end]), start)
    assert not holds(text, SECRET)


def test_a_password_on_a_stripped_587_is_overwritten_in_the_ring():
    """The capture's own buffer holds it no longer when the packet was taken, and nothing else does."""
    conversation = Conversation(server=("192.0.2.1", 587)).opens()
    script: list[Flight] = [
        (False, b"220 mx ESMTP\r\n"), (True, b"EHLO me\r\n"), (False, b"250-mx\r\n250 AUTH PLAIN LOGIN\r\n"),
        (True, b"AUTH PLAIN " + ENCODED[:20]), (True, ENCODED[20:] + b"\r\n"), (False, b"535 5.7.3 no\r\n"),
        (True, b"AUTH LOGIN\r\n"), (False, b"334 VXNlcm5hbWU6\r\n"), (True, SECRET + b"\r\n"),
    ]  # fmt: skip
    found: list[object] = []
    tracker = Tracker(TrackerConfig(everything=True), found.append)
    ring = mmap.mmap(-1, 4_096)
    for time, frame, *_ in conversation.plays(script).frames():
        ring[:] = bytes(4_096)
        ring[64 : 64 + len(frame)] = frame
        tracker.packet(time, ETHERNET, ring, 64, 64 + len(frame), len(frame))
        assert SECRET[:8] not in ring[:]
        assert ENCODED[:8] not in ring[:]
        assert not holds(tracker, SECRET)
        assert not holds(tracker, ENCODED)
    tracker.finish()
    assert not holds(found, SECRET)


# ---- bounds and the whole ----------------------------------------------------------------------------------------------


def test_endless_lines_and_replies_are_bounded():
    text = ClearText(Protocol.SMTP)
    for _ in range(10):
        text.client(bytearray(b"A" * 4_000), 0)
        text.server(b"250-" + b"B" * 4_000, 0)
    assert text.over
    assert text._client_bytes <= MAX_TEXT + 4_000
    assert len(text._client_line) <= 64
    assert len(text._server_line) <= 4_096


@given(data=st.binary(max_size=200), protocol=st.sampled_from([Protocol.SMTP, Protocol.IMAP, Protocol.POP]))
@settings(deadline=None)
def test_any_bytes(data: bytes, protocol: Protocol):
    text = ClearText(protocol)
    for start in range(0, len(data), 7):
        text.client(bytearray(data[start : start + 7]), start)
        text.server(data[start : start + 7], start)


def test_a_starttls_connection_ends_as_what_it_was():
    go = [(False, b"220 mx\r\n"), (True, b"EHLO me\r\n"), (False, b"250 STARTTLS\r\n"), (True, b"STARTTLS\r\n")]
    server = ("192.0.2.1", 587)
    good = one(Conversation(server=server).opens().plays([*go, (False, b"220 go\r\n"), *healthy()]).closes())
    assert (good.outcome, good.sni) == (ConnectionOutcome.ESTABLISHED, "imap-mail.outlook.com")
    refused = one(Conversation(server=server).opens().plays([*go, (False, b"454 no\r\n")]).closes())
    assert refused.outcome is ConnectionOutcome.NOT_TLS
    unused = one(Conversation(server=server).opens().plays([*go[:3], (True, b"QUIT\r\n")]).closes())
    assert unused.outcome is ConnectionOutcome.NOT_TLS
    cut = one(Conversation(server=server).opens().plays([*go, (False, b"220 go\r\n"), healthy()[0]]).resets(False))
    assert cut.outcome is ConnectionOutcome.HELLO_RESET
    at_the_door = one(Conversation(server=server).opens().plays([(False, b"421 4.3.2 later\r\n")]).closes(False))
    assert at_the_door.outcome is ConnectionOutcome.NOT_TLS


def test_a_sign_in_in_clear_is_told_as_one():
    script = [
        (False, b"+OK\r\n"),
        (True, b"USER a\r\n"),
        (False, b"+OK\r\n"),
        (True, b"PASS b\r\n"),
        (False, b"-ERR\r\n"),
    ]
    connection = one(Conversation(server=("192.0.2.1", 110)).opens().plays(script).closes())
    assert connection.outcome is ConnectionOutcome.NOT_TLS
    assert connection.auth is not None
    assert (connection.auth.mechanism, connection.auth.outcome) == (Mechanism.PASSWORD, AuthOutcome.REFUSED)
    assert connection.auth.seconds == pytest.approx(0.002)


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("behind", [b"EHLO again\r\n", b"AUTH PLAIN AGEAYg==\r\nMAIL FR"])
def test_commands_pipelined_behind_starttls_are_thrown_away_as_the_server_does(joined: bool, behind: bytes):
    """RFC 3207, 4.2; what some filters leave of a client's impatience, and what command injection tries."""
    asked = [(True, b"STARTTLS\r\n" + behind)] if joined else [(True, b"STARTTLS\r\n"), (True, behind)]
    before = [(False, b"220 mx\r\n"), (True, b"EHLO me\r\n"), (False, b"250 STARTTLS\r\n"), *asked]
    script = [*before, (False, b"220 go\r\n"), *healthy()]
    seen = one(Conversation(server=("192.0.2.1", 587)).opens().plays(script).closes())
    assert (seen.outcome, seen.sni) == (ConnectionOutcome.ESTABLISHED, "imap-mail.outlook.com")


def test_a_hello_that_never_came_behind_the_go_ahead():
    """STARTTLS unused is no TLS; a server's side that ends it there did what it does to hellos."""
    go = [(False, b"220 mx\r\n"), (True, b"EHLO me\r\n"), (False, b"250 STARTTLS\r\n"), (True, b"STARTTLS\r\n")]
    agreed = [*go, (False, b"220 go\r\n")]
    left = one(Conversation(server=("192.0.2.1", 587)).opens().plays(agreed).closes())
    assert left.outcome is ConnectionOutcome.NOT_TLS
    cut = one(Conversation(server=("192.0.2.1", 587)).opens().plays(agreed).resets(False))
    assert cut.outcome is ConnectionOutcome.HELLO_RESET
