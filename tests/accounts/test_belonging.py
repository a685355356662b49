"""Whose a cache is, told by a salted hash that gives nothing away."""

from exporter.accounts.belonging import Belonging
from exporter.accounts.msal_bridge import Credentials
from exporter.accounts.token import Resource
from exporter.accounts.token_file import AccessToken, History, Stored
from exporter.secret_files import Secret
from tests.accounts.made import account

SECRET = Secret(b"planted-secret")
HISTORY = History(requests=(1.0, 2.0), failures=3, not_before=9e9, last_refresh=1.0)
ACCESS = {Resource.EXCHANGE: AccessToken(token=Secret(b"t"), obtained_at=1.0, expires_at=2.0)}
STORED = Stored(refresh_token=Secret(b"r"), refresh_obtained_at=1.0, access=ACCESS, history=HISTORY, last_error="x")


def test_what_is_nobodys_yet_is_taken_and_known_again():
    mine = Belonging("provider", "app", SECRET)
    taken = mine.kept(STORED)
    assert (taken.refresh_token, taken.access, taken.history) == (STORED.refresh_token, ACCESS, HISTORY)
    assert mine.kept(taken) is taken
    assert Belonging("provider", "app", Secret(b"planted-secret")).kept(taken) is taken, "after a restart too"


def test_of_anothers_only_the_hours_budget_is_kept():
    theirs = Belonging("provider", "app", SECRET).kept(STORED)
    for mine in (Belonging("provider", "app", Secret(b"other")), Belonging("provider", "app2", SECRET), Belonging()):
        kept = mine.kept(theirs)
        assert (kept.refresh_token, kept.access, kept.last_error) == (None, {}, None)
        assert kept.history == History(requests=(1.0, 2.0))
        assert mine.kept(kept) is kept
        assert Belonging("provider", "app", SECRET).kept(kept) is not kept


def test_it_shows_nothing_and_no_two_are_alike():
    mine = Belonging("provider", "app", SECRET)
    first, second = mine.kept(STORED).belongs_to, Belonging("provider", "app", SECRET).kept(STORED).belongs_to
    assert first is not None
    assert first != second, "salted"
    assert "planted" not in f"{first} {mine!r} {vars(mine)}"


def test_parts_dont_run_into_each_other():
    assert not Belonging("ab", "c").same_as(Belonging("a", "bc"))
    assert not Belonging(None, "a").same_as(Belonging("a", None))


def test_a_mark_that_was_damaged_is_anothers():
    kept = Belonging("a").kept(Stored(refresh_token=Secret(b"r"), belongs_to="no mark at all"))
    assert kept.refresh_token is None


def test_of_an_account_it_is_the_application_the_provider_and_the_proof():
    person = Belonging.of(account(), Credentials())
    assert person.same_as(Belonging.of(account(username="another@outlook.com"), Credentials())), "a shared mailbox"
    assert not person.same_as(Belonging.of(account(client_id="another"), Credentials()))
    assert not person.same_as(Belonging.of(account(authority="https://idp.example/t"), Credentials()))
    assert not person.same_as(Belonging.of(account(), Credentials(client_secret=SECRET)))
