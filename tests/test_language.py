"""French beside English: nothing missing, stale or with other blanks, and asked for by browser, setting or option."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter import language
from exporter.accounts.error_table import built_in
from exporter.diagnosis import runbooks
from exporter.diagnosis.causes import Where, about, remark_of, remedy_of, source
from exporter.language import Language, Words, _, chosen, current, evidence, spaced, speaking, stale
from exporter.language.evidence import said
from exporter.state import State
from exporter.vocabulary import Cause, Outcome, Phase, Responsible
from exporter.web import words
from exporter.web.app import create_app
from tests.metrics.made import NOON, blamed, failed, healthy
from tests.web.client import ScriptedControl, ask

RUNBOOKS = Path(__file__).parents[1] / "docs" / "runbooks"


@pytest.mark.parametrize("other", [each for each in Language if each is not Language.ENGLISH])
def test_nothing_is_missing_or_stale(other: Language):
    assert list(stale.problems(other)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda texts: texts.pop("Targets"), "not translated: 'Targets'"),
        (lambda texts: texts.update({"No such text": "…"}), "not needed: 'No such text'"),
        (lambda texts: texts.update({"since {time}": "depuis {temps}"}), "other blanks: 'since {time}'"),
    ],
)
def test_what_is_wrong_with_pages_is_found(monkeypatch: pytest.MonkeyPatch, change: Any, said: str):
    texts = dict(language.texts(Language.FRENCH))
    change(texts)
    monkeypatch.setattr(stale, "texts", lambda _language: texts)
    assert any(each.startswith(said) for each in stale.problems(Language.FRENCH))


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ({"sentence": "{serveur} est coupé"}, "other blanks: causes.sni_reset.sentence"),
        ({"more": "…"}, "not needed: causes.sni_reset.more"),
        (None, "not translated: causes.sni_reset."),
    ],
)
def test_what_is_wrong_with_causes_is_found(
    monkeypatch: pytest.MonkeyPatch, cause: Mapping[str, str] | None, said: str
):
    french = dict(language.causes(Language.FRENCH))
    own = {name: entry for name, entry in french["causes"].items() if name != "sni_reset"}
    changed = {"sni_reset": french["causes"]["sni_reset"] | cause} if cause else {}
    monkeypatch.setattr(stale, "causes", lambda _language: french | {"causes": own | changed})
    assert any(each.startswith(said) for each in stale.problems(Language.FRENCH))


def test_an_english_text_that_changed_is_found(monkeypatch: pytest.MonkeyPatch):
    english = dict(source())
    entry = english["causes"]["sni_reset"] | {"title": "Another title"}
    monkeypatch.setattr(stale, "source", lambda: english | {"causes": english["causes"] | {"sni_reset": entry}})
    assert list(stale.problems(Language.FRENCH)) == ["the English text has changed: causes.sni_reset.title"]


def test_runbooks_in_french_are_those_of_the_texts():
    with speaking(Language.FRENCH):
        pages = runbooks.pages()
    assert {name: (RUNBOOKS / "fr" / name).read_text() for name in pages} == pages
    assert {each.name for each in (RUNBOOKS / "fr").glob("*.md")} == set(pages)
    assert "## Que faire" in pages["sni_reset.md"]
    assert not any("{" in line and "}" in line for line in pages["tcp_dropped.md"].split("```")[0].splitlines())


@pytest.mark.parametrize(
    ("setting", "asked", "answered"),
    [
        ("auto", "", "en"),
        ("auto", "fr", "fr"),
        ("auto", "fr-CA,fr;q=0.9,en;q=0.8", "fr"),
        ("auto", "de,fr;q=0.5,en;q=0.4", "fr"),
        ("auto", "en-GB,fr;q=0.9", "en"),
        ("auto", "de, it", "en"),
        ("auto", "fr;q=0, en;q=0.1", "en"),
        ("auto", "fr;q=nonsense", "en"),
        ("auto", ";;,,=,fr;q=", "fr"),
        ("auto", "x," * 50 + "fr", "en"),
        ("fr", "en", "fr"),
        ("en", "fr", "en"),
    ],
)
def test_which_language_is_spoken(setting: str, asked: str, answered: str):
    assert chosen(setting, asked) == answered


def test_a_language_is_spoken_in_its_block_and_no_longer():
    with speaking(Language.FRENCH):
        assert _("since {time}", time="3 min") == "depuis 3 min"
        assert words.failure(Phase.TLS, Outcome.RESET) == "TLS\N{NO-BREAK SPACE}: connexion coupée (RST)"
        assert words.seconds(1.26) == "1,3 s"
        assert _("What nobody has translated") == "What nobody has translated"
        with speaking(Language.ENGLISH):
            assert current() is Language.ENGLISH
        assert current() is Language.FRENCH
    assert words.failure(Phase.TLS, Outcome.RESET) == "TLS: connection reset"
    assert words.seconds(1.26) == "1.3 s"


def test_no_line_of_french_begins_with_a_colon():
    space = "\N{NO-BREAK SPACE}"
    for loose, bound in (
        ("Fiche : voir « ceci » ; et puis ?", f"Fiche{space}: voir «{space}ceci{space}»{space}; et puis{space}?"),
        ("94 % de `a : b` : oui !", f"94{space}% de `a : b`{space}: oui{space}!"),
        ("TLS://hôte :993 a:b ;", f"TLS://hôte :993 a:b{space};"),
        ("* un\n* deux\n", "* un\n* deux\n"),
    ):
        assert spaced(loose) == bound
    for path in (RUNBOOKS / "fr").rglob("*.md"):
        told = re.sub(r"```.*?```|`[^`]*`|<!--.*?-->", "", path.read_text("utf-8"), flags=re.DOTALL)
        assert re.findall(r".* [:;?!»](?:\s|$)|.*« .*", told) == [], path.name


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("The account is disabled. The administrator has to enable it in the directory.", "Le compte est désactivé."),
        (
            "AADSTS7000222: The application's secret has expired. Its owner has to make a new one; put it into "
            "client_secret_file.",
            "AADSTS7000222: Le secret de l'application a expiré.",
        ),
        (
            "account box at imap: The service failed for the moment. Wait; it is tried again. (http_503)",
            "compte box sur imap",
        ),
        ("Refused for a reason that is not in our table (odd: (words))", "Refusé pour une raison"),
        ("withheld: the connection isn't encrypted", "retenu"),
    ],
)
def test_why_an_account_is_refused_is_told_in_french(english: str, french: str):
    with speaking(Language.FRENCH):
        told = said(english)
    assert told.language is Language.FRENCH
    assert told.text.startswith(french)
    for kept in ("(http_503)", "(odd: (words))"):
        assert (kept in english) == (kept in told.text)
    assert "Wait" not in told.text


def test_every_sentence_of_the_table_of_refusals_is_known(monkeypatch: pytest.MonkeyPatch):
    sentences = list(built_in().sentences())
    assert len(sentences) > 100
    known = dict(evidence.refusals(Language.FRENCH))
    assert set(sentences) == known.keys()
    known["A sentence of the past."] = known.pop(sentences[0])
    monkeypatch.setattr(stale, "refusals", lambda _language: known)
    assert list(stale.problems(Language.FRENCH)) == [
        f"refusal not translated: {sentences[0]!r}", "refusal not needed: 'A sentence of the past.'",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("english", "french"),
    [
        (
            "the same address answers a ClientHello without a name and with another name (a.example)",
            "la même adresse répond à un ClientHello sans nom et avec un autre nom (a.example)",
        ),
        (
            "TCP stands, and the connection is reset right after the ClientHello that names a.example",
            "TCP est établi, et la connexion est coupée juste après le ClientHello qui nomme a.example",
        ),
        ("from wan, lan and dmz the same target passes", "depuis wan, lan et dmz, la même cible passe"),
        (
            "127.0.0.1:53; by way of a.example; 10.0.0.1: no answer within 4.9 s",
            spaced("127.0.0.1:53 ; en passant par a.example ; 10.0.0.1 : pas de réponse en 4.9 s"),
        ),
        (
            "SYNs get no answer: 10.0.0.1: no answer within 4.9 s; 10.0.0.2: no answer within 5 s",
            spaced(
                "les SYN restent sans réponse : 10.0.0.1 : pas de réponse en 4.9 s ; 10.0.0.2 : pas de réponse en 5 s"
            ),
        ),
        (
            "from wan the chain is somebody else's too (Fortinet, FG100)",
            "depuis wan, la chaîne est aussi celle de quelqu'un d'autre (Fortinet, FG100)",
        ),
        ("the server said; and nobody knows why", "the server said; and nobody knows why"),
        ("from here, and far and wide the same target passes", "depuis here, and far and wide, la même cible passe"),
    ],
)
def test_lists_in_a_sentence_are_french_too_and_words_of_others_stay(english: str, french: str):
    with speaking(Language.FRENCH):
        assert said(english).text == french


def test_a_step_that_failed_before_an_account_could_try_is_in_words():
    assert words.refusal("starttls: not_offered (no STARTTLS among: SIZE)").text == (
        "STARTTLS: not offered (no STARTTLS among: SIZE)"
    )
    assert words.refusal("no token: connect: timeout").text == "no token: TCP connection: no answer in time"
    assert (
        words.refusal("the token request failed: tls: reset").text == "the token request failed: TLS: connection reset"
    )
    assert words.refusal("starttls: no such outcome").text == "starttls: no such outcome"
    with speaking(Language.FRENCH):
        told = words.refusal("starttls: not_offered (no STARTTLS among: SIZE)").text
    assert told == spaced("STARTTLS : pas offert (pas de STARTTLS parmi : SIZE)")


def test_values_are_never_looked_up_nor_filled():
    with speaking(Language.FRENCH):
        assert _("from {vantage}", vantage="{machine} client") == "depuis {machine} client"
    assert Words({1: "client"})[1] == "client"


def test_a_remedy_names_the_host_in_either():
    where = Where("login.live.com", 443)
    english = remedy_of(Cause.TCP_DROPPED, Responsible.GATEWAY, where)
    with speaking(Language.FRENCH):
        french = remedy_of(Cause.TCP_DROPPED, Responsible.GATEWAY, where)
    assert english.startswith("Open TCP 443 to login.live.com on the gateway: row id 97")
    assert french.startswith("Ouvrir TCP 443 vers login.live.com sur la passerelle\N{NO-BREAK SPACE}: ligne id 97")


def test_commands_are_the_same_in_either_and_remarks_on_them_are_french():
    english = {cause: known.confirm for cause, known in about().items()}
    with speaking(Language.FRENCH):
        french = {cause: known.confirm for cause, known in about().items()}
    for cause, commands in english.items():
        for own, other in zip(commands, french[cause], strict=True):
            remark = remark_of(own)
            assert (own == other) == (not remark or _same(remark)), own
            assert other.startswith(own.removesuffix(remark)), own
    assert any(remark_of(each).startswith("TTL of the RST") for each in english[Cause.SNI_RESET])
    assert {cause: known.confirm for cause, known in about().items()} == english


def _same(remark: str) -> bool:
    return language.texts(Language.FRENCH)[remark] == remark


def test_a_remedy_without_a_host_has_no_english_in_it():
    with speaking(Language.FRENCH):
        for cause, known in about().items():
            for responsible in Responsible:
                told = remedy_of(cause, responsible, None)
                assert not re.search(r"\b(the|see|known|its)\b", re.sub("`[^`]*`", "", told)), told
            assert known.title == spaced(known.title)


def test_rules_sentences_are_known_whatever_they_saw():
    with speaking(Language.FRENCH):
        for english, french in (
            ("from wan the same target passes", "depuis wan, la même cible passe"),
            (
                "the same is met from wan, where 10.1.1.1, which rejects, is the first hop",
                "on rencontre la même chose depuis wan, où 10.1.1.1, qui refuse, est le premier saut",
            ),
            (
                "the same address answers a ClientHello without a name",
                "la même adresse répond à un ClientHello sans nom",
            ),
            (
                "the TCP handshake took 0.2 s, the TLS handshake 3 s",
                "l'établissement TCP a duré 0.2 s, celui de TLS 3 s",
            ),
            (
                "look from outside: add a vantage beyond the filter (`vantages: [{name: wan, interface: …}]`)",
                "regarder de l'extérieur\N{NO-BREAK SPACE}: ajouter un point de vue au-delà du filtre "
                "(`vantages: [{name: wan, interface: …}]`)",
            ),
            (
                "account box at imap: the words come {over} here",
                "compte box sur imap\N{NO-BREAK SPACE}: the words come {over} here",
            ),
        ):
            assert said(english) == (french, Language.FRENCH)
        assert said("What no rule says") == ("What no rule says", Language.ENGLISH)
        assert said("x: " * 400).language is Language.ENGLISH
    assert said("from wan the same target passes").language is Language.ENGLISH


def test_every_sentence_of_every_rule_is_known():
    wanted = list(stale.evidence_texts())
    assert len(wanted) > 200
    with speaking(Language.FRENCH):
        for text in wanted:
            seen = text.format(*(f"<{number}>" for number in range(9)))
            assert said(seen).language is Language.FRENCH, text
            assert {blank for blank in ("<0>", "<1>", "<2>") if blank in seen} == {
                blank for blank in ("<0>", "<1>", "<2>") if blank in said(seen).text
            }, text


def test_a_sentence_without_its_french_is_found(monkeypatch: pytest.MonkeyPatch):
    known = dict(evidence.templates(Language.FRENCH))
    del known["the chain is Microsoft's own: nobody in between could take it out"]
    known["from {0} Microsoft answers"] = "depuis {1}"
    monkeypatch.setattr(stale, "templates", lambda _language: known)
    assert list(stale.problems(Language.FRENCH)) == [
        'evidence not translated: "the chain is Microsoft\'s own: nobody in between could take it out"',
        "evidence with other blanks: 'from {0} Microsoft answers'",
    ]


async def test_a_page_has_its_evidence_in_french_too():
    state = State()
    state.record_probe(failed(healthy("imap", "local"), Phase.TLS, Outcome.RESET))
    state.listings["verdicts"] = lambda: (blamed(Cause.SNI_RESET),)
    app = create_app(state, ScriptedControl(), now=NOON.timestamp)
    answer = await ask(app, "/", headers={"accept-language": "fr"})
    assert '<li lang="fr">depuis wan, la même cible passe</li>' in answer.text


async def page(path: str, accept: str, setting: str = "auto") -> tuple[str, str]:
    state = State()
    state.record_probe(failed(healthy("imap", "local"), Phase.TLS, Outcome.RESET))
    app = create_app(state, ScriptedControl(language=setting), now=NOON.timestamp)
    answer = await ask(app, path, headers={"accept-language": accept})
    return answer.text, answer.headers.get("vary", "")


async def test_pages_speak_the_browsers_language():
    french, vary = await page("/", "fr-FR,fr;q=0.9")
    assert '<html lang="fr">' in french
    assert "Ce que les gens veulent faire" in french
    assert "TLS\N{NO-BREAK SPACE}: connexion coupée (RST)" in french
    assert "Accept-Language" in vary
    english, _vary = await page("/", "en")
    assert '<html lang="en">' in english
    assert "What people want to do" in english
    assert "Le dernier tour, phase par phase" in (await page("/way/imap/local", "fr"))[0]
    assert "Que faire" in (await page("/runbook/sni_reset", "fr"))[0]
    assert "What people want to do" in (await page("/", "fr", setting="en"))[0]


async def test_machines_are_told_in_english_whatever_they_accept():
    text, _vary = await page("/api/v1/probes", "fr")
    assert '"outcome":"reset"' in text.replace(" ", "")
    metrics, _vary = await page("/metrics", "fr")
    assert "# HELP outlook_probe_success Whether" in metrics
