"""What a server repeats of a secret is taken out: as it was sent, in any case, cut anywhere."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from exporter.accounts.scrub import SHARED, Scrubber

TOKEN = "EwB4A8l6BAAU" + "q7Zx9" * 60
USER = "someone@outlook.com"


def line(user: str = USER, token: str = TOKEN) -> str:
    return base64.b64encode(f"user={user}\x01auth=Bearer {token}\x01\x01".encode()).decode()


def test_a_command_that_is_repeated_loses_its_credential():
    said = f"a2 BAD Unknown command: AUTHENTICATE XOAUTH2 {line()}"
    assert Scrubber(TOKEN, USER).scrub(said) == "a2 BAD Unknown command: AUTHENTICATE XOAUTH2 <secret>"


def test_a_part_of_it_is_as_good_as_the_whole():
    scrubber = Scrubber(TOKEN, USER)
    assert scrubber.scrub(f"500 {TOKEN[40:60]}…") == "500 <secret>…"
    assert scrubber.scrub(f"500 {line()[100:130].lower()}") == "500 <secret>"
    assert scrubber.scrub(f"500 {TOKEN[:SHARED]}") == "500 <secret>"


def test_passwords_in_every_form_in_which_they_are_sent():
    scrubber = Scrubber("hunter2", "printer@contoso.example")
    plain = base64.b64encode(b"\0printer@contoso.example\0hunter2").decode()
    login = base64.b64encode(b"hunter2").decode()
    said = f'LOGIN "printer@contoso.example" "hunter2" PLAIN {plain} LOGIN {login} HUNTER2'
    assert scrubber.scrub(said) == ('LOGIN "printer@contoso.example" "<secret>" PLAIN <secret> LOGIN <secret> <secret>')


def test_microsofts_own_words_stay_as_they_are():
    for said in ("a2 NO AUTHENTICATE failed.", "535 5.7.3 Authentication unsuccessful", "+OK 0 0"):
        assert Scrubber(TOKEN, USER).scrub(said) == said


def test_it_shows_nothing_itself():
    scrubber = Scrubber(TOKEN, USER)
    assert repr(scrubber) == str(scrubber) == "<scrubber>"


@given(st.text(max_size=60), st.text(max_size=60), st.integers(0, 200), st.integers(SHARED, 80))
def test_no_run_of_a_secret_is_left(before: str, behind: str, start: int, length: int):
    part = TOKEN[start : start + length]
    left = Scrubber(TOKEN, USER).scrub(before + part + behind)
    assert not any(TOKEN[at : at + SHARED] in left for at in range(len(TOKEN) - SHARED + 1))


@given(st.text(max_size=200))
def test_any_text_passes(text: str):
    assert isinstance(Scrubber("pässwörd", "ü@x.example").scrub(text), str)
