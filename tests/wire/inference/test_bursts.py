"""Records as turns: alerts, tickets and what comes before the client's first word are no conversation."""

import dataclasses

from exporter.vocabulary import Protocol
from exporter.wire.inference.bursts import MAX_TURNS, conversation
from exporter.wire.inference.overhead import Length
from exporter.wire.trace import Record, Trace, TraceEnd
from tests.wire.inference.transcript import trace

CBC = "TLS_RSA_WITH_AES_128_CBC_SHA"


def lengths(trace: Trace) -> list[tuple[int, int | None]]:
    heard = conversation(trace)
    assert heard is not None
    return [(turn.sent.low, turn.answer and turn.answer.low) for turn in heard.turns]


def imap(text: str, **more: object) -> Trace:
    return trace(Protocol.IMAP, text, **more)  # type: ignore[arg-type]


def with_records(base: Trace, *records: Record) -> Trace:
    return dataclasses.replace(base, records=(*base.records, *records))


LISTED = "S: * OK ready\nC: a CAPABILITY\nS: * CAPABILITY IMAP4rev1\na OK done"


def test_a_turn_is_what_the_client_said_and_what_it_heard():
    assert lengths(imap(LISTED)) == [(14, 35)]


def test_records_of_a_side_are_summed():
    assert lengths(imap("S: * OK ready\nC: a CAPA\nC: BILITY\nS: * CAPABILITY IMAP4rev1\nS: a OK done")) == [(16, 35)]


def test_tickets_stand_before_the_greeting():
    heard = conversation(imap("S: <231>\nS: <231>\nS: * OK ready\nC: a CAPABILITY\nS: * CAPABILITY\na OK done"))
    assert heard is not None
    assert heard.greeting == Length(12, 12)


def test_two_tickets_and_no_greeting_are_no_mail():
    assert conversation(imap("S: <231>\nS: <231>\nC: GET / HTTP/1.1\nS: HTTP/1.1 200 OK")) is None


def test_who_speaks_before_the_greeting_speaks_no_mail():
    assert conversation(imap("C: GET / HTTP/1.1\nS: HTTP/1.1 200 OK")) is None


def test_a_bare_handshake_is_no_conversation():
    assert conversation(imap("S: <231>\nS: <231>\nS: * OK ready")) is None
    assert conversation(dataclasses.replace(imap(LISTED), records=())) is None


def test_behind_starttls_the_client_speaks_first_and_tickets_may_come_late():
    text = "C: a CAPABILITY\nS: <231>\nS: <231>\nS: * CAPABILITY\na OK done"
    assert lengths(imap(text, starttls=True)) == [(14, 25)]


def test_a_single_ticket_behind_starttls_leaves_the_first_reply_open():
    heard = conversation(imap("C: a CAPABILITY\nS: <231>\nS: * CAPABILITY\na OK done", starttls=True))
    assert heard is not None
    assert heard.turns[0].answer == Length(0, 258)


def test_the_farewell_alert_of_tls_1_3_is_no_data():
    close = Record(1.0, True, 23, 19), Record(1.1, False, 23, 19)
    assert lengths(with_records(imap(LISTED), *close)) == lengths(imap(LISTED))


def test_an_empty_line_that_is_answered_is_data():
    answered = with_records(imap(LISTED), Record(1.0, True, 23, 19), Record(1.1, False, 23, 60))
    assert lengths(answered) == [(14, 35), (2, 43)]
    heard = conversation(answered)
    assert heard is not None
    assert heard.turns[-1].may_be_close


def test_an_alert_behind_a_command_is_cut_off_it():
    left = with_records(imap(LISTED), Record(1.0, True, 23, 17 + 10), Record(1.0, True, 23, 19))
    assert lengths(left) == [(14, 35), (10, None)]


def test_tickets_alerts_and_the_servers_finished_of_tls_1_2_are_no_data():
    base = imap(LISTED, tls=("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"))
    handshake = Record(0.0, False, 22, 186), Record(0.0, False, 20, 1), Record(0.0, False, 22, 40)
    assert lengths(dataclasses.replace(base, records=(*handshake, *base.records, Record(2, True, 21, 26)))) == [
        (14, 35)
    ]


def test_old_cbc_sends_a_byte_in_front():
    records = tuple(
        Record(at / 10, client, 23, length)
        for at, (client, length) in enumerate(
            [(False, 32), (False, 48), (True, 32), (True, 48), (False, 32), (False, 80)]
        )
    )
    base = Trace(
        protocol=Protocol.IMAP, tls_version="TLSv1", cipher=CBC, records=records, end=TraceEnd.SILENCE
    )  # fmt: skip
    heard = conversation(base)
    assert heard is not None
    assert heard.turns[0].sent == Length(12, 28)  # 0 or 1 byte, and the rest


def test_an_answer_is_late_measured_against_the_quickest():
    text = LISTED + "\nC: b LOGIN u p\n(2 s)\nS: b NO\nC: c LOGOUT\nS: c OK"
    heard = conversation(imap(text))
    assert heard is not None
    assert [turn.is_late for turn in heard.turns] == [False, True, False]


def test_turns_are_bounded():
    heard = conversation(imap(LISTED + "\nC: x NOOP\nS: x OK" * 60))
    assert heard is not None
    assert len(heard.turns) == MAX_TURNS


def test_lengths_of_an_answers_records_in_parts():
    heard = conversation(imap("S: * OK ready\nC: a ID NIL\nS: * ID (name Dovecot)\nS: a OK ID completed"))
    assert heard is not None
    assert heard.turns[0].in_parts
