"""A ladder's geometry: lines and words with their places, for the page's inline SVG."""

from dataclasses import dataclass
from typing import Final

from exporter.diagnosis.ladder import Ladder, Row
from exporter.diagnosis.ladder_steps import Step
from exporter.language import _
from exporter.language.evidence import said

#: Units of the picture: its width; where client, gateway's two edges and server stand; a row's height; the first row.
WIDTH: Final = 960.0
_CLIENT, _NEAR, _FAR, _SERVER = 92.0, 484.0, 540.0, 930.0
_ROW, _TOP = 34.0, 44.0
#: Characters that fit over half the way, and over all of it.
_HALF, _WHOLE = 58, 120


@dataclass(frozen=True, slots=True)
class Arrow:
    """A line from x1 to x2 at y. `kind`: good, bad, odd, or gone (missing there)."""

    x1: float
    x2: float
    y: float
    kind: str
    words: str
    under: str
    title: str

    @property
    def middle(self) -> float:
        """Where its words stand."""
        return (self.x1 + self.x2) / 2

    @property
    def head(self) -> str:
        """The points of its tip."""
        back = -7.0 if self.x2 > self.x1 else 7.0
        return f"{self.x2},{self.y} {self.x2 + back},{self.y - 4} {self.x2 + back},{self.y + 4}"


@dataclass(frozen=True, slots=True)
class Rung:
    """A row's arrows, its time, and a cross at the gateway's edge where it went no further."""

    time: str
    y: float
    arrows: tuple[Arrow, ...]
    cross: float | None


@dataclass(frozen=True, slots=True)
class LadderPicture:
    """All of it. `lines`: x of the vertical lines."""

    rungs: tuple[Rung, ...]
    height: float
    two_sided: bool
    left_out: int
    client: float = _CLIENT
    near: float = _NEAR
    far: float = _FAR
    server: float = _SERVER
    width: float = WIDTH


def drawn(ladder: Ladder) -> LadderPicture:
    """Where everything stands."""
    rungs = tuple(_rung(row, number, ladder.two_sided) for number, row in enumerate(ladder.rows))
    return LadderPicture(rungs, _TOP + _ROW * len(rungs) + 14.0, ladder.two_sided, ladder.left_out)


def _rung(row: Row, number: int, two_sided: bool) -> Rung:
    y = _TOP + _ROW * number + 16.0
    time = f"{row.seconds:.4f} s" if row.seconds < 10 else f"{row.seconds:.2f} s"
    if not two_sided:
        return Rung(time, y, (_arrow(row.step, _CLIENT, _SERVER, y, _WHOLE, words=True),), None)
    arrows, cross = [], None
    if row.inside is not None:
        arrows.append(_arrow(row.inside, _CLIENT, _NEAR, y, _HALF, words=True))
    elif row.missing == "inside":
        arrows.append(_gone(row.step, _CLIENT, _NEAR, y))
        cross = _FAR if not row.step.from_client else None
    if row.outside is not None:
        arrows.append(_arrow(row.outside, _FAR, _SERVER, y, _HALF, words=row.inside is None))
    elif row.missing == "outside":
        arrows.append(_gone(row.step, _FAR, _SERVER, y))
        cross = _NEAR if row.step.from_client else None
    return Rung(time, y, tuple(arrows), cross)


def _arrow(step: Step, left: float, right: float, y: float, fits: int, *, words: bool) -> Arrow:
    x1, x2 = (left, right) if step.from_client else (right, left)
    text = _words(step)
    shown = text if len(text) <= fits else f"{text[: fits - 1]}…"
    return Arrow(x1, x2, y, _kind(step), shown if words else "", _under(step), text)


def _gone(step: Step, left: float, right: float, y: float) -> Arrow:
    x1, x2 = (left, right) if step.from_client else (right, left)
    what = _("packet") if step.kind == "data" else step.kind.upper()
    never = _("no such {what} was seen here", what=what)
    return Arrow(x1, x2, y, "gone", never, "", never)


def _words(step: Step) -> str:
    label = said(step.label).text
    if not step.again:
        return label
    again = _("again {count} times", count=step.count) if step.count > 1 else _("again")
    return f"{again}{_(': ')}{label}"


def _under(step: Step) -> str:
    size = _("{count} bytes", count=step.length) if step.length else ""
    if size and step.count > 1:
        size += _(" in {count} segments", count=step.count)
    numbers = _("frame {number}", number=step.numbers[0]) if step.numbers else ""
    if len(step.numbers) > 1:
        numbers = _("frames {first} to {last}", first=step.numbers[0], last=step.numbers[-1])
    return ", ".join(filter(None, (size, numbers, f"TTL {step.ttl}" if step.ttl else "")))


def _kind(step: Step) -> str:
    refusal = any(name.startswith("alert ") and not name.endswith("close_notify") for name in (*step.names, step.label))
    if step.kind in ("rst", "icmp") or refusal:
        return "bad"
    return "odd" if step.again else "good"
