"""A reply is known only if one pattern is the whole of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clean import clean
from exporter.protocols.replies import (
    IS_EXPECTED_REFUSAL,
    MAX_FILE,
    MAX_MATCHED,
    PARTS,
    KnownReply,
    Meaning,
    Replies,
    RepliesFileError,
)
from exporter.vocabulary import Phase, Protocol
from tests.protocols.reply_examples import EXAMPLES

BUILT_IN = Replies.load()
BY_ID = {reply.id: reply for reply in BUILT_IN.known}
CASES = [
    (reply, protocol, step, line)
    for reply in BUILT_IN.known
    for protocol in sorted(reply.protocols)
    for step in sorted(reply.steps)
    for line in EXAMPLES.get(reply.id, [])
]
each_case = pytest.mark.parametrize(
    ("reply", "protocol", "step", "line"), CASES, ids=[f"{case[0].id}-{case[2]}" for case in CASES]
)
MINE = """\
- id: mine
  protocol: [imap, pop]
  step: any
  meaning: unavailable
  pattern: '<tag> NO Gone fishing\\. <number>'
  source: our own log
"""


def test_every_entry_has_an_example_and_every_example_its_entry():
    assert set(EXAMPLES) == set(BY_ID)


@each_case
def test_an_example_has_one_meaning(reply: KnownReply, protocol: Protocol, step: str, line: str):
    said = {known.meaning for known in BUILT_IN.known if known.fits(protocol, step, line)}
    assert said == {reply.meaning}
    assert BUILT_IN.judge(protocol, step, line) is reply


@each_case
def test_the_known_inside_other_text_is_not_known(reply: KnownReply, protocol: Protocol, step: str, line: str):
    for other in (f"x {line}", f" {line}", f"Gateway says: {line}", f"{line}\r\n", f"{line}\n* OK", f"<p>{line}</p>"):
        assert BUILT_IN.judge(protocol, step, other) is None
    if PARTS["more"] not in reply.pattern.pattern:
        assert BUILT_IN.judge(protocol, step, f"{line} This page was blocked.") is None


@each_case
def test_a_cut_line_is_not_taken_for_another(reply: KnownReply, protocol: Protocol, step: str, line: str):
    for end in range(len(line)):
        known = BUILT_IN.judge(protocol, step, line[:end])
        assert known is None or known.meaning in (reply.meaning, Meaning.CHALLENGE)  # of "+OK …" remains "+"


@each_case
def test_a_cleaned_line_means_the_same(reply: KnownReply, protocol: Protocol, step: str, line: str):
    known = BUILT_IN.judge(protocol, step, clean(line))
    assert known is not None
    assert known.meaning is reply.meaning


@each_case
def test_another_protocol_says_it_not(reply: KnownReply, protocol: Protocol, step: str, line: str):
    for other in set(Protocol) - reply.protocols:
        known = BUILT_IN.judge(other, step, line)
        assert known is None or known.meaning is Meaning.CHALLENGE  # "+ " is IMAP's and POP's


@pytest.mark.parametrize(
    ("protocol", "step", "line"),
    [
        (Protocol.IMAP, "greeting", "* OK [CAPABILITY IMAP4rev1] Dovecot ready."),
        (Protocol.IMAP, "greeting", "* OK IMAP4 ready"),
        (Protocol.IMAP, "auth", "a2 NO [AUTHENTICATIONFAILED] Authentication failed."),
        (Protocol.IMAP, "auth", "a2 NO AUTHENTICATE failed"),
        (Protocol.IMAP, "auth", "* OK The Microsoft Exchange IMAP4 service is ready."),
        (Protocol.SMTP, "greeting", "220 mail.example.net ESMTP Postfix (Debian/GNU)"),
        (Protocol.SMTP, "greeting", "220 ****************************2******"),
        (Protocol.SMTP, "auth", "535 5.7.8 Error: authentication failed: Invalid token"),
        (Protocol.SMTP, "auth", "535 5.7.139 Authentication unsuccessful, of a new kind."),
        (Protocol.SMTP, "auth", "535 5.7.139 Authentication unsuccessful"),
        (Protocol.SMTP, "auth", "535-5.7.3 Authentication unsuccessful"),
        (Protocol.SMTP, "auth", "535 5.7.3 Authentication unsuccessful [<script>]"),
        (Protocol.POP, "auth", "-ERR [AUTH] Authentication failed."),
        (Protocol.SIGN_IN, "token", "AADSTS9999999: Something new."),
        (Protocol.SIGN_IN, "token", "HTTP 200 <html>AADSTS900144: </html>"),
        (Protocol.ACTIVESYNC, "auth", 'HTTP 401 Basic realm="Gateway"'),
        (Protocol.ACTIVESYNC, "auth", 'HTTP 401 Bearer realm="Gateway"'),
    ],
)
def test_other_servers_words_are_not_known(protocol: Protocol, step: str, line: str):
    assert BUILT_IN.judge(protocol, step, line) is None


@pytest.mark.parametrize("code", ["5.7.139"])
def test_one_code_has_many_meanings(code: str):
    meanings = {reply.meaning for reply in BUILT_IN.known if any(code in line for line in EXAMPLES[reply.id][:1])}
    assert len(meanings) >= 5


def test_expected_refusals_are_refusals():
    never = {Meaning.ACCEPTED, Meaning.THROTTLED, Meaning.UNAVAILABLE, Meaning.BUSY, Meaning.TENANT_RESTRICTED}
    assert not IS_EXPECTED_REFUSAL & never
    assert {Meaning.TOKEN_REFUSED, Meaning.LIVENESS} <= IS_EXPECTED_REFUSAL


@given(st.sampled_from(Protocol), st.sampled_from(Phase), st.text())
def test_any_text_is_judged_without_an_error(protocol: Protocol, step: Phase, line: str):
    known = BUILT_IN.judge(protocol, step, line)
    assert known is None or known.fits(protocol, step, line)


@pytest.mark.parametrize(
    "unit", [" ", "A", "* ", "220 a", "535 5.7.3 Authentication unsuccessful [", '"', "AADSTS90033: "]
)
def test_a_huge_line_is_not_searched(unit: str):
    line = unit * (MAX_MATCHED // len(unit) + 1)
    assert all(BUILT_IN.judge(protocol, "auth", line) is None for protocol in Protocol)


def extra(folder: Path, text: str | bytes) -> Path:
    file = folder / "replies.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_an_administrators_reply_is_added(tmp_path: Path):
    replies = Replies.load(extra(tmp_path, MINE))
    known = replies.judge(Protocol.POP, "session", "a1 NO Gone fishing. 7")
    assert known is not None
    assert (known.id, known.meaning, known.confidence, known.since) == ("mine", Meaning.UNAVAILABLE, "O", None)
    assert len(replies.known) == len(BUILT_IN.known) + 1


def test_an_administrators_reply_comes_first_and_replaces_its_namesake(tmp_path: Path):
    mine = MINE.replace("id: mine", "id: imap_token_refused").replace(
        "Gone fishing\\. <number>", "AUTHENTICATE failed\\."
    )
    replies = Replies.load(extra(tmp_path, mine))
    known = replies.judge(Protocol.IMAP, "auth", "a1 NO AUTHENTICATE failed.")
    assert known is not None
    assert known.meaning is Meaning.UNAVAILABLE
    assert len(replies.known) == len(BUILT_IN.known)


def test_a_literal_angle_bracket(tmp_path: Path):
    replies = Replies.load(extra(tmp_path, MINE.replace("Gone fishing", "(?P<who>Gone) \\<tag>")))
    assert replies.judge(Protocol.IMAP, "any", "a1 NO Gone <tag>. 7") is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            MINE.replace("unavailable", "sulking"),
            r"replies\.yaml\[0\] \(mine\)\.meaning: 'sulking' is not one of greeting",
        ),
        (MINE.replace("[imap, pop]", "gopher"), r"\[0\] \(mine\)\.protocol: 'gopher' is not one of imap"),
        (MINE.replace("[imap, pop]", "[]"), r"\[0\] \(mine\)\.protocol: empty"),
        (MINE.replace("step: any", "step: dance"), r"\[0\] \(mine\)\.step: 'dance' is not one of any, auth"),
        (MINE.replace("<tag>", "<tga>"), r"\[0\] \(mine\)\.pattern: <tga> is not one of tag, "),
        (MINE.replace("<number>", "(unclosed"), r"\[0\] \(mine\)\.pattern: missing \)"),
        (MINE + "  confidence: X\n", r"\[0\] \(mine\)\.confidence: 'X' is not one of D, O, R"),
        (MINE + "  colour: red\n", r"\[0\]\.colour: not one of "),
        (MINE + MINE, r"\[1\]\.id: mine is there already"),
        (MINE.replace("  source: our own log\n", ""), r"\[0\]\.source: missing"),
        (MINE + "- just text\n", r"\[1\]: a mapping is expected"),
        ("replies: []", r"replies\.yaml: a list of replies is expected"),
        ("", r"a list of replies is expected"),
        ("[", r"not YAML"),
        ("[" * 5_000, r"not YAML"),
        (b"\xff\xfe\xff", r"codec can't decode"),
        (b"#" * (MAX_FILE + 1), r"larger than"),
    ],
)
def test_a_wrong_file_is_told_by_name_and_place(tmp_path: Path, text: str | bytes, told: str):
    file = extra(tmp_path, text)
    with pytest.raises(RepliesFileError, match=told) as error:
        Replies.load(file)
    assert str(error.value).startswith(str(file))


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(RepliesFileError, match=r"nowhere\.yaml"):
        Replies.load(tmp_path / "nowhere.yaml")
