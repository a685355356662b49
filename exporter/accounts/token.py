"""What came of asking for an account's token: plain frozen data, the secret in it never shown."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from exporter.accounts.errors import TokenError
from exporter.observations import PhaseResult
from exporter.secret_files import Secret


class Grant(StrEnum):
    """How a token is asked for (RFC 6749 4.4, 6; RFC 8628)."""

    REFRESH_TOKEN = "refresh_token"
    CLIENT_CREDENTIALS = "client_credentials"
    DEVICE_CODE = "device_code"


class Source(StrEnum):
    """Where a token came from. Only the identity provider's answers are measurements."""

    IDENTITY_PROVIDER = "identity_provider"
    CACHE = "cache"


class Resource(StrEnum):
    """What a token is for: Microsoft gives one for one resource a request (AADSTS28000)."""

    EXCHANGE = "exchange"
    GRAPH = "graph"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResult:
    """One token asked for, from one vantage.

    `seconds`: the request's last byte to the response's last byte, where the identity provider answered (`reached`);
    `phases` are those of that request. `withheld`: why the credential stayed here. `waiting`: why no request was made
    for now, which passes by itself; `unusable`: why none can be made until a person acts (nobody has signed in yet).
    `sign_in_expires`: when the refresh token dies, should it not be used again.
    """

    account: str
    vantage: str
    grant: Grant
    source: Source
    secret: Secret | None = None
    expires_at: datetime | None = None
    seconds: float | None = None
    phases: tuple[PhaseResult, ...] = ()
    error: TokenError | None = None
    withheld: str | None = None
    waiting: str | None = None
    unusable: str | None = None
    reached: bool = False
    retry_after: float | None = None
    sign_in_expires: datetime | None = None
