"""How a thing on the page is."""

from enum import StrEnum

from exporter.vocabulary import Outcome


class Mood(StrEnum):
    """How a thing is; the style sheet colours by it."""

    GOOD = "good"
    BAD = "bad"
    NEUTRAL = "neutral"  # not known, or a fact that is nobody's fault


def mood_of(outcome: Outcome) -> Mood:
    """How an outcome is."""
    if outcome is Outcome.OK:
        return Mood.GOOD
    return Mood.NEUTRAL if outcome is Outcome.SKIPPED else Mood.BAD
