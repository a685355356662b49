"""One run of a client: where it shall sign in, as whom, with what. A program turns it into a command."""

from dataclasses import dataclass, field
from pathlib import Path

from exporter.vocabulary import Mechanism, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`secret` is a password or an access token, as `mechanism` says; `directory` is the run's own."""

    protocol: Protocol
    port: int
    starttls: bool
    user: str
    secret: str
    mechanism: Mechanism
    directory: Path
    host: str = "localhost"
    server_name: str = "localhost"  # what a script asks for in its ClientHello
    options: tuple[str, ...] = ()

    @property
    def token(self) -> bool:
        return self.mechanism is Mechanism.TOKEN

    def file(self, name: str, text: str) -> Path:
        """A file that nobody else reads (some clients insist)."""
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be started: arguments, standard input, and environment added to ours. `terminal`: it wants one."""

    arguments: list[str]
    stdin: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    terminal: bool = False


#: A message to be sent.
MESSAGE = "From: a@example.org\nTo: b@example.org\nSubject: a test\n\nOne line.\n"
