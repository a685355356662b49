"""Standard codes of servers that aren't Microsoft's (RFC 5530, 4954, 3206)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.protocols.replies import Meaning
from exporter.protocols.response_codes import meaning
from exporter.vocabulary import Protocol


@pytest.mark.parametrize(
    ("protocol", "line", "expected"),
    [
        ("imap", "a2 NO [AUTHENTICATIONFAILED] Authentication failed.", Meaning.TOKEN_REFUSED),
        ("imap", "a2 NO [authenticationfailed] no", Meaning.TOKEN_REFUSED),
        ("imap", "a2 NO [UNAVAILABLE] Temporary authentication failure. [host:2026-11-24]", Meaning.UNAVAILABLE),
        ("imap", "* BYE [LIMIT] too many", Meaning.THROTTLED),
        ("imap", "a2 NO [CONTACTADMIN] locked", Meaning.ACCOUNT_ISSUE),
        ("imap", "a3 NO [NOPERM] no", Meaning.NOT_CONNECTED),
        ("imap", "a2 NO [ALERT] something", None),
        ("imap", "a2 NO AUTHENTICATE failed.", None),
        ("imap", "a2 NO said [AUTHENTICATIONFAILED]", None),
        ("pop", "-ERR [AUTH] Authentication failed.", Meaning.TOKEN_REFUSED),
        ("pop", "-ERR [SYS/TEMP] try later", Meaning.UNAVAILABLE),
        ("pop", "-ERR [LOGIN-DELAY] wait", Meaning.THROTTLED),
        ("pop", "-ERR [IN-USE] locked", Meaning.BUSY),
        ("pop", "-ERR no", None),
        ("smtp", "535 5.7.8 Error: authentication failed:", Meaning.TOKEN_REFUSED),
        ("smtp", "535 5.7.139 Authentication unsuccessful, the moon is full.", None),
        ("smtp", "454 4.7.0 Temporary authentication failure", Meaning.UNAVAILABLE),
        ("smtp", "421 shutting down", Meaning.UNAVAILABLE),
        ("smtp", "534 5.7.9 mechanism too weak", Meaning.UNRECOGNIZED_MECHANISM),
        ("smtp", "535 no", None),
        ("https", "HTTP 401 [AUTH]", None),
    ],
)
def test_codes(protocol: str, line: str, expected: Meaning | None):
    assert meaning(Protocol(protocol), line) is expected


@given(st.sampled_from(list(Protocol)), st.text(max_size=200))
def test_any_line_has_a_meaning_or_none(protocol: Protocol, line: str):
    assert meaning(protocol, line) in {None, *Meaning}
