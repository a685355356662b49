"""What the page says of clients."""

from collections import Counter

from exporter.metrics.wire_mirror import TargetClients
from exporter.vocabulary import ClientState, ConnectionOutcome, Mechanism
from exporter.web import words
from exporter.web.clients_view import ClientsLine, clients_lines
from exporter.web.mood import Mood


def seen(target="imap", *, states=None, outcomes=None, attempts=None) -> TargetClients:
    return TargetClients(
        target,
        Counter({(state,): count for state, count in (states or {}).items()}),
        Counter({(outcome,): count for outcome, count in (outcomes or {}).items()}),
        Counter(attempts or {}),
    )


def line(*found: TargetClients) -> ClientsLine:
    (only,) = clients_lines(found)
    return only


def test_states_sign_ins_and_failures_in_words():
    told = line(
        seen(
            states={"healthy": 2, "retry_loop": 1},
            outcomes={"established": 9, "hello_reset": 1},
            attempts={("token", "accepted"): 3, ("token", "refused"): 1, ("password", "refused"): 5},
        )
    )
    assert told.mood is Mood.BAD
    assert told.states == "2 fine, 1 trying again and again"
    assert told.sign_ins == ("password: 5 refused", "token: 3 accepted, 1 refused")
    assert told.failures == "1 reset after the ClientHello"


def test_moods():
    assert line(seen(states={"healthy": 2})).mood is Mood.GOOD
    assert line(seen(states={"password_refused": 2})).mood is Mood.NEUTRAL  # Outlook.com's normal answer to one
    assert line(seen(states={"healthy": 2, "abandoned": 1})).mood is Mood.NEUTRAL
    assert line(seen(states={"blocked": 1})).mood is Mood.BAD
    earlier = line(seen(outcomes={"established": 1}, attempts={("token", "accepted"): 1}))
    assert (earlier.mood, earlier.states) == (Mood.NEUTRAL, "none lately")


def test_where_there_is_nothing_to_tell_nothing_is():
    assert clients_lines([seen(outcomes={"established": 1})]) == ()


def test_trouble_comes_first():
    lines = clients_lines([seen("a", states={"healthy": 1}), seen("z", states={"blocked": 1}), "something else"])
    assert [each.target for each in lines] == ["z", "a"]


def test_every_word_has_its_words():
    assert set(words.CLIENT_STATES) == set(ClientState)
    assert set(words.MECHANISMS) == set(Mechanism)
    silent = {ConnectionOutcome.ESTABLISHED, ConnectionOutcome.INCOMPLETE}
    assert set(words.CONNECTION_OUTCOMES) == set(ConnectionOutcome) - silent
