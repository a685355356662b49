"""A control that is scripted, and a client that asks the application without a network."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message

from exporter.catalogue import TARGETS, Target
from exporter.observations import Probe
from tests.metrics.made import healthy


@dataclass
class ScriptedControl:
    """Answers at once, and remembers what it was asked."""

    ready: bool = True
    listen: str = "127.0.0.1:10193"
    allowed_hosts: Collection[str] = ()
    problems: list[str] = field(default_factory=list)
    asked: list[tuple[str, str, float]] = field(default_factory=list)
    reloads: int = 0
    diagnoses: int = 0
    why_not: str = ""
    language: str = "auto"
    failure: Exception | None = None

    def targets(self) -> Mapping[str, Target]:
        return {name: TARGETS[name] for name in ("imap", "smtp", "sign_in_work")}

    def vantages(self) -> Sequence[str]:
        return ("local", "wan")

    async def probe_now(self, target: str, vantage: str, deadline_seconds: float) -> Probe:
        self.asked.append((target, vantage, deadline_seconds))
        if self.failure is not None:
            raise self.failure
        return healthy(target, vantage, datetime.now(UTC))

    async def diagnose(self) -> str:
        self.diagnoses += 1
        return self.why_not

    async def reload(self) -> list[str]:
        self.reloads += 1
        return self.problems


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


async def ask(
    app: ASGIApp,
    path: str,
    *,
    method: str = "GET",
    client: str = "127.0.0.1",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request, as the server would hand it over."""
    path, _, query = path.partition("?")
    sent = {"host": "localhost:10193", **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": (client, 40_000),
        "server": ("127.0.0.1", 10193),
    }
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    start = messages[0]
    names = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], names, b"".join(message.get("body", b"") for message in messages[1:]))
