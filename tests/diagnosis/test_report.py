"""The page for a vendor: self-contained, escaped, and without anything that isn't the servers'."""

import html
import re
from dataclasses import replace
from html.parser import HTMLParser

from exporter.diagnosis.experiment import Kind
from exporter.diagnosis.judge import judge
from exporter.diagnosis.ladder_steps import Step, one_way, resets, rewritten
from exporter.diagnosis.report import picture_of, report
from exporter.language import Language, speaking
from exporter.language.evidence import said
from exporter.observations import TamperingSeen
from exporter.vocabulary import ClosedBy, ConnectionOutcome, Outcome, Phase, Tampering
from tests.diagnosis.made import CLIENTS, WAN, broken, seen, tried, walk
from tests.diagnosis.test_passive import seen as connection

PROBE = broken("sign_in_work", Phase.TLS, Outcome.RESET, "Connection reset by peer")
ROUND = seen(
    PROBE,
    walk("sign_in_work", "wan"),
    experiments=[
        tried(PROBE, Kind.NO_NAME, Outcome.OK, Phase.TLS),
        tried(PROBE, Kind.OTHER_NAME, Outcome.OK, Phase.TLS),
    ],
    facts=[CLIENTS, WAN],
)


def made(round_=ROUND) -> str:
    return report(round_, [each.verdict for each in judge(round_)])


class Outline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "rect"):
            self.open.append(tag)
        for name, value in attrs:
            assert name not in ("src", "href", "onload", "onclick"), (tag, name, value)

    def handle_endtag(self, tag):
        if tag != "rect":
            assert self.open.pop() == tag


def test_nothing_is_loaded_and_nothing_runs():
    outline = Outline()
    outline.feed(made())
    assert outline.open == []
    assert "svg" in outline.tags
    assert not {"script", "link", "img", "iframe"} & set(outline.tags)
    assert "default-src 'none'" in made()


def test_it_says_verdict_evidence_times_and_versions():
    text = made()
    for words in (
        "sni_reset",
        "names login.microsoftonline.com is reset",
        "gateway",
        "Evidence",
        "TLS stack",
        "2026-11-24",
    ):
        assert words in text


def test_what_the_service_saw_on_both_sides_is_drawn_beside_our_walk():
    """Without packets and without anybody's address."""
    done = TamperingSeen(kind=Tampering.RESET_FORGED, direction="to_client", detail="behind the ClientHello")
    client = connection("sign_in_work", ConnectionOutcome.HELLO_RESET, closed_by=ClosedBy.RESET_SERVER, client=None)
    text = made(replace(ROUND, connections=(replace(client, client_port=None, tampering=(done,)),)))
    assert "no such RST was seen here" in text
    assert "its packets are not at hand" in text
    assert "reset_forged: behind the ClientHello" in text
    assert "What would show that it is something else" in text


def test_texts_of_the_network_are_escaped():
    evil = replace(PROBE, phases=tuple(replace(r, detail="<script>alert(1)</script>") for r in PROBE.phases))
    assert "<script" not in made(replace(ROUND, probes=(evil, ROUND.probes[1])))


def test_a_picture_to_one_scale():
    picture = picture_of([PROBE, walk("sign_in_work", "wan")])
    assert [lane.name for lane in picture.lanes] == ["clients", "wan"]
    assert [bar.kind for bar in picture.lanes[0].bars][-1] == "bad"
    assert picture.lanes[0].end == "reset"
    for lane in picture.lanes:
        ends = [bar.x + bar.width for bar in lane.bars]
        assert ends == sorted(ends)
        assert ends[-1] <= picture.width


def test_a_round_without_a_fault_and_one_without_probes():
    assert "Everything that was tried works." in made(seen(walk()))
    assert re.search(r"<h1>", report(seen(), []))


def test_in_french_only_names_and_what_machines_said_are_english():
    """A client's connection that both sides saw, beside our walk: figures, the gateway's log, evidence and versions."""
    told = connection(
        outcome=ConnectionOutcome.HELLO_RESET,
        target="sign_in_work",
        closed_by=ClosedBy.RESET_SERVER,
        tampering=(TamperingSeen(kind=Tampering.RESET_FORGED, direction="to_client", detail=None),),
    )
    with speaking(Language.FRENCH):
        text = made(replace(ROUND, connections=(told,)))
    shown = html.unescape(re.sub(r"<style>.*?</style>|<code.*?</code>|<[^>]+>", "\n", text, flags=re.DOTALL))
    english = re.compile(r"\b(the|with|without|by|was|is|from|never|ended|Kernel|stack|of|at|seen|again|bytes|more)\b")
    assert [line for line in shown.splitlines() if english.search(line)] == []
    for part in ("coupée par le côté du serveur (RST)", "notre point de vue clients", "Noyau", "édition du "):
        assert part in shown
    assert re.findall(r".*\S[:;] .*", shown) == []


def test_notes_under_the_packets_are_french():
    steps = [
        Step(time=0, until=0, from_client=from_client, kind=kind, label=kind.upper(), ttl=ttl, mss=mss, stamps=True)
        for kind, from_client, ttl, mss in (
            ("syn", True, 64, 1460),
            ("syn-ack", False, 50, 1400),
            ("rst", False, 63, None),
        )
    ]
    other = [replace(each, mss=1300, stamps=False) for each in steps]
    with speaking(Language.FRENCH):
        told = [
            said(note)
            for note in (*one_way([("inside", steps[:1])]), *resets(steps, "inside"), *rewritten(steps, other))
        ]
    assert {each.language for each in told} == {Language.FRENCH}
    text = " ".join(each.text for each in told)
    assert "La capture intérieure n'a aucun paquet du serveur" in text
    assert "Vu à l'intérieur, le RST a le TTL 63" in text
    assert "une autre machine l'a envoyé" in text
    assert not re.search(r"\b(inside|outside|server|the)\b", text)
