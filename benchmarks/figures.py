"""Quantiles, and Markdown tables of them."""

from collections.abc import Sequence

#: What is told of every distribution.
QUANTILES = (0.5, 0.9, 0.99)


def quantile(values: Sequence[float], share: float) -> float:
    """Linear between the two nearest; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def quantiles(values: Sequence[float]) -> tuple[float, ...]:
    """Median, p90, p99."""
    return tuple(quantile(values, share) for share in QUANTILES)


def microseconds(seconds: Sequence[float]) -> str:
    """Seconds as "12 / 34 / 56" in µs."""
    return " / ".join("–" if value != value else f"{value * 1e6:.0f}" for value in seconds)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
