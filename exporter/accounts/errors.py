"""Why a sign-in was refused, and who has to act: Microsoft's numbers and sentences as data (`errors.yaml`).

Microsoft says that applications should branch on `error` and `suberror`, and that numbers may change: a number decides
only where the table has it, then the sentence behind it where one number has several meanings; else `suberror` and
`error` decide, where they can. What is left is `unknown`, with the cleaned text: better than a wrong name.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exporter.accounts.error_table import Actor, Row, built_in
from exporter.clean import clean
from exporter.protocols.replies import KnownReply, Meaning
from exporter.vocabulary import Cause, Mechanism, Responsible

#: Numbers of one answer that are read; Microsoft nests two or three.
MAX_CODES = 16
#: Characters of an error_description that are read: what decides stands in the first sentence.
MAX_DESCRIPTION = 8_192
#: Where no row has the number, or there is none.
OTHER = "other"

_NUMBER = re.compile(r"\bAADSTS([0-9]{4,9})\b")
#: Behind the sentence: trace and correlation id and a time, which say nothing to a person.
_TAIL = re.compile(r"\s*Trace ID: .*", re.DOTALL)
_TIMES = (
    re.compile(r"Current time: ([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})"),
    re.compile(r"Timestamp: ([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2})Z"),
)
#: What may be a token or a secret that a server sends back: nobody's word is so long, or so mixed. (A GUID has 36.)
_LONG_RUN = re.compile(
    r"[A-Za-z0-9_~.+/=-]{60,}|(?=[^\s]{0,200}[0-9])(?=[^\s]{0,200}[A-Z])(?=[^\s]{0,200}[a-z])[A-Za-z0-9_~.+=-]{37,}"
)
#: Fields of a token answer that hold one, in JSON or a form, whatever their length.
_TOKEN_FIELD = re.compile(r"""((?:access|refresh|id)_token"?\s*[:=]\s*"?)[^"&\s,}<]+""", re.IGNORECASE)
#: So much of a secret in a row is a leak, in an answer that was cut too.
_SHARED = 12

#: Who answers for a cause when nothing else is known than the refusal, over a genuine chain (contract).
_RESPONSIBLE = {
    Cause.PASSWORD_REFUSED: Responsible.CLIENT,
    Cause.CLOCK_SKEW: Responsible.APPLIANCE,
    Cause.ROOT_NOT_TRUSTED: Responsible.APPLIANCE,
    Cause.THROTTLED: Responsible.MICROSOFT,
    Cause.SERVICE_OUTAGE: Responsible.MICROSOFT,
    **dict.fromkeys(
        (
            Cause.TOKEN_EXPIRED, Cause.TOKEN_REVOKED, Cause.TOKEN_MISSING, Cause.MFA_REQUIRED, Cause.CONSENT_MISSING,
            Cause.CONDITIONAL_ACCESS, Cause.ACCOUNT_DISABLED, Cause.CREDENTIALS_INVALID, Cause.APP_MISCONFIGURED,
            Cause.PROTOCOL_DISABLED, Cause.MAILBOX_UNAVAILABLE,
        ),
        Responsible.ACCOUNT,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenError:
    """An identity provider's refusal (RFC 6749 5.2 and Microsoft's fields), fit to be shown.

    `codes`: AADSTS numbers, outermost first; `description`: cleaned, without what follows the sentence; `claims`:
    whether a claims challenge came with it; `server_time`: the clock that the text carries; `skew_seconds`: how far
    this machine was ahead of it.
    """

    error: str
    codes: tuple[int, ...] = ()
    suberror: str | None = None
    description: str = ""
    claims: bool = False
    http_status: int | None = None
    server_time: datetime | None = None
    skew_seconds: float | None = None

    @classmethod
    def of_response(
        cls,
        response: Mapping[str, Any],
        http_status: int | None = None,
        *,
        now: datetime | None = None,
        hide: Collection[str] = (),
    ) -> "TokenError":
        """Of an OAuth error body, as parsed, or of MSAL's result; whatever it holds, never raises.

        `now`: our clock when it was read (UTC). `hide`: the account's name and secrets, should a server repeat them.
        """
        text = _text(response.get("error_description"))[:MAX_DESCRIPTION]
        server_time = _server_time(text)
        skew = None if now is None or server_time is None else (now - server_time).total_seconds()
        return cls(
            error=_shown(_text(response.get("error")), hide) or "unknown_error",
            codes=_codes(response.get("error_codes"), text),
            suberror=_shown(_text(response.get("suberror")), hide) or None,
            description=_shown(_TAIL.sub("", text), hide),
            claims=bool(response.get("claims")),
            http_status=http_status,
            server_time=server_time,
            skew_seconds=skew,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a refusal means. `label`: the table's number or reply, else `other`; fit for a metric.

    `acts`: the person who can mend it; `words`: what happened and what to do.
    """

    label: str
    cause: Cause
    responsible: Responsible
    words: str
    acts: Actor = Actor.NOBODY


def explain(error: TokenError) -> Explanation:
    """What an identity provider's refusal means and who has to act."""
    table = built_in()
    for number in reversed(error.codes):  # the innermost is the most precise: AADSTS70002 … AADSTS50012
        if (row := table.of_number(number, error.description)) is not None:
            return _explanation(str(number), row, _clock_words(row, error))
    row = table.of_error(error.error, error.suberror, numbered=bool(error.codes), status=error.http_status)
    if row is not None:
        return _explanation(OTHER, row, f" ({_said(error)})")
    return _unknown(_said(error))


def explain_reply(known: KnownReply, mechanism: Mechanism, *, token_expired: bool | None = None) -> Explanation:
    """What a server's refusal of an account's sign-in means, in words that `Replies.judge` knew.

    `token_expired`: whether the token was out of date when it was presented: servers refuse it like any bad one.
    """
    row = built_in().of_reply(known.id, known.meaning, mechanism, token_expired=token_expired is True)
    return _unknown(known.id) if row is None else _explanation(known.id, row)


def explain_meaning(
    meaning: Meaning | None, line: str, mechanism: Mechanism, *, token_expired: bool | None = None
) -> Explanation:
    """The same by the meaning alone (a standard response code's, say), or of none; `line` is the server's."""
    row = None
    if meaning is not None:
        row = built_in().of_reply(OTHER, meaning, mechanism, token_expired=token_expired is True)
    said = clean(line)
    return _unknown(said) if row is None else _explanation(OTHER, row, f" ({said})" if said else "")


def responsible_for(cause: Cause) -> Responsible:
    """Who has to act, as far as the refusal alone tells (contract, "Responsible")."""
    return _RESPONSIBLE.get(cause, Responsible.UNKNOWN)


def _explanation(label: str, row: Row, more: str = "") -> Explanation:
    responsible = row.responsible or responsible_for(row.cause)
    return Explanation(label=label, cause=row.cause, responsible=responsible, words=row.words + more, acts=row.acts)


def _unknown(said: str) -> Explanation:
    words = f"Refused for a reason that is not in our table: {said}" if said else "Refused without a reason."
    return Explanation(label=OTHER, cause=Cause.UNKNOWN, responsible=Responsible.UNKNOWN, words=words)


def _clock_words(row: Row, error: TokenError) -> str:
    if row.cause is not Cause.CLOCK_SKEW or error.skew_seconds is None:
        return ""
    ahead = "ahead of" if error.skew_seconds > 0 else "behind"
    return f" It was {abs(error.skew_seconds):.0f} s {ahead} Microsoft's."


def _said(error: TokenError) -> str:
    name = "/".join(filter(None, (error.error, error.suberror)))
    return f"{name}: {error.description}" if error.description else name


def _codes(listed: object, text: str) -> tuple[int, ...]:
    """The numbers of `error_codes`, and those that only the text has."""
    numbers = [number for number in map(_number, listed if isinstance(listed, list | tuple) else ()) if number]
    numbers += [int(digits) for digits in _NUMBER.findall(text)]
    return tuple(dict.fromkeys(numbers))[:MAX_CODES]


def _number(value: object) -> int | None:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _server_time(text: str) -> datetime | None:
    for pattern in _TIMES:
        if (match := pattern.search(text)) is not None:
            try:
                return datetime.fromisoformat(f"{match[1]}T{match[2]}").replace(tzinfo=UTC)
            except ValueError:
                return None
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _shown(text: str, hide: Collection[str]) -> str:
    """White space collapsed, secrets and names taken out, then cleaned as all text of the network."""
    names = sorted(filter(None, hide), key=len, reverse=True)
    for name in names:
        text = re.sub(re.escape(name), "<hidden>", text, flags=re.IGNORECASE)
    for name in names:  # only then: a piece of one form is the beginning of another, whole one
        text = _without_pieces(text, name)
    text = _TOKEN_FIELD.sub(r"\1<hidden>", text)
    return clean(_LONG_RUN.sub("<hidden>", " ".join(text.split())))


def _without_pieces(text: str, secret: str) -> str:
    """Without what an answer that breaks off leaves of a secret: its beginning, as far as it goes."""
    if len(secret) <= _SHARED:
        return text
    beginning = re.compile(re.escape(secret[:_SHARED]), re.IGNORECASE)
    while (found := beginning.search(text)) is not None:
        start, length = found.start(), _SHARED
        while length < len(secret) and text[start + length : start + length + 1].lower() == secret[length].lower():
            length += 1
        text = f"{text[:start]}<hidden>{text[start + length :]}"
    return text
