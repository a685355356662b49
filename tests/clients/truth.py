"""What really happened on a connection, by the server's own word: attempts in order, nothing where none was made."""

from typing import NamedTuple

from exporter.vocabulary import AuthOutcome, Mechanism


class Attempt(NamedTuple):
    """One attempt to sign in."""

    mechanism: Mechanism
    outcome: AuthOutcome


Truth = tuple[Attempt, ...]
