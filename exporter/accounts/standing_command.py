"""`accounts`: how each account's sign-in stands, read from its cache; nothing is asked of anyone."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from exporter.accounts.authority import grant_of, has_tokens
from exporter.accounts.configured import certificate_expiry, token_file
from exporter.accounts.token import Grant, Resource
from exporter.accounts.token_file import Stored, TokenFileError
from exporter.settings import AccountSettings, Settings
from exporter.settings_errors import ConfigurationError
from exporter.settings_file import load

#: A refresh token that ends within so many days, for want of use, is told of.
WARN_DAYS = 30
#: A certificate that ends within so many days is told of.
CERTIFICATE_DAYS = 30

GOOD, NOT_GOOD = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One account's standing; times RFC 3339 UTC in JSON. `problem`: what a person has to do, None where nothing.

    `credential_expires`: of its certificate; of a client secret only Microsoft knows, until it is over (AADSTS7000222).
    """

    name: str
    kind: str
    grant: str | None
    valid_until: datetime | None = None
    last_refresh: datetime | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None
    credential_expires: datetime | None = None
    sign_in_expires: datetime | None = None
    next_request: datetime | None = None
    encrypted: bool | None = None
    problem: str | None = None


def run_accounts(*, config: Path | None, env: Mapping[str, str], as_json: bool) -> int:
    """0: every account can be tried; 1: one needs a person. Raises ConfigurationError."""
    settings = load(config, env)
    now = datetime.now(UTC)
    standings = [standing(own, env, now, index) for index, own in enumerate(settings.accounts)]
    if as_json:
        for each in standings:
            click.echo(json.dumps(_plain(each)))
    else:
        _print(settings, standings)
    return GOOD if all(each.problem is None for each in standings) else NOT_GOOD


def standing(own: AccountSettings, env: Mapping[str, str], now: datetime, index: int = 0) -> Standing:
    """How one account stands at `now`."""
    if not has_tokens(own):
        return Standing(name=own.name, kind=own.kind, grant=None)
    file = token_file(own, env)
    known = Standing(name=own.name, kind=own.kind, grant=grant_of(own), encrypted=file.encrypted)
    try:
        stored = file.read()
        expires = certificate_expiry(own, env, index)
    except (TokenFileError, ConfigurationError) as problem:
        return _with(known, problem=str(problem))
    access = stored.access.get(Resource.EXCHANGE)
    known = _with(
        known,
        valid_until=None if access is None else _instant(access.expires_at),
        last_refresh=_instant(stored.history.last_refresh),
        last_error=stored.last_error,
        last_error_at=_instant(stored.last_error_at),
        credential_expires=expires,
        sign_in_expires=_instant(stored.sign_in_expires),
        next_request=_instant(stored.history.not_before) if stored.history.not_before > now.timestamp() else None,
    )
    return _with(known, problem=_problem(known, stored, now))


def _problem(known: Standing, stored: Stored, now: datetime) -> str | None:
    login = f"sign in: outlook-auth-exporter login {known.name}"
    if known.grant == Grant.REFRESH_TOKEN and stored.refresh_token is None:
        return f"nobody has signed in yet; {login}"
    if known.sign_in_expires is not None and known.sign_in_expires - now < timedelta(days=WARN_DAYS):
        return f"the sign-in on file has hardly been used and ends {known.sign_in_expires:%F}; {login}"
    if known.credential_expires is not None and known.credential_expires - now < timedelta(days=CERTIFICATE_DAYS):
        return f"its certificate ends {known.credential_expires:%F}; register a new one"
    if stored.history.failures and stored.last_error is not None:
        return stored.last_error
    return None


def _with(known: Standing, **more: Any) -> Standing:
    return Standing(**{**asdict(known), **more})


def _instant(seconds: float | None) -> datetime | None:
    try:
        return None if not seconds else datetime.fromtimestamp(seconds, UTC).replace(microsecond=0)
    except (OverflowError, ValueError, OSError):
        return None


def _plain(each: Standing) -> dict[str, Any]:
    return {
        key: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for key, value in asdict(each).items()
    }


def _print(settings: Settings, standings: list[Standing]) -> None:
    if not settings.accounts:
        click.echo("No account is configured: the canary needs none. See `accounts` in the README.")
        return
    table = Table(box=None, pad_edge=False)
    for head in ("account", "kind", "token valid until", "last refresh", "credential ends", "kept", "what to do"):
        table.add_column(head, overflow="fold")
    for each in standings:
        kept = {None: "-", True: "encrypted", False: "unencrypted"}[each.encrypted]
        times = _words(each.valid_until), _words(each.last_refresh), _ends(each)
        table.add_row(each.name, each.kind, *times, kept, each.problem or "-")
    Console(width=None if os.isatty(1) else 160).print(table)


def _ends(each: Standing) -> str:
    """When what it signs in with ends: its certificate, or the sign-in on file if it isn't used any more."""
    if each.grant == Grant.CLIENT_CREDENTIALS and each.credential_expires is None:
        return "told by Microsoft only"
    ends = each.credential_expires or each.sign_in_expires
    return "-" if ends is None else f"{ends:%F}" + ("" if each.credential_expires else ", if unused")


def _words(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%F %T}Z"
