"""An interface to inspect, and how it stands: what service and inspector say to each other about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface to inspect; `side` None: not known."""

    name: str
    side: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceState:
    """How an interface stands. `problem`: why it isn't open, a line for an administrator."""

    name: str
    side: str | None
    open: bool
    problem: str | None = None
