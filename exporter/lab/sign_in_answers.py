"""How the sign-in hosts answer: JSON, errors by number, and the headers that are Microsoft's own (facts 4.3, 5)."""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime

from exporter.lab.aadsts import error_named
from exporter.lab.behaviour import Behaviour
from exporter.lab.http_server import Answer

_ERROR_PAGE = "https://login.microsoftonline.com/error?code="


@dataclass(frozen=True, slots=True)
class Answers:
    """Makes the answers of one request. `personal`: by login.live.com; `user`, `client`, `tenant`: for texts."""

    behaviour: Behaviour
    personal: bool
    tenant: str
    user: str
    client: str

    def missing(self, parameter: str) -> Answer:
        """A parameter isn't there."""
        if not self.personal:
            return self.error(900144, parameter=parameter)
        # login.live.com's own words (fkalis/bash-onedrive-upload#69, 2018; hwi/HWIOAuthBundle#2002, 2024)
        text = f"The provided request must include a '{parameter}' input parameter."
        content = {"error": "invalid_request", "error_description": text, "correlation_id": str(uuid.uuid4())}
        return self.json(400, content, token=True)

    def throttled(self) -> Answer:
        """429, without a body."""
        after = self.behaviour.retry_after
        headers = [("Retry-After", str(after))] if after is not None else []
        return Answer(429, [*headers, *self.headers()], delay=self.behaviour.token_delay)

    def error(self, name: int | str, **words: str) -> Answer:
        """An error by number or key of `aadsts.SENTENCES`; `words` fill its text in."""
        number, kind = error_named(name)
        stamp = f"{self.behaviour.now():%Y-%m-%d %H:%M:%SZ}"
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        text = kind.text.format(**(self._usual() | words))
        lines = (f"AADSTS{number}: {text}", f"Trace ID: {trace}", f"Correlation ID: {correlation}")
        content: dict[str, object] = {
            "error": kind.error, "error_description": "\r\n".join((*lines, f"Timestamp: {stamp}")),
            "error_codes": [number], "timestamp": stamp, "trace_id": trace, "correlation_id": correlation,
            "error_uri": f"{_ERROR_PAGE}{number}",
        }  # fmt: skip
        if kind.suberror is not None:
            content["suberror"] = kind.suberror
        if kind.claims is not None:
            content["claims"] = kind.claims
        return self.json(kind.status, content, token=True, trace=trace)

    def _usual(self) -> dict[str, str]:
        """What texts want filled in, for errors that a switch asks for: an hour either side of now."""
        now, hour = self.behaviour.now(), timedelta(hours=1)
        times = {"begins": instant(now - 2 * hour), "ends": instant(now - hour), "now": instant(now)}
        names = {"tenant": self.tenant, "client": self.client, "user": self.user}
        return {**names, **times, "parameter": "grant_type", "grant": "password"}

    def json(
        self, status: int, content: object, *, token: bool = False, cache: str = "no-store, no-cache", trace: str = ""
    ) -> Answer:
        """A JSON body; `token`: of the token endpoint, whose delay is its own."""
        headers = [("Content-Type", "application/json; charset=utf-8"), *self.headers(cache, trace)]
        delay = self.behaviour.token_delay if token else self.behaviour.http_delay
        return Answer(status, headers, json.dumps(content).encode(), delay)

    def headers(self, cache: str = "no-store, no-cache", trace: str = "") -> list[tuple[str, str]]:
        """What tells ESTS, or login.live.com, from a gateway's page (facts 5)."""
        common = [
            ("Cache-Control", cache), ("Pragma", "no-cache"), ("Expires", "-1"),
            ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"), ("X-Content-Type-Options", "nosniff"),
            ("P3P", 'CP="DSP CUR OTPi IND OTRi ONL FIN"'), ("Date", http_date(self.behaviour.now())),
            ("x-ms-request-id", trace or str(uuid.uuid4())),
        ]  # fmt: skip
        if self.personal:
            return [*common, ("PPServer", "PPV: 30 H: PH1PEPF00011F5B V: 0"), ("x-ms-route-info", "C105_BL2")]
        cookies = ("fpc=AlabCookie; path=/; secure; HttpOnly", "x-ms-gateway-slice=estsfd; path=/; secure; HttpOnly")
        server = ("x-ms-ests-server", "2.1.12651.7 - SCUS ProdSlices")
        return [*common, server, *(("Set-Cookie", cookie) for cookie in cookies)]


def instant(moment: datetime) -> str:
    """As Microsoft writes times into texts."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.0000000Z"


def http_date(moment: datetime) -> str:
    """RFC 9110 5.6.7, of an aware UTC time."""
    return format_datetime(moment, usegmt=True)
