"""Dates as HTTP and Microsoft's SMTP greeting write them: their clocks, to compare with ours."""

import re
from datetime import UTC, datetime, timedelta

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: RFC 1123; Microsoft's SMTP greeting doesn't pad the day ("Wed, 9 Nov 2022").
DATE_PATTERN = (
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<day>[0-9]{1,2}) (?P<month>[A-Z][a-z]{2}) (?P<year>[0-9]{4}) "
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2}) (?:GMT|(?P<offset>[+-][0-9]{4}))"
)
_DATE = re.compile(DATE_PATTERN)


def parse_date(text: str) -> datetime | None:
    """An RFC 1123 date as aware UTC, or None for anything else."""
    match = _DATE.fullmatch(text.strip())
    if match is None or match["month"] not in _MONTHS:
        return None
    offset = match["offset"] or "+0000"
    ahead = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5])) * (-1 if offset[0] == "-" else 1)
    month = _MONTHS.index(match["month"]) + 1
    try:
        local = datetime(
            int(match["year"]),
            month,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            min(int(match["second"]), 59),  # a leap second
            tzinfo=UTC,
        )
        return local - ahead
    except (ValueError, OverflowError):
        return None
