"""The table behind `errors.py`: rows of `errors.yaml`, read once, and how a row is found."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

import yaml

from exporter.protocols.replies import Meaning
from exporter.vocabulary import Cause, Mechanism, Responsible


class Actor(StrEnum):
    """The person who can mend it."""

    USER = "user"
    ADMINISTRATOR = "administrator"  # of the mailbox' tenant
    APP_OWNER = "app owner"  # whoever registered the application
    NETWORK = "network administrator"
    OPERATOR = "operator"  # of this exporter
    NOBODY = "nobody"  # it passes, or isn't known


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One meaning. `sentence`: what the text must hold for it, None for any text."""

    cause: Cause
    acts: Actor
    words: str
    sentence: re.Pattern[str] | None = None
    responsible: Responsible | None = None  # where it is another than the cause's own
    mechanism: Mechanism | None = None
    expired: bool | None = None
    since: str | None = None
    source: str = ""
    confidence: str = "D"


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """All rows. Of several for one key the first that fits counts."""

    numbers: Mapping[int, tuple[Row, ...]]
    errors: Mapping[str, tuple[Row, ...]]
    suberrors: Mapping[str, tuple[Row, ...]]
    statuses: Mapping[str, tuple[Row, ...]]
    replies: Mapping[str, tuple[Row, ...]]
    meanings: Mapping[str, tuple[Row, ...]]

    def sentences(self) -> Iterator[str]:
        """What people are told, row by row."""
        for part in (self.numbers, self.errors, self.suberrors, self.statuses, self.replies, self.meanings):
            yield from (row.words for rows in part.values() for row in rows)

    def of_number(self, number: int, text: str) -> Row | None:
        """The row of an AADSTS number whose sentence the text holds."""
        return _fitting(self.numbers.get(number, ()), text)

    def of_error(self, error: str, suberror: str | None, *, numbered: bool, status: int | None) -> Row | None:
        """What `suberror`, `error` or the HTTP status decide, where no number does.

        `numbered`: it has a number that the table hasn't. Then `invalid_grant` may mean anything; without one it means
        what RFC 6749 5.2 says.
        """
        if status == 429:
            return _fitting(self.statuses["429"], "")
        if suberror and (row := _fitting(self.suberrors.get(suberror, ()), "")) is not None:
            return row
        for key in (f"{error}!" if numbered else "", error):
            if key in self.errors:
                return _fitting(self.errors[key], "")
        if status is None:
            return None
        return _fitting(self.statuses.get(str(status), self.statuses.get(f"{status // 100}xx", ())), "")

    def of_reply(self, id_: str, meaning: Meaning, mechanism: Mechanism, *, token_expired: bool) -> Row | None:
        """The row of a known reply, else that of its meaning, for what was presented."""
        rows = (*self.replies.get(id_, ()), *self.meanings.get(meaning, ()))
        return next(
            (
                row
                for row in rows
                if row.mechanism in (None, mechanism) and (row.expired is None or row.expired == token_expired)
            ),
            None,
        )


def _fitting(rows: tuple[Row, ...], text: str) -> Row | None:
    return next((row for row in rows if row.sentence is None or row.sentence.search(text)), None)


@cache
def built_in() -> ErrorTable:
    """The table of this version."""
    text = resources.files("exporter.accounts").joinpath("errors.yaml").read_text("utf-8")
    content = yaml.safe_load(text)
    numbers = {int(key): rows for key, rows in _keyed(content["numbers"], "numbers").items()}
    parts = {part: _keyed(content[part], "is") for part in ("errors", "suberrors", "statuses", "replies", "meanings")}
    return ErrorTable(numbers=numbers, **parts)


def _keyed(entries: list[dict[str, Any]], key: str) -> dict[str, tuple[Row, ...]]:
    found: dict[str, tuple[Row, ...]] = {}
    for entry in entries:
        row = _row({name: value for name, value in entry.items() if name != key})
        keys = entry[key] if isinstance(entry[key], list) else [entry[key]]
        for each in map(str, keys):
            found[each] = (*found.get(each, ()), row)
    return found


def _row(entry: dict[str, Any]) -> Row:
    sentence, responsible, mechanism = entry.get("sentence"), entry.get("responsible"), entry.get("mechanism")
    return Row(
        cause=Cause(entry["cause"]),
        acts=Actor(entry["acts"]),
        words=" ".join(entry["words"].split()),
        sentence=re.compile(sentence, re.IGNORECASE) if sentence else None,
        responsible=Responsible(responsible) if responsible else None,
        mechanism=Mechanism(mechanism) if mechanism else None,
        expired=entry.get("expired"),
        since=entry.get("since"),
        source=entry.get("source", "reference-error-codes"),
        confidence=entry.get("confidence", "D"),
    )
