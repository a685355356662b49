"""How a thing on the page is."""

from enum import StrEnum


class Mood(StrEnum):
    """How a thing is; the style sheet colours by it."""

    GOOD = "good"
    BAD = "bad"
    NEUTRAL = "neutral"  # not known, or a fact that is nobody's fault
