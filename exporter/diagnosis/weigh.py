"""How evidence adds up: claims of the rules, and the belief in each.

A weight is how often, of ten such observations, the cause behind is the one pointed to, other things apart. Pieces are
taken as independent: belief = (1 - Π(1 - for)) · Π(1 - against). Of several claims about one thing the strongest wins,
and is believed less the nearer the second comes. `tests/diagnosis` counts how many verdicts of each confidence were
right; the weights are what that count is for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from exporter.observations import Evidence
from exporter.vocabulary import Cause, Phase

#: A cause is named only with so much confidence; below, the verdict is `unknown`: better than a wrong name.
NAMED = 0.5
#: Nothing is surer than this.
MOST = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A rule's claim that `cause` is behind what is seen of `subject` at `phase`.

    `subject`: what it is about; claims about the same compete. `pro` and `contra`: what speaks for it, and what would
    overturn it. `includes`: causes that are only its means (a page shown over TLS needs interception).
    `confirmed`: an experiment saw it again, or words leave no doubt. `hint`: what would decide.
    """

    cause: Cause
    subject: str
    phase: Phase
    pro: tuple[Evidence, ...]
    contra: tuple[Evidence, ...] = ()
    includes: frozenset[Cause] = frozenset()
    confirmed: bool = False
    hint: str | None = None
    account: str | None = None

    @property
    def belief(self) -> float:
        """0 to 1, other claims apart."""
        return believed(self.pro, self.contra)


def believed(pro: Iterable[Evidence], contra: Iterable[Evidence] = ()) -> float:
    """0 to 1."""
    return min(1 - prod(1 - each.weight for each in pro), MOST) * prod(1 - each.weight for each in contra)


def winner(claims: Sequence[Claim]) -> tuple[Claim, float]:
    """The strongest of competing claims, and how sure it is in view of the second. Raises ValueError for none.

    What is only the first one's means, or its own cause again, is no rival.
    """
    first, *rest = sorted(claims, key=lambda claim: claim.belief, reverse=True)
    rivals = [claim.belief for claim in rest if claim.cause is not first.cause and claim.cause not in first.includes]
    other = max(rivals, default=0.0)
    return first, first.belief * first.belief / (first.belief + other) if first.belief else 0.0


class Scales:
    """Collects evidence for one claim; each line says what was seen and how strongly it speaks."""

    def __init__(self, cause: Cause) -> None:
        self.cause = cause
        self.pro: list[Evidence] = []
        self.contra: list[Evidence] = []

    def add(self, weight: float, observation: str) -> None:
        """Speaks for it."""
        self.pro.append(Evidence(observation=observation, points_to=self.cause, weight=round(weight, 3)))

    def against(self, weight: float, observation: str, other: str = Cause.UNKNOWN) -> None:
        """Speaks against it, and for `other`."""
        self.contra.append(Evidence(observation=observation, points_to=other, weight=round(weight, 3)))

    def claim(
        self,
        subject: str,
        phase: Phase,
        *,
        includes: frozenset[Cause] = frozenset(),
        confirmed: bool = False,
        hint: str | None = None,
        account: str | None = None,
    ) -> Claim:
        """What was weighed, as a claim."""
        return Claim(
            cause=self.cause,
            subject=subject,
            phase=phase,
            pro=tuple(self.pro),
            contra=tuple(self.contra),
            includes=includes,
            confirmed=confirmed,
            hint=hint,
            account=account,
        )
