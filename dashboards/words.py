"""Values in words, and colours that can be told apart by the colour-blind (Okabe and Ito's set, then Tol's muted)."""

from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    SpecialValueMap,
    SpecialValueMatch,
    ValueMap,
    ValueMappingResult,
)

from exporter.diagnosis.causes import about
from exporter.vocabulary import AuthOutcome, Cause, Responsible, Tampering
from exporter.web.words import JOURNEYS, MECHANISMS, OUTCOMES, PHASES

BLUE, SKY, GREEN, YELLOW = "#0072B2", "#56B4E9", "#009E73", "#F0E442"
ORANGE, VERMILLION, PURPLE, GREY = "#E69F00", "#D55E00", "#CC79A7", "#999999"
INDIGO, WINE, TEAL = "#332288", "#882255", "#44AA99"
#: In the order in which they are given to the words of a list.
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, GREY, INDIGO, WINE, TEAL)
GOOD, WARNING, BAD, NEUTRAL = BLUE, ORANGE, VERMILLION, GREY

ACTS = {
    Responsible.GATEWAY: "the gateway's administrator",
    Responsible.NETWORK: "whoever runs the network beyond the gateway",
    Responsible.MICROSOFT: "Microsoft",
    Responsible.ACCOUNT: "the account's owner",
    Responsible.CLIENT: "whoever set the mail program up",
    Responsible.APPLIANCE: "this machine's administrator",
    Responsible.UNKNOWN: "can't be told yet",
}


def words(known: dict[str, tuple[str, str | None]]) -> ValueMap:
    """From values to texts and colours."""
    return ValueMap(
        options={
            value: ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(known.items())
        }
    )


#: A label that most series have not, as an account's name in a verdict.
OFTEN_EMPTY = SpecialValueMap(
    options=DashboardSpecialValueMapOptions(match=SpecialValueMatch.EMPTY, result=ValueMappingResult(text="–"))
)


def yes_no(yes: str, no: str, *, good: bool = True) -> ValueMap:
    """1 and 0; `good` says whether 1 is the good one."""
    colours = (GOOD, BAD) if good else (BAD, GOOD)
    return words({"1": (yes, colours[0]), "0": (no, colours[1])})


WORKS = yes_no("works", "fails")
NEVER_WORKS = words({"0": ("never works: Microsoft ended passwords in 2024", NEUTRAL), "1": ("works", GOOD)})
CAUSES = words({cause: (entry.title, GOOD if cause is Cause.HEALTHY else BAD) for cause, entry in about().items()})
WHO = words({name: (text, None) for name, text in ACTS.items()})
STEPS = words({phase: (text, None) for phase, text in PHASES.items()})
ENDS = words({outcome: (text, None) for outcome, text in OUTCOMES.items()})
WAYS = words({mechanism: (text, None) for mechanism, text in MECHANISMS.items()})
RESULTS = words(
    {
        AuthOutcome.ACCEPTED: ("accepted", GOOD),
        AuthOutcome.REFUSED: ("refused", BAD),
        AuthOutcome.EXPECTED_REFUSAL: ("refused, as a worthless token is", NEUTRAL),
        AuthOutcome.ABANDONED: ("left without an answer", WARNING),
        AuthOutcome.THROTTLED: ("told to wait", WARNING),
        AuthOutcome.UNKNOWN: ("can't be told", NEUTRAL),
    }
)
DONE = words(
    {
        Tampering.SYN_NOT_FORWARDED: ("SYN not let through", BAD),
        Tampering.HELLO_NOT_FORWARDED: ("ClientHello not let through", BAD),
        Tampering.RESET_FORGED: ("reset in the server's name", BAD),
        Tampering.RESET_NOT_FORWARDED: ("a reset kept back", WARNING),
        Tampering.HELLO_REWRITTEN: ("ClientHello rewritten", BAD),
        Tampering.CERTIFICATE_REPLACED: ("certificate replaced", BAD),
        Tampering.TERMINATED: ("ended at the gateway, and begun anew behind it", BAD),
        Tampering.STARTTLS_REMOVED: ("STARTTLS taken out", BAD),
        Tampering.GREETING_REWRITTEN: ("greeting rewritten", BAD),
        Tampering.BANNER_INJECTED: ("a greeting of its own put in", BAD),
        Tampering.PAYLOAD_DROPPED: ("data not let through", BAD),
        Tampering.DELAY_ADDED: ("delayed", WARNING),
        Tampering.IDLE_CUT: ("cut for being idle", BAD),
        Tampering.MSS_CLAMPED: ("MSS lowered, which is no fault", NEUTRAL),
    }
)
ASKED = {name: title for name, (title, _) in JOURNEYS.items()}
