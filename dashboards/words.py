"""Values in words, and colours that can be told apart by the colour-blind (Okabe and Ito's set)."""

from grafana_foundation_sdk.models.dashboard import ValueMap, ValueMappingResult

from exporter.diagnosis.causes import about
from exporter.vocabulary import Cause, Responsible
from exporter.web.words import JOURNEYS, OUTCOMES, PHASES

BLUE, SKY, GREEN, YELLOW = "#0072B2", "#56B4E9", "#009E73", "#F0E442"
ORANGE, VERMILLION, PURPLE, GREY = "#E69F00", "#D55E00", "#CC79A7", "#999999"
#: In the order in which they are given to the words of a list.
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW, GREY)
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
ASKED = {name: title for name, (title, _) in JOURNEYS.items()}
